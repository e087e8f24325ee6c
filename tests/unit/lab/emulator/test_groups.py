# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mkdir, rmdir and rename."""

from __future__ import annotations

import pytest

from emulator.kernfs import Caller

RENAMING = ["6.12", "7.3"]


# -- mkdir


def test_a_mon_group_has_exactly_these_entries(kernel):
    kernel.mkdir("mon_groups/m")
    assert kernel.names("mon_groups/m") == {"cpus", "cpus_list", "tasks", "mon_data"}


def test_a_control_group_has_the_allocation_too(kernel):
    kernel.mkdir("c")
    allocation = {"schemata", "mode", "size", "mon_groups"}
    assert kernel.names("c") == {"cpus", "cpus_list", "tasks", "mon_data"} | allocation


def test_modes_and_sizes_are_those_of_kernfs(kernel):
    kernel.mkdir("mon_groups/m", 0o700)
    find = kernel.resctrl.root.find
    assert [find(path).mode for path in ("", "info", "info/L3_MON", "mon_groups", "mon_data")] == [0o555] * 5
    assert [find(f"mon_groups/m/{path}").mode for path in ("", "mon_data", "mon_data/mon_L3_00")] == [0o700] * 3
    assert [find(f"mon_groups/m/{path}").mode for path in ("tasks", "cpus", "cpus_list")] == [0o644] * 3
    assert find("mon_groups/m/mon_data/mon_L3_00/llc_occupancy").mode == 0o444
    assert (find("size").mode, find("mode").mode, find("schemata").mode) == (0o444, 0o644, 0o644)


def test_a_directory_counts_its_directories_as_links(kernel):
    assert kernel.resctrl.root.links == 5
    kernel.mkdir("mon_groups/a")
    kernel.mkdir("mon_groups/b")
    assert kernel.resctrl.root.find("mon_groups").links == 4
    assert kernel.resctrl.root.find("mon_groups/a").links == 3
    kernel.rmdir("mon_groups/a")
    assert kernel.resctrl.root.find("mon_groups").links == 3


def test_a_group_belongs_to_who_made_it(kernel):
    kernel.resctrl.mkdir("mon_groups/m", 0o755, Caller(1, 1000, 1001))
    node = kernel.resctrl.root.find("mon_groups/m/mon_data/mon_L3_00/llc_occupancy")
    assert (node.uid, node.gid) == (1000, 1001)


def test_a_group_made_anew_has_another_inode(kernel):
    kernel.mkdir("mon_groups/m")
    before = kernel.resctrl.root.find("mon_groups/m").ino
    kernel.rmdir("mon_groups/m")
    kernel.mkdir("mon_groups/m")
    assert kernel.resctrl.root.find("mon_groups/m").ino > before


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("mon_groups/mon_groups", "EPERM"),
        ("mon_groups/m/x", "EPERM"),
        ("mon_groups/m/mon_groups", "EPERM"),
        ("mon_data/x", "EPERM"),
        ("mon_data/mon_L3_00/x", "EPERM"),
        ("c/x", "EPERM"),
        ("info", "EEXIST"),
        ("tasks", "EEXIST"),
        ("mon_groups/m", "EEXIST"),
        ("tasks/x", "ENOTDIR"),
        ("no/x", "ENOENT"),
        ("mon_groups/a\nb", "EINVAL"),
        ("info/a\nb", "EINVAL"),
    ],
)
def test_where_no_group_can_be_made(kernel, fails, path, name):
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    with fails(name):
        kernel.mkdir(path)
    assert kernel.status == "ok\n"


def test_below_info_the_errno_depends_on_the_kernel(kernel, fails):
    with fails("ENODEV" if kernel.resctrl.profile.era.name == "7.3" else "EPERM"):
        kernel.mkdir("info/x")


@pytest.mark.parametrize("name", ["a b", "\udcc3\udc28", "mon_data", "info", "tasks", ".hidden", "n" * 4000])
def test_names_that_are_fine(kernel, name):
    kernel.mkdir(f"mon_groups/{name}")
    assert kernel.exists(f"mon_groups/{name}")
    kernel.rmdir(f"mon_groups/{name}")


