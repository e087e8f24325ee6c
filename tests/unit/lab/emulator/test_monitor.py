# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mon_data: sums, words, and counters that move with the CPU time of the threads."""

from __future__ import annotations

import pytest

from emulator.counters import BANDWIDTH, HALF_LIFE
from emulator.limbo import Clock

EVENTS = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")


@pytest.fixture
def pair(kernel):
    """MON groups a and b below the root, with 100 and 20 bytes in each event; the root's own is 3."""
    for path, value in (("", 3), ("mon_groups/a", 100), ("mon_groups/b", 20)):
        if path:
            kernel.mkdir(path)
        for event in EVENTS:
            kernel.pin(path, event, value)
    return kernel


# -- values


@pytest.mark.parametrize("event", EVENTS)
def test_a_control_group_is_its_own_rmid_and_the_sum_of_its_mon_groups(pair, event):
    assert [pair.value(path, event) for path in ("mon_groups/a", "mon_groups/b", "")] == ["100", "20", "123"]


@pytest.mark.parametrize("event", EVENTS)
def test_other_control_groups_are_not_in_the_sum(pair, event):
    pair.mkdir("c")
    pair.mkdir("c/mon_groups/m")
    pair.pin("c", event, 1000)
    pair.pin("c/mon_groups/m", event, 1000)
    assert pair.value("", event) == "123"
    assert pair.value("c", event) == "2000"


@pytest.mark.parametrize("word", ["Unavailable", "Error"])
@pytest.mark.parametrize("event", EVENTS)
def test_a_word_is_a_successful_read_and_any_number_hides_it(pair, event, word):
    pair.pin("mon_groups/a", event, word)
    assert pair.value("mon_groups/a", event) == word
    assert pair.value("", event) == "23"
    pair.pin("", event, word)
    assert pair.value("", event) == "20"
    pair.pin("mon_groups/b", event, word)
    assert pair.value("", event) == word


def test_removing_a_child_makes_the_parent_drop(pair):
    pair.rmdir("mon_groups/a")
    assert pair.value("", "mbm_total_bytes") == "23"


@pytest.mark.parametrize(
    ("event", "value", "l3_id"),
    [("nonsense", 1, 0), ("llc_occupancy", -1, 0), ("llc_occupancy", "Nonsense", 0), ("llc_occupancy", 1, 7)],
)
def test_what_cannot_be_set(kernel, fails, event, value, l3_id):
    with fails("EINVAL"):
        kernel.pin("", event, value, l3_id)


def test_a_value_that_is_no_longer_set_goes_on_from_there(kernel):
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", task)
    kernel.pin("mon_groups/m", "mbm_total_bytes", 5 * 65536)
    kernel.machine.run(task, 1)
    assert kernel.value("mon_groups/m", "mbm_total_bytes") == str(5 * 65536)
    kernel.resctrl.monitor.unpin(kernel.resctrl.group_at("mon_groups/m"), None, None)
    before = int(kernel.value("mon_groups/m", "mbm_total_bytes"))
    kernel.machine.run(task, 1)
    assert int(kernel.value("mon_groups/m", "mbm_total_bytes")) > before >= 5 * 65536


def test_the_threshold_is_the_share_of_one_rmid_rounded_down_to_the_scale(boot):
    kernel = boot(l3_size=35 << 20, num_rmids=56)
    assert kernel.read("info/L3_MON/max_threshold_occupancy") == "655360\n"


@pytest.mark.parametrize(
    ("text", "name", "left"),
    [
        ("100000\n", None, 65536),
        ("0x20000", None, 131072),
        ("1\n", None, 0),
        ("99999999999\n", "ERANGE", None),
        ("-1\n", "EINVAL", None),
        ("x\n", "EINVAL", None),
        (str((32 << 20) + 1), "EINVAL", None),
        (str(32 << 20), None, 32 << 20),
    ],
)
def test_writing_the_threshold(kernel, fails, text, name, left):
    path = "info/L3_MON/max_threshold_occupancy"
    before = kernel.read(path)
    if name is None:
        kernel.write(path, text)
        assert kernel.read(path) == f"{left}\n"
    else:
        with fails(name):
            kernel.write(path, text)
        assert kernel.read(path) == before


