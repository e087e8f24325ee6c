# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arm MPAM: RMIDs are pairs of a PARTID and a PMG, and a counter may not be ready."""

from __future__ import annotations

import pytest

LLC, TOTAL = "llc_occupancy", "mbm_total_bytes"


@pytest.fixture
def arm(boot):
    """Three PARTIDs with two PMGs each: one MON group fits in each CTRL_MON group."""
    return boot("arm-mpam", num_closids=3, pmgs=2)


def test_num_rmids_are_all_pairs(arm):
    assert arm.read("info/L3_MON/num_rmids") == "6\n"
    assert arm.read("info/L3/num_closids") == arm.read("info/MB/num_closids") == "3\n"
    assert arm.names("info/L3_MON") == {
        "num_rmids",
        "mon_features",
        "max_threshold_occupancy",
        "mbm_assign_mode",
        "num_mbm_cntrs",
        "available_mbm_cntrs",
        "mbm_assign_on_mkdir",
        "event_configs",
    }


def test_with_one_pmg_more_than_the_groups_own_one_mon_group_fits_in_each(arm, fails):
    arm.mkdir("mon_groups/m")
    with fails("ENOSPC"):
        arm.mkdir("mon_groups/n")
    assert arm.status == "Out of RMIDs\n"
    arm.mkdir("c")
    arm.mkdir("c/mon_groups/m")
    with fails("ENOSPC"):
        arm.mkdir("c/mon_groups/n")


def test_without_any_further_pmg_no_mon_group_fits(boot, fails):
    arm = boot("arm-mpam", pmgs=1)
    with fails("ENOSPC"):
        arm.mkdir("mon_groups/m")
    arm.mkdir("c")


def test_a_pmg_in_limbo_looks_as_if_it_was_held(arm, fails):
    arm.mkdir("mon_groups/m")
    arm.rmdir("mon_groups/m")
    with fails("ENOSPC"):
        arm.mkdir("mon_groups/m")
    arm.clock.advance(2)
    arm.mkdir("mon_groups/m")


def test_without_occupancy_there_is_no_limbo_and_the_first_closid_is_taken(boot):
    arm = boot("arm-mpam", events=(TOTAL,), pmgs=2)
    arm.mkdir("c")
    arm.rmdir("c")
    arm.mkdir("d")
    assert arm.resctrl.group_at("d").closid == 1


def test_the_threshold_is_the_share_of_one_pair(boot):
    arm = boot("arm-mpam", num_closids=3, pmgs=2, l3_size=1000)
    assert arm.read("info/L3_MON/max_threshold_occupancy") == "166\n"


def test_devices_may_use_every_bit_and_masks_may_have_holes(boot):
    arm = boot("arm-mpam", cbm_bits=8)
    assert arm.read("info/L3/shareable_bits") == "ff\n"
    assert arm.read("info/L3/sparse_masks") == "1\n"
    arm.write("schemata", "L3:0=a5\n")


@pytest.mark.parametrize("event", [LLC, TOTAL])
def test_what_is_not_ready_reads_0_once_for_each_time(boot, event):
    arm = boot("arm-mpam")
    arm.mkdir("mon_groups/m")
    arm.pin("mon_groups/m", event, 4711)
    arm.resctrl.monitor.not_ready(arm.resctrl.group_at("mon_groups/m"), 0, event, 2)
    assert [arm.value("mon_groups/m", event) for _read in range(3)] == ["0", "0", "4711"]


def test_a_control_group_lacks_the_part_that_is_not_ready_and_does_not_say_so(boot):
    arm = boot("arm-mpam")
    arm.mkdir("mon_groups/m")
    for group, value in (("", 30), ("mon_groups/m", 12)):
        arm.pin(group, LLC, value)
    arm.resctrl.monitor.not_ready(arm.resctrl.group_at("mon_groups/m"), 0, LLC, 1)
    assert [arm.value("", LLC), arm.value("", LLC)] == ["30", "42"]


def test_only_arm_is_not_ready(kernel, fails):
    with fails("EINVAL"):
        kernel.resctrl.monitor.not_ready(kernel.resctrl.default, 0, LLC, 1)


def test_a_group_that_is_renamed_takes_its_pmg_along_and_leaves_the_pair_behind(arm, fails):
    arm.mkdir("c")
    arm.mkdir("mon_groups/m")
    arm.rename("mon_groups/m", "c/mon_groups/n")
    assert arm.resctrl.group_at("c/mon_groups/n").rmid == 3
    arm.mkdir("c/mon_groups/o")
    assert arm.resctrl.group_at("c/mon_groups/o").rmid == 3
    arm.rmdir("c/mon_groups/n")
    arm.clock.advance(2)
    with fails("ENOSPC"):
        arm.mkdir("mon_groups/m")


def test_a_renamed_group_counts_its_threads_in_the_pair_of_its_new_control_group(arm):
    tid = arm.machine.spawn()
    arm.mkdir("c")
    arm.mkdir("mon_groups/m")
    arm.write("mon_groups/m/tasks", f"{tid}\n")
    arm.machine.run(tid, 0.01)
    before = arm.value("mon_groups/m", LLC)
    arm.rename("mon_groups/m", "c/mon_groups/m")
    assert (int(before) > 0, arm.value("c/mon_groups/m", LLC)) == (True, "0")
    assert arm.value("c/mon_groups/m", TOTAL) == "Unassigned"
    assert arm.read("c/mon_groups/m/mbm_L3_assignments").startswith(f"{TOTAL}:0=e")
