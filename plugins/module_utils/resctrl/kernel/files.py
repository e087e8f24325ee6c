# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the kernel's small files."""

from __future__ import annotations

import os

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
