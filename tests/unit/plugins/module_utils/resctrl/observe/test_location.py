# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which threads are in which groups, and how little is read to find out."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.location import locate
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT,
    PQOS_MONITOR,
    uuid,
    vm,
)

OURS, THEIRS, GONE = (group_for(uuid(number), ROOT) for number in (1, 2, 9))
ACTIVE = {uuid(1), uuid(2)}


class Watched(Kernel):
    """It notes of which groups the tasks are read, and of which threads the group is asked for."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.read = []
        self.asked = []
        self.unreadable = set()

    def tasks(self, group):
        self.read.append(group)
        if group in self.unreadable:
            raise errors.Unreadable(f"Cannot read {group.path}")
        return super().tasks(group)

    def group_of(self, _pid, tid):
        self.asked.append(tid)
        return self.where.get(tid, ROOT)


@pytest.fixture(name="kernel")
def kernel_fixture(tmp_path):
    kernel = Watched(tmp_path, [OURS, THEIRS, LIBVIRT, PQOS_MONITOR])
    kernel.where = {1001: OURS, 1002: OURS, 2001: LIBVIRT, 2002: PQOS_MONITOR}
    return kernel


@pytest.fixture(name="telling")
def telling_fixture(kernel):
    """A kernel that tells a thread's group."""
    kernel.tells_groups = True
    return kernel


BOTH = [vm(1), vm(2)]


@pytest.mark.parametrize("tells", [True, False])
def test_every_thread_in_question_is_found_in_either_way(kernel, tells):
    kernel.tells_groups = tells
    found = locate(kernel, BOTH, ACTIVE, (), turn=0)
    assert found.of == kernel.where
    assert found.members == {OURS: {1001, 1002}, THEIRS: set()}
    assert found.groups == sorted([OURS, THEIRS, LIBVIRT, PQOS_MONITOR])


@pytest.mark.parametrize("tells", [True, False])
def test_without_groups_nothing_is_read(tmp_path, tells):
    kernel = Watched(tmp_path)
    kernel.tells_groups = tells
    found = locate(kernel, BOTH, ACTIVE, (), turn=0)
    assert (found.of, kernel.read, kernel.asked) == ({}, [], [])


@pytest.fixture(name="crowd")
def crowd_fixture(telling):
    """Says how many threads the machine runs: crowd(number)."""

    def run(number):
        telling.threads_of_the_machine = lambda: number

    return run


@pytest.mark.parametrize(("threads", "asked"), [(99, False), (100, True), (20000, True)])
def test_of_asking_for_each_thread_and_listing_each_group_the_cheaper_is_done(telling, crowd, threads, asked):
    """6 threads are in question, and there are 4 groups. To read a file is taken for 200 threads that are visited."""
    crowd(threads)
    found = locate(telling, BOTH, ACTIVE, (), turn=0)
    assert bool(telling.asked) is asked
    assert len(telling.read) == (2 if asked else 4)
    assert (found.of, found.members) == (telling.where, {OURS: {1001, 1002}, THEIRS: set()})


def test_for_one_domain_of_many_the_kernel_is_asked_however_few_threads_run(telling, crowd):
    crowd(10)
    locate(telling, [vm(1)], ACTIVE, (), turn=0)
    assert sorted(telling.asked) == [1000, 1001, 1002]


def test_where_tasks_leave_threads_out_the_kernel_is_asked_for_each(telling, crowd):
    """In a PID namespace of one's own they list what is in it, by its numbers there."""
    crowd(10)
    telling.sees_every_thread = False
    locate(telling, BOTH, ACTIVE, (), turn=0)
    assert len(telling.asked) == 6


def test_the_kernel_is_asked_for_the_vcpus_and_the_main_thread(telling):
    locate(telling, [vm(1)], ACTIVE, (), turn=0)
    assert sorted(telling.asked) == [1000, 1001, 1002]


def test_for_the_scope_of_a_whole_process_it_is_asked_for_every_thread(telling):
    locate(telling, [vm(1)], ACTIVE, {uuid(1)}, turn=0)
    assert sorted(telling.asked) == [1000, 1001, 1002, 1003]


def test_tasks_are_read_of_candidates_for_removal_and_of_one_group_in_turn(telling):
    """THEIRS: nothing of its domain was found in it. GONE: its domain does not run."""
    telling.there.add(GONE)
    locate(telling, BOTH, ACTIVE, (), turn=0)
    assert telling.read == [OURS, THEIRS, GONE]
    telling.read.clear()
    locate(telling, BOTH, ACTIVE, (), turn=1)
    assert telling.read == [THEIRS, GONE]


def test_each_group_of_ours_has_its_turn(telling):
    """So a stranger in a group that is complete is found, if not at once."""
    telling.where[7] = OURS
    members = [locate(telling, [vm(1)], ACTIVE, (), turn).members[OURS] for turn in range(2)]
    assert sorted(members, key=len) == [{1001, 1002}, {7, 1001, 1002}]


def test_where_the_whole_process_was_put_in_it_is_looked_who_else_is_there(telling):
    telling.where.update({1000: OURS, 1003: OURS})
    assert locate(telling, [vm(1)], ACTIVE, (), turn=1).members[OURS] == {1000, 1001, 1002, 1003}


def test_a_group_of_a_domain_not_in_question_is_not_looked_into_unless_it_is_its_turn(telling):
    telling.where[2001] = THEIRS
    found = locate(telling, [vm(1)], ACTIVE, (), turn=0)
    assert (found.looked_into, found.unread) == (OURS, {uuid(2)})
    found = locate(telling, [vm(1)], ACTIVE, (), turn=1)
    assert (found.looked_into, found.unread) == (THEIRS, set())
    assert found.members[THEIRS] == {2001}


@pytest.mark.parametrize("tells", [True, False])
def test_a_group_of_ours_that_cannot_be_read_is_left_as_it_is(kernel, tells):
    kernel.tells_groups = tells
    kernel.unreadable = {THEIRS}
    found = locate(kernel, BOTH, ACTIVE, (), turn=0)
    assert found.unreadable == {THEIRS}
    assert found.warnings == [f"A group was left as it is: Cannot read {THEIRS.path}"]
    assert found.of[1001] == OURS


def test_a_foreign_group_that_cannot_be_read_is_skipped(kernel):
    kernel.unreadable = {LIBVIRT}
    found = locate(kernel, BOTH, ACTIVE, (), turn=0)
    assert found.warnings == [f"A group of another program was skipped: Cannot read {LIBVIRT.path}"]
    assert found.of == {1001: OURS, 1002: OURS, 2002: PQOS_MONITOR}


def test_a_monitors_threads_are_not_taken_for_its_control_groups(kernel):
    """The tasks of a CTRL_MON group list those of its MON groups too."""
    nested = Group(LIBVIRT.ctrl, "m")
    kernel.there.add(nested)
    kernel.where[2002] = nested
    found = locate(kernel, BOTH, ACTIVE, (), turn=0)
    assert (found.of[2001], found.of[2002]) == (LIBVIRT, nested)


def test_foreign_groups_are_not_read_where_every_thread_is_found(kernel):
    kernel.where.update({1000: OURS})
    locate(kernel, [vm(1, others=0)], ACTIVE, (), turn=0)
    assert sorted(kernel.read) == [OURS, THEIRS]
