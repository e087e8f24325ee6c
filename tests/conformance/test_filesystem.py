# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What any operation on files meets, whatever the file means (kernfs)."""

from __future__ import annotations

import fcntl
import os
import select
from errno import E2BIG, EACCES, EBUSY, EEXIST, EISDIR, ENODEV, ENOENT, ENOTDIR, ENOTSUP, EPERM, EWOULDBLOCK

import pytest
from targets import syscalls
from targets.checks import fails
from targets.processes import as_nobody

rule = pytest.mark.rule


def counter_file(fs, group):
    """The path of a counter of a group."""
    return f"{group}/mon_data/mon_L3_{fs.domains()[0]:02d}/{fs.events()[0]}"


@rule(since="4.19")
def test_026_no_writing_where_nobody_may(fs):
    """opening last_cmd_status for writing fails even for root: EACCES"""
    with fails(EACCES):
        os.open(fs.at("info/last_cmd_status"), os.O_WRONLY)


@rule(since="4.19", needs="l3-mon")
def test_027_no_writing_of_counters(fs):
    """opening a counter for reading and writing fails: EACCES"""
    with fails(EACCES):
        os.open(fs.at(counter_file(fs, fs.make("mon_groups/m"))), os.O_RDWR)


def test_028_no_new_files(fs):
    """creating a file fails: EACCES"""
    with fails(EACCES):
        os.open(fs.at("new"), os.O_CREAT | os.O_WRONLY)


def test_029_no_links_no_fifos(fs):
    """symlink, link and mkfifo fail: EPERM"""
    with fails(EPERM):
        os.symlink("tasks", fs.at("new"))
    with fails(EPERM):
        os.link(fs.at("tasks"), fs.at("new"))
    with fails(EPERM):
        os.mkfifo(fs.at("new"))


def test_030_no_unlinking(fs):
    """unlinking a file fails: EPERM"""
    with fails(EPERM):
        os.unlink(fs.at("tasks"))


def test_031_no_unlinking_of_directories(fs):
    """unlinking a directory fails: EISDIR"""
    with fails(EISDIR):
        os.unlink(fs.at("info"))


def test_032_rmdir_of_a_file(fs):
    """rmdir of a file fails: ENOTDIR"""
    with fails(ENOTDIR):
        fs.rmdir("tasks")


def test_033_rmdir_of_the_root(fs):
    """rmdir of the mount point fails: EBUSY"""
    with fails(EBUSY):
        fs.rmdir("")


def test_034_long_write(fs, process):
    """a write of more than 4096 bytes fails: E2BIG"""
    with fails(E2BIG):
        fs.write("tasks", str(process.pid).ljust(5000))


@rule(needs="mon")
def test_035_truncating_open(fs, member):
    """opening tasks with O_TRUNC removes nobody"""
    os.close(os.open(fs.at("mon_groups/m/tasks"), os.O_WRONLY | os.O_TRUNC))
    assert fs.tasks("mon_groups/m") == [member.pid]


@rule(needs="mon")
def test_036_modes_persist(fs):
    """a chmod of a file persists"""
    path = fs.make("mon_groups/m") + "/tasks"
    os.chmod(fs.at(path), 0o600)
    assert fs.mode(path) == 0o600


