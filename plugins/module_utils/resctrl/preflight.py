# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a host cannot monitor, in the order in which an operator would find out."""

from __future__ import annotations

import os
import typing as t

from . import errors
from .filesystem import Resctrl, read_text
from .sampling import BANDWIDTH, OCCUPANCY

if t.TYPE_CHECKING:
    from .snapshot import Snapshot

# x86 flags of Intel RDT monitoring and AMD QoS. Their absence is proof, their presence is not (rdt=!cmt, quirks).
_FLAGS = frozenset(("cqm_llc", "cqm_occup_llc", "cqm_mbm_total", "cqm_mbm_local"))


def check_root() -> None:
    """Raises NotRoot."""
    if os.geteuid() != 0:
        raise errors.NotRoot("resctrl and libvirt's status files belong to root", hint="Run as root (become: true)")


def missing_monitoring(resctrl: Resctrl) -> errors.MonitoringMissing | None:
    """Why there is no monitoring at the root of `resctrl`; None if there is.

    Asks files, never the kernel's version: distributions backport.
    """
    if resctrl.mount() is not None:
        if resctrl.features():
            return None
        return errors.AllocationOnly(
            f"resctrl at {resctrl.root} has no L3 monitoring",
            path=resctrl.root,
            hint="The CPU or the boot options (rdt=!cmt,!mbmtotal,!mbmlocal) rule it out: look at "
            "'dmesg | grep resctrl' for 'L3 monitoring detected'",
        )
    if _lists_resctrl(resctrl.proc):
        return _not_mounted(resctrl)
    if _cpu_lacks_monitoring(resctrl.proc):
        return errors.CpuWithoutMonitoring(
            "The CPU has no cache or memory-bandwidth monitoring (none of the flags cqm_llc, cqm_occup_llc, "
            "cqm_mbm_total, cqm_mbm_local)",
            hint="It takes Intel RDT or AMD QoS, and virtual machines do not see them: monitor on another host",
        )
    return errors.KernelWithoutResctrl(
        "The kernel offers no resctrl filesystem",
        hint="It takes a kernel with CONFIG_X86_CPU_RESCTRL (on Arm: ARM64_MPAM) on a CPU that it supports, and no "
        "boot option that turns it off: look at 'dmesg | grep resctrl'",
    )


def _lists_resctrl(proc: str) -> bool:
    try:
        return "resctrl" in read_text(f"{proc}/filesystems").split()
    except OSError:
        return False


def _not_mounted(resctrl: Resctrl) -> errors.NotMounted:
    elsewhere = [mount.path for mount in resctrl.mounts()]
    hint = (
        f"It is mounted at {elsewhere[0]}: set resctrl_path"
        if elsewhere
        else "Run 'mount -t resctrl resctrl /sys/fs/resctrl'"
    )
    return errors.NotMounted(f"resctrl is not mounted at {resctrl.root}", path=resctrl.root, hint=hint)


def _cpu_lacks_monitoring(proc: str) -> bool:
    """Whether cpuinfo has x86 flags, and none of monitoring among them (Arm has no flag for MPAM)."""
    try:
        lines = read_text(f"{proc}/cpuinfo").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return bool(flags) and not _FLAGS.intersection(flags.split())


def problems(resctrl: Resctrl, snapshot: Snapshot) -> list[str]:
    """What is missing on a host, a sentence each, with what to do; empty where everything is there."""
    missing = missing_monitoring(resctrl)
    if missing:
        return [str(missing)]
    found, features = [], resctrl.features()
    if OCCUPANCY not in features:
        found.append("The CPU does not count cache occupancy, so resctrl.cmt is null: use the bandwidth values")
    if not set(BANDWIDTH) & set(features):
        found.append("The CPU does not count memory bandwidth, so these values are null: use the cache occupancy")
    if snapshot.free_rmids <= 0:
        held = ", ".join(f"{owner} {len(groups)}" for owner, groups in sorted(snapshot.held_by().items()))
        found.append(f"All {snapshot.num_rmids} RMIDs are in use ({held}): remove groups that nobody needs")
    return found
