# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single steps of a plan: a thread is checked at the last moment, and what was done is said in words."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.steps import perform, said_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import (
    ASSIGN,
    CREATE,
    REMOVE,
    Operation,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import (
    ROOT,
    group_for,
    leaving_group,
)
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel, host_of
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import host, uuid, vm

OURS = group_for(uuid(1), ROOT)
DOOR = leaving_group(OURS)
SNAPSHOT = host(vm(1), vm(2), members={OURS: {1001, 7}, DOOR: set()})


@pytest.fixture(name="kernel")
def kernel_fixture(tmp_path):
    kernel = Kernel.of(SNAPSHOT, tmp_path)
    kernel.held = True
    return kernel


def test_a_thread_of_the_domain_is_moved(kernel):
    perform(host_of(SNAPSHOT, kernel), Operation(ASSIGN, OURS, 1002, 1000))
    assert kernel.content()[OURS] == {1001, 1002, 7}


def test_a_stranger_is_moved_as_long_as_it_is_in_the_group_of_ours(kernel):
    perform(host_of(SNAPSHOT, kernel), Operation(ASSIGN, DOOR, 7))
    assert kernel.content() == {OURS: {1001}, DOOR: {7}}


@pytest.mark.parametrize(
    "step",
    [
        # ended
        Operation(ASSIGN, OURS, 1999, 1000),
        # the number is another domain's by now
        Operation(ASSIGN, OURS, 2001, 2000),
        Operation(ASSIGN, OURS, 2001, 1000),
        # a stranger that left by itself
        Operation(ASSIGN, DOOR, 8),
    ],
)
def test_a_number_that_means_another_thread_by_now_is_not_moved(kernel, step):
    with pytest.raises(errors.Moved, match=f"Thread {step.tid} has ended"):
        perform(host_of(SNAPSHOT, kernel), step)
    assert kernel.steps == []


def assign(group, *tids):
    return [Operation(ASSIGN, group, tid, 1000) for tid in tids]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([Operation(CREATE, OURS), *assign(OURS, 1002, 1001)], "Now counted: vCPU 0, 1"),
        (assign(OURS, 1002), "Repaired, now counted too: vCPU 1"),
        ([Operation(CREATE, OURS), *assign(OURS, 1000, 1001, 1003)], "Now counted: vCPU 0 and 2 other threads"),
        (assign(OURS, 1003), "Repaired, now counted too: 1 other thread"),
        (
            [Operation(CREATE, DOOR), *assign(DOOR, 1000, 7), Operation(REMOVE, DOOR)],
            "No longer counted: 2 other threads",
        ),
        (
            [*assign(OURS, 1002), Operation(CREATE, DOOR), *assign(DOOR, 7), Operation(REMOVE, DOOR)],
            "Repaired, now counted too: vCPU 1; No longer counted: 1 other thread",
        ),
        ([Operation(REMOVE, OURS)], f"Removed mon_groups/kvmops-{uuid(1)}"),
        ([Operation(CREATE, OURS)], "Made its group"),
    ],
)
def test_what_was_done_is_said_of_vcpus(steps, said):
    assert said_of(steps, SNAPSHOT) == {uuid(1): said}


def test_nothing_is_said_of_a_domain_for_which_nothing_was_done():
    assert said_of([], SNAPSHOT) == {}
