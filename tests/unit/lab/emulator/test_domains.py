# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches and sub-NUMA nodes whose CPUs go offline and come back, and counts that start anew."""

from __future__ import annotations

import pytest

LLC, TOTAL, LOCAL = "llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"


@pytest.fixture
def busy(boot):
    """``busy(profile, **fields)``: two caches, and a thread in the MON group m that has run for a second."""

    def start(profile="intel-6.12", **fields):
        kernel = boot(profile, **{"l3_ids": (0, 1), **fields})
        kernel.mkdir("mon_groups/m")
        kernel.tid = kernel.machine.spawn()
        kernel.write("mon_groups/m/tasks", kernel.tid)
        kernel.machine.run(kernel.tid, 1)
        assert all(count(kernel, l3_id) > 0 for l3_id in (0, 1))
        return kernel

    return start


def count(kernel, l3_id):
    """Total bandwidth of m in a cache."""
    return int(kernel.value("mon_groups/m", TOTAL, l3_id))


def sub(node, event=TOTAL, l3_id=0):
    """The path of a node's counter in m."""
    return f"mon_groups/m/mon_data/mon_L3_{l3_id:02d}/mon_sub_L3_{node:02d}/{event}"


# -- a cache


def test_a_cache_that_is_offline_is_in_no_group(busy):
    kernel = busy()
    kernel.resctrl.switch(1, None, online=False)
    kernel.mkdir("mon_groups/later")
    for group in ("", "mon_groups/m/", "mon_groups/later/"):
        assert kernel.names(f"{group}mon_data") == {"mon_L3_00"}


def test_who_holds_its_files_open_is_told(busy, fails):
    kernel = busy()
    held = kernel.resctrl.root.find(f"mon_groups/m/mon_data/mon_L3_01/{TOTAL}")
    kernel.resctrl.switch(1, None, online=False)
    with fails("ENODEV"):
        kernel.resctrl.read(held, kernel.caller)


def test_a_cache_that_comes_back_counts_from_0_while_the_others_go_on(busy):
    kernel = busy()
    other = count(kernel, 0)
    kernel.resctrl.switch(1, None, online=False)
    kernel.machine.run(kernel.tid, 1)
    kernel.resctrl.switch(1, None, online=True)
    assert count(kernel, 0) > other
    assert count(kernel, 1) == 0
    kernel.machine.run(kernel.tid, 1)
    assert count(kernel, 1) > 0


def test_what_was_set_in_a_cache_goes_with_it(busy):
    kernel = busy()
    kernel.pin("mon_groups/m", TOTAL, 4711, 1)
    kernel.resctrl.switch(1, None, online=False)
    kernel.resctrl.switch(1, None, online=True)
    assert count(kernel, 1) == 0


def test_schemata_have_online_caches_only_and_a_new_one_may_be_used_as_a_whole(busy):
    kernel = busy("intel-7.3")
    assert kernel.read("schemata").splitlines()[1].strip() == "L3:0=ff;1=ff"
    kernel.resctrl.switch(0, None, online=False)
    assert kernel.read("schemata").splitlines()[1].strip() == "L3:1=ff"
    kernel.resctrl.switch(0, None, online=True)
    assert kernel.read("schemata").splitlines()[1].strip() == "L3:0=ffff;1=ff"


def test_a_freed_rmid_does_not_wait_for_an_offline_cache(busy):
    kernel = busy()
    kernel.rmdir("mon_groups/m")
    assert kernel.resctrl.monitor.pool.limbo == {1: {0, 1}}
    kernel.resctrl.switch(1, None, online=False)
    assert kernel.resctrl.monitor.pool.limbo == {1: {0}}


def test_counters_of_a_cache_that_comes_back_are_assigned_to_nobody(busy):
    kernel = busy("amd-abmc")
    kernel.resctrl.switch(1, None, online=False)
    assert kernel.read("info/L3_MON/num_mbm_cntrs") == "0=8\n"
    assert kernel.read("info/L3_MON/available_mbm_cntrs") == "0=4\n"
    kernel.resctrl.switch(1, None, online=True)
    assert kernel.read("info/L3_MON/available_mbm_cntrs") == "0=4;1=8\n"
    assert kernel.value("mon_groups/m", TOTAL, 1) == "Unassigned"


def test_amd_knows_nothing_of_a_cache_that_came_back_before_its_first_traffic(busy):
    kernel = busy("amd-bmec")
    for online in (False, True):
        kernel.resctrl.switch(1, None, online=online)
    assert kernel.value("mon_groups/m", TOTAL, 1) == "Unavailable"


