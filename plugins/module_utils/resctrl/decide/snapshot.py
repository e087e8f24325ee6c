# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed of a host at one moment. Pure and immutable."""

from __future__ import annotations

import collections
import functools
import types
import typing as t

from ..kernel.groups import LIBVIRT, ROOT, Group, owner_of

if t.TYPE_CHECKING:
    from ..errors import ResctrlError
    from ..vms.domain import Domain, Process
    from .counting import Bandwidth


class Running(t.NamedTuple):
    """A running domain and its process."""

    domain: Domain
    process: Process


class _Observed(t.NamedTuple):
    """The fields of a Snapshot. It is no dataclass: to import these takes a fifth of the time of the agent's start."""

    running: tuple[Running, ...] = ()
    absent: t.Mapping[str, ResctrlError] = types.MappingProxyType({})
    location: t.Mapping[int, Group] = types.MappingProxyType({})
    groups: frozenset[Group] = frozenset()
    members: t.Mapping[Group, frozenset[int]] = types.MappingProxyType({})
    listed: t.Mapping[Group, int] = types.MappingProxyType({})
    stale: frozenset[Group] = frozenset()
    unjudged: frozenset[Group] = frozenset()
    num_rmids: int = 0
    named_rmids: int = 0
    is_arm: bool = False
    rmids_of_each: int | None = None
    full: t.Mapping[str, int] = types.MappingProxyType({})
    machines: frozenset[str] = frozenset()
    cpu_groups: t.Mapping[str, tuple[Group, ...]] = types.MappingProxyType({})
    throttles: bool = False
    bandwidth: Bandwidth | None = None
    warnings: tuple[str, ...] = ()


class Snapshot(_Observed):
    """The part of a host that decisions about monitoring rest on.

    `running`: the domains in question, those that run.
    `absent`: those of them that libvirt lists as running, but that have no process yet, or none that is seen; by UUID.
    `location`: the group of each of their threads; a thread that is not in it is in the root.
    `groups`: every group of the host but the root; each of them, and the root, holds an RMID.
    `members`: the threads that are known to be in each group of ours.
    `listed`: how many threads are in a group, of those groups that had to be listed.
    `stale`: groups of ours that certainly count nothing any more, because their domain is gone or has new threads.
    `unjudged`: groups of ours of which that cannot be said from here.
    `num_rmids`: how many there are, the root's included (0: no monitoring).
    `named_rmids`: how many the kernel names: more, where it has just refused a group though there seemed to be one.
    `is_arm`: the kernel is one for Arm, where a thread in a group has the CLOSID of that group only.
    `rmids_of_each`: how many RMIDs each CTRL_MON group has, its own included; None: as many as there are, or not known.
    `full`: how many MON groups a CTRL_MON group (by name) had when the kernel has just refused another there.
    `machines`: libvirt's machine names of all domains that run.
    `cpu_groups`: for a domain (by UUID) the groups of others that count the CPUs that its threads may run on.
    `throttles`: resctrl is mounted with mba_MBps, which throttles a group by the bandwidth that it counts.
    `bandwidth`: the bandwidth counters; None where every group counts bandwidth without one.
    `warnings`: what could not be looked at, a sentence each.
    """

    def group_of(self, tid: int) -> Group:
        """The group that counts a thread; the root if none does."""
        return self.location.get(tid, ROOT)

    def owner(self, group: Group) -> str:
        """Whose group it is, see groups.owner_of()."""
        return owner_of(group, self.machines)

    def libvirts(self, group: Group) -> Group | None:
        """The group of libvirt's that counts a thread in `group`: its monitor, or its allocation; None without one.

        A CTRL_MON group's counters include those of its MON groups, whoever made these.
        """
        return next((one for one in (group, group.parent) if self.owner(one) == LIBVIRT), None)

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

    @property
    def rmids_in_words(self) -> str:
        """How many RMIDs there are, for a sentence."""
        if self.named_rmids > self.num_rmids:
            return f"{self.num_rmids} (the kernel names {self.named_rmids}, and has just refused another)"
        return str(self.num_rmids)

    def places(self, ctrl: str) -> int | None:
        """How many MON groups fit in a CTRL_MON group (by name); None where only the RMIDs limit them."""
        most = [self.full[ctrl]] if ctrl in self.full else []
        most += [] if self.rmids_of_each is None else [self.rmids_of_each - 1]
        return min(most, default=None)

    def room(self, ctrl: str, groups: t.Iterable[Group]) -> int | None:
        """How many more MON groups fit in a CTRL_MON group if `groups` are there; None where only the RMIDs limit them.

        It may be negative: a group that was renamed to another CTRL_MON group keeps the place that it had.
        """
        places = self.places(ctrl)
        if places is None:
            return None
        return places - sum(bool(group.mon) and group.ctrl == ctrl for group in groups)

    def rmids(self) -> dict[str, int]:
        """How many RMIDs there are, how many of them are held, and how many are free."""
        return {"total": self.num_rmids, "used": self.used_rmids, "free": self.free_rmids}

    def held_by(self) -> dict[str, list[Group]]:
        """Owner -> the groups with which it holds RMIDs, the root (default) included."""
        held: dict[str, list[Group]] = collections.defaultdict(list)
        for group in [ROOT, *sorted(self.groups)]:
            held[self.owner(group)].append(group)
        return dict(held)

    def holders(self) -> str:
        """The same in words: `default 1, libvirt 2`."""
        return ", ".join(f"{owner} {len(groups)}" for owner, groups in sorted(self.held_by().items()))
