# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mon_data: what the counters read."""

from __future__ import annotations

import itertools
import os
import re
from errno import ENODEV

import pytest
from targets.checks import fails
from waiting import wait_until

rule = pytest.mark.rule
pytestmark = rule(needs="mon")

VALUE = re.compile(r"(\d+|Unavailable|Error|Unassigned)\n")
FRACTION = re.compile(r"(\d+\.\d{6}|Unavailable|Error)\n")
WORDS = ("Unavailable", "Error", "Unassigned")
LLC, TOTAL = "llc_occupancy", "mbm_total_bytes"
ENERGY = ("core_energy", "activity")


def count_some_traffic(fs, process, group):
    """Let a member of a group run until its bandwidth counts something."""

    def counts():
        process.spin(0.002)
        return fs.sum(group, TOTAL) > 0

    wait_until(counts, "a count")


def recycled_group(fs, process):
    """A new group with the RMID of a removed one in which the process has run, and what that one had counted."""
    group = fs.fill()[0]
    fs.move(process.pid, group)
    count_some_traffic(fs, process, group)
    fs.move(process.pid, "")
    counted = fs.sum(group, TOTAL)
    fs.rmdir(group)
    return fs.make("mon_groups/new"), counted


def number(text):
    """A counter's number, 0 for a word."""
    return int(text) if text.isdigit() else 0


def test_109_values(fs):
    """every value is a number, Unavailable, Error or Unassigned, and a newline; energy is a decimal fraction"""
    group = fs.make("mon_groups/m")
    for path in [*fs.files("mon_data"), *fs.files(f"{group}/mon_data")]:
        pattern = FRACTION if path.endswith(ENERGY) else VALUE
        assert pattern.fullmatch(fs.read(path)), path


@rule(needs="mbm")
def test_110_bandwidth_counts_up(fs, member):
    """bandwidth counts never decrease, and increase when a thread runs"""
    seen = [fs.sum("mon_groups/m", TOTAL)]

    def has_increased():
        member.spin(0.001)
        seen.append(fs.sum("mon_groups/m", TOTAL))
        return seen[-1] > seen[0]

    wait_until(has_increased, "a larger count")
    assert seen == sorted(seen)


@rule(since="6.1", needs="mbm")
def test_111_new_groups_count_from_zero(fs, process):
    """the bandwidth counts of a new group begin at 0, whatever the former owner of its RMID has counted"""
    group, counted = recycled_group(fs, process)
    assert counted > 0
    for event in fs.events():
        if event != LLC:
            assert {fs.counter(group, l3_id, event) for l3_id in fs.domains()} <= {"0", *WORDS}


@rule(needs="cmt mbm no-snc")
def test_112_new_groups_own_little_cache(fs, process):
    """a new group's llc_occupancy is less than max_threshold_occupancy, whatever the former owner has left"""
    group, _counted = recycled_group(fs, process)
    threshold = int(fs.read("info/L3_MON/max_threshold_occupancy"))
    assert all(number(fs.counter(group, l3_id, LLC)) < threshold for l3_id in fs.domains())


@rule(needs="mbm")
def test_113_control_groups_count_their_mon_groups(fs, member):
    """the root's bandwidth count is at least its MON group's, in every domain"""
    count_some_traffic(fs, member, "mon_groups/m")
    for l3_id in fs.domains():
        child = number(fs.counter("mon_groups/m", l3_id, TOTAL))
        assert number(fs.counter("", l3_id, TOTAL)) >= child


@rule(needs="mbm steerable")
def test_114_removed_mon_groups_count_no_more(steered, member):
    """when a MON group is removed its CTRL_MON group's bandwidth count drops by that of the MON group"""
    fs = steered
    count_some_traffic(fs, member, "mon_groups/m")
    fs.freeze(True)
    before, child = (fs.sum(group, TOTAL) for group in ("", "mon_groups/m"))
    fs.rmdir("mon_groups/m")
    assert fs.sum("", TOTAL) == before - child
    assert child > 0


@rule(needs="cmt")
def test_115_occupancy_comes_in_units(fs, member):
    """llc_occupancy is a multiple of the unit; sub-NUMA clustering divides the hardware's"""
    member.spin(0.004)
    unit = fs.unit()
    values = [fs.counter(group, l3_id, LLC) for group in ("", "mon_groups/m") for l3_id in fs.domains()]
    assert {number(value) % unit for value in values} == {0}


@rule(needs="mbm")
def test_116_reading_again(fs, member):
    """each read from offset 0 gives a new value"""
    paths = [path for path in fs.files("mon_groups/m/mon_data") if path.endswith(f"/{TOTAL}")]
    files = [os.open(fs.at(path), os.O_RDONLY) for path in paths]
    try:
        first = [os.pread(fd, 100, 0) for fd in files]

        def is_another():
            member.spin(0.002)
            return [os.pread(fd, 100, 0) for fd in files] != first

        wait_until(is_another, "another value")
    finally:
        for fd in files:
            os.close(fd)


