# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real cgroup with a CPU limit, in whichever version of cgroups the machine has for that."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t
import uuid

from waiting import wait_until

_ROOT = pathlib.Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds


@contextlib.contextmanager
def cpu_limit(share: float) -> t.Iterator[pathlib.Path]:
    """A cgroup whose threads have so much of one CPU. It goes when the processes in it have ended.

    Raises OSError where the machine allows none.
    """
    quota = int(share * _PERIOD)
    old = next((path for path in (_ROOT / "cpu,cpuacct", _ROOT / "cpu") if (path / "cpu.shares").exists()), None)
    if old is None and not (_ROOT / "cpu.max").exists() and "cpu" not in _controllers():
        (_ROOT / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
    group = (old or _ROOT) / f"kvmops-test-{uuid.uuid4()}"
    group.mkdir()
    try:
        if old is None:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD}", encoding="ascii")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD), encoding="ascii")
            (group / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(encoding="ascii"), f"the end of all in {group}")
        os.rmdir(group)


def _controllers() -> list[str]:
    return (_ROOT / "cgroup.subtree_control").read_text(encoding="ascii").split()
