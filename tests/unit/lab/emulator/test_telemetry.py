# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telemetry of packages, which resctrl never resets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.telemetry import ENERGY, EVENTS, PERF

PACKAGES = (0, 1)
BANDWIDTH = "mbm_total_bytes"


def telemetry(kernel, group, package, event):
    """What a file of telemetry reads, without its newline."""
    return kernel.read(f"{group}/mon_data/mon_PERF_PKG_{package:02d}/{event}").rstrip("\n")


@pytest.fixture
def aet(boot):
    """Two packages, with a thread in the MON group m."""
    kernel = boot("intel-aet", l3_ids=(0, 1), packages=2)
    kernel.mkdir("mon_groups/m")
    kernel.tid = kernel.machine.spawn()
    kernel.write("mon_groups/m/tasks", kernel.tid)
    return kernel


# -- files


def test_each_package_has_a_directory_of_its_own(aet):
    assert aet.names("mon_groups/m/mon_data") == {
        *(f"mon_L3_{l3_id:02d}" for l3_id in (0, 1)),
        *(f"mon_PERF_PKG_{package:02d}" for package in PACKAGES),
    }
    for package in PACKAGES:
        assert aet.names(f"mon_groups/m/mon_data/mon_PERF_PKG_{package:02d}") == set(EVENTS)


def test_packages_are_counted_apart_from_caches(boot):
    kernel = boot("intel-aet", l3_ids=(0, 1, 2, 3), packages=1)
    assert {name for name in kernel.names("mon_data") if "PERF" in name} == {"mon_PERF_PKG_00"}


def test_features_are_the_energy_events_and_then_the_performance_events(aet):
    lines = aet.read("info/PERF_PKG_MON/mon_features").splitlines()
    assert lines == [*ENERGY, *PERF]
    assert lines == [
        "core_energy",
        "activity",
        "stalls_llc_hit",
        "c1_res",
        "unhalted_core_cycles",
        "stalls_llc_miss",
        "c6_res",
        "unhalted_ref_cycles",
        "uops_retired",
    ]


def test_a_machine_may_have_the_energy_events_only(boot):
    kernel = boot("intel-aet", l3_ids=(0, 1), packages=2, telemetry=tuple(ENERGY))
    assert kernel.names("mon_data/mon_PERF_PKG_00") == set(ENERGY)


def test_a_machine_may_have_telemetry_and_no_counters_of_caches(boot):
    kernel = boot("intel-aet", l3_ids=(0, 1), packages=2, events=())
    assert kernel.names("mon_data") == {"mon_PERF_PKG_00", "mon_PERF_PKG_01"}
    assert "L3_MON" not in kernel.names("info")
    kernel.mkdir("mon_groups/m")
    assert telemetry(kernel, "mon_groups/m", 0, "activity") == "Unavailable"


# -- RMIDs


@pytest.mark.parametrize(("l3", "packages"), [(6, 4), (4, 6)])
def test_there_are_as_many_groups_as_the_resource_with_fewer_rmids_allows(boot, fails, l3, packages):
    kernel = boot("intel-aet", l3_ids=(0, 1), packages=2, num_rmids=l3, telemetry_rmids=packages)
    assert kernel.read("info/L3_MON/num_rmids") == f"{l3}\n"
    assert kernel.read("info/PERF_PKG_MON/num_rmids") == f"{packages}\n"
    assert kernel.fill("mon_groups/m") == min(l3, packages) - 1
    with fails("ENOSPC"):
        kernel.mkdir("mon_groups/more")


def test_hardware_has_576_rmids_for_telemetry(aet):
    assert aet.read("info/PERF_PKG_MON/num_rmids") == "576\n"


# -- values


@pytest.mark.parametrize("event", EVENTS)
def test_a_group_that_never_ran_has_no_valid_data(aet, event):
    assert telemetry(aet, "mon_groups/m", 0, event) == "Unavailable"
    aet.machine.run(aet.tid, 1)
    assert telemetry(aet, "mon_groups/m", 0, event) != "Unavailable"


