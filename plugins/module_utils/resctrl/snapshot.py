# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed of a host at one moment, and what it says about a domain. Pure and immutable."""

from __future__ import annotations

import collections
import dataclasses
import functools
import types
import typing as t

from .domains import CACHETUNE, Process
from .filesystem import LIBVIRT, ROOT, Group

if t.TYPE_CHECKING:
    from .domains import Domain

# The RFC's texts
ENABLED = "Enabled"
DISABLED = "Disabled"


class Running(t.NamedTuple):
    """A running domain and its process."""

    domain: Domain
    process: Process


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The part of a host that decisions about monitoring rest on.

    `running`: the domains in question, those that run.
    `location`: the group of each of their threads; a thread that is not in it is in the root.
    `groups`: every group of the host but the root; each of them, and the root, holds an RMID.
    `members`: the threads of each group of ours.
    `stale`: groups of ours that count nothing any more, because their domain is gone or has new threads.
    `num_rmids`: as the kernel says, the root's included (0: no monitoring).
    """

    running: tuple[Running, ...] = ()
    location: t.Mapping[int, Group] = dataclasses.field(default_factory=dict)
    groups: frozenset[Group] = frozenset()
    members: t.Mapping[Group, frozenset[int]] = dataclasses.field(default_factory=dict)
    stale: frozenset[Group] = frozenset()
    num_rmids: int = 0

    def group_of(self, tid: int) -> Group:
        """The group that counts a thread; the root if none does."""
        return self.location.get(tid, ROOT)

    def ours(self, uuid: str) -> frozenset[Group]:
        """The groups of ours for one domain."""
        return self._ours.get(uuid, frozenset())

    @functools.cached_property
    def _ours(self) -> dict[str, frozenset[Group]]:
        found: dict[str, set[Group]] = collections.defaultdict(set)
        for group in self.members:
            found[group.uuid].add(group)
        return {uuid: frozenset(groups) for uuid, groups in found.items()}

    def process_of(self, uuid: str) -> Process | None:
        """The process of a domain, None if it does not run."""
        return self._processes.get(uuid)

    @functools.cached_property
    def _processes(self) -> dict[str, Process]:
        return {one.domain.uuid: one.process for one in self.running}

    @property
    def used_rmids(self) -> int:
        """The RMIDs that are held by a group, the root included."""
        return min(len(self.groups) + 1, self.num_rmids)

    @property
    def free_rmids(self) -> int:
        """The RMIDs that no group holds; some of them may be in limbo."""
        return self.num_rmids - self.used_rmids

    def rmids(self) -> dict[str, int]:
        """How many RMIDs there are, are held, are not."""
        return {"total": self.num_rmids, "used": self.used_rmids, "free": self.free_rmids}

    def held_by(self) -> dict[str, list[Group]]:
        """Owner -> the groups with which it holds RMIDs, the root (default) included."""
        held: dict[str, list[Group]] = collections.defaultdict(list)
        for group in [ROOT, *sorted(self.groups)]:
            held[group.owner].append(group)
        return dict(held)


class DomainStatus(t.NamedTuple):
    """The answer to `virsh resctrl DOMAIN`, and what it rests on.

    `forced_by`: cachetune, memorytune or None.  `groups`: those that count the domain.  `counted`: group -> ids of the
    vCPUs that it counts.  `uncounted`: ids of the vCPUs that no group of ours or libvirt's counts.
    `gone`: libvirt lists the domain as running, but its process is not there.
    """

    domain: Domain
    enabled: bool = False
    forced_by: str | None = None
    groups: tuple[Group, ...] = ()
    counted: t.Mapping[Group, tuple[int, ...]] = types.MappingProxyType({})
    uncounted: tuple[int, ...] = ()
    gone: bool = False

    @property
    def text(self) -> str:
        """The RFC's words: Enabled, Disabled, Enabled (forced by cachetune); memorytune likewise."""
        if self.forced_by:
            return f"{ENABLED} (forced by {self.forced_by})"
        return ENABLED if self.enabled else DISABLED


def libvirts(group: Group) -> Group | None:
    """The group of libvirt's that counts a thread in `group`: its monitor, or its allocation; None if there is none.

    A CTRL_MON group's counters include those of its MON groups, whoever made these.
    """
    return next((one for one in (group, group.parent) if one.owner == LIBVIRT), None)


def status_of(domain: Domain, snapshot: Snapshot) -> DomainStatus:
    """The status of a domain: enabled as soon as a thread of it is counted by our group or by libvirt's.

    What is counted of it is said apart: after a hot-plug a domain is Enabled with an uncounted vCPU until the next run.
    """
    process = snapshot.process_of(domain.uuid)
    if process is None:
        return DomainStatus(domain, gone=domain.active)
    ours = snapshot.ours(domain.uuid)
    counted: dict[Group, tuple[int, ...]] = {}
    uncounted: tuple[int, ...] = ()
    for vcpu, tid in process.vcpus.items():
        group = snapshot.group_of(tid)
        counting = group if group in ours else libvirts(group)
        if counting:
            counted[counting] = (*counted.get(counting, ()), vcpu)
        else:
            uncounted = (*uncounted, vcpu)
    # With scope=domain a group of ours may hold only threads that are not vCPUs
    populated = {group for group in ours if snapshot.members[group] & process.threads}
    groups = tuple(sorted(populated | set(counted)))
    forced_by = process.tuning or (CACHETUNE if any(group not in ours for group in groups) else None)
    return DomainStatus(domain, bool(groups or forced_by), forced_by, groups, counted, uncounted)
