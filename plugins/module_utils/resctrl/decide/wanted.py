# SPDX-License-Identifier: GPL-3.0-or-later
"""Which group of ours each thread of a domain belongs in, so that it is monitored. Pure."""

from __future__ import annotations

import typing as t

from .. import errors
from ..kernel.groups import OTHER, Group, group_for

if t.TYPE_CHECKING:
    from .snapshot import Running, Snapshot
    from .wish import Wish


def wanted_groups(running: Running, snapshot: Snapshot, wish: Wish) -> dict[Group, list[int]]:
    """Group of ours -> the threads of a domain that belong in it, so that each in scope is counted by us or by libvirt.

    Raises ForeignGroup, NoVcpuThreads, ThrottledByCpu, AllocatedByCpu.
    """
    process, domain = running.process, running.domain
    scope = process.threads if wish.whole_process else process.vcpus.values()
    if not scope:
        raise _no_vcpus(running)
    wanted: dict[Group, list[int]] = {}
    for tid in sorted(scope):
        group = snapshot.group_of(tid)
        if snapshot.libvirts(group):
            continue
        if group.mon and not group.uuid and not wish.takeover:
            raise _foreign(running, tid, group, snapshot)
        if not group.path and not wish.leave_cpu_group:
            _check_cpu_groups(running, snapshot)
        wanted.setdefault(group_for(domain.uuid, group), []).append(tid)
    return wanted


def _no_vcpus(running: Running) -> errors.NoVcpuThreads:
    name, process = running.domain.name, running.process
    if process.unnamed:
        return errors.NoVcpuThreads(
            f"It cannot be told which threads of domain '{name}' (process {process.pid}) run its vCPUs: its QEMU was "
            "started without debug-threads=on, so its threads have no telling names",
            hint="Monitor the whole process (scope=domain), or have QEMU started with '-name NAME,debug-threads=on'",
        )
    return errors.NoVcpuThreads(
        f"Domain '{name}' has no threads for its vCPUs",
        hint="It runs them all in one thread: monitor the whole process (scope=domain)",
    )


def _foreign(running: Running, tid: int, group: Group, snapshot: Snapshot) -> errors.ForeignGroup:
    owner = snapshot.owner(group)
    whose = "another program" if owner == OTHER else owner
    return errors.ForeignGroup(
        f"Thread {tid} of domain '{running.domain.name}' is in the group {group.path} of {whose}",
        hint="Stop that monitoring first, or take its threads over (takeover=true)",
    )


def _check_cpu_groups(running: Running, snapshot: Snapshot) -> None:
    """Refuse to move a thread out of the reach of its CPU's CTRL_MON group where that would change its allocation.

    With mba_MBps the kernel's software controller looks at what the group counts (seen on 6.12 and 7.3), and the thread
    would be counted by us. On Arm a thread that is not in the root group itself has the CLOSID of its own group only,
    here the root's (mpam_thread_switch(), Linux 7.3); on x86 its CPU's stays.
    Raises ThrottledByCpu, AllocatedByCpu.
    """
    controls = [group for group in snapshot.cpu_groups.get(running.domain.uuid, ()) if not group.mon]
    if not controls:
        return
    hint = "Put the domain's threads into that group by another program, or accept it (leave_cpu_group=true)"
    if snapshot.throttles:
        raise errors.ThrottledByCpu(
            f"The memory bandwidth of domain '{running.domain.name}' is throttled by the group {controls[0].path} of "
            "the CPU that it may run on (resctrl is mounted with mba_MBps), and monitoring the domain would end that",
            hint=hint,
        )
    if snapshot.is_arm:
        raise errors.AllocatedByCpu(
            f"Domain '{running.domain.name}' has the allocation of the group {controls[0].path} of the CPU that it may "
            "run on, and on Arm monitoring the domain would end that",
            hint=hint,
        )
