# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories and files: which there are, their modes, and what the info files say."""

from __future__ import annotations

import os
import re
import stat

import pytest

rule = pytest.mark.rule

OPTIONAL = {"mon_hw_id", "ctrl_hw_id", "mbm_L3_assignments", "mba_MBps_event"}
"""Files of groups that depend on mount options or on hardware."""
TELEMETRY = [
    *("core_energy", "activity", "stalls_llc_hit", "c1_res", "unhalted_core_cycles"),
    *("stalls_llc_miss", "c6_res", "unhalted_ref_cycles", "uops_retired"),
]
FEATURES = [
    "llc_occupancy",
    "mbm_total_bytes",
    "mbm_total_bytes_config",
    "mbm_local_bytes",
    "mbm_local_bytes_config",
]


def test_012_root_mode(fs):
    """the root directory has mode 0555"""
    assert fs.mode("") == 0o555


@rule(needs="mon")
def test_013_modes_of_the_roots_directories(fs):
    """info, mon_groups and mon_data have mode 0555"""
    assert {fs.mode(name) for name in ("info", "mon_groups", "mon_data")} == {0o555}


def test_014_modes_of_the_roots_files(fs):
    """tasks, cpus, cpus_list and schemata have mode 0644"""
    assert {fs.mode(name) for name in ("tasks", "cpus", "cpus_list", "schemata")} == {0o644}


@rule(since="4.19")
def test_015_size_and_mode(fs):
    """size has mode 0444, mode has 0644"""
    assert (fs.mode("size"), fs.mode("mode")) == (0o444, 0o644)


def test_016_files_have_no_size(fs):
    """the size of every file is 0"""
    assert {os.stat(fs.at(path)).st_size for path in fs.files()} == {0}


@rule(needs="mon")
def test_017_umask(fs):
    """umask takes away from a new group's mode, and its mon_data has the same, its files have not"""
    modes = []
    for umask in (0o022, 0o077):
        before = os.umask(umask)
        try:
            fs.make("mon_groups/m")
        finally:
            os.umask(before)
        modes.append([fs.mode(f"mon_groups/m{name}") for name in ("", "/mon_data", "/tasks")])
        fs.rmdir("mon_groups/m")
    assert modes == [[0o755, 0o755, 0o644], [0o700, 0o700, 0o644]]


@rule(needs="mon")
def test_018_files_of_a_mon_group(fs):
    """a MON group has cpus, cpus_list, tasks and mon_data"""
    fs.make("mon_groups/m")
    assert fs.names("mon_groups/m") - OPTIONAL == {"cpus", "cpus_list", "tasks", "mon_data"}


@rule(needs="alloc")
def test_019_files_of_a_control_group(fs):
    """a CTRL_MON group has in addition schemata, mode, size and mon_groups"""
    fs.make("c")
    monitoring = {"mon_data", "mon_groups"} if "mon" in fs.facts else set()
    assert fs.names("c") - OPTIONAL == {"cpus", "cpus_list", "tasks", "schemata", "mode", "size"} | monitoring


@rule(needs="alloc mon")
def test_020_no_mon_groups_in_a_mon_group(fs):
    """a MON group has no mon_groups, nor has one of a CTRL_MON group"""
    fs.make("c")
    groups = [fs.make("mon_groups/m"), fs.make("c/mon_groups/k")]
    assert [fs.exists(f"{group}/mon_groups") for group in groups] == [False, False]


@rule(needs="l3-mon")
def test_021_features(fs):
    """mon_features has one name per line, in a fixed order"""
    text = fs.read("info/L3_MON/mon_features")
    lines = text.splitlines()
    assert text == "".join(f"{line}\n" for line in lines)
    assert lines == [name for name in FEATURES if name in lines]


@rule(needs="l3-mon")
def test_022_every_domain_has_every_event(fs):
    """every mon_L3_* has exactly the events of mon_features"""
    group = fs.make("mon_groups/m")
    for directory in ("mon_data", f"{group}/mon_data"):
        for l3_id in fs.domains():
            names = fs.names(f"{directory}/mon_L3_{l3_id:02d}")
            assert {name for name in names if not name.startswith("mon_sub_")} == set(fs.events())


@rule(needs="l3-mon")
def test_023_number_of_rmids(fs):
    """num_rmids is a decimal number"""
    assert re.fullmatch(r"\d+\n", fs.read("info/L3_MON/num_rmids"))


@rule(needs="l3-mon no-snc")
def test_024_domains_are_the_caches(fs):
    """there is one mon_L3_* for each online L3 cache, with its id"""
    assert set(fs.domains()) == fs.l3()[0]


@rule(since="6.18", needs="l3-mon no-abmc")
def test_025_assign_mode(fs):
    """mbm_assign_mode is there without assignable counters too, and says [default]"""
    assert fs.read("info/L3_MON/mbm_assign_mode") == "[default]\n"


def test_133_link_counts(fs):
    """a directory's link count is two and one for each directory in it, a file's is 1"""
    for directory, directories, files in os.walk(fs.path):
        assert os.stat(directory).st_nlink == 2 + len(directories), directory
        assert {os.stat(os.path.join(directory, name)).st_nlink for name in files} <= {1}, directory


