# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the plan, one by one, and what holds for every host that can be thought of."""

from __future__ import annotations

import pytest
from hypothesis import given

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import (
    ASSIGN,
    CREATE,
    REMOVE,
    Operation,
    plan,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.simulation import simulate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import status_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wish, Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import (
    LEAVING,
    ROOT,
    Group,
    group_for,
    leaving_group,
)
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    DISABLE,
    ENABLE,
    LIBVIRT,
    LIBVIRT_MONITOR,
    PQOS,
    PQOS_MONITOR,
    asked,
    for_all,
    host,
    uuid,
    vm,
)

OURS = group_for(uuid(1), ROOT)
DOOR = leaving_group(OURS)


def planned_for(snapshot, wish, **terms):
    return plan(snapshot, for_all(snapshot, wish, **terms))


def steps(snapshot, wish, **terms):
    planned = planned_for(snapshot, wish, **terms)
    assert not planned.failures
    return list(planned.operations)


def test_enabling_makes_one_group_and_moves_the_vcpus_into_it():
    assert steps(host(vm()), ENABLE) == [
        Operation(CREATE, OURS),
        Operation(ASSIGN, OURS, 1001, 1000),
        Operation(ASSIGN, OURS, 1002, 1000),
    ]


def test_the_whole_process_can_be_counted():
    assert {step.tid for step in steps(host(vm()), Wish(whole_process=True)) if step.kind == ASSIGN} == {
        1000,
        1001,
        1002,
        1003,
    }


def test_what_is_complete_needs_nothing():
    assert steps(host(vm(), members={OURS: {1001, 1002}}), ENABLE) == []


def test_a_hot_plugged_vcpu_is_added():
    assert steps(host(vm(vcpus=3), members={OURS: {1001, 1002}}), ENABLE) == [Operation(ASSIGN, OURS, 1003, 1000)]


def test_a_restarted_domain_gets_its_group_back():
    assert steps(host(vm(), members={OURS: set()}, stale=[OURS]), ENABLE) == [
        Operation(ASSIGN, OURS, 1001, 1000),
        Operation(ASSIGN, OURS, 1002, 1000),
    ]


def test_disabling_removes_every_group_of_the_domain():
    nested = group_for(uuid(1), PQOS)
    snapshot = host(vm(), members={OURS: {1001}, nested: {1002}, DOOR: {1003}})
    assert steps(snapshot, DISABLE) == [Operation(REMOVE, OURS), Operation(REMOVE, DOOR), Operation(REMOVE, nested)]


def test_disabling_what_is_not_enabled_needs_nothing():
    assert steps(host(vm(), location={1001: PQOS_MONITOR}), DISABLE) == []


def test_threads_in_a_foreign_control_group_keep_their_allocation():
    nested = group_for(uuid(1), PQOS)
    assert steps(host(vm(), location={1001: PQOS, 1002: PQOS}), ENABLE) == [
        Operation(CREATE, nested),
        Operation(ASSIGN, nested, 1001, 1000),
        Operation(ASSIGN, nested, 1002, 1000),
    ]


def test_threads_that_moved_to_another_control_group_get_another_group():
    nested = group_for(uuid(1), PQOS)
    snapshot = host(vm(), members={OURS: set()}, location={1001: PQOS, 1002: PQOS})
    assert steps(snapshot, ENABLE) == [
        Operation(REMOVE, OURS),
        Operation(CREATE, nested),
        Operation(ASSIGN, nested, 1001, 1000),
        Operation(ASSIGN, nested, 1002, 1000),
    ]


@pytest.mark.parametrize("theirs", [LIBVIRT, LIBVIRT_MONITOR, Group(LIBVIRT.ctrl, "qemu-1-vm2-vcpus_0")])
def test_what_libvirt_counts_stays_where_it_is(theirs):
    snapshot = host(vm(tuning="cachetune"), location={1001: theirs})
    for takeover in (False, True):
        assert steps(snapshot, Wish(takeover=takeover)) == [
            Operation(CREATE, OURS),
            Operation(ASSIGN, OURS, 1002, 1000),
        ]
    assert steps(snapshot, DISABLE) == []


def test_a_domain_that_libvirt_counts_wholly_is_left_alone():
    snapshot = host(vm(tuning="cachetune"), location={1001: LIBVIRT, 1002: LIBVIRT})
    assert steps(snapshot, ENABLE) == []
    assert status_of(snapshot.running[0].domain, snapshot).text == "Enabled (forced by cachetune)"


