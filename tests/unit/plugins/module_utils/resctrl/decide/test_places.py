# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of Arm, where each CTRL_MON group has RMIDs of its own: it may be full while others are not."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import CREATE, plan
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.rationing import ration
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.simulation import simulate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    ENABLE,
    LIBVIRT_MONITOR,
    PQOS,
    asked,
    for_all,
    host,
    uuid,
    vm,
)


def arm(*running, rmids_of_each=2, **more):
    """A host of Arm; by default one MON group fits in each CTRL_MON group."""
    return host(*running, is_arm=True, rmids_of_each=rmids_of_each, num_rmids=64, **more)


def ours(number, parent=ROOT):
    return group_for(uuid(number), parent)


def rationed(snapshot, priorities=()):
    wishes = {one.domain.uuid: ENABLE for one in snapshot.running}
    wishes.update({uuid(number): ENABLE._replace(priority=priority) for number, priority in dict(priorities).items()})
    return Wishes(wishes, ration=True)


# -- how many fit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("each", "full", "places"),
    [
        (None, {}, None),
        (4, {}, 3),
        (1, {}, 0),
        (None, {"": 2}, 2),
        (4, {"": 2}, 2),
        (4, {"": 5}, 3),
        (4, {PQOS.ctrl: 1}, 3),
    ],
)
def test_as_many_mon_groups_fit_as_the_files_say_and_no_more_than_the_kernel_has_taken(each, full, places):
    assert arm(rmids_of_each=each, full=full).places("") == places


def test_the_root_is_full_though_rmids_are_free():
    snapshot = arm(vm(1), vm(2), vm(3), members={ours(3): {3001, 3002}}, rmids_of_each=3)
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    assert planned.operations == ()
    assert str(planned.failures[uuid(1)]) == (
        "Out of RMIDs: 2 needed in the root group, 1 free: this CTRL_MON group has room for 2 (on Arm each has RMIDs "
        "of its own; held by: kvmops 1). Nothing was changed. Disable other domains, remove groups that nobody needs, "
        "or name fewer domains. A domain to which libvirt allocates cache (<cachetune> with <cache>) has room of its "
        "own"
    )


def test_what_others_hold_there_is_said():
    snapshot = arm(vm(1), groups=[LIBVIRT_MONITOR])
    assert "room for 1 (on Arm each has RMIDs of its own; held by: libvirt 1)" in str(
        plan(snapshot, for_all(snapshot, ENABLE)).failures[uuid(1)]
    )


def test_a_refusal_of_the_kernels_is_said():
    snapshot = arm(vm(1), rmids_of_each=None, full={"": 0})
    said = str(plan(snapshot, for_all(snapshot, ENABLE)).failures[uuid(1)])
    assert "room for 0 (on Arm each has RMIDs of its own, and the kernel has just refused another; held by: " in said


def test_each_control_group_has_room_of_its_own():
    snapshot = arm(vm(1), vm(2), location={2001: PQOS, 2002: PQOS})
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    created = [step.group for step in planned.operations if step.kind == CREATE]
    assert (created, planned.failures) == ([ours(1), ours(2, PQOS)], {})


def test_a_place_that_is_freed_can_be_taken_in_the_same_run():
    snapshot = arm(vm(1), members={ours(9): {9001}}, stale={ours(9)})
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    assert [(step.kind, step.group) for step in planned.operations[:2]] == [("remove", ours(9)), ("create", ours(1))]


def test_without_a_place_to_spare_threads_stay_and_the_domain_stays_counted():
    snapshot = arm(vm(1), members={ours(1): {1000, 1001, 1002, 1003}})
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    assert planned.operations == ()
    assert str(planned.failures[uuid(1)]) == (
        "Domain 'vm1' stays monitored with more threads than wished: to take some out needs one free RMID in the root "
        "group for a moment, and none is free: this CTRL_MON group has room for 1 (on Arm each has RMIDs of its own; "
        "held by: kvmops 1). Disable another domain there, or disable this one and enable it again"
    )


