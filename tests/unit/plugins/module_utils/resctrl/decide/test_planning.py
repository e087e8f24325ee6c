# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the plan, one by one, and what holds for every host that can be thought of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domains import Domain, Process
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.filesystem import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.planning import (
    ASSIGN,
    CREATE,
    REMOVE,
    Operation,
    Wish,
    plan,
    simulate,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.rationing import ration
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.snapshot import Running, Snapshot, status_of

ENABLE, DISABLE = Wish(enabled=True), Wish(enabled=False)
LIBVIRT = Group("qemu-1-vm2-vcpus_0")
LIBVIRT_MONITOR = Group("", "qemu-1-vm2-vcpus_0")
PQOS = Group("COS1")
PQOS_MONITOR = Group("", "pqos-77-1")


def uuid(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def vm(number=1, vcpus=2, others=1, tuning=None):
    """Domain `number`: process 1000 * number, its vCPUs' threads after it, then the others'."""
    pid = 1000 * number
    threads = frozenset(range(pid, pid + 1 + vcpus + others))
    process = Process(pid, {vcpu: pid + 1 + vcpu for vcpu in range(vcpus)}, threads, tuning)
    return Running(Domain(f"vm{number}", uuid(number), True), process)


def host(*running, location=None, groups=(), members=None, stale=(), num_rmids=16):
    """A snapshot; groups that hold a thread, and those with members, are there without being named again."""
    members = dict(members or {})
    location = dict(location or {})
    location.update({tid: group for group, tids in members.items() for tid in tids})
    groups = {*groups, *members, *location.values(), *(group.parent for group in location.values())} - {ROOT}
    members = {group: frozenset(members.get(group, ())) for group in groups if group.uuid}
    return Snapshot(tuple(running), location, frozenset(groups), members, frozenset(stale), num_rmids)


def for_all(snapshot, wish):
    return {one.domain.uuid: wish for one in snapshot.running}


def planned_for(snapshot, wish, **terms):
    return plan(snapshot, for_all(snapshot, wish), **terms)


def steps(snapshot, wish, **terms):
    planned = planned_for(snapshot, wish, **terms)
    assert not planned.failures
    return list(planned.operations)


OURS = group_for(uuid(1), ROOT)


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
    snapshot = host(vm(), members={OURS: {1001}, nested: {1002}})
    assert steps(snapshot, DISABLE) == [Operation(REMOVE, OURS), Operation(REMOVE, nested)]


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


def test_going_back_to_vcpus_makes_the_group_anew():
    snapshot = host(vm(), members={OURS: {1000, 1001, 1002, 1003}})
    assert steps(snapshot, ENABLE) == [
        Operation(REMOVE, OURS),
        Operation(CREATE, OURS),
        Operation(ASSIGN, OURS, 1001, 1000),
        Operation(ASSIGN, OURS, 1002, 1000),
    ]


def test_a_thread_that_a_vcpu_made_may_stay():
    """It inherits the group, as the kernel has it, and would again after each repair."""
    assert steps(host(vm(), members={OURS: {1001, 1002, 1003}}), ENABLE) == []


def test_another_process_in_our_group_is_put_out():
    assert steps(host(vm(), members={OURS: {1001, 1002, 7}}), ENABLE)[:2] == [
        Operation(REMOVE, OURS),
        Operation(CREATE, OURS),
    ]


def test_without_threads_for_its_vcpus_a_domain_fails_with_advice():
    failure = planned_for(host(vm(vcpus=0)), ENABLE).failures[uuid(1)]
    assert isinstance(failure, errors.NoVcpuThreads)
    assert "scope=domain" in failure.hint


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
    """Making a group anew takes no RMID that was not taken before."""
    snapshot = host(vm(), members={OURS: {1000, 1001, 1002}}, num_rmids=2)
    assert len(steps(snapshot, ENABLE, reserve=4)) == 4


# -- for every host ----------------------------------------------------------------------------------------------------

CONTROLS = [ROOT, PQOS, LIBVIRT, Group("qemu-2-vm1-vcpus_1")]
FOREIGN = [PQOS_MONITOR, LIBVIRT_MONITOR, Group(PQOS.ctrl, "cadvisor-x"), Group(LIBVIRT.ctrl, "qemu-1-vm2-vcpus_1")]


@st.composite
def hosts(draw):
    """Any host: domains with threads in any group of anybody, some groups of ours complete, some not, some stale."""
    running = [
        vm(number, draw(st.integers(0, 3)), draw(st.integers(0, 2))) for number in range(1, draw(st.integers(1, 4)) + 1)
    ]
    location = {}
    members = {}
    for one in running:
        ours = [group_for(one.domain.uuid, parent) for parent in CONTROLS]
        members.update({group: set() for group in draw(st.sets(st.sampled_from(ours)))})
        for tid in one.process.threads:
            group = draw(st.sampled_from([*CONTROLS, *FOREIGN, *members]))
            if group.uuid:
                members[group].add(tid)
            elif group != ROOT:
                location[tid] = group
    orphan = group_for(uuid(99), draw(st.sampled_from(CONTROLS)))
    if draw(st.booleans()):
        members[orphan] = set()
    threads = {one.domain.uuid: one.process.threads for one in running}
    stale = [group for group, tids in members.items() if not tids & threads.get(group.uuid, set())]
    return host(
        *running,
        location=location,
        members=members,
        groups=draw(st.sets(st.sampled_from(CONTROLS + FOREIGN))),
        stale=stale,
        num_rmids=draw(st.integers(1, 40)),
    )


wishes = st.builds(
    Wish,
    enabled=st.booleans(),
    whole_process=st.booleans(),
    takeover=st.booleans(),
)
terms = st.fixed_dictionaries({"reserve": st.integers(0, 8), "prune": st.booleans()})


@st.composite
def asked(draw):
    """A host, and a wish for each of its domains or for some."""
    snapshot = draw(hosts())
    wished = {one.domain.uuid: draw(wishes) for one in snapshot.running if draw(st.integers(0, 4))}
    return snapshot, wished, draw(terms)


@settings(max_examples=150)
@given(asked())
def test_after_a_plan_nothing_is_left_to_plan(question):
    snapshot, wished, on = question
    planned = plan(snapshot, wished, **on)
    after = plan(simulate(snapshot, planned.operations), wished, **on)
    assert after.operations == ()
    assert set(after.failures) == set(planned.failures)


@settings(max_examples=150)
@given(asked())
def test_no_operation_ever_names_a_foreign_group(question):
    snapshot, wished, on = question
    for step in plan(snapshot, wished, **on).operations:
        assert step.group.owner == "kvmops"
        assert step.group.mon


@settings(max_examples=150)
@given(asked())
def test_every_thread_stays_in_its_control_group(question):
    """The kernel refuses anything else (EINVAL), and an allocation would be lost."""
    snapshot, wished, on = question
    for step in plan(snapshot, wished, **on).operations:
        if step.kind == ASSIGN:
            assert snapshot.group_of(step.tid).ctrl == step.group.ctrl


@settings(max_examples=150)
@given(asked())
def test_libvirts_threads_are_never_moved(question):
    snapshot, wished, on = question
    moved = {step.tid for step in plan(snapshot, wished, **on).operations if step.kind == ASSIGN}
    assert not [tid for tid in moved if snapshot.group_of(tid).owner == "libvirt"]


@settings(max_examples=150)
@given(asked())
def test_threads_of_foreign_monitors_move_only_with_takeover(question):
    snapshot, wished, on = question
    for step in plan(snapshot, wished, **on).operations:
        group = snapshot.group_of(step.tid)
        if step.kind == ASSIGN and group.mon and group.owner != "kvmops":
            assert wished[step.uuid].takeover


@settings(max_examples=150)
@given(asked())
def test_the_reserve_is_never_eaten_into(question):
    snapshot, wished, on = question
    after = simulate(snapshot, plan(snapshot, wished, **on).operations)
    assert len(after.groups) <= max(len(snapshot.groups), snapshot.num_rmids - 1 - on["reserve"])


@settings(max_examples=150)
@given(asked())
def test_a_domain_without_a_wish_is_left_alone(question):
    snapshot, wished, on = question
    touched = {step.uuid for step in plan(snapshot, wished, **on).operations if step.group not in snapshot.stale}
    assert touched <= set(wished)


@settings(max_examples=150)
@given(asked())
def test_afterwards_each_domain_is_as_wished_or_says_why_not(question):
    snapshot, wished, on = question
    planned = plan(snapshot, wished, **on)
    after = simulate(snapshot, planned.operations)
    for running in after.running:
        status, wish = status_of(running.domain, after), wished.get(running.domain.uuid)
        if wish is None or running.domain.uuid in planned.failures:
            continue
        if wish.enabled:
            assert status.enabled or not running.process.vcpus
            assert status.uncounted == ()
        else:
            assert after.ours(running.domain.uuid) == frozenset()


# -- when RMIDs are short ----------------------------------------------------------------------------------------------


def counted_after_rationing(snapshot, wished, priorities, reserve=0):
    granted, denied = ration(snapshot, wished, priorities, reserve)
    planned = plan(snapshot, granted, reserve=reserve)
    assert not planned.failures
    after = simulate(snapshot, planned.operations)
    names = {one.domain.name for one in after.running if after.ours(one.domain.uuid)}
    return names, {one.domain.name for one in snapshot.running if one.domain.uuid in denied}


def test_the_highest_priority_is_served_first():
    snapshot = host(vm(1), vm(2), vm(3), num_rmids=3)
    priorities = {uuid(2): 10, uuid(3): 5}
    assert counted_after_rationing(snapshot, for_all(snapshot, ENABLE), priorities) == ({"vm2", "vm3"}, {"vm1"})


def test_an_important_domain_takes_the_place_of_another():
    snapshot = host(vm(1), vm(2), members={OURS: {1001, 1002}}, num_rmids=2)
    assert counted_after_rationing(snapshot, for_all(snapshot, ENABLE), {uuid(2): 1}) == ({"vm2"}, {"vm1"})


def test_among_equals_who_is_counted_stays_counted():
    snapshot = host(vm(1), vm(2), members={group_for(uuid(2), ROOT): {2001, 2002}}, num_rmids=2)
    assert counted_after_rationing(snapshot, for_all(snapshot, ENABLE), {}) == ({"vm2"}, {"vm1"})


def test_the_reserve_and_foreign_groups_are_not_shared_out():
    snapshot = host(vm(1), vm(2), vm(3), groups=[LIBVIRT, PQOS_MONITOR], num_rmids=6)
    assert counted_after_rationing(snapshot, for_all(snapshot, ENABLE), {}, reserve=1) == ({"vm1", "vm2"}, {"vm3"})


def test_who_goes_without_is_told_what_to_do():
    snapshot = host(vm(1), num_rmids=1)
    error = ration(snapshot, for_all(snapshot, ENABLE), {})[1][uuid(1)]
    assert isinstance(error, errors.RmidsExhausted)
    assert "higher priority" in error.hint


@settings(max_examples=150)
@given(asked(), st.dictionaries(st.integers(1, 4).map(uuid), st.integers(-2, 2)))
def test_what_is_granted_always_suffices_and_stays_so(question, priorities):
    snapshot, wished, on = question
    granted, denied = ration(snapshot, wished, priorities, on["reserve"])
    planned = plan(snapshot, granted, **on)
    others = len([group for group in snapshot.groups - snapshot.stale if group.uuid not in wished])
    if on["prune"] and others + 1 + on["reserve"] <= snapshot.num_rmids:
        assert not [failure for failure in planned.failures.values() if isinstance(failure, errors.RmidsExhausted)]
        after = simulate(snapshot, planned.operations)
        assert set(ration(after, wished, priorities, on["reserve"])[1]) == set(denied)