def test_a_group_called_after_a_live_machine_is_never_taken_over():
    """A driver whose names have another form; the machines of the host tell."""
    theirs = Group("", "xen-1-vm1")
    snapshot = host(vm(), location={1001: theirs, 1002: theirs}, machines=frozenset({"xen-1-vm1"}))
    assert steps(snapshot, Wish(takeover=True)) == []


def test_a_thread_in_a_foreign_monitoring_group_is_not_stolen():
    planned = planned_for(host(vm(), vm(2), location={1001: PQOS_MONITOR}), ENABLE)
    assert {step.uuid for step in planned.operations} == {uuid(2)}
    failure = planned.failures[uuid(1)]
    assert isinstance(failure, errors.ForeignGroup)
    assert "mon_groups/pqos-77-1 of pqos" in str(failure)
    assert "takeover" in failure.hint


def test_it_is_with_takeover_and_its_group_stays():
    assert steps(host(vm(), location={1001: PQOS_MONITOR}), Wish(takeover=True)) == [
        Operation(CREATE, OURS),
        Operation(ASSIGN, OURS, 1001, 1000),
        Operation(ASSIGN, OURS, 1002, 1000),
    ]


def test_stale_groups_are_pruned_first_so_that_their_rmids_can_be_used():
    stale = group_for(uuid(9), ROOT)
    snapshot = host(vm(), members={stale: set()}, stale=[stale], num_rmids=2)
    assert steps(snapshot, ENABLE)[0] == Operation(REMOVE, stale)
    assert steps(host(members={stale: set()}, stale=[stale]), ENABLE, prune=False) == []


def test_a_group_of_which_nothing_can_be_said_is_not_pruned():
    unknown = group_for(uuid(9), ROOT)
    assert steps(host(members={unknown: {7}}, unjudged=frozenset({unknown})), ENABLE) == []


def test_without_threads_for_its_vcpus_a_domain_fails_with_advice():
    failure = planned_for(host(vm(vcpus=0)), ENABLE).failures[uuid(1)]
    assert isinstance(failure, errors.NoVcpuThreads)
    assert "scope=domain" in failure.hint


def test_where_threads_have_no_telling_names_a_domain_fails_with_the_reason_or_is_counted_whole():
    one = vm(vcpus=0)
    nameless = one._replace(process=one.process._replace(unnamed=True))
    failure = planned_for(host(nameless), ENABLE).failures[uuid(1)]
    assert isinstance(failure, errors.NoVcpuThreads)
    assert "'vm1' (process 1000)" in failure.message
    assert "without debug-threads=on" in failure.message
    assert "scope=domain" in failure.hint
    planned = planned_for(host(nameless), Wish(enabled=True, whole_process=True))
    assert {step.tid for step in planned.operations if step.kind == ASSIGN} == one.process.threads


# -- a CPU's group -----------------------------------------------------------------------------------------------------


def throttled(throttles=True, cpu_groups=(PQOS,), **more):
    return host(vm(), throttles=throttles, cpu_groups={uuid(1): cpu_groups}, groups=cpu_groups, **more)


def test_throttling_by_the_group_of_a_cpu_is_not_ended():
    failure = planned_for(throttled(), ENABLE).failures[uuid(1)]
    assert isinstance(failure, errors.ThrottledByCpu)
    assert "throttled by the group COS1" in str(failure)


@pytest.mark.parametrize(
    ("snapshot", "wish"),
    [
        (throttled(), Wish(leave_cpu_group=True)),
        (throttled(throttles=False), ENABLE),
        # Only a CTRL_MON group throttles
        (throttled(cpu_groups=(PQOS_MONITOR,)), ENABLE),
        # These are in a group of their own: the CPU's has no say
        (throttled(location={1001: LIBVIRT, 1002: Group("COS2")}), ENABLE),
    ],
)
def test_where_no_throttling_would_end_the_domain_is_enabled(snapshot, wish):
    assert planned_for(snapshot, wish).failures == {}


# -- threads that a group of ours should not count ---------------------------------------------------------------------


def test_going_back_to_vcpus_lets_the_other_threads_leave_through_a_group_of_their_own():
    """The group keeps its RMID, and so its counters: it is not made anew."""
    snapshot = host(vm(), members={OURS: {1000, 1001, 1002, 1003}})
    assert steps(snapshot, ENABLE) == [
        Operation(CREATE, DOOR),
        Operation(ASSIGN, DOOR, 1000, 1000),
        Operation(ASSIGN, DOOR, 1003, 1000),
        Operation(REMOVE, DOOR),
    ]


def test_a_thread_that_a_vcpu_made_may_stay():
    """It inherits the group, as the kernel has it, and would again after each repair."""
    assert steps(host(vm(), members={OURS: {1001, 1002, 1003}}), ENABLE) == []