@pytest.mark.parametrize(("l3_id", "node", "name"), [(7, None, "EINVAL"), (1, 0, "EINVAL"), (0, None, "EBUSY")])
def test_what_cannot_go_offline(busy, fails, l3_id, node, name):
    kernel = busy()
    kernel.resctrl.switch(1, None, online=False)
    with fails(name):
        kernel.resctrl.switch(l3_id, node, online=False)


def test_switching_twice_changes_nothing(busy):
    kernel = busy()
    before = count(kernel, 1)
    kernel.resctrl.switch(1, None, online=True)
    assert count(kernel, 1) == before


# -- a sub-NUMA node


def test_a_node_that_goes_offline_takes_its_part_out_of_the_cache(busy):
    kernel = busy("snc", num_rmids=64)
    parts = [int(kernel.read(sub(node))) for node in (0, 1)]
    assert count(kernel, 0) == sum(parts)
    kernel.resctrl.switch(0, 1, online=False)
    assert count(kernel, 0) == parts[0]
    assert kernel.names("mon_groups/m/mon_data") == {"mon_L3_00", "mon_L3_01"}, "the caches are the same"
    assert kernel.names("mon_groups/m/mon_data/mon_L3_00") == {LLC, TOTAL, LOCAL, "mon_sub_L3_00"}


def test_a_node_that_comes_back_counts_from_0(busy):
    kernel = busy("snc", num_rmids=64)
    first = int(kernel.read(sub(0)))
    for online in (False, True):
        kernel.resctrl.switch(0, 1, online=online)
    assert (kernel.read(sub(0)), kernel.read(sub(1))) == (f"{first}\n", "0\n")
    assert count(kernel, 0) == first


def test_the_last_node_of_a_cache_takes_the_cache_along(busy):
    kernel = busy("snc", num_rmids=64)
    for node in (2, 3):
        kernel.resctrl.switch(1, node, online=False)
    assert kernel.names("mon_data") == {"mon_L3_00"}
    kernel.resctrl.switch(1, 3, online=True)
    assert kernel.names("mon_groups/m/mon_data/mon_L3_01") == {LLC, TOTAL, LOCAL, "mon_sub_L3_03"}


# -- counts that start anew


def test_an_event_configuration_resets_one_cache_for_all_groups(busy):
    kernel = busy()
    kernel.mkdir("mon_groups/n")
    kernel.pin("mon_groups/n", TOTAL, 4711, 0)
    kernel.machine.run(kernel.tid, 1)
    kernel.resctrl.reconfigured(0)
    assert [kernel.value(f"mon_groups/{name}", event) for name in "mn" for event in (TOTAL, LOCAL)] == ["0"] * 4
    assert count(kernel, 1) > 0
    assert int(kernel.value("mon_groups/m", LLC, 0)) > 0
    kernel.machine.run(kernel.tid, 1)
    assert count(kernel, 0) > 0


def test_only_caches_that_there_are_can_be_reset(busy, fails):
    with fails("EINVAL"):
        busy().resctrl.reconfigured(7)


# -- threads that run on some caches only


@pytest.mark.parametrize("event", [TOTAL, LOCAL])
def test_amd_never_knows_anything_of_a_cache_on_which_a_group_does_not_run(boot, event):
    kernel = boot("amd-bmec", l3_ids=(0, 1, 2, 3), run_on=(2,))
    kernel.mkdir("mon_groups/m")
    tid = kernel.machine.spawn()
    kernel.write("mon_groups/m/tasks", tid)
    for _time in range(3):
        kernel.machine.run(tid, 1)
        values = [kernel.value("mon_groups/m", event, l3_id) for l3_id in (0, 1, 2, 3)]
    assert values[:2] + values[3:] == ["Unavailable"] * 3
    assert int(values[2]) > 0


def test_intel_counts_nothing_there(boot):
    kernel = boot(l3_ids=(0, 1), run_on=(1,))
    kernel.mkdir("mon_groups/m")
    tid = kernel.machine.spawn()
    kernel.write("mon_groups/m/tasks", tid)
    kernel.machine.run(tid, 1)
    assert kernel.value("mon_groups/m", TOTAL, 0) == "0"
    assert int(kernel.value("mon_groups/m", TOTAL, 1)) > 0


def test_the_root_runs_everywhere(boot):
    kernel = boot("amd-bmec", l3_ids=(0, 1), run_on=(1,))
    kernel.machine.run(kernel.caller.tid, 1)
    assert all(int(kernel.value("", TOTAL, l3_id)) > 0 for l3_id in (0, 1))
