# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the kernel's small files, and the numbers in them."""

from __future__ import annotations

import errno
import os

# What says that a file, or its group, is not there (any more); any other errno is an error
GONE_ERRORS = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)
# Longer than nearly all of the kernel's small files; to make room for more takes its time
_PIECE = 512


def read_bytes(path: str | bytes, piece: int = 65536) -> bytes:
    """A file, whole, or at least what one read gives of it that does not fill `piece` bytes.

    That is all of a file of the kernel's that is shown in one piece: those of resctrl (kernfs, with a show function),
    and in /proc those of single_open() (fs/proc/base.c: comm, status, cpu_resctrl_groups, ...). Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = os.read(descriptor, piece)
        if len(content) == piece:
            content += b"".join(iter(lambda: os.read(descriptor, 65536), b""))
    finally:
        os.close(descriptor)
    return content


def read_piece(path: str, length: int = _PIECE) -> str:
    """A file that is shown in one piece, see read_bytes(), and mostly in less than `length` bytes. Raises OSError."""
    return read_bytes(path, length).decode("utf-8", "surrogateescape")


def read_piece_if_there(path: str, length: int = _PIECE) -> str:
    """The same, "" if it cannot be read."""
    try:
        return read_piece(path, length)
    except OSError:
        return ""


def read_text(path: str) -> str:
    """A small file of the kernel, whole. Bytes that are not UTF-8 survive as surrogates. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(descriptor, 65536), b"")).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)


def read_if_there(path: str) -> str:
    """The same, "" if it cannot be read."""
    try:
        return read_text(path)
    except OSError:
        return ""


def number_in(text: str, base: int = 10) -> int | None:
    """The number that a text is; None where it is another text."""
    try:
        return int(text, base)
    except ValueError:
        return None


def pairs_in(text: str) -> dict[int, str]:
    """Id -> what stands there, as in `0=fff;1=ff0`. What is no such pair is left out."""
    parts = [part.partition("=") for part in text.strip().split(";")]
    pairs = [(number_in(number), value) for number, equals, value in parts if equals]
    return {number: value for number, value in pairs if number is not None}


def numbers_in(text: str, base: int = 10) -> dict[int, int]:
    """The same where what stands there is a number; another pair is left out."""
    pairs = [(number, number_in(value, base)) for number, value in pairs_in(text).items()]
    return {number: value for number, value in pairs if value is not None}
