# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assignable counters, and the file that every kernel from 6.18 on shows."""

from __future__ import annotations

import pytest

TOTAL, LOCAL = "mbm_total_bytes", "mbm_local_bytes"


@pytest.fixture
def abmc(boot):
    """Two caches with five counters each: enough for the root and one group, and one event of a second group."""
    return boot("amd-abmc", l3_ids=(0, 1), abmc_counters=5)


def events(kernel, path):
    return [kernel.value(path, event, l3_id) for event in (TOTAL, LOCAL) for l3_id in (0, 1)]


def test_the_root_has_two_counters_in_each_domain(abmc):
    assert abmc.read("info/L3_MON/num_mbm_cntrs") == "0=5;1=5\n"
    assert abmc.read("info/L3_MON/available_mbm_cntrs") == "0=3;1=3\n"
    assert abmc.read("mbm_L3_assignments") == f"{TOTAL}:0=e;1=e\n{LOCAL}:0=e;1=e\n"


def test_without_free_counters_mkdir_succeeds_and_the_value_is_unassigned(abmc):
    abmc.mkdir("mon_groups/a")
    abmc.mkdir("mon_groups/b")
    assert abmc.status == (
        f"Failed to allocate counter for {LOCAL} in domain 0\nFailed to allocate counter for {LOCAL} in domain 1\n"
    )
    assert events(abmc, "mon_groups/a") == ["0"] * 4
    assert events(abmc, "mon_groups/b") == ["0", "0", "Unassigned", "Unassigned"]
    assert abmc.value("mon_groups/b", "llc_occupancy") == "0"
    assert abmc.read("info/L3_MON/available_mbm_cntrs") == "0=0;1=0\n"


def test_eight_counters_are_enough_for_the_root_and_three_of_six_groups(boot):
    kernel = boot("amd-abmc", l3_ids=(0, 1), abmc_counters=8)
    for number in range(6):
        kernel.mkdir(f"mon_groups/vm{number}")
    assert kernel.read("info/L3_MON/num_mbm_cntrs") == "0=8;1=8\n"
    assert kernel.read("info/L3_MON/available_mbm_cntrs") == "0=0;1=0\n"
    values = [set(events(kernel, f"mon_groups/vm{number}")) for number in range(6)]
    assert values == [{"0"}] * 3 + [{"Unassigned"}] * 3


def test_a_removed_group_gives_its_counters_back(abmc):
    abmc.mkdir("mon_groups/a")
    abmc.rmdir("mon_groups/a")
    assert abmc.read("info/L3_MON/available_mbm_cntrs") == "0=3;1=3\n"


def test_taking_a_counter_away_and_giving_it_back(abmc):
    abmc.mkdir("mon_groups/a")
    abmc.write("mon_groups/a/mbm_L3_assignments", f"{TOTAL}:*=_\n")
    assert events(abmc, "mon_groups/a") == ["Unassigned", "Unassigned", "0", "0"]
    assert abmc.read("info/L3_MON/available_mbm_cntrs") == "0=2;1=2\n"
    abmc.write("mon_groups/a/mbm_L3_assignments", f"{TOTAL}:0=e\n{LOCAL}:1=_\n")
    assert abmc.read("mon_groups/a/mbm_L3_assignments") == f"{TOTAL}:0=e;1=_\n{LOCAL}:0=e;1=_\n"


def test_a_count_starts_anew_with_its_counter(abmc):
    task = abmc.machine.spawn()
    abmc.mkdir("mon_groups/a")
    abmc.write("mon_groups/a/tasks", task)
    abmc.machine.run(task, 1)
    assert int(abmc.value("mon_groups/a", TOTAL)) > 0
    abmc.write("mon_groups/a/mbm_L3_assignments", f"{TOTAL}:0=_\n")
    abmc.write("mon_groups/a/mbm_L3_assignments", f"{TOTAL}:0=e\n")
    assert abmc.value("mon_groups/a", TOTAL) == "0"


def test_a_control_group_is_unassigned_only_if_all_of_it_is(abmc):
    abmc.mkdir("c")
    abmc.write("c/mbm_L3_assignments", f"{TOTAL}:0=_\n")
    assert abmc.value("c", TOTAL) == "Unassigned"
    abmc.mkdir("c/mon_groups/m")
    assert abmc.value("c", TOTAL) == "0"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("nonsense:0=e\n", "ENOENT", "Invalid event nonsense\n"),
        (f"{TOTAL}:7=e\n", "EINVAL", "Invalid domain id 7\n"),
        (f"{TOTAL}:x=e\n", "EINVAL", "Missing domain id\n"),
        (f"{TOTAL}:0=x\n", "EINVAL", f"Assign operation '{TOTAL}:0=x' failed\n"),
        (
            f"{LOCAL}:0=e\n",
            "ENOSPC",
            f"Failed to allocate counter for {LOCAL} in domain 0\nAssign operation '{LOCAL}:0=e' failed\n",
        ),
        (f"{TOTAL}:0\n", "EINVAL", f"Assign operation '{TOTAL}:0=(null)' failed\n"),
        (f"{TOTAL}:0=e", "EINVAL", "mbm_L3_assignments: Invalid input\n"),
    ],
)
def test_what_is_refused(abmc, fails, text, name, message):
    abmc.mkdir("mon_groups/a")
    abmc.mkdir("mon_groups/b")
    with fails(name):
        abmc.write("mon_groups/b/mbm_L3_assignments", text)
    assert abmc.status == message


