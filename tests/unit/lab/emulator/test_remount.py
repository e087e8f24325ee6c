# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""umount and mount: what a group is called, by inode, before and after; and where threads are said to be."""

from __future__ import annotations

import pytest

MODERN = ["6.12", "7.3"]
TOTAL = "mbm_total_bytes"


def inode(kernel, path):
    """The inode number of a directory."""
    return kernel.resctrl.root.find(path).ino


@pytest.mark.parametrize("era", MODERN)
def test_inodes_of_groups_repeat_after_a_remount(boot, era):
    kernel = boot(era=era)
    kernel.mkdir("mon_groups/m")
    before = inode(kernel, "mon_groups/m")
    kernel.resctrl.remount()
    kernel.mkdir("mon_groups/m")
    assert inode(kernel, "mon_groups/m") == before


def test_inodes_do_not_repeat_within_a_mount(kernel):
    seen = set()
    for _time in range(3):
        kernel.mkdir("mon_groups/m")
        seen.add(inode(kernel, "mon_groups/m"))
        kernel.rmdir("mon_groups/m")
    assert len(seen) == 3


@pytest.mark.parametrize("era", ["5.10", "6.1"])
def test_before_6_7_inodes_do_not_repeat(boot, era):
    kernel = boot(era=era)
    seen = set()
    for _time in range(3):
        kernel.mkdir("mon_groups/m")
        seen.add(inode(kernel, "mon_groups/m"))
        kernel.resctrl.remount()
    assert len(seen) == 3


def test_the_roots_time_is_that_of_the_mount(kernel):
    before = kernel.resctrl.root.time_ns
    kernel.mkdir("mon_groups/m")
    kernel.rmdir("mon_groups/m")
    assert kernel.resctrl.root.time_ns == before
    kernel.resctrl.remount()
    assert kernel.resctrl.root.time_ns > before


def test_a_remount_removes_all_groups_and_their_threads_are_in_the_root(kernel):
    tid = kernel.machine.spawn()
    kernel.mkdir("c")
    kernel.mkdir("c/mon_groups/m")
    kernel.write("c/tasks", tid)
    kernel.write("c/mon_groups/m/tasks", tid)
    kernel.resctrl.remount()
    assert list(kernel.resctrl.snapshot()["groups"]) == [""]
    assert tid in kernel.tasks("")
    assert kernel.resctrl.place(tid) == "res:/\nmon:\n"


def test_a_remount_makes_everything_as_it_was_at_first(kernel):
    at_first = {path: kernel.read(path) for path in ("schemata", "mode", "cpus_list", "info/last_cmd_status")}
    kernel.mkdir("c")
    kernel.write("c/cpus_list", "1\n")
    kernel.write("schemata", "L3:0=1\n")
    kernel.pin("", TOTAL, 4711)
    kernel.resctrl.remount()
    assert {path: kernel.read(path) for path in at_first} == at_first
    assert kernel.value("", TOTAL) == "0"


def test_what_was_open_is_gone_after_a_remount(kernel, fails):
    held = kernel.resctrl.root.find(f"mon_data/mon_L3_00/{TOTAL}")
    kernel.resctrl.remount()
    with fails("ENODEV"):
        kernel.resctrl.read(held, kernel.caller)


def test_a_remount_gives_the_root_its_counters_again(boot):
    kernel = boot("amd-abmc", l3_ids=(0, 1))
    kernel.mkdir("mon_groups/m")
    kernel.resctrl.remount()
    assert kernel.read("info/L3_MON/available_mbm_cntrs") == "0=6;1=6\n"


# -- cpu_resctrl_groups


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", "res:/\nmon:\n"),
        ("mon_groups/m", "res:/\nmon:m\n"),
        ("c", "res:c\nmon:\n"),
        ("c/mon_groups/k", "res:c\nmon:k\n"),
    ],
)
def test_where_a_thread_is(kernel, path, text):
    for group in ("c", "mon_groups/m", "c/mon_groups/k"):
        kernel.mkdir(group)
    tid = kernel.machine.spawn()
    if path.startswith("c/"):
        kernel.write("c/tasks", tid)
    kernel.write(f"{path}/tasks", tid)
    assert kernel.resctrl.place(tid) == text
    assert kernel.resctrl.place(kernel.machine.spawn(parent=tid)) == text, "a child is where its parent is"


def test_a_thread_that_nobody_named_is_in_the_root(kernel):
    assert kernel.resctrl.place(kernel.machine.spawn()) == "res:/\nmon:\n"
