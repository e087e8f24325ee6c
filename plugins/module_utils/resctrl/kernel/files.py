# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the kernel's small files."""

from __future__ import annotations

import os


def read_text(path: str) -> str:
    """A small file of the kernel, whole. Bytes that are not UTF-8 survive as surrogates. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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