def test_another_process_in_our_group_is_put_out():
    """It is no thread of the domain's process, so there is no process to check it against."""
    assert steps(host(vm(), members={OURS: {1001, 1002, 7}}), ENABLE) == [
        Operation(CREATE, DOOR),
        Operation(ASSIGN, DOOR, 7, 0),
        Operation(REMOVE, DOOR),
    ]


def test_a_group_of_which_the_name_was_swapped_gets_its_own_threads_without_a_detour():
    theirs = group_for(uuid(2), ROOT)
    snapshot = host(vm(1), vm(2), members={OURS: {2001, 2002}, theirs: {1001, 1002}}, stale=[OURS, theirs])
    assert steps(snapshot, ENABLE) == [
        Operation(ASSIGN, OURS, 1001, 1000),
        Operation(ASSIGN, OURS, 1002, 1000),
        Operation(ASSIGN, theirs, 2001, 2000),
        Operation(ASSIGN, theirs, 2002, 2000),
    ]


def test_what_a_run_that_was_cut_off_left_is_removed():
    assert steps(host(vm(), members={OURS: {1001, 1002}, DOOR: {1000}}), ENABLE) == [Operation(REMOVE, DOOR)]


@pytest.mark.parametrize(("num_rmids", "reserve"), [(2, 0), (4, 2), (2, 4)])
def test_without_an_rmid_to_spare_threads_stay_and_the_domain_stays_counted(num_rmids, reserve):
    """To remove the group first would mean to lose it: its RMID is in limbo until the cache has lost its lines."""
    snapshot = host(vm(), members={OURS: {1000, 1001, 1002}}, num_rmids=num_rmids)
    planned = planned_for(snapshot, ENABLE, reserve=reserve)
    assert planned.operations == ()
    failure = planned.failures[uuid(1)]
    assert isinstance(failure, errors.RmidsExhausted)
    assert "stays monitored with more threads than wished" in str(failure)
    assert (f"; {reserve} reserved)" in str(failure)) is (reserve > 0)


def test_a_hot_plugged_vcpu_is_added_though_other_threads_cannot_leave():
    snapshot = host(vm(vcpus=3), members={OURS: {1000, 1001, 1002}}, num_rmids=2)
    planned = planned_for(snapshot, ENABLE)
    assert planned.operations == (Operation(ASSIGN, OURS, 1003, 1000),)
    assert set(planned.failures) == {uuid(1)}


def test_an_rmid_that_this_run_frees_lets_threads_leave():
    snapshot = host(vm(1), vm(2), members={OURS: {1000, 1001, 1002}, group_for(uuid(2), ROOT): {2001}}, num_rmids=3)
    planned = plan(snapshot, Wishes({uuid(1): ENABLE, uuid(2): DISABLE}))
    assert planned.failures == {}
    assert [step.kind for step in planned.operations] == [REMOVE, CREATE, ASSIGN, REMOVE]


# -- RMIDs -------------------------------------------------------------------------------------------------------------


def test_if_rmids_do_not_suffice_nothing_is_changed_and_the_error_counts_them():
    pqos = [Group("", "pqos-1-1"), Group("", "pqos-2-2")]
    planned = planned_for(host(vm(1), vm(2), vm(3), groups=[*pqos, LIBVIRT], num_rmids=6), ENABLE)
    assert planned.operations == ()
    assert set(planned.failures) == {uuid(1), uuid(2), uuid(3)}
    message = str(planned.failures[uuid(1)])
    assert message.startswith("Out of RMIDs: 3 needed, 2 free of 6 (held by: default 1, libvirt 1, pqos 2)")


def test_the_reserve_is_left_untouched():
    assert planned_for(host(vm(1), vm(2), num_rmids=5), ENABLE, reserve=2).failures == {}
    failure = planned_for(host(vm(1), vm(2), num_rmids=4), ENABLE, reserve=2).failures[uuid(1)]
    assert "2 needed, 3 free of 4, 2 of them reserved" in str(failure)


def test_repairs_go_on_when_the_reserve_is_used_up():
    """To make a group where another one is removed takes no RMID that was not taken before."""
    nested = group_for(uuid(1), PQOS)
    snapshot = host(vm(), members={OURS: set()}, location={1001: PQOS, 1002: PQOS}, num_rmids=3)
    assert [(step.kind, step.group) for step in steps(snapshot, ENABLE, reserve=4)][:2] == [
        (REMOVE, OURS),
        (CREATE, nested),
    ]


