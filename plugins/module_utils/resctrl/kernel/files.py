# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the kernel's small files."""

from __future__ import annotations

import os

# Longer than nearly all of the files that are shown in one piece; to make room for more takes its time
_PIECE = 512


def read_text(path: str) -> str:
    """A small file of the kernel, whole. Bytes that are not UTF-8 survive as surrogates. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(descriptor, 65536), b"")).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)


def read_piece(path: str) -> str:
    """The same of a file that the kernel shows in one piece, as most small files are: one read has all of it.

    These are the files with a show function of kernfs (fs/kernfs/file.c), and in /proc those of single_open(), such as
    comm and cpu_resctrl_groups (fs/proc/base.c, "ONE"): only a read that fills its buffer leaves something behind.
    Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        piece = os.read(descriptor, _PIECE)
        if len(piece) == _PIECE:
            piece += b"".join(iter(lambda: os.read(descriptor, 65536), b""))
    finally:
        os.close(descriptor)
    return piece.decode("utf-8", "surrogateescape")


def read_if_there(path: str) -> str:
    """The same, "" if it cannot be read."""
    try:
        return read_text(path)
    except OSError:
        return ""
