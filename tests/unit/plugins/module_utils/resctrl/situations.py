# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of hosts for tests: ones that are told in a line, and any that can be thought of."""

from __future__ import annotations

import typing as t

from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Running, Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wish, Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import (
    ROOT,
    Group,
    group_for,
    leaving_group,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain, Process

LIBVIRT = Group("qemu-1-vm2-vcpus_0")
LIBVIRT_MONITOR = Group("", "qemu-1-vm2-vcpus_0")
PQOS = Group("COS1")
PQOS_MONITOR = Group("", "pqos-77-1")

ENABLE, DISABLE = Wish(enabled=True), Wish(enabled=False)


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def vm(number: int = 1, vcpus: int = 2, others: int = 1, tuning: str | None = None) -> Running:
    """Domain `number`: process 1000 * number, its vCPUs' threads after it, then the others'."""
    pid = 1000 * number
    threads = frozenset(range(pid, pid + 1 + vcpus + others))
    process = Process(pid, {vcpu: pid + 1 + vcpu for vcpu in range(vcpus)}, threads, tuning)
    return Running(Domain(f"vm{number}", uuid(number), True, number), process)


def host(
    *running: Running,
    location: t.Mapping[int, Group] | None = None,
    groups: t.Iterable[Group] = (),
    members: t.Mapping[Group, t.Iterable[int]] | None = None,
    stale: t.Iterable[Group] = (),
    num_rmids: int = 16,
    **more: t.Any,
) -> Snapshot:
    """A snapshot; groups that hold a thread, and those with members, are there without being named again."""
    inside = {group: frozenset(tids) for group, tids in (members or {}).items()}
    where = {**(location or {}), **{tid: group for group, tids in inside.items() for tid in tids}}
    there = {*groups, *inside, *where.values()}
    there |= {group.parent for group in there}
    there -= {ROOT}
    ours = {group: inside.get(group, frozenset()) for group in there if group.uuid}
    return Snapshot(
        running=tuple(running),
        location=where,
        groups=frozenset(there),
        members=ours,
        stale=frozenset(stale),
        num_rmids=num_rmids,
        **more,
    )


def for_all(snapshot: Snapshot, wish: Wish, **terms: t.Any) -> Wishes:
    """The same wish for every domain of a snapshot."""
    return Wishes({one.domain.uuid: wish for one in snapshot.running}, **terms)


# -- any host ----------------------------------------------------------------------------------------------------------

CONTROLS = [ROOT, PQOS, LIBVIRT, Group("qemu-2-vm1-vcpus_1")]
FOREIGN = [PQOS_MONITOR, LIBVIRT_MONITOR, Group(PQOS.ctrl, "cadvisor-x"), Group(LIBVIRT.ctrl, "qemu-1-vm2-vcpus_1")]
STRANGERS = (7, 8, 9)


@st.composite
def hosts(draw: st.DrawFn) -> Snapshot:
    """Any host: domains with threads in any group of anybody.

    Groups of ours are complete or not, stale, left over by a run that was cut off while threads were leaving, or hold
    threads of another domain because somebody swapped their names; and threads of programs that are no domain.
    """
    running = [
        vm(number, draw(st.integers(0, 3)), draw(st.integers(0, 2))) for number in range(1, draw(st.integers(1, 4)) + 1)
    ]
    possible = [group_for(one.domain.uuid, parent) for one in running for parent in CONTROLS]
    possible += [leaving_group(group) for group in possible]
    possible.append(group_for(uuid(99), draw(st.sampled_from(CONTROLS))))
    members: dict[Group, set[int]] = {group: set() for group in draw(st.sets(st.sampled_from(possible), max_size=5))}
    location: dict[int, Group] = {}
    tids = sorted(tid for one in running for tid in one.process.threads)
    for tid in [*tids, *draw(st.sets(st.sampled_from(STRANGERS)))]:
        group = draw(st.sampled_from([*CONTROLS, *FOREIGN, *members]))
        if group.uuid:
            members[group].add(tid)
        elif group != ROOT:
            location[tid] = group
    threads = {one.domain.uuid: one.process.threads for one in running}
    is_arm = draw(st.booleans())
    full = st.dictionaries(st.sampled_from([control.ctrl for control in CONTROLS]), st.integers(0, 3), max_size=2)
    dead = [group for group, inside in members.items() if not inside & threads.get(group.uuid, frozenset())]
    return host(
        *running,
        location=location,
        members=members,
        groups=draw(st.sets(st.sampled_from(CONTROLS + FOREIGN))),
        stale=dead,
        num_rmids=draw(st.integers(1, 40)),
        throttles=draw(st.booleans()),
        is_arm=is_arm,
        rmids_of_each=draw(st.none() | st.integers(1, 5)) if is_arm else None,
        full=draw(full) if is_arm else {},
        cpu_groups={one.domain.uuid: (PQOS,) for one in running if draw(st.integers(0, 3)) == 0},
    )


def wishes(**fixed: t.Any) -> st.SearchStrategy[Wish]:
    """Any wish."""
    choices = {name: st.booleans() for name in ("enabled", "whole_process", "takeover", "leave_cpu_group")}
    return st.builds(Wish, **{**choices, "priority": st.integers(-2, 2), **fixed})


@st.composite
def asked(draw: st.DrawFn, ration: bool | None = None) -> tuple[Snapshot, Wishes]:
    """A host, and a wish for each of its domains or for some."""
    snapshot = draw(hosts())
    wished = {one.domain.uuid: draw(wishes()) for one in snapshot.running if draw(st.integers(0, 4))}
    rationed = draw(st.booleans()) if ration is None else ration
    # Whoever rations also prunes: it is the policy
    prune = rationed or draw(st.booleans())
    return snapshot, Wishes(wished, draw(st.integers(0, 8)), prune, rationed)
