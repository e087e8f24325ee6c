# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assignable bandwidth counters, in their mode mbm_event."""

from __future__ import annotations

import re
from errno import EINVAL, ENOENT, ENOSPC

import pytest
from targets.checks import fails

rule = pytest.mark.rule
pytestmark = rule(since="6.18", needs="abmc")

TOTAL = "mbm_total_bytes"
MODE = "info/L3_MON/mbm_assign_mode"


def free_counters(fs):
    """available_mbm_cntrs by domain."""
    pairs = fs.read("info/L3_MON/available_mbm_cntrs").strip().split(";")
    return {int(pair.split("=")[0]): int(pair.split("=")[1]) for pair in pairs}


def use_all_counters(fs):
    """Make groups until no counter is left; their paths."""
    groups = []
    while any(free_counters(fs).values()):
        groups.append(fs.make(f"mon_groups/m{len(groups)}"))
    return groups


def test_123_out_of_counters(fs):
    """out of counters mkdir still succeeds, and bandwidth reads Unassigned"""
    use_all_counters(fs)
    group = fs.make("mon_groups/more")
    assert {fs.counter(group, l3_id, TOTAL) for l3_id in fs.domains()} == {"Unassigned"}


def test_124_unassigning(fs):
    """a counter that is taken away reads Unassigned and is available again"""
    group = fs.make("mon_groups/m")
    before = free_counters(fs)
    fs.write(f"{group}/mbm_L3_assignments", f"{TOTAL}:*=_\n")
    assert {fs.counter(group, l3_id, TOTAL) for l3_id in fs.domains()} == {"Unassigned"}
    assert free_counters(fs) == {l3_id: count + 1 for l3_id, count in before.items()}


def test_125_unknown_event(fs):
    """assigning an unknown event fails: ENOENT"""
    group = fs.make("mon_groups/m")
    with fails(ENOENT):
        fs.write(f"{group}/mbm_L3_assignments", "bogus:*=e\n")
    assert fs.status() == "Invalid event bogus\n"


def test_256_unknown_domain(fs):
    """assigning in an unknown domain fails: EINVAL, Invalid domain id N"""
    group = fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write(f"{group}/mbm_L3_assignments", f"{TOTAL}:77=e\n")
    assert fs.status() == "Invalid domain id 77\n"


def test_257_assigning_without_counters(fs):
    """out of counters assigning fails: ENOSPC"""
    use_all_counters(fs)
    group = fs.make("mon_groups/more")
    with fails(ENOSPC):
        fs.write(f"{group}/mbm_L3_assignments", f"{TOTAL}:*=e\n")
    assert fs.status().splitlines()[-1] == f"Assign operation '{TOTAL}:*=e' failed"


def test_258_one_number_is_enough(fs):
    """a CTRL_MON group reads Unassigned only if none of its MON groups has a counter either"""
    fs.write("mbm_L3_assignments", f"{TOTAL}:*=_\n")
    try:
        assert {fs.counter("", l3_id, TOTAL) for l3_id in fs.domains()} == {"Unassigned"}
        fs.make("mon_groups/m")
        assert all(fs.counter("", l3_id, TOTAL).isdigit() for l3_id in fs.domains())
    finally:
        fs.rmdir("mon_groups/m")
        fs.write("mbm_L3_assignments", f"{TOTAL}:*=e\n")


def test_259_occupancy_needs_no_counter(fs):
    """llc_occupancy is a number without a counter too"""
    use_all_counters(fs)
    group = fs.make("mon_groups/more")
    assert all(fs.counter(group, l3_id, "llc_occupancy").isdigit() for l3_id in fs.domains())


def test_260_assignments(fs):
    """mbm_L3_assignments says for each event and domain whether it has a counter"""
    group = fs.make("mon_groups/m")
    first, *others = fs.domains()
    fs.write(f"{group}/mbm_L3_assignments", f"{TOTAL}:{first}=_\n")
    states = ";".join([f"{first}=_", *(f"{l3_id}=e" for l3_id in others)])
    assert fs.read(f"{group}/mbm_L3_assignments").splitlines()[0] == f"{TOTAL}:{states}"


