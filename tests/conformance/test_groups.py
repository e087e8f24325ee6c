# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mkdir and rmdir of groups, and the ids that there are for them."""

from __future__ import annotations

import os
from errno import EACCES, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC, EPERM

import pytest
from targets.checks import errno_of, fails
from targets.processes import NOBODY, as_nobody

rule = pytest.mark.rule


@rule(needs="mon")
def test_038_make_a_mon_group(fs):
    """mkdir in mon_groups makes a MON group without threads"""
    group = fs.make("mon_groups/m")
    assert (fs.names("mon_groups"), fs.tasks(group)) == ({"m"}, [])


@rule(needs="mon")
def test_039_make_it_again(fs):
    """making a group again fails: EEXIST"""
    fs.make("mon_groups/m")
    with fails(EEXIST):
        fs.mkdir("mon_groups/m")


@rule(needs="mon")
def test_040_no_group_called_mon_groups(fs):
    """no MON group can be called mon_groups: EPERM"""
    with fails(EPERM):
        fs.mkdir("mon_groups/mon_groups")


@rule(needs="mon")
def test_041_no_group_in_a_mon_group(fs):
    """mkdir in a MON group fails: EPERM"""
    fs.make("mon_groups/m")
    for name in ("x", "mon_groups"):
        with fails(EPERM):
            fs.mkdir(f"mon_groups/m/{name}")


@rule(needs="mon")
def test_042_no_group_in_mon_data(fs):
    """mkdir in mon_data fails: EPERM"""
    with fails(EPERM):
        fs.mkdir("mon_data/x")


@rule(needs="l3-mon")
def test_043_no_group_in_a_domain(fs):
    """mkdir in a domain's directory fails: EPERM"""
    with fails(EPERM):
        fs.mkdir(f"mon_data/mon_L3_{fs.domains()[0]:02d}/x")


@rule(until="6.14")
def test_044_no_group_in_info(fs):
    """mkdir in info fails: EPERM"""
    with fails(EPERM):
        fs.mkdir("info/x")


@rule(since="6.17", needs="mon")
def test_045_no_group_in_info(fs):
    """mkdir in info fails: ENODEV"""
    with fails(ENODEV):
        fs.mkdir("info/x")


@rule(needs="mon")
def test_046_no_newline_in_names(fs):
    """a name with a newline is refused: EINVAL"""
    with fails(EINVAL):
        fs.mkdir("mon_groups/a\nb")


def test_047_no_newline_wherever(fs):
    """a name with a newline is refused before anything else: EINVAL, also in info"""
    with fails(EINVAL):
        fs.mkdir("info/a\nb")


@rule(needs="alloc")
def test_048_make_a_control_group(fs):
    """mkdir in the root makes a CTRL_MON group without threads"""
    assert fs.tasks(fs.make("c")) == []


@rule(needs="mon no-alloc")
def test_049_no_control_groups_without_allocation(fs):
    """without allocation mkdir in the root fails: EPERM"""
    with fails(EPERM):
        fs.mkdir("c")


@rule(needs="alloc")
def test_050_no_group_in_a_control_group(fs):
    """mkdir in a CTRL_MON group fails: EPERM"""
    fs.make("c")
    with fails(EPERM):
        fs.mkdir("c/x")


@rule(needs="alloc")
def test_051_no_control_group_called_info(fs):
    """mkdir of info in the root fails: EEXIST"""
    with fails(EEXIST):
        fs.mkdir("info")


@rule(needs="alloc")
def test_052_no_control_group_called_as_a_file(fs):
    """mkdir of tasks in the root fails: EEXIST"""
    with fails(EEXIST):
        fs.mkdir("tasks")


@rule(needs="mon")
def test_053_any_other_name(fs):
    """names may have blanks, dots in front, punctuation and letters of any language"""
    for name in ("a b", "\u00fc", ".hidden", ":,=%"):
        fs.make(f"mon_groups/{name}")
        assert fs.names("mon_groups") == {name}
        fs.rmdir(f"mon_groups/{name}")


@rule(needs="mon")
def test_054_names_of_files_are_free_in_mon_groups(fs):
    """a MON group can be called mon_data, info or tasks"""
    for name in ("mon_data", "info", "tasks"):
        fs.rmdir(fs.make(f"mon_groups/{name}"))


@rule(needs="mon")
def test_055_mkdir_as_nobody(fs):
    """an unprivileged user's mkdir fails: EACCES"""
    with fails(EACCES):
        as_nobody(lambda: os.mkdir(fs.at("mon_groups/m")))


@rule(needs="few-closids")
def test_056_out_of_closids(fs):
    """there are num_closids - 1 CTRL_MON groups; one more fails: ENOSPC, Out of CLOSIDs"""
    for n in range(fs.num_closids() - 1):
        fs.make(f"c{n}")
    with fails(ENOSPC):
        fs.make("more")
    assert fs.status().splitlines()[-1] == "Out of CLOSIDs"
    assert not fs.exists("more")


