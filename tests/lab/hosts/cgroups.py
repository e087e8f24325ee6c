# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroup of a full host. systemd wants one that only it is in, and the kernel keeps it when its processes are gone.

The hierarchy is mounted where it is needed, for the machine may have none, an old one, or a read-only one in its place.
"""

from __future__ import annotations

import contextlib
import os
import sys
import typing as t
from pathlib import Path

from . import mounts
from .command import execute

if t.TYPE_CHECKING:
    from .state import State


def cgroup_name(name: str, supervisor: int) -> str:
    """The cgroup of a host, by its supervisor's process id as the machine sees it."""
    return f"kvmops-lab-{name}-{supervisor}"


def mount(place: Path) -> None:
    """Mounts the hierarchy of cgroup2."""
    execute("mount", "-t", "cgroup2", "cgroup2", place)


def remove(state: State, supervisor: int) -> None:
    """Removes the cgroup of a dead host, and those below it."""
    script = "import sys; from hosts import cgroups; cgroups.remove_here(*sys.argv[1:])"
    argv = [sys.executable, "-c", script, str(state.directory), cgroup_name(state.name, supervisor)]
    execute("unshare", "--mount", "--propagation", "unchanged", "--", *argv)


def remove_here(place: str, cgroup: str) -> None:
    """Mounts the hierarchy at `place`, in the mount namespace of a process made for this, and removes `cgroup`."""
    mounts.keep_mounts_private()
    mount(Path(place))
    for directory, *_rest in os.walk(Path(place, cgroup), topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