def test_037_lock(fs):
    """flock on the root directory excludes others until it is closed"""
    other = os.open(fs.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with fails(EWOULDBLOCK):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with fs.unlocked():
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(other, fcntl.LOCK_UN)
    finally:
        os.close(other)


def test_146_no_extended_attributes(fs):
    """setting an extended attribute fails: ENOTSUP"""
    with fails(ENOTSUP):
        os.setxattr(fs.at("tasks"), "user.x", b"y")


@rule(needs="mon")
def test_147_times(fs):
    """times can be set"""
    path = fs.at(fs.make("mon_groups/m"))
    os.utime(path, (0, 0))
    assert os.stat(path).st_mtime == 0


@rule(needs="mon")
def test_148_owners_persist(fs):
    """a chown of a group's file persists, and a chmod of its directory"""
    group = fs.make("mon_groups/m")
    os.chown(fs.at(f"{group}/tasks"), 1000, 1001)
    os.chmod(fs.at(group), 0o700)
    entry = os.stat(fs.at(f"{group}/tasks"))
    assert (entry.st_uid, entry.st_gid, fs.mode(group)) == (1000, 1001, 0o700)


@rule(needs="l3-mon")
def test_149_no_mapping(fs):
    """mapping a file into memory fails: ENODEV"""
    with open(fs.at(counter_file(fs, fs.make("mon_groups/m"))), "rb") as file, fails(ENODEV):
        syscalls.map_shared(file.fileno())


@rule(needs="kernel mon")
def test_150_poll(fs):
    """poll says at once that there is something, also exceptional"""
    with open(fs.at(counter_file(fs, fs.make("mon_groups/m"))), "rb") as file:
        poll = select.poll()
        poll.register(file)
        [(_fd, events)] = poll.poll(0)
    assert events & (select.POLLIN | select.POLLPRI) == select.POLLIN | select.POLLPRI


@rule(needs="mon")
def test_151_truncating(fs, member):
    """truncate to any length succeeds and changes nothing"""
    for length in (0, 10):
        os.truncate(fs.at("mon_groups/m/tasks"), length)
    assert fs.tasks("mon_groups/m") == [member.pid]


@rule(needs="mon")
def test_152_offsets_of_writes(fs, process):
    """the offset of a write does not matter"""
    group = fs.make("mon_groups/m")
    fd = os.open(fs.at(f"{group}/tasks"), os.O_WRONLY)
    try:
        os.pwrite(fd, str(process.pid).encode(), 5)
    finally:
        os.close(fd)
    assert fs.tasks(group) == [process.pid]


@rule(needs="mon")
def test_153_open_flags(fs, process):
    """a write to what was opened with O_TRUNC, O_APPEND or O_RDWR is as any other"""
    for flags in (os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND, os.O_RDWR):
        group = fs.make("mon_groups/m")
        fs.write(f"{group}/tasks", str(process.pid), flags)
        assert fs.tasks(group) == [process.pid]
        fs.rmdir(group)


@rule(needs="mon")
def test_154_two_writes(fs, process):
    """two writes to an open file are two commands"""
    group, other = fs.make("mon_groups/m"), process.thread()
    fd = os.open(fs.at(f"{group}/tasks"), os.O_WRONLY)
    try:
        os.write(fd, str(process.pid).encode())
        os.write(fd, str(other).encode())
    finally:
        os.close(fd)
    assert sorted(fs.tasks(group)) == sorted([process.pid, other])


def test_155_reading_in_pieces(fs):
    """a file can be read in pieces and from any offset"""
    whole = fs.read("info/last_cmd_status").encode()
    fd = os.open(fs.at("info/last_cmd_status"), os.O_RDONLY)
    try:
        pieces = [os.read(fd, 1), os.read(fd, 100), os.read(fd, 100)]
        assert pieces == [whole[:1], whole[1:], b""]
        assert os.pread(fd, 100, 2) == whole[2:]
    finally:
        os.close(fd)


@rule(needs="l3-mon")
def test_156_anybody_may_read(fs):
    """any user may read tasks and counters"""
    group = fs.make("mon_groups/m")
    for path in (f"{group}/tasks", counter_file(fs, group), "info/last_cmd_status"):
        as_nobody(lambda path=path: fs.read(path))


def test_157_nobody_else_may_write(fs):
    """an unprivileged user's opening of tasks for writing fails: EACCES"""
    with fails(EACCES):
        as_nobody(lambda: fs.write("tasks", "0"))


def test_158_mkdir_in_a_file(fs):
    """mkdir below a file fails: ENOTDIR; below nothing: ENOENT"""
    with fails(ENOTDIR):
        fs.mkdir("tasks/x")
    with fails(ENOENT):
        fs.mkdir("nothing/x")


@rule(needs="l3-mon")
def test_159_names_are_not_taken_twice(fs):
    """mkdir with the name of a file of the root's directories fails: EEXIST"""
    for name in ("mon_groups", "mon_data", "mon_data/" + os.path.basename(f"mon_L3_{fs.domains()[0]:02d}")):
        with fails(EEXIST):
            fs.mkdir(name)