@rule(needs="destructive two-domains mbm")
def test_117_domains_go_offline(fs, member):
    """the domain of an L3 whose CPUs are all offline is in no group; online again it is back, its counts at 0"""
    first, *_others, l3_id = fs.domains()
    directories = [f"{group}mon_data/mon_L3_{l3_id:02d}" for group in ("", "mon_groups/m/")]
    fs.run_on(member.pid, l3_id)
    count_some_traffic(fs, member, "mon_groups/m")
    assert int(fs.counter("mon_groups/m", l3_id, TOTAL)) > 0
    fs.run_on(member.pid, first)
    with open(fs.at(f"{directories[1]}/{TOTAL}"), encoding="ascii") as file, fs.switched_off(l3_id):
        assert [fs.exists(directory) for directory in directories] == [False, False]
        with fails(ENODEV):
            file.read()
    assert [fs.exists(directory) for directory in directories] == [True, True]
    assert fs.counter("mon_groups/m", l3_id, TOTAL) in ("0", *WORDS)


@rule(needs="cmt steerable no-snc")
def test_207_words(steered):
    """what the hardware does not give reads Unavailable or Error, and the read succeeds"""
    fs, group = steered, steered.make("mon_groups/m")
    for event in fs.events() if "abmc" not in fs.facts else [LLC]:
        for word in ("Unavailable", "Error"):
            fs.set_counter(group, fs.domains()[0], event, word)
            assert fs.counter(group, fs.domains()[0], event) == word


@rule(needs="cmt steerable")
def test_208_one_number_is_enough(steered):
    """a CTRL_MON group reads a number as long as it or one of its MON groups gives one"""
    fs, l3_id = steered, steered.domains()[0]
    groups = [fs.make("mon_groups/m"), fs.make("mon_groups/n"), ""]
    for group in groups[:2]:
        fs.set_counter(group, l3_id, LLC, "Error")
        assert fs.counter("", l3_id, LLC).isdigit()
    fs.set_counter("", l3_id, LLC, "Unavailable")
    assert not fs.counter("", l3_id, LLC).isdigit()
    fs.set_counter("mon_groups/m", l3_id, LLC, 0)
    assert fs.counter("", l3_id, LLC) == "0"