def test_energy_is_a_fraction_and_performance_is_an_integer(aet):
    aet.machine.run(aet.tid, 1)
    assert all(re.fullmatch(r"\d+\.\d{6}", telemetry(aet, "mon_groups/m", 0, event)) for event in ENERGY)
    assert all(telemetry(aet, "mon_groups/m", 0, event).isdigit() for event in PERF)


def test_packages_differ_and_make_the_whole_together(aet):
    aet.machine.run(aet.tid, 3)
    values = [float(telemetry(aet, "mon_groups/m", package, "core_energy")) for package in PACKAGES]
    assert values == [30.0, 15.0]


@pytest.mark.parametrize(
    ("raw", "text"),
    [(0, "0.000000"), (1, "0.000004"), (1 << 17, "0.500000"), ((1 << 18) - 1, "0.999996"), (3 << 18, "3.000000")],
)
def test_18_binary_places_are_printed_with_6_decimals(raw, text):
    assert ENERGY["core_energy"].show(raw) == text


@given(st.integers(0, 1 << 62))
def test_the_printed_number_is_the_nearest_one(raw):
    printed = int(ENERGY["core_energy"].show(raw).replace(".", ""))
    assert abs((printed << 18) - raw * 10**6) <= 1 << 17


def test_a_group_made_anew_goes_on_where_the_former_owner_of_its_rmid_was(aet):
    aet.machine.run(aet.tid, 1)
    before = telemetry(aet, "mon_groups/m", 0, "core_energy")
    aet.rmdir("mon_groups/m")
    aet.clock.advance(60)
    aet.fill("mon_groups/n")
    heirs = [f"mon_groups/{name}" for name in aet.names("mon_groups")]
    values = {group: telemetry(aet, group, 0, "core_energy") for group in heirs}
    [heir] = [group for group, value in values.items() if value != "Unavailable"]
    assert values[heir] == before
    assert aet.value(heir, BANDWIDTH) == "0", "bandwidth is reset"


def test_a_control_group_is_the_sum_over_all_that_have_valid_data(aet):
    aet.mkdir("mon_groups/n")
    aet.pin("mon_groups/m", "core_energy", 2.5)
    assert telemetry(aet, "mon_groups/n", 0, "core_energy") == "Unavailable"
    assert telemetry(aet, "", 0, "core_energy") == "2.500000"
    aet.pin("", "core_energy", 1.25)
    assert telemetry(aet, "", 0, "core_energy") == "3.750000"


# -- values set by a test


def test_a_value_is_set_for_one_package(aet):
    aet.pin("mon_groups/m", "core_energy", 12.25, 1)
    aet.pin("mon_groups/m", "uops_retired", 10**12, 1)
    assert telemetry(aet, "mon_groups/m", 1, "core_energy") == "12.250000"
    assert telemetry(aet, "mon_groups/m", 1, "uops_retired") == "1000000000000"
    assert telemetry(aet, "mon_groups/m", 0, "core_energy") == "Unavailable"


@pytest.mark.parametrize("word", ["Unavailable", "Error"])
def test_a_word_is_set_for_one_package(aet, word):
    aet.machine.run(aet.tid, 1)
    aet.pin("mon_groups/m", "activity", word, 1)
    assert telemetry(aet, "mon_groups/m", 1, "activity") == word
    assert telemetry(aet, "mon_groups/m", 0, "activity") != word


def test_a_set_value_is_what_the_next_owner_of_the_rmid_finds(aet):
    aet.pin("mon_groups/m", "core_energy", 100)
    aet.resctrl.monitor.unpin(aet.resctrl.group_at("mon_groups/m"), 0, "core_energy")
    assert telemetry(aet, "mon_groups/m", 0, "core_energy") == "100.000000"
    aet.machine.run(aet.tid, 3)
    assert telemetry(aet, "mon_groups/m", 0, "core_energy") == "130.000000"


@pytest.mark.parametrize(("package", "event"), [(2, "core_energy"), (0, "nonsense")])
def test_what_cannot_be_set(aet, fails, package, event):
    with fails("EINVAL"):
        aet.pin("mon_groups/m", event, 1, package)


def test_other_hardware_has_no_such_events(boot, fails):
    with fails("EINVAL"):
        boot("intel-7.3").pin("", "core_energy", 1)
