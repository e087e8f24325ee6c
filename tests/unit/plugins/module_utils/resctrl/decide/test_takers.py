# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes turns from now on, and where each stands."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.counting import Bandwidth
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.takers import settle
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Turn
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.windows import (
    Measured,
    Notes,
    Start,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wish, Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import L3, OCCUPANCY, Place
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    DISABLE,
    ENABLE,
    host,
    uuid,
    vm,
)

TOTAL, LOCAL = "mbm_total_bytes", "mbm_local_bytes"
ON_0, ON_1 = Place(L3, 0), Place(L3, 1)


def in_turn(began=100.0, unseen=0.0, **more):
    return Notes(Turn(began, unseen), **more)


def holding(*numbers_):
    return {group_for(uuid(number), ROOT): {number * 1000 + 1, number * 1000 + 2} for number in numbers_}


def wishes(of=(), **priorities):
    every = {uuid(number): ENABLE for number in (1, 2, 3, 4)}
    every.update({uuid(int(name[2:])): ENABLE._replace(priority=one) for name, one in priorities.items()})
    return Wishes({**every, **dict(of)}, ration=True)


WAITING = errors.WaitsForTurn("waits")


def test_those_of_a_priority_of_which_one_waits_take_turns_and_nobody_else():
    snapshot = host(*map(vm, (1, 2, 3, 4)), members=holding(1, 2, 4))
    found = settle({}, snapshot, wishes(vm1=5), {uuid(3): WAITING}, 100.0)
    assert found == {
        uuid(2): Notes(Turn(100.0, 100.0)),
        uuid(3): Notes(Turn(None, 100.0)),
        uuid(4): Notes(Turn(100.0, 100.0)),
    }


def test_where_nobody_waits_nobody_takes_turns_and_nothing_is_noted():
    snapshot = host(vm(1), vm(2), members=holding(1, 2))
    assert settle({uuid(1): in_turn(5.0), uuid(9): in_turn(5.0)}, snapshot, wishes(), {}, 100.0) == {}


@pytest.mark.parametrize("failure", [errors.RmidsExhausted("none at all"), errors.Moved("moved")])
def test_another_failure_is_no_reason_to_take_turns(failure):
    snapshot = host(vm(1), vm(2), members=holding(1))
    assert settle({}, snapshot, wishes(), {uuid(2): failure}, 100.0) == {}


def test_who_waits_because_rmids_are_in_limbo_stands_in_the_queue():
    snapshot = host(vm(1), vm(2), vm(3), members=holding(1))
    limbo = {uuid(2): errors.RmidsInLimbo("limbo")}
    found = settle({}, snapshot, wishes(), {**limbo, uuid(3): WAITING}, 100.0)
    assert found.keys() == {uuid(1), uuid(2), uuid(3)}
    # Without one that waits for its turn there are none
    assert settle({}, snapshot, wishes(), limbo, 100.0) == {}


def test_who_waits_for_a_group_keeps_its_place_among_those_that_wait_for_a_counter():
    before = Notes(Turn(90.0, 10.0), {0: Turn(91.0, 7.0)})
    found = settle({uuid(2): before}, host(vm(1), vm(2), members=holding(1)), wishes(), {uuid(2): WAITING}, 100.0)
    assert found[uuid(2)].counters == {0: Turn(None, 7.0)}


def test_a_domain_that_is_not_to_be_counted_or_that_libvirt_counts_takes_no_turns():
    snapshot = host(vm(1), vm(2), vm(3), members=holding(1))
    off = {uuid(3): DISABLE}
    found = settle({uuid(3): in_turn()}, snapshot, wishes(off), {uuid(2): WAITING, uuid(3): WAITING}, 100.0)
    assert found.keys() == {uuid(1), uuid(2)}


def test_a_turn_goes_on_and_what_was_measured_is_kept():
    measured = {(TOTAL, ON_0): Measured(0.0, 1.0, 2.0, 3.0)}
    notes = {uuid(1): in_turn(50.0, 10.0, measured=measured), uuid(2): Notes(Turn(None, 20.0))}
    snapshot = host(vm(1), vm(2), members=holding(1))
    assert settle(notes, snapshot, wishes(), {uuid(2): WAITING}, 100.0) == notes


def test_who_has_a_group_now_begins_and_who_has_lost_it_waits_where_it_stood():
    notes = {uuid(1): in_turn(50.0, 10.0), uuid(2): Notes(Turn(None, 20.0))}
    snapshot = host(vm(1), vm(2), members=holding(2))
    found = settle(notes, snapshot, wishes(), {uuid(1): WAITING}, 100.0)
    assert [found[uuid(number)].group for number in (1, 2)] == [Turn(None, 10.0), Turn(100.0, 20.0)]


def sharing(*held, free=0):
    """Groups of vm1, vm2 and so on, all with both counters on cache 1, and those in `held` on cache 0 too."""
    numbers_ = (1, 2, 3)
    on_1 = frozenset({(TOTAL, 1), (LOCAL, 1)})
    assigned = {
        group_for(uuid(one), ROOT): on_1 | (frozenset({(TOTAL, 0), (LOCAL, 0)}) if one in held else frozenset())
        for one in numbers_
    }
    bandwidth = Bandwidth({0: free, 1: 0}, (TOTAL, LOCAL), assigned)
    return host(*map(vm, numbers_), members=holding(*numbers_), bandwidth=bandwidth)


def test_where_counters_of_a_cache_are_scarce_its_domains_take_turns_with_these_and_keep_their_groups():
    found = settle({}, sharing(1), wishes(), {}, 100.0)
    assert {one: notes.counters for one, notes in found.items()} == {
        uuid(1): {0: Turn(100.0, 100.0)},
        uuid(2): {0: Turn(None, 100.0)},
        uuid(3): {0: Turn(None, 100.0)},
    }
    assert {notes.group for notes in found.values()} == {None}


def test_where_a_group_suffices_again_only_what_was_measured_of_a_scarce_counter_is_kept():
    """What is counted all the time now would only grow old beside it."""
    key, local, elsewhere = (TOTAL, ON_0), (OCCUPANCY, ON_0), (TOTAL, ON_1)
    measured = dict.fromkeys((key, local, elsewhere), Measured(0.0, 1.0, 2.0, 3.0))
    starts = dict.fromkeys((key, elsewhere), Start(50.0, {}))
    before = in_turn(50.0, counters={0: Turn(50.0, 10.0)}, measured=measured, starts=starts)
    found = settle({uuid(1): before}, sharing(1), wishes(), {}, 100.0)[uuid(1)]
    assert (found.group, found.counters.keys()) == (None, {0})
    assert (found.measured.keys(), found.starts.keys()) == ({key}, {key})


def test_those_for_which_bandwidth_is_wished_or_not_wished_share_no_turns_with_others():
    """Who comes after them gets no counter, so that no turn can be promised."""
    wanted, unwanted = Wish(bandwidth=True), Wish(bandwidth=False)
    assert settle({}, sharing(1), wishes({uuid(1): wanted, uuid(3): unwanted}), {}, 100.0) == {}


def test_where_each_has_its_counters_there_are_no_turns():
    assert settle({}, sharing(1, 2, 3), wishes(), {}, 100.0) == {}


def test_on_a_host_where_each_group_counts_bandwidth_there_are_no_counters_to_share():
    assert settle({}, sharing()._replace(bandwidth=None), wishes(), {}, 100.0) == {}
