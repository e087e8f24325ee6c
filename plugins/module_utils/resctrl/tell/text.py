# SPDX-License-Identifier: GPL-3.0-or-later
"""Text on a terminal: what may be printed, how many columns it takes, and how it is cut. Pure."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Text with what would move the cursor, change the screen or turn the direction of writing escaped, as in \\x1b."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def columns(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        # It is drawn over the character before it
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int) -> str:
    """As much of a printable text as `width` columns have room for; a text that was cut ends with +."""
    if columns(text) <= width:
        return text
    kept, room = "", max(0, width - 1)
    for character in text:
        room -= _columns_of(character)
        if room < 0:
            break
        kept += character
    return f"{kept}+"[: max(0, width)]


def pad(text: str, width: int) -> str:
    """A printable text that takes exactly `width` columns: cut, or with blanks at its end."""
    fitting = cut(text, width)
    return fitting + " " * (width - columns(fitting))