@rule(needs="mon no-mpam")
def test_057_out_of_rmids(fs):
    """there are num_rmids - 1 groups; one more fails: ENOSPC, Out of RMIDs"""
    fs.fill()
    with fails(ENOSPC):
        fs.mkdir("mon_groups/more")
    assert fs.status().splitlines()[-1] == "Out of RMIDs"
    assert not fs.exists("mon_groups/more")


@rule(since="7.0", needs="perf l3-mon")
def test_292_the_fewest_rmids(fs):
    """with telemetry there are as many groups as the resource with fewer RMIDs allows, the root included"""
    numbers = [int(fs.read(f"info/{resource}/num_rmids")) for resource in ("L3_MON", "PERF_PKG_MON")]
    assert len(fs.fill()) + 1 == min(numbers)


@rule(needs="cmt no-mpam")
def test_058_rmids_wait_before_they_come_back(fs):
    """out of RMIDs, mkdir right after an rmdir fails: EBUSY; up to 6.8 it may succeed"""
    fs.rmdir(fs.fill()[0])
    if fs.since("6.9"):
        with fails(EBUSY):
            fs.mkdir("mon_groups/m")
        assert fs.status().splitlines()[-1] == "Out of RMIDs"
    else:
        assert errno_of(lambda: fs.mkdir("mon_groups/m")) in (0, EBUSY)


@rule(needs="cmt")
def test_059_rmids_come_back(fs):
    """an RMID whose cache lines are gone comes back by itself"""
    fs.rmdir(fs.fill()[0])
    fs.make("mon_groups/m")


@rule(needs="mon no-cmt")
def test_060_rmids_come_back_at_once(fs):
    """without llc_occupancy an RMID comes back at once"""
    fs.rmdir(fs.fill()[0])
    fs.mkdir("mon_groups/m")


@rule(needs="l3-mon")
def test_061_rmdir_of_other_directories(fs):
    """rmdir of info, info/L3_MON, mon_groups, mon_data or a domain fails: EPERM"""
    domain = f"mon_data/mon_L3_{fs.domains()[0]:02d}"
    group = fs.make("mon_groups/m")
    for path in ("info", "info/L3_MON", "mon_groups", "mon_data", domain, f"{group}/mon_data", f"{group}/{domain}"):
        with fails(EPERM):
            fs.rmdir(path)


def test_062_rmdir_of_nothing(fs):
    """rmdir of what is not there fails: ENOENT"""
    with fails(ENOENT):
        fs.rmdir("nothing")


@rule(needs="mon")
@pytest.mark.usefixtures("member")
def test_063_rmdir_of_a_group_with_threads(fs):
    """a MON group with threads can be removed"""
    fs.rmdir("mon_groups/m")
    assert fs.names("mon_groups") == set()


@rule(needs="alloc mon")
def test_064_rmdir_of_a_control_group(fs):
    """a CTRL_MON group is removed with its MON groups"""
    fs.make("c")
    fs.make("c/mon_groups/k")
    fs.rmdir("c")
    assert not fs.exists("c")


@rule(needs="mon")
def test_065_files_of_a_removed_group(fs, process):
    """what is open in a removed group fails to be read and written: ENODEV; its path: ENOENT"""
    tasks = f"{fs.make('mon_groups/m')}/tasks"
    fd = os.open(fs.at(tasks), os.O_RDWR)
    try:
        fs.rmdir("mon_groups/m")
        with fails(ENODEV):
            os.read(fd, 100)
        with fails(ENODEV):
            os.write(fd, str(process.pid).encode())
        with fails(ENOENT):
            fs.read(tasks)
    finally:
        os.close(fd)


