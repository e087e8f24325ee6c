# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount points: stale mounts taken away, a living one respected; and an end together with the parent process."""

from __future__ import annotations

import ctypes
import errno
import os
import signal

MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
FSTYPE = "fuse.resctrl"
MOUNT_FAILURE = 32
"""mount(8)'s exit status for it."""

_libc = ctypes.CDLL(None, use_errno=True)


def _unescape(text: str) -> str:
    """A path of /proc/self/mountinfo, where blanks and backslashes are octal."""
    return text.encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def _is_mounted(mountpoint: str) -> bool:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split() for line in file]
    return any(_unescape(row[4]) == mountpoint and row[row.index("-") + 1] == FSTYPE for row in rows)


def prepare(mountpoint: str) -> str:
    """The absolute path of a mount point, with mounts whose server has died taken off.

    Raises OSError EBUSY if an emulator is alive there, as for a second mount of resctrl; ENOTDIR or ENOENT if it is no
    directory.
    """
    parent, name = os.path.split(os.path.abspath(mountpoint))
    absolute = os.path.join(os.path.realpath(parent), name)
    while _is_dead(absolute):
        if _libc.umount2(os.fsencode(absolute), MNT_DETACH):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), absolute)
    if _is_mounted(absolute):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), absolute)
    os.listdir(absolute)
    return absolute


def _is_dead(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def die_with_parent() -> None:
    """Get SIGTERM when the parent process ends, or now if it has ended already."""
    parent = os.getppid()
    _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
