# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is monitored where there are not enough RMIDs for all."""

from __future__ import annotations

import re

from hypothesis import assume, given

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import plan
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.rationing import ration
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.simulation import simulate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    ENABLE,
    LIBVIRT,
    PQOS_MONITOR,
    asked,
    for_all,
    host,
    uuid,
    vm,
)

OURS = group_for(uuid(1), ROOT)


def wished(snapshot, priorities=(), reserve=0):
    """Everything is to be monitored; of some the priority is told, by number."""
    wishes = {one.domain.uuid: ENABLE for one in snapshot.running}
    wishes.update({uuid(number): ENABLE._replace(priority=priority) for number, priority in dict(priorities).items()})
    return Wishes(wishes, reserve, ration=True)


def counted(snapshot, wishes):
    """The names of those that are monitored after a rationed plan, and of those that wait."""
    planned = plan(snapshot, wishes)
    after = simulate(snapshot, planned.operations)
    assert all(isinstance(failure, errors.RmidsExhausted) for failure in planned.failures.values())
    names = {one.domain.name for one in after.running if after.ours(one.domain.uuid)}
    return names, {one.domain.name for one in snapshot.running if one.domain.uuid in planned.failures}


def test_the_highest_priority_is_served_first():
    snapshot = host(vm(1), vm(2), vm(3), num_rmids=3)
    assert counted(snapshot, wished(snapshot, {2: 10, 3: 5})) == ({"vm2", "vm3"}, {"vm1"})


def test_an_important_domain_takes_the_place_of_another():
    snapshot = host(vm(1), vm(2), members={OURS: {1001, 1002}}, num_rmids=2)
    assert counted(snapshot, wished(snapshot, {2: 1})) == ({"vm2"}, {"vm1"})


def test_among_equals_who_is_counted_stays_counted():
    snapshot = host(vm(1), vm(2), members={group_for(uuid(2), ROOT): {2001, 2002}}, num_rmids=2)
    assert counted(snapshot, wished(snapshot)) == ({"vm2"}, {"vm1"})


def test_the_reserve_and_foreign_groups_are_not_shared_out():
    snapshot = host(vm(1), vm(2), vm(3), groups=[LIBVIRT, PQOS_MONITOR], num_rmids=6)
    assert counted(snapshot, wished(snapshot, reserve=1)) == ({"vm1", "vm2"}, {"vm3"})
    said = str(next(iter(ration(snapshot, wished(snapshot, reserve=1))[1].values())))
    assert ", 1 of them reserved, none is left for domain 'vm3'" in said
    assert "lower the reserve" in said


def test_who_goes_without_is_told_what_to_do():
    snapshot = host(vm(1), num_rmids=1)
    error = ration(snapshot, wished(snapshot))[1][uuid(1)]
    assert isinstance(error, errors.RmidsExhausted)
    assert "higher priority" in error.hint


def test_a_domain_that_libvirt_counts_never_waits():
    """It needs no group of ours, even where the reserve is not there."""
    snapshot = host(vm(2, tuning="cachetune"), location={2001: LIBVIRT, 2002: LIBVIRT}, num_rmids=3)
    assert ration(snapshot, wished(snapshot, reserve=8))[1] == {}


def test_of_several_that_wait_one_is_next():
    snapshot = host(vm(1), vm(2), vm(3), num_rmids=1)
    denied = ration(snapshot, wished(snapshot, {3: 1}))[1]
    assert {one for one, error in denied.items() if "It is the next" in str(error)} == {uuid(3)}
    assert len(denied) == 3


def test_one_that_fails_by_itself_keeps_what_it_has():
    foreign = {1001: PQOS_MONITOR, 1002: OURS}
    snapshot = host(vm(1), vm(2), vm(3), location=foreign, members={OURS: {1002}}, num_rmids=4)
    planned = plan(snapshot, wished(snapshot))
    assert isinstance(planned.failures[uuid(1)], errors.ForeignGroup)
    assert isinstance(planned.failures[uuid(3)], errors.RmidsExhausted)
    assert {step.uuid for step in planned.operations} == {uuid(2)}


def test_the_group_of_a_domain_that_is_not_seen_keeps_its_rmid():
    """It is wished for, but there is nothing to plan for it: its RMID cannot be shared out."""
    unseen = group_for(uuid(9), ROOT)
    snapshot = host(vm(1), vm(2), members={unseen: {9001}}, unjudged=frozenset({unseen}), num_rmids=3)
    wishes = wished(snapshot)
    wishes = wishes._replace(of={**wishes.of, uuid(9): ENABLE})
    assert counted(snapshot, wishes) == ({"vm1"}, {"vm2"})


def test_without_rationing_all_fail_where_one_would_have_to_wait():
    snapshot = host(vm(1), vm(2), num_rmids=2)
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    assert planned.operations == ()
    assert set(planned.failures) == {uuid(1), uuid(2)}


@given(asked(ration=True))
def test_what_is_granted_always_suffices_and_stays_so(question):
    snapshot, wishes = question
    others = len([group for group in snapshot.groups - snapshot.stale if group.uuid not in wishes.of])
    assume(others + 1 + wishes.reserve <= snapshot.num_rmids)
    granted, denied, _order = ration(snapshot, wishes)
    planned = plan(snapshot, granted._replace(ration=False))
    short = {one for one, error in planned.failures.items() if "Nothing was changed" in str(error)}
    assert short == set()
    after = simulate(snapshot, planned.operations)
    # One that has to wait may by then have a reason of its own, such as the allocation by its CPU on Arm
    assert set(ration(after, wishes)[1]) <= set(denied) <= set(plan(after, wishes).failures)


@given(asked(ration=True))
def test_at_most_one_is_next_wherever_rmids_are_lacking(question):
    denied = ration(*question)[1]
    places = {re.sub("domain '.*?'", "", error.message) for error in denied.values()}
    assert len([error for error in denied.values() if "It is the next" in str(error)]) == len(places)