def test_134_owner_and_block_size(fs):
    """files belong to root and have blocks of 4096 bytes"""
    entries = [os.stat(fs.at(path)) for path in ("", "tasks", "info/last_cmd_status")]
    assert {(entry.st_uid, entry.st_gid, entry.st_blksize) for entry in entries} == {(0, 0, 4096)}


@rule(needs="no-mon")
def test_135_no_monitoring(fs):
    """without monitoring hardware there is no mon_groups, mon_data or L3_MON"""
    assert not fs.names() & {"mon_groups", "mon_data"}
    assert "L3_MON" not in fs.names("info")


@rule(needs="mon no-alloc")
def test_136_no_allocation(fs):
    """without allocation hardware schemata and size are there, and empty"""
    assert (fs.read("schemata"), fs.read("size"), fs.read("mode")) == ("", "", "shareable\n")
    assert fs.names("info") == {"last_cmd_status", "L3_MON"}


@rule(needs="l3")
def test_137_l3_info(fs):
    """info/L3 has num_closids, cbm_mask, min_cbm_bits, shareable_bits, bit_usage"""
    assert {"num_closids", "cbm_mask", "min_cbm_bits", "shareable_bits", "bit_usage"} <= fs.names("info/L3")
    assert re.fullmatch(r"[0-9a-f]+\n", fs.read("info/L3/cbm_mask"))


@rule(since="6.7", needs="l3")
def test_138_sparse_masks(fs):
    """info/L3/sparse_masks is 0 or 1"""
    assert fs.read("info/L3/sparse_masks") in ("0\n", "1\n")


@rule(until="6.6", needs="l3")
def test_139_no_sparse_masks(fs):
    """there is no info/L3/sparse_masks"""
    assert not fs.exists("info/L3/sparse_masks")


@rule(until="6.17", needs="mon")
def test_140_no_assign_mode(fs):
    """there is no mbm_assign_mode"""
    assert not fs.exists("info/L3_MON/mbm_assign_mode")


@rule(needs="l3-mon")
def test_141_two_digits(fs):
    """the ids of domains have two digits or more, in decimal"""
    names = {name for name in fs.names("mon_data") if name.startswith("mon_L3_")}
    assert names == {f"mon_L3_{l3_id:02d}" for l3_id in fs.l3()[0]}


@rule(since="6.11", needs="snc")
def test_142_sub_numa_nodes(fs):
    """with sub-NUMA clustering every mon_L3_* has a mon_sub_L3_* per node, with the same events"""
    for l3_id in fs.domains():
        directory = f"mon_data/mon_L3_{l3_id:02d}"
        nodes = [name for name in fs.names(directory) if name.startswith("mon_sub_L3_")]
        assert len(nodes) > 1
        assert all(fs.names(f"{directory}/{node}") == set(fs.events()) for node in nodes)


@rule(since="7.0", needs="perf")
def test_143_telemetry(fs):
    """telemetry of packages has directories of its own, with the events of its own mon_features"""
    events = set(fs.read("info/PERF_PKG_MON/mon_features").split())
    packages = [name for name in fs.names("mon_data") if re.fullmatch(r"mon_PERF_PKG_\d\d+", name)]
    assert packages
    assert all(fs.names(f"mon_data/{name}") == events for name in packages)


@rule(since="7.0", needs="perf")
def test_290_telemetry_of_info(fs):
    """info/PERF_PKG_MON has num_rmids and mon_features, which names energy before performance, in a fixed order"""
    assert fs.names("info/PERF_PKG_MON") == {"num_rmids", "mon_features"}
    assert re.fullmatch(r"\d+\n", fs.read("info/PERF_PKG_MON/num_rmids"))
    text = fs.read("info/PERF_PKG_MON/mon_features")
    lines = text.splitlines()
    assert text == "".join(f"{line}\n" for line in lines)
    assert lines == [name for name in TELEMETRY if name in lines]


@rule(since="7.0", needs="perf no-l3-mon")
def test_291_telemetry_alone(fs):
    """without monitoring of L3 caches there is telemetry all the same, and neither L3_MON nor a mon_L3_*"""
    group = fs.make("mon_groups/m")
    assert "L3_MON" not in fs.names("info")
    for directory in ("mon_data", f"{group}/mon_data"):
        assert {name.rpartition("_")[0] for name in fs.names(directory)} == {"mon_PERF_PKG"}


@rule(needs="mon")
def test_144_modes_of_counters(fs):
    """counters have mode 0444, also in a group"""
    group = fs.make("mon_groups/m")
    counters = [path for root in ("mon_data", f"{group}/mon_data") for path in fs.files(root)]
    assert {fs.mode(path) for path in counters} == {0o444}


def test_145_every_entry_is_a_file_or_a_directory(fs):
    """there are regular files and directories only"""
    kinds = {stat.S_IFMT(os.lstat(fs.at(path)).st_mode) for path in fs.files()}
    assert kinds == {stat.S_IFREG}
