# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is where there are more domains than RMIDs or bandwidth counters."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import CREATE, plan
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.simulation import simulate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import (
    Queue,
    Turn,
    Turns,
    ended,
    in_words,
    ranks,
    wait,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    ENABLE,
    host,
    uuid,
    vm,
)

SETTINGS = Turns(window=60, warm_up=10)
NOW = 1000.0


def turns(**of):
    """Turns of vm1 and so on: a number is when it began, a tuple holds since when it has been unseen."""
    return {
        uuid(int(name[2:])): Turn(None, when[0]) if isinstance(when, tuple) else Turn(when, 0.0)
        for name, when in of.items()
    }


def queue(keep=0, in_limbo=0, **of):
    return Queue(SETTINGS._replace(keep=keep), NOW, turns(**of), in_limbo=in_limbo)


def holding(*numbers):
    """A group for each of these domains."""
    return {group_for(uuid(number), ROOT): {number * 1000 + 1, number * 1000 + 2} for number in numbers}


def counted(snapshot, line, priorities=(), reserve=0):
    """The names of those that are counted after a plan, and why others wait, by name."""
    wishes = {one.domain.uuid: ENABLE for one in snapshot.running}
    wishes.update({uuid(number): ENABLE._replace(priority=priority) for number, priority in dict(priorities).items()})
    planned = plan(snapshot, Wishes(wishes, reserve, ration=True, turns=line))
    after = simulate(snapshot, planned.operations)
    names = {one.domain.uuid: one.domain.name for one in after.running}
    return (
        {name for uuid, name in names.items() if after.ours(uuid)},
        {names[uuid]: failure for uuid, failure in planned.failures.items()},
    )


def test_who_has_had_a_whole_window_makes_room_for_one_that_waits():
    snapshot = host(vm(1), vm(2), members=holding(1), num_rmids=2)
    assert counted(snapshot, queue(vm1=940.0, vm2=(0.0,)))[0] == {"vm2"}


def test_who_has_not_stays():
    snapshot = host(vm(1), vm(2), members=holding(1), num_rmids=2)
    assert counted(snapshot, queue(vm1=990.0, vm2=(0.0,)))[0] == {"vm1"}


def test_a_window_may_be_a_little_shorter_since_no_timer_is_exact():
    assert not queue().is_over(Turn(NOW - 53))
    assert queue().is_over(Turn(NOW - 54.1))


def test_who_has_been_unseen_for_longest_comes_next():
    snapshot = host(vm(1), vm(2), vm(3), members=holding(1), num_rmids=2)
    assert counted(snapshot, queue(vm1=900.0, vm2=(700.0,), vm3=(600.0,)))[0] == {"vm3"}


def test_of_some_whose_turns_ended_together_the_one_that_had_waited_for_longest_before_comes_next():
    """Else their names decided each time, and the same ones would always wait longer."""
    stand = {**turns(vm1=900.0), uuid(2): Turn(None, 700.0, 500.0), uuid(3): Turn(None, 700.0, 400.0)}
    line = queue()._replace(groups=stand)
    snapshot = host(vm(1), vm(2), vm(3), members=holding(1), num_rmids=2)
    assert counted(snapshot, line)[0] == {"vm3"}


def test_a_domain_that_has_just_come_does_not_pass_those_that_wait():
    snapshot = host(vm(1), vm(2), vm(3), members=holding(2), num_rmids=2)
    assert counted(snapshot, queue(vm2=900.0, vm3=(600.0,)))[0] == {"vm3"}


def test_as_many_leave_as_wait_and_first_those_that_began_first():
    snapshot = host(vm(1), vm(2), vm(3), vm(4), members=holding(1, 2, 3), num_rmids=4)
    assert counted(snapshot, queue(vm1=900.0, vm2=800.0, vm3=900.5, vm4=(0.0,)))[0] == {"vm1", "vm3", "vm4"}


def test_nobody_leaves_where_nobody_waits():
    snapshot = host(vm(1), vm(2), members=holding(1, 2), num_rmids=3)
    assert counted(snapshot, queue(vm1=0.0, vm2=0.0)) == ({"vm1", "vm2"}, {})


def test_a_higher_priority_is_always_counted_and_never_takes_turns():
    snapshot = host(vm(1), vm(2), vm(3), members=holding(1, 2), num_rmids=3)
    found, waiting = counted(snapshot, queue(vm1=0.0, vm2=0.0, vm3=(0.0,)), {1: 5})
    assert found == {"vm1", "vm3"}
    assert set(waiting) == {"vm2"}


def test_a_higher_priority_that_comes_ends_a_turn_at_once():
    snapshot = host(vm(1), vm(2), members=holding(1), num_rmids=2)
    assert counted(snapshot, queue(vm1=990.0), {2: 1})[0] == {"vm2"}


def test_groups_are_kept_for_those_with_a_priority():
    snapshot = host(vm(1), vm(2), vm(3), vm(4), num_rmids=5)
    assert counted(snapshot, queue(keep=2))[0] == {"vm1", "vm2"}


def test_what_those_with_a_priority_have_is_a_part_of_what_is_kept_for_them():
    snapshot = host(vm(1), vm(2), vm(3), vm(4), num_rmids=5)
    assert counted(snapshot, queue(keep=2), {4: 1})[0] == {"vm1", "vm2", "vm4"}