# -- counters


@pytest.fixture
def busy(kernel):
    """A thread in the MON group m."""
    kernel.mkdir("mon_groups/m")
    kernel.busy_tid = kernel.machine.spawn()
    kernel.write("mon_groups/m/tasks", kernel.busy_tid)
    return kernel


def test_a_new_group_counts_from_0(busy):
    assert [busy.value("mon_groups/m", event) for event in EVENTS] == ["0", "0", "0"]


def test_nothing_grows_without_cpu_time(busy):
    busy.machine.run(busy.busy_tid, 0.1)
    before = [busy.value("mon_groups/m", event) for event in EVENTS]
    busy.clock.advance(10)
    assert [busy.value("mon_groups/m", event) for event in EVENTS] == before


def test_bandwidth_is_proportional_to_cpu_time_and_three_quarters_are_local(busy):
    busy.machine.run(busy.busy_tid, 2)
    total, local = (int(busy.value("mon_groups/m", f"mbm_{kind}_bytes")) for kind in ("total", "local"))
    assert total == 2 * BANDWIDTH // 65536 * 65536
    assert 0 <= 0.75 * 2 * BANDWIDTH - local < 65536


def test_values_are_multiples_of_the_scale(busy):
    busy.machine.run(busy.busy_tid, 0.123456)
    for event in EVENTS:
        value = int(busy.value("mon_groups/m", event))
        assert value > 0
        assert value % 65536 == 0


