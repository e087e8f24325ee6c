# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns over hours and days: whoever stays is seen in time, whatever comes, goes, is late or gets lost meanwhile.

A turn ends at the first run of the agent that comes at least 0.9 windows after it began. So it takes at most
0.9 windows and the longest time between two runs; where RMIDs come into limbo, the longest time there and another time
between two runs, too. In that time every group goes to the next in the queue. So who stays has a whole turn
within ceil(n / slots) times that, where n are the domains that took part. A turn that was cut short for a higher
priority is to be had again, and while RMIDs are in limbo, no more than half of the groups is given up at once, or one
after two windows.
"""

from __future__ import annotations

import math
import random
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import (
    CREATE,
    REMOVE,
    Operation,
    plan,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.simulation import simulate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.takers import settle
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Queue, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.windows import (
    Turned,
    begin,
    end_turn,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import L3, L3_EVENTS, Place, Value
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import Group
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.sampled import window
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    ENABLE,
    host,
    uuid,
    vm,
)

CACHE = Place(L3, 0)
SETTINGS = Turns(window=60, warm_up=10)


class Life(t.NamedTuple):
    """What a world is like. `late`: the agent's runs come so many seconds late at most.  `limbo`: so long, at most."""

    domains: int
    slots: int
    keep: int = 0
    period: int = 60
    late: float = 0.0
    limbo: float = 0.0
    busy: bool = False


LIVES = st.builds(
    Life,
    domains=st.integers(3, 12),
    slots=st.integers(1, 4),
    keep=st.integers(0, 2),
    period=st.sampled_from([7, 20, 30, 55, 60, 61, 90]),
    late=st.sampled_from([0.0, 1.0, 30.0, 200.0]),
    limbo=st.sampled_from([0.0, 0.0, 1.0, 45.0, 150.0]),
    busy=st.booleans(),
)