def test_a_domain_that_needs_two_groups_is_not_passed_for_ever_by_those_that_need_one():
    """vm1 has threads in another program's allocation too. One RMID is free, and vm3's turn is not over."""
    allocation = Group("other", "")
    where = {1001: allocation}
    snapshot = host(vm(1), vm(2), vm(3), groups=[allocation], location=where, members=holding(3), num_rmids=4)
    found, waiting = counted(snapshot, queue(vm1=(0.0,), vm2=(500.0,), vm3=990.0))
    assert found == {"vm3"}
    assert {name for name, failure in waiting.items() if isinstance(failure, errors.WaitsForTurn)} == {"vm1", "vm2"}


def test_one_that_would_never_fit_holds_nobody_up():
    allocation = Group("other", "")
    snapshot = host(vm(1), vm(2), groups=[allocation], location={1001: allocation}, num_rmids=3)
    found, waiting = counted(snapshot, queue(vm1=(0.0,), vm2=(500.0,)))
    assert found == {"vm2"}
    assert {type(waiting["vm1"])} == {errors.RmidsExhausted}


def test_who_waits_is_told_with_how_many_and_when_its_turn_comes():
    snapshot = host(vm(1), vm(2), vm(3), members=holding(1), num_rmids=2)
    waiting = counted(snapshot, queue(vm1=970.0, vm2=(600.0,), vm3=(500.0,)))[1]
    assert waiting["vm3"].message == "Domain 'vm3' is not counted now: 3 domains take turns with 1 group"
    assert waiting["vm3"].hint.startswith("Its turn comes in about 30 seconds")
    assert waiting["vm2"].hint.startswith("Its turn comes in about 90 seconds")


def test_where_all_rmids_are_kept_for_others_nobody_is_promised_one():
    snapshot = host(vm(1), vm(2), num_rmids=3)
    waiting = counted(snapshot, queue(keep=20))[1]
    assert {type(failure) for failure in waiting.values()} == {errors.RmidsExhausted}
    assert waiting["vm1"].message == (
        "Out of RMIDs: what is left of them is kept for domains with a priority (turns.keep is 20), and domain 'vm1' "
        "has none"
    )


def test_as_long_as_what_was_given_up_is_in_limbo_no_more_than_half_is_given_up():
    four = dict.fromkeys("abcd", True)
    old = {name: Turn(float(number)) for number, name in enumerate("abcd")}

    def leaving(in_limbo):
        return {name for name, place in ranks(four, old, queue(), in_limbo).items() if place[0] == 2}

    assert leaving(0) == {"a", "b", "c", "d"}
    assert leaving(1) == {"a"}


@pytest.mark.parametrize(("groups", "in_limbo"), [(1, 1), (2, 1), (3, 2), (4, 4)])
@pytest.mark.parametrize(("lasted", "leaving"), [(107, set()), (108, {0})])
def test_where_an_rmid_never_leaves_limbo_the_longest_turn_ends_after_two_windows(groups, in_limbo, lasted, leaving):
    """Turns would stand still for ever otherwise. (A window of 60 seconds may be a tenth shorter.)"""
    began = {number: Turn(NOW - lasted + number) for number in range(groups)}
    places = ranks(dict.fromkeys(range(groups), True), began, queue(), in_limbo)
    assert {number for number, place in places.items() if place[0] == 2} == leaving


def test_who_has_just_made_room_does_not_end_the_turn_of_another_that_is_over_too():
    snapshot = host(vm(1), vm(2), vm(3), members=holding(1, 3), num_rmids=3)
    assert counted(snapshot, queue(vm1=900.0, vm2=(999.0,), vm3=998.0))[0] == {"vm1", "vm3"}
    assert counted(snapshot, queue(vm1=900.0, vm2=(945.0,), vm3=998.0))[0] == {"vm2", "vm3"}


def test_one_that_has_just_come_need_not_wait_where_a_turn_is_over():
    snapshot = host(vm(1), vm(2), members=holding(1), num_rmids=2)
    assert counted(snapshot, queue(vm1=900.0))[0] == {"vm2"}


def test_a_group_that_nobody_has_is_not_kept_from_one_that_has_just_made_room():
    snapshot = host(vm(1), vm(2), members=holding(1), num_rmids=3)
    assert counted(snapshot, queue(vm1=900.0, vm2=(999.0,))) == ({"vm1", "vm2"}, {})


def test_who_comes_first_is_the_first_to_ask_for_a_group():
    """While RMIDs are in limbo the kernel refuses those who ask later, and the last one would never be counted."""
    snapshot = host(vm(1), vm(2), vm(3), num_rmids=4)
    of = {uuid(1): ENABLE, uuid(2): ENABLE, uuid(3): ENABLE._replace(priority=1)}
    line = queue(vm1=(900.0,), vm2=(500.0,), vm3=(700.0,))
    steps = plan(snapshot, Wishes(of, ration=True, turns=line)).operations
    assert [step.uuid for step in steps if step.kind == CREATE] == [uuid(3), uuid(2), uuid(1)]


def test_a_turn_that_was_cut_short_counts_for_nothing():
    assert ended(Turn(990.0, 500.0), queue()) == Turn(None, 500.0)
    assert ended(Turn(900.0, 500.0, 300.0), queue()) == Turn(None, NOW, 400.0)


@pytest.mark.parametrize(("place", "seconds"), [(0, 10), (1, 40), (2, 70), (5, 160)])
def test_each_turn_that_ends_makes_room_for_one(place, seconds):
    assert wait(place, [NOW - 20, NOW - 50], queue()) == seconds


@pytest.mark.parametrize(("seconds", "words"), [(0, "next"), (45, "in about 45 seconds"), (240, "in about 4 minutes")])
def test_a_time_to_wait_in_words(seconds, words):
    assert in_words(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(1, "in about 1 second"), (1.6, "in about 2 seconds")])
def test_one_second_is_no_plural(seconds, words):
    assert in_words(seconds) == words