def test_occupancy_ends_at_the_share_of_the_groups_mask(kernel):
    task = kernel.machine.spawn()
    kernel.mkdir("c")
    kernel.write("c/schemata", "L3:0=f\n")
    kernel.write("c/tasks", task)
    kernel.machine.run(task, 60)
    assert kernel.value("c", "llc_occupancy") == str((32 << 20) * 4 // 16)


def test_together_they_never_occupy_more_than_the_cache(kernel):
    for number in range(5):
        kernel.mkdir(f"c{number}")
        task = kernel.machine.spawn()
        kernel.write(f"c{number}/tasks", task)
        kernel.machine.run(task, 1)
    for _time in range(2):  # the first reads charge what the threads have run, and evict
        values = [int(kernel.value(f"c{number}", "llc_occupancy")) for number in range(5)]
    assert all(values)
    assert sum(values) <= 32 << 20


def test_after_a_move_the_old_group_keeps_its_count_and_the_new_one_goes_on(busy):
    busy.machine.run(busy.busy_tid, 1)
    busy.mkdir("mon_groups/n")
    busy.write("mon_groups/n/tasks", busy.busy_tid)
    busy.machine.run(busy.busy_tid, 2)
    counts = [round(int(busy.value(f"mon_groups/{name}", "mbm_total_bytes")) / BANDWIDTH, 2) for name in "mn"]
    assert counts == [1, 2]


def test_after_a_move_the_old_occupancy_fades(busy):
    busy.machine.run(busy.busy_tid, 0.25)
    before = int(busy.value("mon_groups/m", "llc_occupancy"))
    busy.write("tasks", busy.busy_tid)
    assert int(busy.value("mon_groups/m", "llc_occupancy")) == before
    busy.clock.advance(HALF_LIFE)
    assert int(busy.value("mon_groups/m", "llc_occupancy")) == before // 2 // 65536 * 65536


def test_inherited_threads_count_for_the_group(busy):
    child = busy.machine.spawn(parent=busy.busy_tid)
    busy.machine.run(child, 1)
    assert int(busy.value("mon_groups/m", "mbm_total_bytes")) == BANDWIDTH // 65536 * 65536


def test_the_root_counts_what_the_machine_runs_elsewhere(busy):
    busy.machine.run(busy.caller.tid, 1)
    assert int(busy.value("", "mbm_total_bytes")) == BANDWIDTH // 65536 * 65536
    busy.machine.run(busy.busy_tid, 3)
    child = int(busy.value("mon_groups/m", "mbm_total_bytes"))
    assert int(busy.value("", "mbm_total_bytes")) == child + BANDWIDTH // 65536 * 65536


def test_a_group_made_anew_does_not_show_the_former_owners_bandwidth(busy):
    busy.machine.run(busy.busy_tid, 1)
    busy.rmdir("mon_groups/m")
    busy.clock.advance(60)
    for number in range(31):
        busy.mkdir(f"mon_groups/n{number}")
        assert busy.value(f"mon_groups/n{number}", "mbm_total_bytes") == "0"


def test_frozen_counters_stand_still_and_the_time_is_not_made_up_for(busy):
    groups = list(busy.resctrl.groups())
    busy.machine.run(busy.busy_tid, 1)
    busy.resctrl.monitor.freeze(groups, busy.resctrl.table)
    before = [busy.value("mon_groups/m", event) for event in EVENTS]
    busy.machine.run(busy.busy_tid, 5)
    busy.clock.advance(5)
    assert [busy.value("mon_groups/m", event) for event in EVENTS] == before
    busy.resctrl.monitor.unfreeze(groups)
    assert [busy.value("mon_groups/m", event) for event in EVENTS] == before
    busy.machine.run(busy.busy_tid, 1)
    assert int(busy.value("mon_groups/m", "mbm_total_bytes")) > int(before[1])


def test_domains_differ_so_that_a_sum_cannot_be_one_of_them_times_n(boot):
    kernel = boot("wide-ids", l3_ids=(8, 9, 10, 112))
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", task)
    kernel.machine.run(task, 0.5)
    values = [int(kernel.value("mon_groups/m", "mbm_total_bytes", l3_id)) for l3_id in (8, 9, 10, 112)]
    assert len(set(values)) == 4
    assert sum(values) == pytest.approx(0.5 * BANDWIDTH, abs=4 * 65536)


# -- other hardware


def test_domain_names_have_at_least_two_digits(boot):
    kernel = boot("wide-ids", l3_ids=(8, 9, 10, 112))
    assert kernel.names("mon_data") == {"mon_L3_08", "mon_L3_09", "mon_L3_10", "mon_L3_112"}


@pytest.mark.parametrize(
    ("profile", "events"), [("no-mbm", EVENTS[:1]), ("no-cmt", EVENTS[1:]), ("monitor-only", EVENTS)]
)
def test_only_the_hardwares_events_exist(boot, profile, events):
    kernel = boot(profile)
    assert kernel.names("mon_data/mon_L3_00") == set(events)
    assert kernel.read("info/L3_MON/mon_features") == "".join(f"{event}\n" for event in events)


def test_snc_counts_per_node_and_sums_per_cache(boot, fails):
    kernel = boot("snc", l3_ids=(0, 1), num_rmids=64)
    assert kernel.read("info/L3_MON/num_rmids") == "32\n"
    assert kernel.names("mon_data/mon_L3_01") == {*EVENTS, "mon_sub_L3_02", "mon_sub_L3_03"}
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", task)
    kernel.machine.run(task, 1)
    for l3_id, nodes in ((0, (0, 1)), (1, (2, 3))):
        subs = [
            int(kernel.read(f"mon_groups/m/mon_data/mon_L3_{l3_id:02d}/mon_sub_L3_{node:02d}/mbm_total_bytes"))
            for node in nodes
        ]
        assert subs[0] > subs[1] > 0
        assert int(kernel.value("mon_groups/m", "mbm_total_bytes", l3_id)) == sum(subs)
    kernel.pin("mon_groups/m", "llc_occupancy", "Error")
    assert kernel.value("mon_groups/m", "llc_occupancy") == "Unavailable"
    assert kernel.read("mon_groups/m/mon_data/mon_L3_00/mon_sub_L3_01/llc_occupancy") == "Error\n"
    kernel.pin("mon_groups/m", "llc_occupancy", 4711)
    assert kernel.value("mon_groups/m", "llc_occupancy") == "4711"
    with fails("EINVAL"):
        kernel.pin("mon_groups/m", "llc_occupancy", 1, 2)


def test_snc_divides_the_unit_of_counters_not_that_of_the_threshold(boot):
    kernel = boot("snc", scale=65536)
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", task)
    seen = set()
    for _step in range(50):
        kernel.machine.run(task, 0.001)
        seen.add(int(kernel.value("mon_groups/m", "mbm_total_bytes")))
    assert {value % 32768 for value in seen} == {0}
    assert {value % 65536 for value in seen} == {0, 32768}
    kernel.write("info/L3_MON/max_threshold_occupancy", "65535\n")
    assert kernel.read("info/L3_MON/max_threshold_occupancy") == "0\n"


def test_amd_limits_thresholds_by_its_l2(boot, fails):
    kernel = boot("amd-bmec", num_rmids=32, scale=64)
    assert kernel.read("info/L3_MON/max_threshold_occupancy") == "16384\n"
    kernel.write("info/L3_MON/max_threshold_occupancy", "524288\n")
    with fails("EINVAL"):
        kernel.write("info/L3_MON/max_threshold_occupancy", "524289\n")


def test_amd_without_assignable_counters_knows_nothing_before_the_first_traffic(boot):
    kernel = boot("amd-bmec")
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    assert kernel.value("mon_groups/m", "mbm_total_bytes") == "Unavailable"
    assert kernel.value("mon_groups/m", "llc_occupancy") == "0"
    kernel.write("mon_groups/m/tasks", task)
    kernel.machine.run(task, 1)
    assert kernel.value("mon_groups/m", "mbm_total_bytes") == str(BANDWIDTH // 64 * 64)


def test_amd_configurable_events(boot, fails):
    kernel = boot("amd-bmec")
    assert kernel.read("info/L3_MON/mon_features") == (
        "llc_occupancy\nmbm_total_bytes\nmbm_total_bytes_config\nmbm_local_bytes\nmbm_local_bytes_config\n"
    )
    assert kernel.names("mon_data/mon_L3_00") == set(EVENTS)
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", task)
    kernel.machine.run(task, 1)
    assert kernel.value("mon_groups/m", "mbm_local_bytes").isdigit()
    kernel.write("info/L3_MON/mbm_total_bytes_config", "0=0x33\n")
    assert kernel.read("info/L3_MON/mbm_total_bytes_config") == "0=0x33\n"
    assert kernel.value("mon_groups/m", "mbm_total_bytes") == "Unavailable"
    for text in ("0=0x33", "7=0x33\n", "0=0x80\n", "0\n"):
        with fails("EINVAL"):
            kernel.write("info/L3_MON/mbm_total_bytes_config", text)


def test_a_vendors_kernel_may_count_bandwidth_elsewhere(boot):
    kernel = boot(l3_ids=(0, 1), events=EVENTS[:1], mb_mon=True)
    assert kernel.read("info/L3_MON/mon_features") == "llc_occupancy\n"
    assert kernel.read("info/MB_MON/mon_features") == "mbm_total_bytes\n"
    assert kernel.read("info/MB_MON/num_rmids") == kernel.read("info/L3_MON/num_rmids")
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", task)
    kernel.machine.run(task, 1)
    assert kernel.names("mon_groups/m/mon_data") == {"mon_L3_00", "mon_L3_01", "mon_MB_00", "mon_MB_01"}
    assert int(kernel.read("mon_groups/m/mon_data/mon_MB_01/mbm_total_bytes")) > 0


def test_the_debug_option_shows_the_hardwares_ids(boot):
    kernel = boot(era="6.12", debug=True)
    kernel.mkdir("mon_groups/m")
    kernel.mkdir("c")
    assert kernel.read("mon_hw_id") == kernel.read("ctrl_hw_id") == "0\n"
    assert kernel.read("mon_groups/m/mon_hw_id") == "1\n"
    assert (kernel.read("c/mon_hw_id"), kernel.read("c/ctrl_hw_id")) == ("2\n", "1\n")


def test_the_clock_of_a_real_emulator_runs():
    clock = Clock()
    before = clock.now()
    clock.advance(5)
    assert clock.now() >= before + 5