@rule(needs="kernel mon")
def test_066_directory_of_a_removed_group(fs):
    """the directory of a removed group, if open, is empty; opening a file through it fails: ENOENT"""
    fd = os.open(fs.at(fs.make("mon_groups/m")), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fs.rmdir("mon_groups/m")
        with fails(ENOENT):
            os.open("tasks", os.O_RDONLY, dir_fd=fd)
        assert os.listdir(fd) == []
    finally:
        os.close(fd)


@rule(needs="no-mon")
def test_160_no_mon_groups_without_monitoring(fs):
    """without monitoring mkdir in mon_groups fails: ENOENT"""
    with fails(ENOENT):
        fs.mkdir("mon_groups/m")


@rule(needs="mon")
def test_161_long_names(fs):
    """names of more than 255 bytes are accepted"""
    for length in (255, 256, 1000):
        fs.rmdir(fs.make("mon_groups/" + "x" * length))


@rule(needs="kernel mon")
def test_162_very_long_names(fs):
    """a name of 4000 bytes is accepted"""
    fs.rmdir(fs.make("mon_groups/" + "x" * 4000))


@rule(needs="alloc mon")
def test_163_rmdir_of_a_control_groups_directories(fs):
    """rmdir of a CTRL_MON group's mon_groups or mon_data fails: EPERM"""
    fs.make("c")
    for name in ("mon_groups", "mon_data"):
        with fails(EPERM):
            fs.rmdir(f"c/{name}")


@rule(needs="mon")
def test_164_rmdir_as_nobody(fs):
    """an unprivileged user's rmdir fails: EACCES"""
    fs.make("mon_groups/m")
    with fails(EACCES):
        as_nobody(lambda: fs.rmdir("mon_groups/m"))


@rule(needs="mon")
def test_165_rmdir_of_a_group_in_use(fs, member):
    """a group can be removed with threads, open files, and a process whose working directory it is"""
    before = os.getcwd()
    try:
        with open(fs.at("mon_groups/m/tasks"), encoding="ascii"):
            os.chdir(fs.at("mon_groups/m"))
            fs.rmdir("mon_groups/m")
    finally:
        os.chdir(before)
    assert fs.place(member.pid) == "res:/\nmon:\n"


@rule(needs="mon")
@pytest.mark.usefixtures("member")
def test_166_a_new_group_is_another_one(fs):
    """a group made anew under an old name is empty, and what was open in the old one stays dead: ENODEV"""
    fd = os.open(fs.at("mon_groups/m/tasks"), os.O_RDONLY)
    try:
        fs.rmdir("mon_groups/m")
        fs.make("mon_groups/m")
        with fails(ENODEV):
            os.read(fd, 100)
        assert fs.tasks("mon_groups/m") == []
    finally:
        os.close(fd)


@rule(needs="mon")
def test_167_a_new_group_has_a_new_inode(fs):
    """a group made anew under an old name has another inode number"""
    before = os.stat(fs.at(fs.make("mon_groups/m"))).st_ino
    fs.rmdir("mon_groups/m")
    assert os.stat(fs.at(fs.make("mon_groups/m"))).st_ino != before


@rule(needs="alloc mon no-mpam")
def test_168_control_groups_take_rmids(fs):
    """out of RMIDs, no CTRL_MON group can be made either: ENOSPC, Out of RMIDs"""
    fs.fill()
    with fails(ENOSPC):
        fs.mkdir("c")
    assert fs.status().splitlines()[-1] == "Out of RMIDs"
    assert not fs.exists("c")


@rule(needs="cmt steerable no-mpam")
def test_169_rmids_stay_away_while_they_own_cache(steered):
    """an RMID that owns as much as max_threshold_occupancy stays away: EBUSY; once that is raised it comes back"""
    fs, path = steered, "info/L3_MON/max_threshold_occupancy"
    threshold = fs.read(path)
    group = fs.fill()[0]
    fs.freeze(True)
    fs.set_counter(group, fs.domains()[0], "llc_occupancy", fs.cache_size() // 2 // fs.unit() * fs.unit())
    try:
        fs.rmdir(group)
        for _attempt in range(2):
            fs.let_time_pass(1.2)
            with fails(EBUSY):
                fs.mkdir("mon_groups/m")
        fs.write(path, f"{fs.cache_size()}\n")
        fs.make("mon_groups/m")
    finally:
        fs.write(path, threshold)


@rule(since="6.9", needs="cmt no-mpam")
def test_170_threshold_of_zero(fs):
    """with a max_threshold_occupancy of 0 no RMID comes back: EBUSY"""
    path = "info/L3_MON/max_threshold_occupancy"
    threshold = fs.read(path)
    group = fs.fill()[0]
    fs.write(path, "0\n")
    try:
        fs.rmdir(group)
        for _attempt in range(2):
            fs.let_time_pass(1.2)
            with fails(EBUSY):
                fs.mkdir("mon_groups/m")
    finally:
        fs.write(path, threshold)
    fs.make("mon_groups/m")


@rule(needs="mon")
def test_171_a_group_belongs_to_who_made_it(fs):
    """a group that an unprivileged user may make is that user's"""
    before = fs.mode("mon_groups")
    os.chmod(fs.at("mon_groups"), 0o777)  # noqa: S103  (that is what makes it possible)
    try:
        fs.adopt("mon_groups/m")
        fs.patiently(lambda: as_nobody(lambda: os.mkdir(fs.at("mon_groups/m"))))
    finally:
        os.chmod(fs.at("mon_groups"), before)
    owners = {os.stat(fs.at(f"mon_groups/m{name}")).st_uid for name in ("", "/tasks", "/mon_data")}
    assert owners == {NOBODY}


@rule(since="6.17", needs="no-mon")
def test_262_no_group_in_info_without_monitoring(fs):
    """without monitoring mkdir in info fails: EPERM"""
    with fails(EPERM):
        fs.mkdir("info/x")
