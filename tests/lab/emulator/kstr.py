# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own string helpers (lib/kstrtox.c, lib/string_helpers.c), as far as resctrl uses them.

Text is what the kernel sees of a written buffer: one character per byte (latin-1), cut at the first NUL.
"""

from __future__ import annotations

import errno
import os
from typing import NoReturn

BLANKS = " \t\n\v\f\r\xa0"
"""What the kernel's isspace() accepts."""

INT = (-(1 << 31), (1 << 31) - 1)
UINT = (0, (1 << 32) - 1)
ULONG = (0, (1 << 64) - 1)


def fail(code: int) -> NoReturn:
    """Raise the OSError of an errno."""
    raise OSError(code, os.strerror(code))


def to_text(data: bytes) -> str:
    """The C string in a written buffer."""
    return data.split(b"\0", 1)[0].decode("latin-1")


def strim(text: str) -> str:
    """Without blanks at both ends."""
    return text.strip(BLANKS)


def _radix(text: str, base: int) -> tuple[str, int]:
    """Base 0 is decimal, octal after ``0``, hexadecimal after ``0x``; base 16 also accepts the ``0x``."""
    prefixed = text[:2].lower() == "0x" and len(text) > 2 and text[2] in "0123456789abcdefABCDEF"
    if base == 0:
        if prefixed:
            return text[2:], 16
        return text, 8 if text[:1] == "0" else 10
    if base == 16 and text[:2].lower() == "0x":
        return text[2:], 16
    return text, base


def kstrto(text: str, base: int, limits: tuple[int, int]) -> int:
    """Parse an integer as kstrtoint() and its siblings do; one trailing newline is allowed.

    Raises OSError EINVAL for anything that is not a number, ERANGE beyond the limits.
    """
    signed = limits[0] < 0
    negative = signed and text[:1] == "-"
    digits = text[1:] if negative or text[:1] == "+" else text
    if digits[-1:] == "\n":
        digits = digits[:-1]
    digits, base = _radix(digits, base)
    allowed = "0123456789abcdef"[:base]
    if not digits or any(c not in allowed for c in digits.lower()):
        fail(errno.EINVAL)
    value = int(digits, base)
    value = -value if negative else value
    if not limits[0] <= value <= limits[1]:
        fail(errno.ERANGE)
    return value
