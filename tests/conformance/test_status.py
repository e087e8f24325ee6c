# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""info/last_cmd_status: what fills it, and what clears it."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENOSPC, EPERM, ERANGE, ESRCH

import pytest
from targets.checks import fails

rule = pytest.mark.rule
pytestmark = rule(needs="mon")

NO_TASK = 999999999


@pytest.fixture(name="failed")
def failed_fixture(fs, process):
    """A MON group after a write to its tasks that has failed, with the text that it left."""
    group = fs.make("mon_groups/m")
    fs.move(process.pid, group)  # clears the text in every era
    with fails(ESRCH):
        fs.move(NO_TASK, group)
    text = fs.status()
    assert text.startswith("No task ")
    return group, text


@rule(needs="destructive")
def test_102_after_the_mount(fs):
    """after the mount it says ok"""
    with fs.unmounted():
        pass
    assert fs.status() == "ok\n"


def test_103_after_success(fs, failed, process):
    """after a successful write to tasks it says ok"""
    group, _text = failed
    fs.move(process.pid, group)
    assert fs.status() == "ok\n"


@rule(since="5.0", until="6.14")
def test_104_mkdir_does_not_clear(fs, failed):
    """a successful mkdir leaves the text"""
    _group, text = failed
    fs.make("mon_groups/n")
    assert fs.status().startswith(text)


@rule(since="6.17")
@pytest.mark.usefixtures("failed")
def test_105_mkdir_clears(fs):
    """a successful mkdir clears the text"""
    fs.make("mon_groups/n")
    assert fs.status() == "ok\n"


@rule(since="5.0", until="6.6")
def test_106_parsing_errors_leave_it(fs, failed):
    """a write to tasks that is no number leaves the text"""
    group, text = failed
    with fails(EINVAL):
        fs.write(f"{group}/tasks", "abc\n")
    assert fs.status() == text


def test_107_reading(fs, failed):
    """reading tasks leaves the text; from 7.3 on it clears it"""
    group, text = failed
    fs.read(f"{group}/tasks")
    assert fs.status() == ("ok\n" if fs.since("7.3") else text)


@rule(since="5.0", until="6.14")
def test_108_mkdir_appends(fs, process):
    """each mkdir that finds no RMID adds a line"""
    [first, *_others] = fs.fill()
    fs.move(process.pid, first)
    for _attempt in range(2):
        with fails(ENOSPC):
            fs.mkdir("mon_groups/more")
    assert fs.status() == "Out of RMIDs\nOut of RMIDs\n"


@rule(since="6.17")
def test_195_mkdir_replaces(fs, process):
    """a mkdir that finds no RMID leaves one line, whatever was there before"""
    [first, *_others] = fs.fill()
    fs.move(process.pid, first)
    for _attempt in range(2):
        with fails(ENOSPC):
            fs.mkdir("mon_groups/more")
    assert fs.status() == "Out of RMIDs\n"


def test_196_reading_it(fs, failed):
    """reading it does not clear it"""
    assert (fs.status(), fs.status()) == (failed[1], failed[1])


def test_197_mkdir_errors_without_text(fs, failed):
    """mkdir that fails with EEXIST or EPERM adds no text"""
    group, text = failed
    with fails(EEXIST):
        fs.mkdir(group)
    with fails(EPERM):
        fs.mkdir("mon_groups/mon_groups")
    assert fs.status() in (text, "ok\n")


@rule(until="7.2")
def test_198_rmdir_leaves_it(fs, failed):
    """rmdir leaves the text"""
    group, text = failed
    fs.rmdir(group)
    assert fs.status() == text


@rule(since="7.3")
def test_199_rmdir_clears_it(fs, failed):
    """rmdir clears the text"""
    fs.rmdir(failed[0])
    assert fs.status() == "ok\n"


@rule(until="6.14")
def test_200_cpus_append(fs, process):
    """each write to cpus that fails adds a line"""
    group = fs.make("mon_groups/m")
    fs.move(process.pid, group)
    for _attempt in range(2):
        with fails(EINVAL):
            fs.write(f"{group}/cpus", "zz\n")
    assert fs.status() == "Bad CPU list/mask\nBad CPU list/mask\n"


@rule(since="6.17")
def test_201_cpus_replace(fs, failed):
    """a write to cpus that fails leaves one line, whatever was there before"""
    for _attempt in range(2):
        with fails(EINVAL):
            fs.write(f"{failed[0]}/cpus", "zz\n")
    assert fs.status() == "Bad CPU list/mask\n"


@rule(since="6.5")
def test_202_rename_clears(fs, failed):
    """a successful rename clears the text"""
    fs.rename(failed[0], "mon_groups/n")
    assert fs.status() == "ok\n"


@rule(until="7.2", needs="cmt")
def test_203_reading_counters(fs, failed):
    """reading a counter leaves the text"""
    group, text = failed
    fs.counter(group, fs.domains()[0], "llc_occupancy")
    assert fs.status() == text


@rule(since="7.3", needs="cmt")
def test_204_reading_counters_clears(fs, failed):
    """reading a counter clears the text"""
    fs.counter(failed[0], fs.domains()[0], "llc_occupancy")
    assert fs.status() == "ok\n"


@rule(until="7.2")
def test_205_threshold_without_text(fs, failed):
    """a write to max_threshold_occupancy that fails adds no text"""
    with fails(EINVAL):
        fs.write("info/L3_MON/max_threshold_occupancy", "abc\n")
    assert fs.status() == failed[1]


@rule(since="7.3", needs="l3-mon")
def test_206_threshold_with_text(fs):
    """a write to max_threshold_occupancy that fails says why"""
    path, size = "info/L3_MON/max_threshold_occupancy", fs.cache_size()
    with fails(EINVAL):
        fs.write(path, "abc\n")
    assert fs.status() == "max_threshold_occupancy: Invalid input\n"
    with fails(ERANGE):
        fs.write(path, "99999999999\n")
    assert fs.status() == "max_threshold_occupancy: Invalid input\n"
    with fails(EINVAL):
        fs.write(path, f"{size + 1}\n")
    assert fs.status() == f"max_threshold_occupancy: Exceeds limit (before adjustment) of {size} bytes\n"
