# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a host cannot monitor. Asks files, never the kernel's version: distributions backport."""

from __future__ import annotations

import typing as t

from .. import errors
from .files import read_if_there
from .info import features

if t.TYPE_CHECKING:
    from .filesystem import Resctrl

# x86 flags of Intel RDT monitoring and AMD QoS. Their absence is proof, their presence is not (rdt=!cmt, quirks).
_FLAGS = frozenset(("cqm_llc", "cqm_occup_llc", "cqm_mbm_total", "cqm_mbm_local"))


def missing_monitoring(resctrl: Resctrl) -> errors.MonitoringMissing | None:
    """Why there is no monitoring at the root of `resctrl`; None if there is."""
    if resctrl.mount is not None:
        if features(resctrl):
            return None
        return errors.AllocationOnly(
            f"resctrl at {resctrl.root} has no L3 monitoring",
            path=resctrl.root,
            hint="The CPU or the boot options (rdt=!cmt,!mbmtotal,!mbmlocal) rule it out: look at "
            "'dmesg | grep resctrl' for 'L3 monitoring detected'",
        )
    if "resctrl" in read_if_there(f"{resctrl.proc}/filesystems").split() or resctrl.mounts():
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


def check_values(resctrl: Resctrl) -> list[str]:
    """Why there are no values to be read at the root of `resctrl`, a sentence; empty if there are.

    Raises NotMounted where resctrl is mounted elsewhere: what is counted there must not be called unknown.
    """
    missing = missing_monitoring(resctrl)
    if isinstance(missing, errors.NotMounted) and resctrl.mounts():
        raise missing
    return [str(missing)] if missing else []


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
    lines = read_if_there(f"{proc}/cpuinfo").split("\n")
    flags = next((line for line in lines if line.startswith("flags")), "")
    return bool(flags) and not _FLAGS.intersection(flags.split())