class World:
    """A host on which domains take turns, and its agent. `seen`: number -> when it had been counted for a window."""

    def __init__(self, life, seed):
        self.life, self.chance = life, random.Random(seed)
        self.settings = SETTINGS._replace(keep=life.keep)
        self.now = 0.0
        self.priorities = dict.fromkeys(range(1, life.domains + 1), 0)
        self.vcpus = dict.fromkeys(self.priorities, 2)
        self.foreign = {Group("COS1"), Group("", "qemu-77-other-vcpus_0")}
        self.num_rmids = 1 + len(self.foreign) + life.slots + life.keep
        self.snapshot = host()
        self.notes = {}
        self.in_limbo = 0
        self.limbo = []
        self.made = {}
        self.born = dict.fromkeys(self.priorities, 0.0)
        self.seen = {number: [] for number in self.priorities}
        self.ends = {number: [] for number in self.priorities}
        # When turns were cut short, and notes were lost; and how many slots there were when
        self.cuts, self.losses, self.slots = [], [0.0], []

    # -- what happens on a host ----------------------------------------------------------------------------------------

    def something_happens(self):
        """Now and then."""
        if self.life.busy and self.chance.random() < 0.3:
            self.chance.choice([self.comes, self.goes, self.is_hot_plugged, self.foreigner, self.loses_its_notes])()

    def comes(self):
        number = max(self.born) + 1
        self.priorities[number] = self.chance.choice([0, 0, 0, 5])
        self.vcpus[number] = self.chance.randint(1, 3)
        self.born[number] = self.now
        self.seen[number], self.ends[number] = [], []

    def goes(self):
        if len(self.priorities) > 1:
            number = self.chance.choice(sorted(self.priorities))
            del self.priorities[number]

    def is_hot_plugged(self):
        number = self.chance.choice(sorted(self.priorities))
        self.vcpus[number] = min(8, self.vcpus[number] + 1)

    def foreigner(self):
        """Another program makes a group, where there is an RMID, or removes it."""
        group = Group(f"other-{self.chance.randint(1, 2)}")
        if group in self.foreign:
            self.foreign.discard(group)
        elif self.free() > 0:
            self.foreign.add(group)

    def loses_its_notes(self):
        self.notes, self.in_limbo = {}, 0
        self.losses.append(self.now)

    def free(self):
        """RMIDs that the kernel would give now."""
        return self.num_rmids - 1 - len(self.ours() | self.foreign) - len(self.limbo)

    def ours(self):
        return {group for group in self.snapshot.groups if group.uuid}

    # -- the agent -----------------------------------------------------------------------------------------------------

    def run(self):
        """One run of the agent, as act/turns.py makes it."""
        # The first run sees who is there
        self.now += self.life.period + self.chance.uniform(0, self.life.late) if self.slots else 0
        self.limbo = [until for until in self.limbo if until > self.now]
        self.something_happens()
        self.look()
        for number in self.priorities:
            if any(self.now - self.made[group] >= 0.9 * SETTINGS.window for group in self.snapshot.ours(uuid(number))):
                self.seen[number].append(self.now)
        wishes, held_up = self.wishes(), self.in_limbo
        planned = plan(self.snapshot, wishes)
        self.keeps_the_rules(planned)
        self.leaving(planned.operations, wishes.turns)
        failures = {**planned.failures, **self.apply(planned.operations)}
        self.notes = settle(self.notes, self.snapshot, wishes, failures, self.now)
        for one, notes in self.notes.items():
            if not notes.starts and self.snapshot.ours(one):
                self.notes[one] = begin(notes, self.sample(one))
        self.in_limbo = sum(isinstance(failure, errors.RmidsInLimbo) for failure in failures.values())
        self.believes_nothing_old()
        if not held_up:
            self.is_done()

    def look(self):
        running = [vm(number, self.vcpus[number]) for number in sorted(self.priorities)]
        threads = {tid for one in running for tid in one.process.threads}
        members = {group: self.snapshot.members[group] & threads for group in self.ours()}
        stale = [group for group, inside in members.items() if not inside]
        there = {"members": members, "groups": self.foreign, "stale": stale, "location": {7: Group("COS1")}}
        self.snapshot = host(*running, num_rmids=self.num_rmids, **there)

    def wishes(self):
        of = {uuid(number): ENABLE._replace(priority=priority) for number, priority in self.priorities.items()}
        return Wishes(of, ration=True, turns=self.queue())

    def queue(self):
        groups = {one: notes.group for one, notes in self.notes.items() if notes.group}
        return Queue(self.settings, self.now, groups, {}, self.in_limbo)

    def leaving(self, steps, queue):
        stays = {step.uuid for step in steps if step.kind == CREATE}
        for one in {step.uuid for step in steps if step.kind == REMOVE} - stays:
            number = int(one[-12:])
            if number in self.priorities and one in self.notes and self.notes[one].group:
                self.ends[number].append(self.now)
                self.cuts += [] if queue.is_over(self.notes[one].group) else [self.now]
                self.notes[one] = end_turn(self.notes[one], self.sample(one), queue)

    def apply(self, steps: t.Sequence[Operation]):
        """What the kernel makes of it: a group that is removed leaves its RMID in limbo for a while."""
        refused = {}
        for step in steps:
            if step.uuid in refused:
                continue
            if step.kind == CREATE and self.free() < 1:
                assert self.limbo, "more groups than RMIDs"
                refused[step.uuid] = errors.RmidsInLimbo("Not yet")
                continue
            self.snapshot = simulate(self.snapshot, [step])
            if step.kind == CREATE:
                self.made[step.group] = self.now
            elif step.kind == REMOVE and self.life.limbo:
                self.limbo.append(self.now + self.chance.uniform(0, self.life.limbo))
        return refused

    def sample(self, one):
        """What a domain's groups show: domain N moves N * 1000 bytes a second."""
        rate = int(one[-12:]) * 1000
        parts = {}
        for group in self.snapshot.ours(one):
            counted = int((self.now - self.made[group]) * rate)
            values = {"llc_occupancy": Value(rate), "mbm_total_bytes": Value(counted), "mbm_local_bytes": Value(0)}
            parts[group] = Part({CACHE: values}, str(self.made[group]))
        return Sample(parts, {}, L3_EVENTS, self.now)

    # -- what is always so ---------------------------------------------------------------------------------------------

    def keeps_the_rules(self, planned):
        after = simulate(self.snapshot, planned.operations)
        assert {step.group for step in planned.operations} & self.foreign == set()
        assert {step.tid for step in planned.operations} & {7} == set()
        assert self.foreign <= after.groups
        assert len(after.groups) + 1 <= max(self.num_rmids, len(self.snapshot.groups) + 1)
        counted = {number: len(after.ours(uuid(number))) for number in self.priorities}
        waiting = {self.priorities[number] for number, groups in counted.items() if not groups}
        assert all(not groups or self.priorities[one] >= max(waiting, default=0) for one, groups in counted.items())
        higher = sum(groups for number, groups in counted.items() if self.priorities[number] > 0)
        lower = sum(counted.values()) - higher
        room = self.num_rmids - 1 - len(self.foreign) - higher - max(0, self.life.keep - higher)
        assert lower <= max(0, room)
        self.slots.append((self.now, room))

    def believes_nothing_old(self):
        for one, notes in self.notes.items():
            for (event, _place), measured in notes.measured.items():
                assert measured.ended in self.ends[int(one[-12:])]
                assert self.made_before(one, measured.began)
                rate = int(one[-12:]) * 1000 if event != "mbm_local_bytes" else 0
                assert measured.number == pytest.approx(rate, abs=1)
                later = self.now + 1000
                said = window(Turned(notes, self.settings, later))
                assert later - measured.ended <= said["age"] + 0.001

    def made_before(self, one, began):
        return self.born[int(one[-12:])] <= began

    def is_done(self):
        """Another look at once finds nothing to do, but to ask for what is in limbo.

        Where that has kept groups from being given up, and keeps no more, another look goes on.
        """
        again = plan(self.snapshot, self.wishes()).operations
        assert not [step for step in again if step.kind == REMOVE]
        assert self.limbo or not again

    # -- who was seen --------------------------------------------------------------------------------------------------

    def longest(self):
        """The longest that a turn takes."""
        gap = self.life.period + self.life.late
        return 0.9 * SETTINGS.window + gap + (self.life.limbo + gap if self.life.limbo else 0)

    def everyone_is_seen_in_time(self):
        """Each domain without a priority that was there long enough, whenever one begins to look."""
        for number, priority in self.priorities.items():
            if priority:
                continue
            starts = sorted({max(self.born[number], self.losses[-1]), *self.seen[number]})
            for start in [one for one in starts if one >= self.losses[-1]]:
                self.is_seen_in_time(number, start)

    def is_seen_in_time(self, number, start):
        ends = [end for end in self.seen[number] if end > start]
        slots = min(room for when, room in self.slots if when >= start)
        if slots < 1:
            return
        slots = max(1, slots // 2) if self.life.limbo else slots
        there = sum(1 for one in self.born.values() if one <= self.now)
        cuts = sum(1 for when in self.cuts if when >= start)
        most = (math.ceil(there / slots) + cuts) * self.longest()
        assert (ends[0] if ends else self.now) - start <= most


@given(LIVES, st.integers(0, 2**32), st.integers(30, 120))
def test_whatever_happens_each_domain_that_stays_is_seen_in_time_and_nothing_else_is_broken(life, seed, runs):
    world = World(life, seed)
    for _run in range(runs):
        world.run()
    world.everyone_is_seen_in_time()


def test_a_day_of_a_host_with_ten_domains_and_four_groups_for_them():
    """The agent is never late. Each is counted once in three windows at least, and all equally often in the end."""
    world = World(Life(domains=10, slots=4), 1)
    for _run in range(24 * 60):
        world.run()
    for ends in world.ends.values():
        assert max(later - earlier for earlier, later in zip(ends, ends[1:])) <= 3 * 60
        assert len(ends) >= 24 * 60 * 4 // 10 - 3


@pytest.mark.parametrize("slots", [2, 3])
def test_turns_go_on_though_an_rmid_never_leaves_limbo(slots):
    """The kernel keeps it there as long as its lines stay in a cache. A turn takes three windows at most: two until it
    ends, and one until its RMID can be had.
    """
    world = World(Life(domains=6, slots=slots, limbo=20.0), 3)
    world.limbo = [math.inf]
    for _run in range(6 * 60):
        world.run()
    for ends in world.ends.values():
        assert len(ends) >= 6 * 60 * (slots - 1) // 3 // 6 - 1


def test_a_day_in_which_domains_come_and_go_and_the_agent_is_late():
    world = World(Life(domains=10, slots=4, keep=2, period=30, late=20.0, limbo=30.0, busy=True), 2)
    for _run in range(24 * 60):
        world.run()
    world.everyone_is_seen_in_time()
