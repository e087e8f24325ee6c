# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls that Python's os module lacks. All raise OSError."""

from __future__ import annotations

import ctypes
import mmap
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_REMOUNT = 32
PR_SET_PDEATHSIG = 1
RENAME_NOREPLACE = 1
AT_FDCWD = -100
MAP_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def mount(target: str, fstype: str = "resctrl", option: str = "", flags: int = 0) -> None:
    """mount(2)."""
    data = option.encode() or None
    _check(_libc.mount(b"resctrl", os.fsencode(target), fstype.encode(), ctypes.c_ulong(flags), data))


def umount(target: str) -> None:
    """umount(2)."""
    _check(_libc.umount2(os.fsencode(target), 0))


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(flags))


def die_with_parent(signal: int) -> None:
    """Get a signal when the parent ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0))


def rename_without_replacing(old: str, new: str) -> None:
    """renameat2(2) with RENAME_NOREPLACE."""
    _check(_libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), RENAME_NOREPLACE))


def map_shared(fd: int) -> None:
    """mmap(2) of a page for reading, shared."""
    _libc.mmap.restype = ctypes.c_void_p
    page = _libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    _check(-1 if page == MAP_FAILED else 0)


def filesystem_type(path: str) -> int:
    """f_type of statfs(2)."""
    buffer = (ctypes.c_long * 32)()
    _check(_libc.statfs(os.fsencode(path), ctypes.byref(buffer)))
    return buffer[0]
