# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring: CPU time of the groups' threads charged to their RMIDs, and what the files in ``mon_data`` read."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterable, Sequence

from .assign import Assignments
from .counters import Counters
from .domains import Domains
from .groups import Group
from .kstr import fail
from .limbo import Clock, LimboRules, RmidPool
from .proc import Machine
from .profiles import LLC
from .schemata import Allocation
from .status import LastCommand
from .tasks import Task, TaskTable
from .telemetry import EVENTS as TELEMETRY
from .telemetry import Telemetry

WORDS = ("Unavailable", "Error", "Unassigned")
NOT_READY = "0"
"""What reads for a counter that is not ready, if nothing is added to it; it is no number."""
REFRESH_INTERVAL = 0.05
"""Seconds for which a counter read does not look again for new threads of a group."""


class Monitor:
    """The counters of all groups. Values are brought up to date when somebody reads them."""

    def __init__(
        self, domains: Domains, machine: Machine, clock: Clock, allocation: Allocation, status: LastCommand
    ) -> None:
        self._profile = profile = domains.profile
        self._domains = domains
        self._machine = machine
        self._clock = clock
        self._allocation = allocation
        self.counters = Counters(profile.all_nodes, profile.l3_size // profile.snc_nodes, profile.unit)
        self.telemetry = Telemetry(profile.packages)
        self.threshold = profile.initial_threshold
        self.assignments = Assignments(domains, status, self._reset_one)
        self._resets_at_read: set[tuple[int, int, str]] = set()
        self._not_ready: dict[tuple[Group, int, str], int] = {}
        self.pool = RmidPool(
            count=profile.usable_rmids,
            domains=lambda: domains.all_nodes,
            rules=LimboRules(used=LLC in profile.events, always=profile.era.always_limbo),
            clock=clock,
            occupancy=self._leftover,
            threshold=lambda: self.threshold,
            pmgs=profile.pmgs,
        )
        self.frozen = False
        self._touched: dict[int, float] = {}
        self._refreshed: dict[Group, float] = {}
        self._busy_ns = machine.busy_ns()
        self._elsewhere_ns = 0

    # -- groups come and go

    def created(self, group: Group) -> None:
        """Start counting a new group: bandwidth from 0, occupancy from what the RMID's former owner has left."""
        self._fade(group.rmid)
        self.counters.reset(group.rmid)
        self.assignments.created(group)

    def removed(self, group: Group) -> None:
        """Leave what the group owned of the cache to its RMID, and free that."""
        self._settle_pins(group, list(group.pinned))
        self._refreshed.pop(group, None)
        self.assignments.removed(group)
        self._touched[group.rmid] = self._clock.now()
        self.pool.release(group.rmid)

    # -- charging

    def charge(self, task: Task) -> None:
        """Charge what a task has run since the last time to the group it is in."""
        ran = task.thread.cpu_ns()
        if self.frozen or ran is None or ran <= task.charged:
            return
        nanoseconds, task.charged = ran - task.charged, ran
        if not task.group.is_root:
            self._elsewhere_ns += nanoseconds
            self._count(task.group, nanoseconds)

    def _count(self, group: Group, nanoseconds: int) -> None:
        everywhere = group.is_root or not self._profile.run_on
        shares = {
            node: self._allocation.share(group, l3_id)
            for l3_id in self._domains.l3_ids
            if everywhere or l3_id in self._profile.run_on
            for node in self._domains.nodes(l3_id)
        }
        self.counters.charge(group.rmid, nanoseconds / 1e9, shares)
        self.telemetry.charge(group.rmid, nanoseconds / 1e9)

    def settle(self, group: Group, table: TaskTable) -> None:
        """Bring a group's own counters up to date."""
        if self.frozen:
            return
        if group.is_root:
            self._settle_root(group)
            return
        now = self._clock.now()
        if now - self._refreshed.get(group, -math.inf) >= REFRESH_INTERVAL:
            self._refreshed[group] = now
            table.refresh((group,))
        if group.tasks:
            for task in group.tasks.values():
                self.charge(task)
            self._touched[group.rmid] = now
        else:
            self._fade(group.rmid)

    def _settle_root(self, root: Group) -> None:
        """The root counts what the machine has run and no other group has been charged with."""
        busy = self._machine.busy_ns()
        ran = busy - self._busy_ns - self._elsewhere_ns
        self._busy_ns, self._elsewhere_ns = busy, 0
        if ran > 0:
            self._count(root, ran)

    def _fade(self, rmid: int) -> None:
        now = self._clock.now()
        before = self._touched.get(rmid, now)
        self._touched[rmid] = now
        if not self.frozen:
            self.counters.fade(rmid, now - before)

    def _leftover(self, rmid: int, node: int) -> int:
        self._fade(rmid)
        return self.counters.get(rmid, node, LLC)

    def freeze(self, groups: Iterable[Group], table: TaskTable) -> None:
        """Stop all counters."""
        for group in groups:
            self.settle(group, table)
        self.frozen = True

    def unfreeze(self, groups: Iterable[Group]) -> None:
        """Let the counters go on from where they are."""
        for group in groups:
            for task in group.tasks.values():
                task.charged = task.thread.cpu_ns() or task.charged
        self._touched = dict.fromkeys(self._touched, self._clock.now())
        self._busy_ns, self._elsewhere_ns = self._machine.busy_ns(), 0
        self.frozen = False

    # -- values set by a test

    def pin(self, group: Group, domain: int, event: str, value: float | str) -> None:
        """Make a counter of a group's own RMID read this number, or this word.

        The domain is an L3 cache, or a package for an event of telemetry. With sub-NUMA clustering the cache's first
        node gets the number and the others 0; a word goes to all nodes.
        Raises OSError EINVAL for an event, domain or value that does not exist.
        """
        nodes = self._nodes_of(domain, event)
        if isinstance(value, str):
            if value not in WORDS or not nodes:
                fail(errno.EINVAL)
            group.pinned.update({(node, event): value for node in nodes})
            return
        if value < 0 or not nodes:
            fail(errno.EINVAL)
        raw = TELEMETRY[event].raw(value) if event in self._profile.telemetry else int(value)
        group.pinned.update({(node, event): 0 for node in nodes})
        group.pinned[nodes[0], event] = raw

    def _nodes_of(self, domain: int, event: str) -> Sequence[int]:
        """Where an event is counted for a cache or package that a test names; empty if it is not."""
        if event in self._profile.telemetry:
            return (domain,) if domain in range(self._profile.packages) else ()
        return self._domains.nodes(domain) if event in self._profile.events and domain in self._domains.l3_ids else ()

    def not_ready(self, group: Group, l3_id: int, event: str, reads: int) -> None:
        """Let a counter of a group's own RMID not be ready at the next reads. Raises OSError EINVAL, see ``pin``.

        Arm's driver waits and tries again. If that does not help it gives up with EBUSY, for which there is no word:
        the file reads 0, or what the group's MON groups have.
        """
        nodes = self._nodes_of(l3_id, event)
        if self._profile.vendor != "Arm" or not nodes:
            fail(errno.EINVAL)
        self._not_ready.update({(group, node, event): reads for node in nodes})

    def unpin(self, group: Group, domain: int | None, event: str | None) -> None:
        """Let counters go on by themselves, from the number they were set to; None means all."""
        self._settle_pins(
            group,
            [
                (node, pinned)
                for node, pinned in group.pinned
                if event in (None, pinned) and (domain is None or node in self._nodes_of(domain, pinned))
            ],
        )

    def _settle_pins(self, group: Group, keys: Sequence[tuple[int, str]]) -> None:
        for node, event in keys:
            value = group.pinned.pop((node, event))
            if isinstance(value, str):
                continue
            if event in self._profile.telemetry:
                self.telemetry.set(group.rmid, node, event, value)
            else:
                self.counters.set(group.rmid, node, event, value)

    # -- what makes counts start anew

    def _reset_one(self, group: Group, l3_id: int, event: str) -> None:
        for node in self._domains.nodes(l3_id):
            self.counters.set(group.rmid, node, event, 0)
            if self._profile.vendor == "Arm":
                self._resets_at_read.add((group.rmid, node, event))
            if isinstance(group.pinned.get((node, event)), int):
                group.pinned[node, event] = 0

    def reconfigured(self, groups: Iterable[Group], l3_id: int) -> None:
        """A changed event configuration: all bandwidth counts of the cache start anew and are unavailable once."""
        for group in groups:
            for event in self.assignments.events:
                self._reset_one(group, l3_id, event)
            for node in self._domains.nodes(l3_id):
                self.counters.cell(group.rmid, node).touched = False

    def went_offline(self, groups: Iterable[Group], node: int) -> None:
        """A cache or sub-NUMA node whose CPUs are all offline: what it has counted is forgotten."""
        for group in groups:
            for event in self._profile.events:
                group.pinned.pop((node, event), None)
        self.counters.forget(node)
        self.pool.drop(node)

    # -- reads

    def show(self, group: Group, l3_id: int, nodes: Sequence[int], event: str, table: TaskTable) -> str:
        """A counter file: a CTRL_MON group's own RMID and the sum over its MON groups.

        It is a word only if none of them gives a number; then the last one's.
        """
        return self._sum(group, table, lambda part: self._own(part, l3_id, nodes, event), str)

    def _sum(
        self, group: Group, table: TaskTable, own: Callable[[Group], int | str], written: Callable[[int], str]
    ) -> str:
        numbers, word = [], ""
        for part in group.with_children():
            self.settle(part, table)
            value = own(part)
            if isinstance(value, int):
                numbers.append(value)
            else:
                word = value
        return f"{written(sum(numbers))}\n" if numbers else f"{word}\n"

    def _own(self, group: Group, l3_id: int, nodes: Sequence[int], event: str) -> int | str:
        if not self.assignments.counts(group, event, l3_id):
            return "Unassigned"
        values = [self._raw(group, node, event) for node in nodes]
        numbers = [value for value in values if isinstance(value, int)]
        if numbers:
            return sum(numbers)
        return values[0] if len(nodes) == 1 else "Unavailable"

    def _raw(self, group: Group, node: int, event: str) -> int | str:
        if self._not_ready.get((group, node, event), 0) > 0:
            self._not_ready[group, node, event] -= 1
            return NOT_READY
        pinned = group.pinned.get((node, event))
        if pinned is not None:
            return pinned
        if self._never_ran(group, node) and event != LLC:
            return "Unavailable"
        if (group.rmid, node, event) in self._resets_at_read:
            # The driver of Arm only notes that a counter is to be reset, and the next read does it. The kernel's own
            # worker reads every second: here nobody but the tests does.
            self._resets_at_read.remove((group.rmid, node, event))
            self.counters.set(group.rmid, node, event, 0)
        return self.counters.get(group.rmid, node, event)

    def _never_ran(self, group: Group, node: int) -> bool:
        """AMD without assigned counters knows no bandwidth of an RMID before its first traffic."""
        untracked = self._profile.vendor == "AMD" and not self.assignments.enabled
        return untracked and not self.counters.cell(group.rmid, node).touched

    def show_telemetry(self, group: Group, package: int, event: str, table: TaskTable) -> str:
        """A file of telemetry, summed as ``show`` does."""
        return self._sum(group, table, lambda part: self._raw_telemetry(part, package, event), TELEMETRY[event].show)

    def _raw_telemetry(self, group: Group, package: int, event: str) -> int | str:
        pinned = group.pinned.get((package, event))
        if pinned is not None:
            return pinned
        raw = self.telemetry.get(group.rmid, package, event)
        return "Unavailable" if raw is None else raw