@pytest.fixture(name="default_mode")
def default_mode_fixture(fs):
    """The other mode, in which no counter is assigned; after the test the root has its counters again."""
    fs.write(MODE, "default\n")
    yield
    fs.write(MODE, "mbm_event\n")
    fs.write("mbm_L3_assignments", "".join(f"{event}:*=e\n" for event in bandwidth_events(fs)))


def bandwidth_events(fs):
    """The events that take a counter."""
    return [event for event in fs.events() if event.startswith("mbm_")]


@rule(needs="no-mpam")
def test_263_assign_mode(fs):
    """mbm_assign_mode has a line for each mode, the active one in brackets"""
    assert fs.read(MODE) == "[mbm_event]\ndefault\n"


@rule(needs="destructive no-mpam")
@pytest.mark.usefixtures("default_mode")
def test_264_default_mode(fs):
    """in the mode default what is about assigning cannot be read or written: EINVAL"""
    assert fs.read(MODE) == "[default]\nmbm_event\n"
    for path in ("mbm_L3_assignments", "info/L3_MON/available_mbm_cntrs", "info/L3_MON/mbm_assign_on_mkdir"):
        with fails(EINVAL):
            fs.read(path)
    with fails(EINVAL):
        fs.write("mbm_L3_assignments", f"{TOTAL}:*=e\n")
    assert fs.status() == "mbm_event mode is not enabled\n"


@rule(needs="destructive no-mpam")
def test_265_switching_frees_all_counters(fs):
    """switching to default and back leaves no counter assigned"""
    group = fs.make("mon_groups/m")
    fs.write(MODE, "default\n")
    fs.write(MODE, "mbm_event\n")
    try:
        assert {fs.counter(group, l3_id, TOTAL) for l3_id in fs.domains()} == {"Unassigned"}
        assert fs.read("info/L3_MON/available_mbm_cntrs") == fs.read("info/L3_MON/num_mbm_cntrs")
    finally:
        fs.write("mbm_L3_assignments", "".join(f"{event}:*=e\n" for event in bandwidth_events(fs)))


def test_266_modes_need_a_newline(fs):
    """a mode without its newline, and an unknown one, are refused: EINVAL"""
    for text in ("default", "bogus\n"):
        with fails(EINVAL):
            fs.write(MODE, text)
    assert fs.status() == "Unsupported assign mode\n"


def test_267_not_at_mkdir(fs):
    """with mbm_assign_on_mkdir 0 a new group gets no counter"""
    path = "info/L3_MON/mbm_assign_on_mkdir"
    before = fs.read(path)
    fs.write(path, "0\n")
    try:
        group = fs.make("mon_groups/m")
        assert {fs.counter(group, l3_id, TOTAL) for l3_id in fs.domains()} == {"Unassigned"}
    finally:
        fs.write(path, before)
    assert before == "1\n"


@rule(since="7.3")
def test_268_success_with_a_text(fs):
    """a mkdir that finds no counter succeeds, and last_cmd_status says in which domains"""
    use_all_counters(fs)
    fs.make("mon_groups/more")
    lines = fs.status().splitlines()
    assert lines[0] == f"Failed to allocate counter for {TOTAL} in domain {fs.domains()[0]}"
    assert len(lines) == len(bandwidth_events(fs)) * len(fs.domains())


def test_269_counts_begin_anew(fs, member):
    """a counter that is taken away and assigned again counts from 0"""
    while fs.sum("mon_groups/m", TOTAL) < 1 << 20:
        member.spin(0.002)
    before = fs.sum("mon_groups/m", TOTAL)
    for state in "_e":
        fs.write("mon_groups/m/mbm_L3_assignments", f"{TOTAL}:*={state}\n")
    # The thread may have run a little since
    assert fs.sum("mon_groups/m", TOTAL) < before


def test_270_filters(fs):
    """each bandwidth event has an event_filter, the kinds of traffic that it counts"""
    for event in bandwidth_events(fs):
        kinds = fs.read(f"info/L3_MON/event_configs/{event}/event_filter")
        assert re.fullmatch(r"[a-z_]+(,[a-z_]+)*\n", kinds)
        assert "local_reads" in kinds