def test_with_a_place_to_spare_they_leave():
    snapshot = arm(vm(1), members={ours(1): {1000, 1001, 1002, 1003}}, rmids_of_each=3)
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    assert planned.failures == {}
    assert simulate(snapshot, planned.operations).members[ours(1)] == {1001, 1002}


# -- who gets the places -----------------------------------------------------------------------------------------------


def test_who_gets_the_one_place_in_the_root_is_by_priority():
    snapshot = arm(vm(1), vm(2), vm(3))
    wishes, denied, _order = ration(snapshot, rationed(snapshot, {3: 1}))
    assert {one for one in denied if not wishes.enables(one)} == {uuid(1), uuid(2)}
    assert str(denied[uuid(1)]) == (
        "Out of RMIDs: none is left for domain 'vm1' in the root group: this CTRL_MON group has room for 1 (on Arm "
        "each has RMIDs of its own; held by: nobody). It is the next to be monitored when one is free: give it a "
        "higher priority, disable another, or remove groups that nobody needs. A domain to which libvirt allocates "
        "cache (<cachetune> with <cache>) has room of its own"
    )


def test_the_place_goes_to_a_domain_of_higher_priority_and_back():
    snapshot = arm(vm(1), vm(2), members={ours(1): {1001, 1002}})
    planned = plan(snapshot, rationed(snapshot, {2: 1}))
    assert ours(2) in simulate(snapshot, planned.operations).members
    assert ours(1) not in simulate(snapshot, planned.operations).members


def test_where_one_control_group_is_full_the_others_are_not_waited_for():
    snapshot = arm(vm(1), vm(2), vm(3), location={3001: PQOS, 3002: PQOS})
    denied = ration(snapshot, rationed(snapshot, {1: 3, 2: 2, 3: 1}))[1]
    assert set(denied) == {uuid(2)}


def test_one_is_next_in_each_control_group():
    in_pqos = dict.fromkeys((3001, 3002, 4001, 4002), PQOS)
    snapshot = arm(vm(1), vm(2), vm(3), vm(4), location=in_pqos, rmids_of_each=1)
    denied = ration(snapshot, rationed(snapshot))[1]
    assert {one for one, error in denied.items() if "It is the next" in str(error)} == {uuid(1), uuid(3)}


# -- the allocation of a CPU's group -----------------------------------------------------------------------------------


def test_the_allocation_of_a_cpus_group_is_not_ended():
    """mpam_thread_switch() takes it only for threads that are in the root itself."""
    snapshot = arm(vm(1), cpu_groups={uuid(1): (PQOS,)})
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    assert planned.operations == ()
    assert isinstance(planned.failures[uuid(1)], errors.AllocatedByCpu)
    assert "the allocation of the group COS1 of the CPU" in str(planned.failures[uuid(1)])
    assert plan(snapshot, for_all(snapshot, ENABLE._replace(leave_cpu_group=True))).failures == {}


def test_elsewhere_it_stays_and_the_domain_is_monitored():
    snapshot = host(vm(1), cpu_groups={uuid(1): (PQOS,)})
    assert plan(snapshot, for_all(snapshot, ENABLE)).failures == {}


# -- whatever there is -------------------------------------------------------------------------------------------------


def counts(snapshot):
    return Counter(group.ctrl for group in snapshot.groups if group.mon)


@given(asked())
def test_no_control_group_ever_has_more_mon_groups_than_fit_in_it(question):
    """Not even for a moment; where there are more already, there are none added."""
    snapshot, wishes = question
    operations = plan(snapshot, wishes).operations
    before = counts(snapshot)
    for number in range(len(operations) + 1):
        for ctrl, count in counts(simulate(snapshot, operations[:number])).items():
            places = snapshot.places(ctrl)
            assert places is None or count <= max(places, before[ctrl])


@given(asked())
def test_where_only_the_rmids_limit_them_places_are_not_spoken_of(question):
    snapshot, wishes = question
    if all(snapshot.places(group.ctrl) is None for group in [ROOT, *snapshot.groups]):
        assert not [error for error in plan(snapshot, wishes).failures.values() if "on Arm each has" in str(error)]
