# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts that light and full hosts have in common, made inside of their own mount namespace."""

from __future__ import annotations

import ctypes
import os
import typing as t
from pathlib import Path

from .command import execute

if t.TYPE_CHECKING:
    from .state import State

_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000


def keep_mounts_private() -> None:
    """Cuts this mount namespace off from the machine's, so that no mount made here is seen there.

    Where / is a directory that somebody changed the root to (chroot) it is no mount, and the mount that it lies on is
    out of reach: go there, and come back to a / that is a mount.
    """
    try:
        _mount(None, b"/", _MS_REC | _MS_PRIVATE)
    except OSError:
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        os.chdir("/")
        os.chroot("proc")  # the root is now below the working directory: ".." stops at the namespace's own root
        os.chdir("../" * 64)
        os.chroot(".")
        _mount(None, b"/", _MS_REC | _MS_PRIVATE)
        os.fchdir(root)
        place = os.getcwdb()
        _mount(place, place, _MS_BIND | _MS_REC)
        os.chdir(place)
        os.chroot(".")


def _mount(source: bytes | None, target: bytes, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, target, None, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), "mount", os.fsdecode(target))


def scratch(state: State) -> Path:
    """A tmpfs for what the host writes; gone with the namespace."""
    place = state.directory / "scratch"
    place.mkdir()
    execute("mount", "-t", "tmpfs", "-o", "mode=0755", "lab-scratch", place)
    return place


def overlay(lower: str | Path, place: Path, target: str | Path) -> Path:
    """A copy of `lower` at `target` that is written to `place`. Returns the directory of what differs."""
    upper, work = place / "upper", place / "work"
    upper.mkdir(parents=True, exist_ok=True)
    work.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    execute("mount", "-t", "overlay", "-o", options, "lab-overlay", target)
    return upper


def own_run(state: State) -> None:
    """A fresh /run in which only this host's state directory is seen: none of the machine's D-Bus, systemd, libvirt."""
    place = state.directory / "run"
    place.mkdir()
    execute("mount", "-t", "tmpfs", "-o", "mode=0755", "lab-run", place)
    if state.directory.is_relative_to("/run"):
        inside = place / state.directory.relative_to("/run")
        inside.mkdir(mode=0o700, parents=True)
        execute("mount", "--bind", state.directory, inside)
    execute("mount", "--no-mtab", "--move", place, "/run")
    for name in ("lock", "sshd"):
        Path("/run", name).mkdir(mode=0o755)


def own_sys() -> None:
    """A sysfs of this network namespace, so that nobody looks for an interface of the machine. /sys/fs stays."""
    before = Path("/run/sys-fs")
    before.mkdir()
    execute("mount", "--rbind", "/sys/fs", before)
    execute("mount", "-t", "sysfs", "sysfs", "/sys")
    execute("mount", "--rbind", before, "/sys/fs")
    execute("umount", "--lazy", before)
    before.rmdir()
