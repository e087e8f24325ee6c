# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says that the hardware can do."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import Event
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.info import (
    Counters,
    assign_mode,
    bandwidth_counters,
    configurations,
    counts_elsewhere,
    events,
    features,
    max_threshold_occupancy,
    num_rmids,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.topology import cache_sizes


@pytest.fixture(name="info")
def info_fixture(tmp_path, write):
    """Writes files of info and gives the resctrl: info({"L3_MON/num_rmids": "144"})."""

    def made(files):
        write({f"info/{name}": f"{text}\n" for name, text in files.items()})
        return Resctrl(str(tmp_path))

    return made


def test_a_host_without_monitoring_has_nothing(info):
    nothing = info({})
    assert (num_rmids(nothing), features(nothing), assign_mode(nothing)) == (0, (), None)
    assert (max_threshold_occupancy(nothing), counts_elsewhere(nothing)) == (None, [])
    assert (bandwidth_counters(nothing), configurations(nothing)) == ({}, {})


def test_features_are_events_and_not_the_files_that_configure_them(info):
    text = "llc_occupancy\nmbm_total_bytes\nmbm_total_bytes_config\nmbm_local_bytes\nmbm_local_bytes_config"
    assert features(info({"L3_MON/mon_features": text})) == ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")


def test_telemetry_of_packages_has_events_of_its_own_which_need_not_be_known(info):
    telemetry = {"PERF_PKG_MON/mon_features": "core_energy\nnew_event"}
    assert events(info(telemetry)) == (
        Event("core_energy", "PERF_PKG", "joules", "counter", is_decimal=True),
        Event("new_event", "PERF_PKG", None, None),
    )
    assert features(info({**telemetry, "L3_MON/mon_features": "llc_occupancy"})) == (
        "llc_occupancy",
        "core_energy",
        "new_event",
    )


def test_a_group_needs_an_rmid_of_each_resource_so_the_smallest_number_counts(info):
    assert num_rmids(info({"L3_MON/num_rmids": "256"})) == 256
    assert num_rmids(info({"PERF_PKG_MON/num_rmids": "4"})) == 4
    assert num_rmids(info({"PERF_PKG_MON/num_rmids": "576"})) == 256


def test_other_resources_are_named(info):
    resctrl = info({"L3_MON/num_rmids": "8", "PERF_PKG_MON/num_rmids": "8", "MB_MON/num_rmids": "8", "MB/x": "1"})
    assert counts_elsewhere(resctrl) == ["info/MB_MON"]


def test_the_threshold_may_be_zero(info):
    assert max_threshold_occupancy(info({"L3_MON/max_threshold_occupancy": "0"})) == 0


@pytest.mark.parametrize(
    ("text", "mode"),
    [("[default]", "default"), ("[mbm_event]\ndefault", "mbm_event"), ("default", None)],
)
def test_the_assign_mode_is_the_one_in_brackets(info, text, mode):
    assert assign_mode(info({"L3_MON/mbm_assign_mode": text})) == mode


def test_counters_are_told_for_each_cache_only_where_groups_need_them(info):
    files = {"L3_MON/num_mbm_cntrs": "0=32;1=32", "L3_MON/available_mbm_cntrs": "0=30;1=0"}
    assert bandwidth_counters(info({**files, "L3_MON/mbm_assign_mode": "[default]"})) == {}
    assert bandwidth_counters(info({"L3_MON/mbm_assign_mode": "[mbm_event]\ndefault"})) == {
        0: Counters(32, 30),
        1: Counters(32, 0),
    }


@pytest.mark.parametrize(("free", "known"), [("", {}), ("1=7", {1: Counters(32, 7)})])
def test_a_cache_of_which_it_is_not_known_how_many_counters_are_free_is_left_out(info, free, known):
    """None would be free there otherwise."""
    files = {"L3_MON/mbm_assign_mode": "[mbm_event]", "L3_MON/num_mbm_cntrs": "0=32;1=32"}
    assert bandwidth_counters(info({**files, "L3_MON/available_mbm_cntrs": free})) == known


def test_an_event_is_configured_per_cache_or_for_all(info):
    assert configurations(info({"L3_MON/mbm_total_bytes_config": "0=0x7f;1=0x15"})) == {
        "mbm_total_bytes": {0: "0x7f", 1: "0x15"}
    }
    named = "L3_MON/event_configs/mbm_total_bytes/event_filter"
    filtered = info({named: "local_reads,remote_reads"})
    assert configurations(filtered) == {"mbm_total_bytes": {-1: "local_reads,remote_reads"}}


def test_an_event_may_be_configured_to_count_nothing_or_by_nobody(info):
    """On Arm nobody can write what an event counts."""
    named = "L3_MON/event_configs/mbm_total_bytes/event_filter"
    resctrl = info({named: ""})
    assert configurations(resctrl) == {"mbm_total_bytes": {-1: ""}}
    pathlib.Path(resctrl.root, "info", named).chmod(0o444)
    assert configurations(resctrl) == {}


@pytest.mark.parametrize("text", ["many", "8 of 16", "0x10", "-"])
def test_a_number_of_rmids_that_is_none_is_told_since_everything_rests_on_it(info, text):
    resctrl = info({"L3_MON/num_rmids": text})
    with pytest.raises(errors.Unreadable, match=r"Cannot understand .*/info/L3_MON/num_rmids: .*report it") as raised:
        num_rmids(resctrl)
    assert raised.value.path == resctrl.path(ROOT, "info/L3_MON/num_rmids")


def test_of_any_other_text_only_what_is_a_number_is_known(info):
    resctrl = info(
        {
            "L3_MON/max_threshold_occupancy": "some",
            "L3_MON/mbm_assign_mode": "[mbm_event]",
            "L3_MON/num_mbm_cntrs": "0=32;1;x=8;2=some;3=8",
            "L3_MON/available_mbm_cntrs": "0=30;3=8;nothing",
            "L3_MON/mbm_total_bytes_config": "0=0x7f;all",
        }
    )
    assert max_threshold_occupancy(resctrl) is None
    assert bandwidth_counters(resctrl) == {0: Counters(32, 30), 3: Counters(8, 8)}
    assert configurations(resctrl) == {"mbm_total_bytes": {0: "0x7f"}}


def test_sizes_are_those_of_l3_caches(tmp_path):
    for cpu, index, level, cache, size in (
        ("cpu0", "index2", 2, 0, "2048K"),
        ("cpu0", "index3", 3, 0, "33792K"),
        ("cpu1", "index3", 3, 8, "16384K"),
        ("cpu2", "index3", 3, 9, "odd"),
    ):
        directory = tmp_path / cpu / "cache" / index
        directory.mkdir(parents=True)
        for name, text in (("level", level), ("id", cache), ("size", size)):
            (directory / name).write_text(f"{text}\n")
    assert cache_sizes(str(tmp_path)) == {0: 33792 * 1024, 8: 16384 * 1024}