def test_monitoring_only_hardware_has_no_control_groups(boot, fails):
    kernel = boot("monitor-only")
    with fails("EPERM"):
        kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    assert {"schemata", "size", "mode"} <= kernel.names("")
    assert kernel.read("schemata") == kernel.read("size") == ""


@pytest.mark.parametrize("era", ["6.1", "7.3"])
def test_allocation_only_hardware_has_no_mon_groups(boot, fails, era):
    kernel = boot("alloc-only", era=era)
    assert not {"mon_groups", "mon_data"} & kernel.names("")
    assert kernel.names("info") == {"L3", "MB", "last_cmd_status"}
    with fails("ENOENT"):
        kernel.mkdir("mon_groups/m")
    with fails("EPERM"):
        kernel.mkdir("info/x")
    kernel.mkdir("c")
    assert kernel.names("c") == {"cpus", "cpus_list", "tasks", "schemata", "size", "mode"}


def test_there_are_num_rmids_groups_with_the_root(kernel, fails):
    total = int(kernel.read("info/L3_MON/num_rmids"))
    kernel.mkdir("c")
    assert kernel.fill("mon_groups/m") == total - 2
    with fails("ENOSPC"):
        kernel.mkdir("c/mon_groups/x")
    assert not kernel.exists("c/mon_groups/x")
    assert kernel.status.endswith("Out of RMIDs\n")


def test_there_are_num_closids_control_groups_with_the_root(kernel, fails):
    assert kernel.fill("c") == int(kernel.read("info/L3/num_closids")) - 1
    with fails("ENOSPC"):
        kernel.mkdir("more")
    assert kernel.status.endswith("Out of CLOSIDs\n")


@pytest.mark.parametrize(("era", "message"), [("6.1", "Out of RMIDs\n"), ("6.12", "Out of CLOSIDs\n")])
def test_which_id_is_asked_for_first(boot, fails, era, message):
    kernel = boot(era=era, num_rmids=2, num_closids=1)
    kernel.mkdir("mon_groups/m")
    with fails("ENOSPC"):
        kernel.mkdir("c")
    assert kernel.status == message


def test_a_failed_control_group_gives_its_rmid_back(kernel, fails):
    kernel.fill("c")
    kernel.clock.advance(2)
    free = len(kernel.resctrl.snapshot()["rmids"]["free"])
    with fails("ENOSPC"):
        kernel.mkdir("more")
    kernel.clock.advance(2)
    assert len(kernel.resctrl.snapshot()["rmids"]["free"]) == free


# -- rmdir


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "EBUSY"),
        ("info", "EPERM"),
        ("info/L3_MON", "EPERM"),
        ("mon_groups", "EPERM"),
        ("mon_data", "EPERM"),
        ("mon_data/mon_L3_00", "EPERM"),
        ("mon_groups/m/mon_data", "EPERM"),
        ("c/mon_groups", "EPERM"),
        ("tasks", "ENOTDIR"),
        ("mon_groups/none", "ENOENT"),
    ],
)
def test_what_cannot_be_removed(kernel, fails, path, name):
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    with fails(name):
        kernel.rmdir(path)


def test_a_removed_mon_group_leaves_its_tasks_to_its_control_group(kernel):
    task = kernel.machine.spawn()
    kernel.mkdir("c")
    kernel.mkdir("c/mon_groups/m")
    kernel.write("c/tasks", task)
    kernel.write("c/mon_groups/m/tasks", task)
    kernel.rmdir("c/mon_groups/m")
    assert kernel.tasks("c") == [task]


def test_a_removed_control_group_leaves_everything_to_the_root(kernel):
    tasks = [kernel.machine.spawn() for _time in range(2)]
    kernel.mkdir("c")
    kernel.mkdir("c/mon_groups/m")
    for task in tasks:
        kernel.write("c/tasks", task)
    kernel.write("c/mon_groups/m/tasks", tasks[0])
    kernel.rmdir("c")
    assert not kernel.exists("c/mon_groups/m")
    assert set(tasks) <= set(kernel.tasks(""))
    assert set(kernel.resctrl.snapshot()["groups"]) == {""}


