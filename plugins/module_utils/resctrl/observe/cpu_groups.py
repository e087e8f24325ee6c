# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups that count CPUs: whose count lacks a domain as soon as that is counted by a group of its own.

A thread that is in no group is counted for the group that has its CPU (`cpus_list`). In a MON group of ours it is
counted there instead (seen on Linux 7.3).
"""

from __future__ import annotations

import typing as t

from ..kernel.groups import ROOT, parse_cpus

if t.TYPE_CHECKING:
    from ..decide.snapshot import Running
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group
    from ..vms.processes import Processes
    from .location import Location


def groups_of_cpus(
    resctrl: Resctrl, processes: Processes, running: t.Sequence[Running], location: Location
) -> dict[str, tuple[Group, ...]]:
    """UUID -> the groups of others that have a CPU on which the domain's threads may run while they are in the root.

    The group of ours whose turn it is, if it has a CPU, gets a warning: nobody but a mistake puts one there.
    """
    if location.looked_into and resctrl.cpus(location.looked_into):
        location.warnings.append(damage(resctrl, location.looked_into))
    with_cpus = {group: resctrl.cpus(group) for group in location.groups if not group.uuid}
    with_cpus = {group: cpus for group, cpus in with_cpus.items() if cpus}
    if not with_cpus:
        return {}
    found = {}
    for one in running:
        allowed = _allowed(processes, one, location)
        groups = tuple(sorted(group for group, cpus in with_cpus.items() if cpus & allowed))
        if groups:
            found[one.domain.uuid] = groups
    return found


def _allowed(processes: Processes, one: Running, location: Location) -> set[int]:
    """The CPUs of those of a domain's vCPUs that are in the root or in a MON group of ours in it."""
    tids = [tid for tid in one.process.vcpus.values() if _counted_by_cpu(location.of.get(tid, ROOT))]
    return {cpu for tid in tids for cpu in parse_cpus(processes.allowed_cpus(one.process.pid, tid))}


def _counted_by_cpu(group: Group) -> bool:
    return group == ROOT or (group.parent == ROOT and bool(group.uuid))


def damage(resctrl: Resctrl, group: Group) -> str:
    """A group of ours that has CPUs: what it is, and what to do."""
    return (
        f"{resctrl.path(group)} counts CPUs ({resctrl.cpus_text(group)}), so that other programs are charged to its "
        f"domain: write an empty line to its cpus_list, or disable the domain and enable it again"
    )
