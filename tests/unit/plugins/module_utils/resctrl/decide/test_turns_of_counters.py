# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups and bandwidth counters that are scarce at the same time: each domain has its turn with either."""

from __future__ import annotations

import collections

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.counting import Bandwidth
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import REMOVE, UNCOUNT, plan
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.simulation import simulate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.takers import settle
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Queue, Turns, ended
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wishes
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import ENABLE, host, vm

EVENTS = ("mbm_total_bytes", "mbm_local_bytes")
RUNS = 60


class Life:
    """A host on which the agent runs when a window ends. `with_group`, `with_counter`: after how many of its runs."""

    def __init__(self, domains, groups, counters):
        self.snapshot = host(
            *(vm(number) for number in range(1, domains + 1)),
            num_rmids=groups + 1,
            bandwidth=Bandwidth({0: counters}, EVENTS, {}),
        )
        self.notes, self.now = {}, 1000.0
        self.with_group, self.with_counter = collections.Counter(), collections.Counter()

    def queue(self):
        return Queue(
            Turns(60, 10, 0),
            self.now,
            {uuid: notes.group for uuid, notes in self.notes.items() if notes.group},
            {(uuid, cache): turn for uuid, notes in self.notes.items() for cache, turn in notes.counters.items()},
        )

    def run(self):
        queue = self.queue()
        of = {one.domain.uuid: ENABLE for one in self.snapshot.running}
        wishes = Wishes(of, ration=True, turns=queue)
        planned = plan(self.snapshot, wishes)
        for step in planned.operations:
            notes = self.notes.get(step.uuid)
            if notes and step.kind in (REMOVE, UNCOUNT):
                turns = {
                    cache: ended(turn, queue) if turn.began is not None else turn
                    for cache, turn in notes.counters.items()
                }
                group = ended(notes.group, queue) if step.kind == REMOVE and notes.group else notes.group
                self.notes[step.uuid] = notes._replace(group=group, counters=turns)
        self.snapshot = simulate(self.snapshot, planned.operations)
        self.notes = settle(self.notes, self.snapshot, wishes, planned.failures, self.now)
        for one in self.snapshot.running:
            for group in self.snapshot.ours(one.domain.uuid):
                self.with_group[one.domain.name] += 1
                self.with_counter[one.domain.name] += bool(self.snapshot.bandwidth.assigned[group])
        self.now += 60


@pytest.mark.parametrize(
    ("domains", "groups", "counters"), [(16, 8, 8), (20, 8, 8), (20, 20, 8), (12, 8, 16), (7, 3, 2)]
)
def test_all_have_a_group_and_a_counter_for_about_as_long(domains, groups, counters):
    life = Life(domains, groups, counters)
    for _run in range(RUNS):
        life.run()
    for had in (life.with_group, life.with_counter):
        assert len(had) == domains
        assert max(had.values()) - min(had.values()) <= 2
