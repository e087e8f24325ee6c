# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assertions about errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from errno import errorcode


@contextlib.contextmanager
def fails(*codes: int) -> Iterator[None]:
    """The block raises an OSError with one of these errnos."""
    code: int | None = 0
    try:
        yield
    except OSError as error:
        code = error.errno
    expected = " or ".join(errorcode[code] for code in codes)
    assert code in codes, f"{errorcode.get(code or 0, 'success')} instead of {expected}"


def errno_of(action: Callable[[], object]) -> int | None:
    """The errno with which it fails, 0 if it succeeds."""
    try:
        action()
    except OSError as error:
        return error.errno
    return 0