def test_switching_the_mode_frees_all_counters(abmc, fails):
    abmc.mkdir("mon_groups/a")
    assert abmc.read("info/L3_MON/mbm_assign_mode") == "[mbm_event]\ndefault\n"
    abmc.write("info/L3_MON/mbm_assign_mode", "default\n")
    assert abmc.read("info/L3_MON/mbm_assign_mode") == "[default]\nmbm_event\n"
    for name in ("available_mbm_cntrs", "mbm_assign_on_mkdir", f"event_configs/{TOTAL}/event_filter"):
        with fails("EINVAL"):
            abmc.read(f"info/L3_MON/{name}")
    with fails("EINVAL"):
        abmc.read("mon_groups/a/mbm_L3_assignments")
    assert abmc.status == "mbm_event counter assignment mode is not enabled\n"
    with fails("EINVAL"):
        abmc.write("mon_groups/a/mbm_L3_assignments", f"{TOTAL}:0=e\n")
    assert abmc.status == "mbm_event mode is not enabled\n"
    abmc.write("info/L3_MON/mbm_assign_mode", "mbm_event\n")
    assert events(abmc, "mon_groups/a") == ["Unassigned"] * 4


def test_groups_need_not_get_counters(abmc, fails):
    assert abmc.read("info/L3_MON/mbm_assign_on_mkdir") == "1\n"
    abmc.write("info/L3_MON/mbm_assign_on_mkdir", "off\n")
    abmc.mkdir("mon_groups/a")
    assert events(abmc, "mon_groups/a") == ["Unassigned"] * 4
    with fails("EINVAL"):
        abmc.write("info/L3_MON/mbm_assign_on_mkdir", "2\n")
    assert abmc.status == "mbm_assign_on_mkdir: Invalid input\n"
    assert abmc.read("info/L3_MON/mbm_assign_on_mkdir") == "0\n"


def test_features_have_no_configuration_in_mbm_event_mode(abmc):
    assert "_config" not in abmc.read("info/L3_MON/mon_features")
    abmc.write("info/L3_MON/mbm_assign_mode", "default\n")
    assert f"{TOTAL}_config\n" in abmc.read("info/L3_MON/mon_features")


def test_configurations_are_hidden_in_mbm_event_mode(abmc, fails):
    path = f"info/L3_MON/{TOTAL}_config"
    assert f"{TOTAL}_config" not in abmc.names("info/L3_MON")
    with fails("ENOENT"):
        abmc.read(path)
    abmc.write("info/L3_MON/mbm_assign_mode", "default\n")
    assert f"{TOTAL}_config" in abmc.names("info/L3_MON")
    assert abmc.read(path) == "0=0x7f;1=0x7f\n"
    held = abmc.resctrl.root.find(path)
    abmc.write("info/L3_MON/mbm_assign_mode", "mbm_event\n")
    with fails("ENODEV"):
        abmc.resctrl.read(held, abmc.caller)


def test_what_the_events_count(abmc, fails):
    path = f"info/L3_MON/event_configs/{LOCAL}/event_filter"
    assert abmc.names("info/L3_MON/event_configs") == {TOTAL, LOCAL}
    assert abmc.read(path) == "local_reads,local_non_temporal_writes,local_reads_slow_memory\n"
    task = abmc.machine.spawn()
    abmc.mkdir("mon_groups/a")
    abmc.write("mon_groups/a/tasks", task)
    abmc.machine.run(task, 1)
    assert int(abmc.value("mon_groups/a", LOCAL)) > 0
    abmc.write(path, "remote_reads, local_reads\n")
    assert abmc.read(path) == "local_reads,remote_reads\n"
    assert abmc.value("mon_groups/a", LOCAL) == "0"
    assert int(abmc.value("mon_groups/a", TOTAL)) > 0
    with fails("EINVAL"):
        abmc.write(path, "nonsense\n")
    assert abmc.status == "Invalid memory transaction type nonsense\n"


def test_renaming_keeps_the_counters(abmc):
    abmc.mkdir("mon_groups/a")
    abmc.rename("mon_groups/a", "mon_groups/b")
    assert events(abmc, "mon_groups/b") == ["0"] * 4


@pytest.mark.parametrize(("text", "name"), [("default\n", None), ("mbm_event\n", "EINVAL"), ("default", "EINVAL")])
def test_other_hardware_has_only_the_default_mode(boot, fails, text, name):
    kernel = boot("intel-7.3")
    assert kernel.read("info/L3_MON/mbm_assign_mode") == "[default]\n"
    if name is None:
        kernel.write("info/L3_MON/mbm_assign_mode", text)
    else:
        with fails(name):
            kernel.write("info/L3_MON/mbm_assign_mode", text)


@pytest.mark.parametrize("era", ["5.10", "6.1", "6.12"])
def test_before_6_18_there_is_no_mode(boot, era):
    assert "mbm_assign_mode" not in boot(era=era).names("info/L3_MON")
