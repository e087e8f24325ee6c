# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arm MPAM, from the source of Linux 7.3: an RMID is a pair of a PARTID, which is the CLOSID, and a PMG."""

from __future__ import annotations

import contextlib
from errno import EACCES, EBUSY, EINVAL, ENOSPC

import pytest
from targets.checks import errno_of, fails

rule = pytest.mark.rule
pytestmark = rule(since="7.3", needs="mpam")

LLC, TOTAL = "llc_occupancy", "mbm_total_bytes"
MODE = "info/L3_MON/mbm_assign_mode"


def fill(fs, control):
    """Make MON groups in a CTRL_MON group until the kernel refuses one; their paths."""
    made = []
    with contextlib.suppress(OSError):
        while True:
            made.append(fs.mkdir(f"{control}/mon_groups/more{len(made)}".lstrip("/")))
    return made


def pmgs(fs):
    """How many RMIDs each CLOSID has."""
    return fs.num_rmids() // fs.num_closids()


@rule(needs="alloc")
def test_301_num_rmids_are_pairs(fs):
    """num_rmids is a multiple of num_closids, which is in L3, L2 and MB, and not in L3_MON"""
    assert fs.num_rmids() % fs.num_closids() == 0
    assert not fs.exists("info/L3_MON/num_closids")


@rule(needs="alloc")
def test_302_places_of_a_control_group(fs):
    """a CTRL_MON group, also the root, has num_rmids / num_closids - 1 MON groups; one more: ENOSPC, Out of RMIDs"""
    fs.make("c")
    for control in ("", "c"):
        fs.let_time_pass(2)
        assert len(fill(fs, control)) == pmgs(fs) - 1
        with fails(ENOSPC):
            fs.mkdir(f"{control}/mon_groups/x".lstrip("/"))
        assert fs.status().splitlines()[-1] == "Out of RMIDs"


@rule(needs="no-alloc")
def test_303_places_without_allocation(fs):
    """without allocation there is only the root, and fewer groups than num_rmids - 1 can be made: ENOSPC"""
    assert 0 < len(fs.fill()) < fs.num_rmids() - 1
    with fails(ENOSPC):
        fs.mkdir("mon_groups/more")
    assert fs.status().splitlines()[-1] == "Out of RMIDs"


@rule(needs="cmt")
def test_304_limbo_of_a_control_group(fs):
    """in a CTRL_MON group that was full, mkdir right after an rmdir fails as if nothing had changed: ENOSPC"""
    fs.rmdir(fs.fill()[0])
    with fails(ENOSPC):
        fs.mkdir("mon_groups/m")
    fs.make("mon_groups/m")


@rule(needs="alloc cmt")
def test_305_limbo_of_all(fs):
    """only if no RMID of any CLOSID is free, and one waits, mkdir fails otherwise: EBUSY"""
    fs.let_time_pass(2)
    controls = ["", *(fs.make(f"c{n}") for n in range(fs.num_closids() - 1))]
    groups = [group for control in controls for group in fill(fs, control)]
    assert len(controls) + len(groups) == fs.num_rmids()
    fs.rmdir(groups[0])
    with fails(EBUSY):
        fs.mkdir("mon_groups/m")
    fs.make("mon_groups/m")


@rule(needs="alloc cmt destructive")
def test_306_cleanest_closid(fs):
    """a new CTRL_MON group gets the CLOSID of which fewest RMIDs wait, the first of several"""
    with fs.mounted_with("debug"):
        fs.make("c")
        first = fs.read("c/ctrl_hw_id")
        fs.rmdir("c")
        fs.make("d")
        second = fs.read("d/ctrl_hw_id")
        fs.let_time_pass(2)
        fs.make("e")
        assert (first, second, fs.read("e/ctrl_hw_id")) == ("1\n", "2\n", "1\n")


@rule(needs="alloc destructive")
def test_307_hardware_ids(fs):
    """mon_hw_id is the PMG: groups of one CTRL_MON group have different ones, those of two may have the same"""
    with fs.mounted_with("debug"):
        groups = ["", fs.make("mon_groups/m"), fs.make("c"), fs.make("c/mon_groups/m")]
        assert [fs.read(f"{group}/mon_hw_id".lstrip("/")) for group in groups] == ["0\n", "1\n"] * 2


def test_308_events(fs):
    """the events are llc_occupancy and mbm_total_bytes, or one of them"""
    assert set(fs.events()) <= {LLC, TOTAL}


@rule(needs="abmc")
def test_309_assign_mode_is_fixed(fs):
    """mbm_assign_mode is mbm_event and nothing else: EINVAL, Counter assignment mode is not configurable"""
    assert fs.read(MODE) == "[mbm_event]\n"
    fs.write(MODE, "mbm_event\n")
    with fails(EINVAL):
        fs.write(MODE, "default\n")
    assert fs.status() == "Counter assignment mode is not configurable\n"


@rule(needs="no-mbm")
def test_310_assign_mode_without_bandwidth(fs):
    """without mbm_total_bytes mbm_assign_mode reads default, and takes neither default nor mbm_event: EINVAL"""
    assert fs.read(MODE) == "[default]\n"
    for mode in ("default", "mbm_event"):
        with fails(EINVAL):
            fs.write(MODE, f"{mode}\n")


@rule(needs="abmc")
def test_311_filters_are_fixed(fs):
    """event_filter cannot be written: EACCES"""
    path = f"info/L3_MON/event_configs/{TOTAL}/event_filter"
    assert fs.mode(path) == 0o444
    with fails(EACCES):
        fs.write(path, "local_reads\n")


@rule(needs="abmc")
def test_312_one_counter_for_a_group(fs):
    """each group, also the root, has one counter in each domain"""
    assert fs.read("mbm_L3_assignments") == f"{TOTAL}:{';'.join(f'{l3_id}=e' for l3_id in fs.domains())}\n"
    path = "info/L3_MON/available_mbm_cntrs"
    before = [int(pair.split("=")[1]) for pair in fs.read(path).split(";")]
    fs.make("mon_groups/m")
    assert [int(pair.split("=")[1]) for pair in fs.read(path).split(";")] == [count - 1 for count in before]


@rule(needs="abmc steerable no-kernel")
def test_313_the_first_read_resets(steered, member):
    """what a group moves before its counter is read first, which the kernel itself does every second, is not counted"""
    member.spin(0.01)
    steered.freeze(True)
    assert steered.sum("mon_groups/m", TOTAL) == 0
    steered.freeze(False)
    member.spin(0.01)
    steered.freeze(True)
    assert steered.sum("mon_groups/m", TOTAL) > 0


@rule(needs="abmc alloc destructive no-kernel")
def test_314_renaming_keeps_the_pmg(fs):
    """a MON group renamed to another CTRL_MON group takes no RMID there, gives none back, and loses its counter"""
    with fs.mounted_with("debug"):
        fs.make("c")
        fs.make("mon_groups/m")
        fs.rename("mon_groups/m", "c/mon_groups/m")
        assert {fs.counter("c/mon_groups/m", l3_id, TOTAL) for l3_id in fs.domains()} == {"Unassigned"}
        assert (len(fill(fs, "")), len(fill(fs, "c"))) == (pmgs(fs) - 2, pmgs(fs) - 1)
        assert errno_of(lambda: fs.mkdir("mon_groups/x")) == ENOSPC