@rule(needs="cmt steerable")
def test_209_sums(steered):
    """a CTRL_MON group's value is its own and the sum over its MON groups"""
    fs, l3_id = steered, steered.domains()[0]
    fs.freeze(True)
    groups, unit = ["", fs.make("mon_groups/m"), fs.make("mon_groups/n")], fs.unit()
    for n, group in enumerate(groups, 1):
        fs.set_counter(group, l3_id, LLC, n * unit)
    assert [int(fs.counter(group, l3_id, LLC)) // unit for group in groups] == [1 + 2 + 3, 2, 3]


@rule(needs="kernel cmt mbm steerable intel")
def test_210_wraps(steered):
    """a hardware counter of 32 bits that wraps goes on counting up"""
    fs, l3_id, unit = steered, steered.domains()[0], steered.unit()
    group, values = fs.make("mon_groups/m"), []
    for raw in (100, 110, (1 << 32) - 5, 3):
        fs.set_counter(group, l3_id, TOTAL, raw * unit)
        values.append(int(fs.counter(group, l3_id, TOTAL)) // unit)
    assert [after - before for before, after in itertools.pairwise(values)] == [10, (1 << 32) - 5 - 110, 8]


@rule(needs="cmt mbm steerable")
def test_211_occupancy_is_inherited(steered):
    """a new group begins with the llc_occupancy that the former owner of its RMID has left"""
    fs, l3_id, unit = steered, steered.domains()[0], steered.unit()
    group = fs.fill()[0]
    fs.freeze(True)
    fs.set_counter(group, l3_id, LLC, unit)
    fs.rmdir(group)
    group = fs.make("mon_groups/new")
    assert fs.counter(group, l3_id, LLC) == str(unit)
    assert fs.counter(group, l3_id, TOTAL) in ("0", *WORDS)


@rule(needs="mbm steerable")
def test_212_moves_take_nothing_along(steered, member):
    """a thread that leaves takes nothing of what it has counted along"""
    fs = steered
    count_some_traffic(fs, member, "mon_groups/m")
    fs.freeze(True)
    before = fs.sum("mon_groups/m", TOTAL)
    fs.make("mon_groups/n")
    fs.move(member.pid, "mon_groups/n")
    assert (fs.sum("mon_groups/m", TOTAL), fs.sum("mon_groups/n", TOTAL)) == (before, 0)


@rule(since="6.11", needs="snc steerable")
def test_213_sum_over_nodes(steered, member):
    """with sub-NUMA clustering mon_L3_* reads the sum over its nodes"""
    fs = steered
    count_some_traffic(fs, member, "mon_groups/m")
    fs.freeze(True)
    for l3_id in fs.domains():
        directory = f"mon_groups/m/mon_data/mon_L3_{l3_id:02d}"
        for event in fs.events():
            nodes = [fs.read(f"{directory}/{name}/{event}") for name in fs.names(directory) if "_sub_" in name]
            assert int(fs.read(f"{directory}/{event}")) == sum(int(value) for value in nodes)


@rule(since="7.0", needs="perf")
def test_214_telemetry_of_groups(fs, member):
    """telemetry of a group is Unavailable or a number that does not decrease, a decimal fraction if it is energy"""
    paths = [path for path in fs.files("mon_groups/m/mon_data") if "mon_PERF_PKG_" in path]
    first = run_until_valid(fs, member, paths)
    member.spin(0.002)
    for path, before in first.items():
        assert ("." in before) == path.endswith(ENERGY)
        assert float(fs.read(path)) >= float(before)


@rule(since="7.0", needs="perf steerable")
def test_277_telemetry_is_inherited(steered, process):
    """telemetry of a new group begins with what the former owner of its RMID has left"""
    fs, group = steered, steered.fill()[0]
    fs.move(process.pid, group)
    paths = [path for path in fs.files(f"{group}/mon_data") if "mon_PERF_PKG_" in path]
    run_until_valid(fs, process, paths)
    fs.move(process.pid, "")
    fs.freeze(True)
    before = {path.removeprefix(group): fs.read(path) for path in paths}
    fs.rmdir(group)
    group = fs.make("mon_groups/new")
    assert {path: fs.read(f"{group}{path}") for path in before} == before


@rule(since="7.0", needs="perf steerable")
def test_278_telemetry_of_control_groups(steered):
    """a CTRL_MON group's telemetry is the sum over it and its MON groups, of those parts that are numbers"""
    fs, event = steered, "core_energy"
    groups = ["", fs.make("mon_groups/m"), fs.make("mon_groups/n")]
    for group, value in zip(groups, (1.5, "Unavailable", 2.25), strict=True):
        fs.set_counter(group, 0, event, value)
    assert fs.read(f"mon_data/mon_PERF_PKG_00/{event}") == "3.750000\n"
    for group in groups:
        fs.set_counter(group, 0, event, "Unavailable")
    assert fs.read(f"mon_data/mon_PERF_PKG_00/{event}") == "Unavailable\n"


@rule(since="7.0", needs="perf steerable")
def test_293_energy_has_six_decimals(steered):
    """energy has 18 binary places and is printed with six decimals; the performance events are integers"""
    fs, group = steered, steered.make("mon_groups/m")
    for event in fs.read("info/PERF_PKG_MON/mon_features").split():
        value = 1234567890 + (2**-18 if event in ENERGY else 0)
        fs.set_counter(group, 0, event, value)
        text = fs.read(f"{group}/mon_data/mon_PERF_PKG_00/{event}")
        assert text == ("1234567890.000004\n" if event in ENERGY else "1234567890\n")


@rule(since="7.0", needs="perf steerable")
def test_294_packages_count_apart(steered):
    """each package has a count of its own, and one that gives none leaves that of the others"""
    fs, group, event = steered, steered.make("mon_groups/m"), "core_energy"
    packages = sorted(name for name in fs.names("mon_data") if name.startswith("mon_PERF_PKG_"))
    for number, _name in enumerate(packages):
        fs.set_counter(group, number, event, 1.5 + number)
    shown = [fs.read(f"{group}/mon_data/{name}/{event}") for name in packages]
    assert shown == [f"{1.5 + number:.6f}\n" for number, _name in enumerate(packages)]
    fs.set_counter(group, 0, event, "Error")
    assert [fs.read(f"{group}/mon_data/{name}/{event}") for name in packages] == ["Error\n", *shown[1:]]


def run_until_valid(fs, process, paths):
    """Let a member of a group run until its telemetry is no longer Unavailable; what it reads then, by path."""

    def is_valid():
        process.spin(0.002)
        return all(fs.read(path) != "Unavailable\n" for path in paths)

    wait_until(is_valid, "telemetry that is valid")
    return {path: fs.read(path) for path in paths}


@rule(since="6.11", needs="snc steerable")
def test_261_words_of_nodes(steered):
    """with sub-NUMA clustering mon_L3_* reads Unavailable if no node gives a number, whatever they read"""
    fs, l3_id = steered, steered.domains()[0]
    directory = f"{fs.make('mon_groups/m')}/mon_data/mon_L3_{l3_id:02d}"
    fs.set_counter("mon_groups/m", l3_id, LLC, "Error")
    nodes = [name for name in fs.names(directory) if "_sub_" in name]
    assert {fs.read(f"{directory}/{name}/{LLC}") for name in nodes} == {"Error\n"}
    assert fs.read(f"{directory}/{LLC}") == "Unavailable\n"
