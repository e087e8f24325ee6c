# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the bandwidth counters of a host that has fewer than groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.counting import Bandwidth, counter_steps
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import (
    COUNT,
    CREATE,
    REMOVE,
    UNCOUNT,
    Operation,
    plan,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.simulation import simulate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Queue, Turn, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wish, Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import host, uuid, vm

EVENTS = ("mbm_total_bytes", "mbm_local_bytes")
FOREIGN = Group("qemu-9-other")


def ours(number):
    return group_for(uuid(number), ROOT)


def monitored(*numbers, free, assigned=None, on_mkdir=True):
    """A host on which domains are monitored. `assigned`: number of a domain -> caches on which both events count."""
    held = {
        ours(one): frozenset((event, cache) for event in EVENTS for cache in (assigned or {}).get(one, ()))
        for one in numbers
    }
    members = {ours(one): vm(one).process.vcpus.values() for one in numbers}
    bandwidth = Bandwidth(free, EVENTS, held, on_mkdir)
    return host(*(vm(one) for one in numbers), members=members, groups=[FOREIGN], bandwidth=bandwidth)


def wishes(**of):
    """Wishes for vm1, vm2 and so on, as `vm1=Wish(...)`."""
    return Wishes({uuid(int(name[2:])): wish for name, wish in of.items()}, ration=True)


def counted(snapshot, of):
    """Domain -> the counters it has when everything is done."""
    after = simulate(snapshot, plan(snapshot, of).operations)
    return {one.domain.name: len(after.bandwidth.assigned[ours(int(one.domain.name[2:]))]) for one in snapshot.running}


ANY, WANTED, NONE = Wish(), Wish(bandwidth=True), Wish(bandwidth=False)


@pytest.mark.parametrize(
    ("free", "assigned", "of", "told"),
    [
        pytest.param({0: 4}, {}, {"vm1": ANY, "vm2": ANY}, (2, 2), id="there are enough"),
        pytest.param({0: 2}, {}, {"vm1": ANY, "vm2": ANY}, (2, 0), id="among equals by name"),
        pytest.param({0: 0}, {2: [0]}, {"vm1": ANY, "vm2": ANY}, (0, 2), id="who has one keeps it"),
        pytest.param({0: 0}, {1: [0]}, {"vm1": ANY, "vm2": Wish(priority=1)}, (0, 2), id="a higher priority gets it"),
        pytest.param({0: 0}, {1: [0]}, {"vm1": ANY, "vm2": WANTED}, (0, 2), id="who wants it gets it"),
        pytest.param(
            {0: 0}, {1: [0]}, {"vm1": Wish(priority=9), "vm2": WANTED}, (0, 2), id="whatever the priority of that one"
        ),
        pytest.param({0: 0}, {1: [0]}, {"vm1": WANTED, "vm2": WANTED}, (2, 0), id="but not from one who wants it too"),
        pytest.param({0: 0}, {1: [0]}, {"vm1": NONE, "vm2": ANY}, (0, 2), id="who wants none gives it to the next"),
        pytest.param({0: 1}, {1: [0]}, {"vm1": NONE}, (0,), id="also if nobody needs it"),
        pytest.param({0: 1}, {}, {"vm1": ANY}, (1,), id="one event is counted where there is one counter"),
        pytest.param({0: 0, 1: 2}, {1: [0]}, {"vm1": ANY, "vm2": ANY}, (4, 0), id="each cache has its own"),
        pytest.param({0: 0, 1: 0}, {1: [0], 2: [1]}, {"vm1": ANY, "vm2": ANY}, (2, 2), id="nothing moves in vain"),
    ],
)
def test_who_has_counters(free, assigned, of, told):
    snapshot = monitored(*range(1, len(of) + 1), free=free, assigned=assigned)
    assert tuple(counted(snapshot, wishes(**of)).values()) == told


def test_counters_are_given_back_before_others_get_them():
    snapshot = monitored(1, 2, free={0: 0}, assigned={1: [0]})
    steps = counter_steps(snapshot, wishes(vm1=ANY, vm2=WANTED))
    assert [step.kind for step in steps] == [UNCOUNT, UNCOUNT, COUNT, COUNT]


def test_of_a_domain_that_was_not_asked_for_nothing_is_taken():
    assert counter_steps(monitored(1, 2, free={0: 0}, assigned={1: [0]}), wishes(vm2=WANTED)) == []


def test_where_groups_need_no_counters_there_is_nothing_to_do():
    assert counter_steps(monitored(1, free={})._replace(bandwidth=None), wishes(vm1=WANTED)) == []


def test_a_new_group_gets_what_is_left_and_a_wish_corrects_that_in_the_same_plan():
    snapshot = monitored(1, free={0: 2}, assigned={})
    snapshot = snapshot._replace(running=(vm(1), vm(2)))
    planned = plan(snapshot, wishes(vm1=WANTED, vm2=ANY))
    assert [step.kind for step in planned.operations if step.kind in (COUNT, UNCOUNT)] == [UNCOUNT] * 2 + [COUNT] * 2
    assert counted_after(snapshot, planned) == {ours(1): 2, ours(2): 0}


def test_a_group_that_is_removed_gives_its_counters_to_the_next():
    snapshot = monitored(1, 2, free={0: 0}, assigned={1: [0]})
    planned = plan(snapshot, wishes(vm1=Wish(enabled=False), vm2=ANY))
    assert counted_after(snapshot, planned) == {ours(2): 2}


def counted_after(snapshot, planned):
    after = simulate(snapshot, planned.operations)
    return {group: len(held) for group, held in after.bandwidth.assigned.items()}


def test_a_kernel_that_gives_a_new_group_none_is_asked_for_them():
    snapshot = host(vm(1), bandwidth=Bandwidth({0: 2}, EVENTS, {}, on_mkdir=False))
    kinds = [step.kind for step in plan(snapshot, wishes(vm1=ANY)).operations]
    assert kinds[0] == CREATE
    assert kinds[-2:] == [COUNT, COUNT]


@st.composite
def situations(draw):
    """Any host with scarce counters, and any wishes."""
    numbers = range(1, draw(st.integers(1, 4)) + 1)
    caches = range(draw(st.integers(1, 3)))
    one_of = st.sets(st.sampled_from(list(caches)))
    snapshot = monitored(
        *numbers,
        free={cache: draw(st.integers(0, 4)) for cache in caches},
        assigned={one: draw(one_of) for one in numbers},
    )
    of = {
        f"vm{one}": Wish(
            enabled=draw(st.booleans()),
            priority=draw(st.integers(0, 2)),
            bandwidth=draw(st.sampled_from([None, True, False])),
        )
        for one in numbers
        if draw(st.booleans())
    }
    return snapshot, wishes(**of)


@given(situations())
def test_never_are_there_more_than_there_are_and_a_second_plan_is_empty(situation):
    snapshot, of = situation
    after = snapshot
    for step in plan(snapshot, of).operations:
        after = simulate(after, [step])
        assert min(after.bandwidth.free.values()) >= 0
    assert plan(after, of).operations == ()


@given(situations())
def test_no_other_group_is_touched_and_nobody_is_removed_for_a_counter(situation):
    snapshot, of = situation
    for step in plan(snapshot, of).operations:
        assert step.group.uuid in of.of
        assert step.kind in (COUNT, UNCOUNT) or step == Operation(REMOVE, step.group)


@given(situations())
def test_no_higher_priority_goes_without_for_a_lower_one(situation):
    snapshot, of = situation
    after = simulate(snapshot, plan(snapshot, of).operations)
    alike = [one for one in of.of if of.enables(one) and of.of[one].bandwidth is None]
    for high in alike:
        for low in alike:
            if of.of[high].priority > of.of[low].priority:
                for cache in after.bandwidth.free:
                    held = [
                        sum(one == cache for _event, one in after.bandwidth.assigned[group_for(number, ROOT)])
                        for number in (high, low)
                    ]
                    assert held[1] == 0 or held[0] == len(EVENTS)


# -- in turns ----------------------------------------------------------------------------------------------------------

NOW = 1000.0
OVER, BEGUN = Turn(900.0), Turn(990.0)


def in_turns(of, **turns):
    """The same wishes where domains take turns: `turns` are those of vm1 and so on, on cache 0."""
    counters = {(uuid(int(name[2:])), 0): turn for name, turn in turns.items()}
    return of._replace(turns=Queue(Turns(window=60), NOW, counters=counters))


THREE = wishes(vm1=ANY, vm2=ANY, vm3=ANY)


def test_who_has_had_a_counter_for_a_whole_window_makes_room_for_the_one_without_for_longest():
    snapshot = monitored(1, 2, 3, free={0: 0}, assigned={1: [0]})
    line = in_turns(THREE, vm1=OVER, vm2=Turn(None, 500.0), vm3=Turn(None, 400.0))
    assert counted(snapshot, line) == {"vm1": 0, "vm2": 0, "vm3": 2}
    assert {step.kind for step in plan(snapshot, line).operations} == {COUNT, UNCOUNT}


def test_who_has_not_keeps_it_and_so_does_who_would_make_room_for_one_that_has_just_had_it():
    snapshot = monitored(1, 2, 3, free={0: 0}, assigned={1: [0]})
    assert counted(snapshot, in_turns(THREE, vm1=BEGUN, vm2=Turn(None, 500.0)))["vm1"] == 2
    just = Turn(None, 999.0)
    assert plan(snapshot, in_turns(THREE, vm1=OVER, vm2=just, vm3=just)).operations == ()


def test_turns_are_taken_on_each_cache_for_itself():
    snapshot = monitored(1, 2, free={0: 0, 1: 0}, assigned={1: [0, 1]})
    line = in_turns(wishes(vm1=ANY, vm2=ANY), vm1=OVER, vm2=Turn(None, 400.0))
    after = simulate(snapshot, plan(snapshot, line).operations)
    assert {cache for _event, cache in after.bandwidth.assigned[ours(1)]} == {1}
    assert {cache for _event, cache in after.bandwidth.assigned[ours(2)]} == {0}


def test_one_for_which_bandwidth_is_wished_and_one_of_higher_priority_make_no_room():
    for wish in (WANTED, ANY._replace(priority=1)):
        snapshot = monitored(1, 2, free={0: 0}, assigned={1: [0]})
        line = in_turns(wishes(vm1=wish, vm2=ANY), vm1=OVER, vm2=Turn(None, 400.0))
        assert plan(snapshot, line).operations == ()


@given(st.integers(1, 3), st.lists(st.integers(0, 1000), min_size=5, max_size=5))
def test_whoever_waits_for_longest_is_among_those_that_get_a_counter_when_turns_are_over(slots, unseen):
    snapshot = monitored(1, 2, 3, 4, 5, free={0: 0}, assigned={number: [0] for number in range(1, slots + 1)})
    line = {f"vm{number}": OVER if number <= slots else Turn(None, unseen[number - 1]) for number in range(1, 6)}
    every = in_turns(wishes(**dict.fromkeys(line, ANY)), **line)
    found = counted(snapshot, every)
    assert sum(found.values()) == 2 * slots
    waits = {name: turn.unseen for name, turn in line.items() if turn.began is None and NOW - turn.unseen >= 54}
    longest = sorted(waits, key=lambda name: (waits[name], name))[:slots]
    assert all(found[name] == 2 for name in longest)
