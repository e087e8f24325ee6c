# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring: CPU time of the groups' threads charged to their RMIDs, and what the files in ``mon_data`` read."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable, Sequence

from .assign import Assignments
from .counters import Counters
from .groups import Group
from .kstr import fail
from .limbo import Clock, LimboRules, RmidPool
from .proc import Machine
from .profiles import LLC, Profile
from .schemata import Allocation
from .status import LastCommand
from .tasks import Task, TaskTable

WORDS = ("Unavailable", "Error", "Unassigned")
REFRESH_INTERVAL = 0.05
"""Seconds for which a counter read does not look again for new threads of a group."""


class Monitor:
    """The counters of all groups. Values are brought up to date when somebody reads them."""

    def __init__(
        self, profile: Profile, machine: Machine, clock: Clock, allocation: Allocation, status: LastCommand
    ) -> None:
        self._profile = profile
        self._machine = machine
        self._clock = clock
        self._allocation = allocation
        self.counters = Counters(profile.all_nodes, profile.l3_size // profile.snc_nodes, profile.unit)
        self.threshold = profile.initial_threshold
        self.assignments = Assignments(profile, status, self._reset_one)
        self.pool = RmidPool(
            count=profile.rmids if profile.monitoring else 0,
            domains=profile.all_nodes,
            rules=LimboRules(used=LLC in profile.events, always=profile.era.always_limbo),
            clock=clock,
            occupancy=self._leftover,
            threshold=lambda: self.threshold,
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
        self._settle_pins(group)
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
        shares = {
            node: self._allocation.share(group, l3_id)
            for l3_id in self._profile.l3_ids
            for node in self._profile.nodes(l3_id)
        }
        self.counters.charge(group.rmid, nanoseconds / 1e9, shares)

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

    def pin(self, group: Group, l3_id: int, event: str, value: int | str) -> None:
        """Make a counter of a group's own RMID read this number of bytes, or this word.

        With sub-NUMA clustering the first node gets the number and the others 0; a word goes to all nodes.
        Raises OSError EINVAL for an event, cache or value that does not exist.
        """
        is_word = isinstance(value, str)
        if event not in self._profile.events or l3_id not in self._profile.l3_ids:
            fail(errno.EINVAL)
        if (is_word and value not in WORDS) or (not is_word and int(value) < 0):
            fail(errno.EINVAL)
        for index, node in enumerate(self._profile.nodes(l3_id)):
            group.pinned[node, event] = value if is_word or index == 0 else 0

    def unpin(self, group: Group, l3_id: int | None, event: str | None) -> None:
        """Let counters go on by themselves, from the number they were set to; None means all."""
        nodes = self._profile.all_nodes if l3_id is None else self._profile.nodes(l3_id)
        chosen = [key for key in group.pinned if key[0] in nodes and event in (None, key[1])]
        self._settle_pins(group, chosen)

    def _settle_pins(self, group: Group, keys: Sequence[tuple[int, str]] | None = None) -> None:
        for node, event in list(group.pinned) if keys is None else keys:
            value = group.pinned.pop((node, event))
            if isinstance(value, int):
                self.counters.set(group.rmid, node, event, value)

    def _reset_one(self, group: Group, l3_id: int, event: str) -> None:
        for node in self._profile.nodes(l3_id):
            self.counters.set(group.rmid, node, event, 0)

    def reconfigured(self, groups: Iterable[Group], l3_id: int) -> None:
        """A changed event configuration: all bandwidth counts of the domain start anew and are unavailable once."""
        for group in groups:
            for event in self.assignments.events:
                self._reset_one(group, l3_id, event)
            for node in self._profile.nodes(l3_id):
                self.counters.cell(group.rmid, node).touched = False

    # -- reads

    def show(self, group: Group, l3_id: int, nodes: Sequence[int], event: str, table: TaskTable) -> str:
        """A counter file: a CTRL_MON group's own RMID and the sum over its MON groups.

        It is a word only if none of them gives a number; then the last one's.
        """
        numbers, word = [], ""
        for part in group.with_children():
            self.settle(part, table)
            value = self._own(part, l3_id, nodes, event)
            if isinstance(value, int):
                numbers.append(value)
            else:
                word = value
        return f"{sum(numbers)}\n" if numbers else f"{word}\n"

    def _own(self, group: Group, l3_id: int, nodes: Sequence[int], event: str) -> int | str:
        if not self.assignments.counts(group, event, l3_id):
            return "Unassigned"
        values = [self._raw(group, node, event) for node in nodes]
        numbers = [value for value in values if isinstance(value, int)]
        if numbers:
            return sum(numbers)
        return values[0] if len(nodes) == 1 else "Unavailable"

    def _raw(self, group: Group, node: int, event: str) -> int | str:
        pinned = group.pinned.get((node, event))
        if pinned is not None:
            return pinned
        if self._never_ran(group, node) and event != LLC:
            return "Unavailable"
        return self.counters.get(group.rmid, node, event)

    def _never_ran(self, group: Group, node: int) -> bool:
        """AMD without assigned counters knows no bandwidth of an RMID before its first traffic."""
        untracked = self._profile.vendor == "AMD" and not self.assignments.enabled
        return untracked and not self.counters.cell(group.rmid, node).touched

    def show_perf(self, group: Group, event: str, table: TaskTable) -> str:
        """A telemetry file: a decimal fraction, the same for every package."""
        total = 0.0
        for part in group.with_children():
            self.settle(part, table)
            total += self.counters.perf(part.rmid, event)
        return f"{total / len(self._profile.l3_ids):.6f}\n"