# -- for every host ----------------------------------------------------------------------------------------------------


def carried_out(snapshot, wishes):
    return simulate(snapshot, plan(snapshot, wishes).operations)


@given(asked())
def test_after_a_plan_nothing_is_left_to_plan(question):
    snapshot, wishes = question
    after = plan(carried_out(snapshot, wishes), wishes)
    assert after.operations == ()
    assert set(after.failures) == set(plan(snapshot, wishes).failures)


@given(asked())
def test_what_is_predicted_is_what_the_kernel_makes_of_the_plan(tmp_path_factory, question):
    snapshot, wishes = question
    operations = plan(snapshot, wishes).operations
    kernel = Kernel.of(snapshot, tmp_path_factory.mktemp("kernel"))
    kernel.most = max(snapshot.num_rmids, len(snapshot.groups) + 1)
    kernel.perform(operations)
    after = simulate(snapshot, operations)
    assert after.groups == kernel.there
    assert after.members == {group: tids for group, tids in kernel.content().items() if group.uuid}
    assert {tid: group for tid, group in after.location.items() if group != ROOT} == {
        tid: group for tid, group in kernel.where.items() if group != ROOT
    }


@given(asked())
def test_no_operation_ever_names_a_foreign_group(question):
    snapshot, wishes = question
    for step in plan(snapshot, wishes).operations:
        assert snapshot.owner(step.group) == "kvmops"
        assert step.group.mon


@given(asked())
def test_every_thread_stays_in_its_control_group(question):
    """The kernel refuses anything else (EINVAL), and an allocation would be lost."""
    snapshot, wishes = question
    for step in plan(snapshot, wishes).operations:
        if step.kind == ASSIGN:
            assert snapshot.group_of(step.tid).ctrl == step.group.ctrl


@given(asked())
def test_libvirts_threads_are_never_moved(question):
    snapshot, wishes = question
    for step in plan(snapshot, wishes).operations:
        if step.kind == ASSIGN:
            group = snapshot.group_of(step.tid)
            # Threads in a group of ours below libvirt's allocation may leave: libvirt counts them on
            assert snapshot.owner(group) != "libvirt"


@given(asked())
def test_threads_of_foreign_monitors_move_only_with_takeover(question):
    snapshot, wishes = question
    for step in plan(snapshot, wishes).operations:
        group = snapshot.group_of(step.tid)
        if step.kind == ASSIGN and group.mon and not group.uuid:
            assert wishes.of[step.uuid].takeover


@given(asked())
def test_the_reserve_is_never_eaten_into_not_even_for_a_moment(question):
    snapshot, wishes = question
    operations = plan(snapshot, wishes).operations
    most = max(len(snapshot.groups), snapshot.num_rmids - 1 - wishes.reserve)
    for number in range(len(operations) + 1):
        assert len(simulate(snapshot, operations[:number]).groups) <= most


@given(asked())
def test_a_domain_without_a_wish_is_left_alone(question):
    snapshot, wishes = question
    touched = {step.uuid for step in plan(snapshot, wishes).operations if step.group not in snapshot.stale}
    assert touched <= set(wishes.of)


@given(asked())
def test_no_group_by_way_of_which_threads_left_stays(question):
    snapshot, wishes = question
    after = carried_out(snapshot, wishes)
    left = {group for group in after.groups if group.mon.endswith(LEAVING)}
    assert left <= snapshot.groups


def test_where_nothing_is_done_for_want_of_rmids_one_that_counts_too_much_says_so_too():
    """vm1's group counts a stranger's thread, which could leave it if vm2 did not need the last RMID twice."""
    snapshot = host(vm(1), vm(2), members={OURS: {1001, 1002, 7}}, location={7: OURS}, num_rmids=2)
    planned = plan(snapshot, for_all(snapshot, ENABLE))
    assert planned.operations == ()
    assert set(planned.failures) == {uuid(1), uuid(2)}


@given(asked())
def test_afterwards_each_domain_is_as_wished_or_says_why_not(question):
    snapshot, wishes = question
    failures = plan(snapshot, wishes).failures
    after = carried_out(snapshot, wishes)
    for running in after.running:
        status, wish = status_of(running.domain, after), wishes.of.get(running.domain.uuid)
        if wish is None or running.domain.uuid in failures:
            continue
        if wish.enabled:
            assert status.enabled or not running.process.vcpus
            assert status.uncounted == ()
            ours = after.ours(running.domain.uuid)
            strangers = {tid for group in ours for tid in after.members[group]} - running.process.threads
            assert strangers == set()
        else:
            assert after.ours(running.domain.uuid) == frozenset()