def test_files_of_a_removed_group_give_enodev(kernel, fails):
    kernel.mkdir("c")
    kernel.mkdir("c/mon_groups/m")
    held = kernel.resctrl.root.find("c/mon_groups/m/tasks")
    kernel.rmdir("c")
    kernel.mkdir("c")
    kernel.mkdir("c/mon_groups/m")
    with fails("ENODEV"):
        kernel.resctrl.read(held, kernel.caller)
    with fails("ENODEV"):
        kernel.resctrl.write(held, b"1", kernel.caller)


# -- rename


@pytest.mark.parametrize("era", ["5.10", "6.1"])
def test_before_6_5_nothing_can_be_renamed(boot, fails, era):
    kernel = boot(era=era)
    kernel.mkdir("mon_groups/a")
    with fails("EPERM"):
        kernel.rename("mon_groups/a", "mon_groups/b")


@pytest.mark.parametrize("era", RENAMING)
def test_a_renamed_mon_group_keeps_rmid_tasks_and_counts(boot, era):
    kernel = boot(era=era)
    task = kernel.machine.spawn()
    kernel.mkdir("mon_groups/a")
    kernel.write("mon_groups/a/tasks", task)
    kernel.machine.run(task, 1)
    before = kernel.resctrl.snapshot()["groups"]["mon_groups/a"]
    kernel.rename("mon_groups/a", "mon_groups/b")
    assert kernel.resctrl.snapshot()["groups"]["mon_groups/b"] == before
    assert int(kernel.value("mon_groups/b", "mbm_total_bytes")) > 0
    assert not kernel.exists("mon_groups/a")


@pytest.mark.parametrize("era", RENAMING)
def test_moving_to_another_control_group_changes_the_tasks_allocation(boot, era):
    kernel = boot(era=era)
    task = kernel.machine.spawn()
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", task)
    kernel.rename("mon_groups/m", "c/mon_groups/m")
    assert kernel.tasks("c") == [task]
    assert task not in kernel.tasks("")
    assert kernel.resctrl.snapshot()["groups"]["c/mon_groups/m"]["closid"] == 1


@pytest.mark.parametrize("era", RENAMING)
@pytest.mark.parametrize(
    ("old", "new", "name", "message"),
    [
        ("mon_groups/a", "mon_groups/b", "EEXIST", "ok\n"),
        ("mon_groups/a", "mon_groups/a", None, "ok\n"),
        ("c", "d", "EPERM", "Source must be a MON group\n"),
        ("mon_data", "d", "EPERM", "Source must be a MON group\n"),
        ("mon_groups/a", "c/a", "EPERM", "Destination must be a mon_groups subdirectory\n"),
        ("mon_groups/a", "mon_groups/mon_groups", "EPERM", "Destination must be a mon_groups subdirectory\n"),
        ("tasks", "t", "EPERM", "Source and destination must be directories"),
        ("info", "x", "ENOENT", "ok\n"),
        ("mon_groups/a", "info/a", "ENOENT", "ok\n"),
    ],
)
def test_the_rules_of_renaming(boot, fails, era, *, old, new, name, message):
    kernel = boot(era=era)
    for path in ("c", "mon_groups/a", "mon_groups/b"):
        kernel.mkdir(path)
    if name is None:
        kernel.rename(old, new)
    else:
        with fails(name):
            kernel.rename(old, new)
    assert kernel.status == message


@pytest.mark.parametrize("era", RENAMING)
def test_a_group_with_cpus_stays_below_its_control_group(boot, fails, era):
    kernel = boot(era=era)
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/a")
    kernel.write("mon_groups/a/cpus_list", "1\n")
    kernel.rename("mon_groups/a", "mon_groups/b")
    with fails("EPERM"):
        kernel.rename("mon_groups/b", "c/mon_groups/b")
    assert kernel.status == "Cannot move a MON group that monitors CPUs\n"


def test_rename_flags_are_refused(kernel, fails):
    kernel.mkdir("mon_groups/a")
    with fails("EINVAL"):
        kernel.rename("mon_groups/a", "mon_groups/b", flags=1)
