# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file tasks: which thread is in which group, and how it gets there."""

from __future__ import annotations

import os
from errno import E2BIG, EINVAL, EPERM, ESRCH

import pytest
from targets import syscalls
from targets.checks import fails
from targets.processes import NOBODY, as_nobody, in_child, zombie
from waiting import wait_until

rule = pytest.mark.rule
pytestmark = rule(needs="mon")

ROOT = "res:/\nmon:\n"
IN_M = "res:/\nmon:m\n"
NO_TASK = 999999999
"""More than the kernel ever gives."""


def test_074_write_moves_the_thread(fs, process):
    """a thread's number written to tasks puts the thread in the group"""
    fs.make("mon_groups/m")
    fs.write("mon_groups/m/tasks", f"{process.pid}\n")
    assert fs.read("mon_groups/m/tasks") == f"{process.pid}\n"
    assert fs.place(process.pid) == IN_M


def test_075_write_again(fs, member):
    """writing a member again succeeds"""
    fs.write("mon_groups/m/tasks", f"{member.pid}\n")
    assert fs.tasks("mon_groups/m") == [member.pid]


@rule(needs="alloc")
def test_076_listed_in_the_control_group_too(fs, member):
    """a MON group's thread is listed in its CTRL_MON group's tasks too"""
    assert member.pid in fs.tasks("")


@rule(needs="no-alloc")
def test_077_roots_tasks_without_allocation(fs):
    """without allocation the root's tasks is empty"""
    assert fs.read("tasks") == ""


def test_078_move_to_another_mon_group(fs, member):
    """written to another MON group, a thread leaves the first"""
    fs.make("mon_groups/n")
    fs.move(member.pid, "mon_groups/n")
    assert (fs.tasks("mon_groups/m"), fs.tasks("mon_groups/n")) == ([], [member.pid])


def test_079_rmdir_of_a_mon_group(fs, member):
    """the threads of a removed MON group are in its CTRL_MON group"""
    fs.rmdir("mon_groups/m")
    assert fs.place(member.pid) == ROOT


def test_080_move_to_the_root(fs, member):
    """written to the root's tasks, a thread leaves its MON group"""
    fs.move(member.pid, "")
    assert (fs.tasks("mon_groups/m"), fs.place(member.pid)) == ([], ROOT)


def test_081_one_thread_at_a_time(fs, process):
    """the other threads of the process stay where they are"""
    other = process.thread()
    fs.make("mon_groups/m")
    fs.move(process.pid, "mon_groups/m")
    assert fs.tasks("mon_groups/m") == [process.pid]
    assert fs.place(other) == ROOT


def test_082_children_inherit(fs, process):
    """a process forked by a member is a member, one forked before is not"""
    before = process.fork()
    fs.make("mon_groups/m")
    fs.move(process.pid, "mon_groups/m")
    after = process.fork()
    assert sorted(fs.tasks("mon_groups/m")) == sorted([process.pid, after])
    assert fs.place(before) == ROOT


def test_083_zero(fs, process):
    """0 is the thread that writes"""
    process.thread()
    fs.make("mon_groups/m")
    process.write(fs.at("mon_groups/m/tasks"), "0\n")
    assert fs.tasks("mon_groups/m") == [process.pid]


def test_084_negative(fs):
    """a negative number is refused: EINVAL"""
    fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write("mon_groups/m/tasks", "-1\n")


def test_085_no_number(fs):
    """what is no number is refused: EINVAL"""
    fs.make("mon_groups/m")
    for text in ("abc", "12x", "1 2", "99999999999"):
        with fails(EINVAL):
            fs.write("mon_groups/m/tasks", text)


def test_086_no_such_thread(fs):
    """a thread that is not there is refused: ESRCH, No task N"""
    fs.make("mon_groups/m")
    with fails(ESRCH):
        fs.write("mon_groups/m/tasks", f"{NO_TASK}\n")
    assert fs.status().splitlines()[0] == f"No task {NO_TASK}"


@rule(since="6.7")
def test_087_second_line_of_errors(fs):
    """a second line says Error while processing task N"""
    fs.make("mon_groups/m")
    with fails(ESRCH):
        fs.write("mon_groups/m/tasks", f"{NO_TASK}\n")
    assert fs.status().splitlines()[1:] == [f"Error while processing task {NO_TASK}"]


@rule(since="6.7")
def test_088_list_with_an_error(fs, process):
    """in a list, what stands before the one that fails is moved"""
    fs.make("mon_groups/m")
    with fails(ESRCH):
        fs.write("mon_groups/m/tasks", f"{process.pid},{NO_TASK}\n")
    assert fs.tasks("mon_groups/m") == [process.pid]


@rule(until="6.6")
def test_089_no_lists(fs, process):
    """lists are refused: EINVAL"""
    fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write("mon_groups/m/tasks", f"{process.pid},{process.pid}\n")
    assert fs.tasks("mon_groups/m") == []


def test_090_no_lines(fs, process):
    """two lines in one write are refused: EINVAL"""
    fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write("mon_groups/m/tasks", f"{process.pid}\n{process.pid}\n")


def test_091_newline_only(fs):
    """a newline only is refused: EINVAL; from 6.7 on it does nothing"""
    fs.make("mon_groups/m")
    if fs.since("6.7"):
        fs.write("mon_groups/m/tasks", "\n")
    else:
        with fails(EINVAL):
            fs.write("mon_groups/m/tasks", "\n")
    assert fs.tasks("mon_groups/m") == []


def test_092_octal(fs, process):
    """a leading zero means octal, 0x hexadecimal"""
    for text in (f"0{process.pid:o}", f"0x{process.pid:x}"):
        group = fs.make("mon_groups/m")
        fs.write(f"{group}/tasks", text)
        assert fs.tasks(group) == [process.pid]
        fs.rmdir(group)


@rule(needs="alloc")
def test_093_not_across_control_groups(fs, process):
    """a thread of another CTRL_MON group is refused: EINVAL, Can't move task to different control group"""
    fs.make("c")
    fs.make("mon_groups/m")
    fs.move(process.pid, "c")
    with fails(EINVAL):
        fs.move(process.pid, "mon_groups/m")
    assert fs.status().splitlines()[0] == "Can't move task to different control group"
    assert fs.place(process.pid) == "res:c\nmon:\n"


@rule(needs="alloc")
def test_094_control_group_takes_from_mon_group(fs, member):
    """written to a CTRL_MON group, a thread leaves its MON group"""
    fs.make("c")
    fs.move(member.pid, "c")
    assert (fs.tasks("mon_groups/m"), fs.place(member.pid)) == ([], "res:c\nmon:\n")


@rule(needs="alloc")
def test_095_rmdir_of_a_control_groups_mon_group(fs, process):
    """the threads of a CTRL_MON group's removed MON group stay in the CTRL_MON group"""
    fs.make("c")
    fs.make("c/mon_groups/k")
    fs.move(process.pid, "c")
    fs.move(process.pid, "c/mon_groups/k")
    assert fs.place(process.pid) == "res:c\nmon:k\n"
    fs.rmdir("c/mon_groups/k")
    assert fs.place(process.pid) == "res:c\nmon:\n"


@rule(needs="alloc")
def test_096_rmdir_of_a_control_group(fs, process):
    """the threads of a removed CTRL_MON group and of its MON groups are in the root group"""
    fs.make("c")
    fs.make("c/mon_groups/k")
    other = process.thread()
    fs.move(other, "c")
    fs.move(process.pid, "c")
    fs.move(process.pid, "c/mon_groups/k")
    fs.rmdir("c")
    assert (fs.place(process.pid), fs.place(other)) == (ROOT, ROOT)


def test_097_not_somebody_elses_thread(fs, process):
    """an unprivileged user cannot move another user's thread: EPERM, No permission to move task N"""
    fs.make("mon_groups/m")
    os.chown(fs.at("mon_groups/m/tasks"), NOBODY, NOBODY)
    with fails(EPERM):
        as_nobody(lambda: fs.move(process.pid, "mon_groups/m"))
    assert fs.status().splitlines()[0] == f"No permission to move task {process.pid}"


def test_098_own_thread(fs):
    """an unprivileged user who may write tasks can move a thread of their own"""
    fs.make("mon_groups/m")
    os.chown(fs.at("mon_groups/m/tasks"), NOBODY, NOBODY)

    def move_oneself():
        fs.move(os.getpid(), "mon_groups/m")
        assert fs.tasks("mon_groups/m") == [os.getpid()]

    as_nobody(move_oneself)


def test_099_ended_threads_disappear(fs, process):
    """a thread that has ended is not listed"""
    thread = process.thread()
    fs.make("mon_groups/m")
    fs.move(process.pid, "mon_groups/m")
    fs.move(thread, "mon_groups/m")
    process.end_thread(thread)
    wait_until(lambda: fs.tasks("mon_groups/m") == [process.pid], "the end of the thread")


def test_100_groups_stay(fs, member):
    """a group stays when its last thread has ended"""
    member.end()
    assert (fs.names("mon_groups"), fs.tasks("mon_groups/m")) == ({"m"}, [])


@rule(needs="kernel")
def test_101_pid_namespaces(fs, member):
    """in a pid namespace of one's own, threads have its numbers, and those outside are not listed"""

    def read_inside():
        syscalls.unshare(syscalls.CLONE_NEWPID)

        def join_and_read():
            fs.write("mon_groups/m/tasks", "0")
            assert fs.tasks("mon_groups/m") == [1]

        in_child(join_and_read)

    in_child(read_inside)
    assert fs.tasks("mon_groups/m") == [member.pid]


def test_172_blanks_and_signs(fs, process):
    """blanks around the number, newlines after it, a plus sign and a final NUL are allowed"""
    pid = process.pid
    for text in (f"{pid}", f"{pid}\n\n", f"  {pid}  ", f"+{pid}", f"{pid}\0", f"{pid}".ljust(4096)):
        group = fs.make("mon_groups/m")
        fs.write(f"{group}/tasks", text)
        assert fs.tasks(group) == [pid], text
        fs.rmdir(group)


@rule(until="6.6")
def test_282_newline_first(fs, process):
    """a newline before the number is allowed too"""
    fs.make("mon_groups/m")
    fs.write("mon_groups/m/tasks", f"\n{process.pid}\n")
    assert fs.tasks("mon_groups/m") == [process.pid]


@rule(since="6.7")
def test_283_newline_first(fs, process):
    """a newline before the number ends the list: the write succeeds, and moves nothing"""
    fs.make("mon_groups/m")
    fs.write("mon_groups/m/tasks", f"\n{process.pid}\n")
    assert (fs.tasks("mon_groups/m"), fs.status()) == ([], "ok\n")


def test_173_blanks_only(fs):
    """blanks only are refused: EINVAL"""
    fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write("mon_groups/m/tasks", " " * 4095 + "\n")


@rule(since="6.7")
def test_174_lists(fs, process):
    """numbers can be separated by commas, with blanks, and a final comma"""
    other = process.thread()
    for text in ("{},{}\n", "{}, {}\n", "{},{},\n"):
        group = fs.make("mon_groups/m")
        fs.write(f"{group}/tasks", text.format(process.pid, other))
        assert sorted(fs.tasks(group)) == sorted([process.pid, other]), text
        fs.rmdir(group)


@rule(since="6.7")
def test_175_gaps_in_lists(fs, process):
    """an empty place in a list is refused: EINVAL; what stands before it is moved"""
    fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write("mon_groups/m/tasks", f",{process.pid}\n")
    assert fs.tasks("mon_groups/m") == []
    with fails(EINVAL):
        fs.write("mon_groups/m/tasks", f"{process.pid},,{process.pid}\n")
    assert fs.tasks("mon_groups/m") == [process.pid]


@rule(since="6.7")
def test_176_parsing_errors_are_told(fs):
    """last_cmd_status says what could not be parsed"""
    fs.make("mon_groups/m")
    for text, status in (
        ("abc\n", "Task list parsing error pid abc\n"),
        ("-1\n", "Invalid pid -1\n"),
        ("99999999999\n", "Task list parsing error pid 99999999999\n"),
        ("1\n2\n", "Task list parsing error pid 1\n2\n"),
    ):
        with fails(EINVAL):
            fs.write("mon_groups/m/tasks", text)
        assert fs.status() == status


@rule(needs="kernel")
def test_177_empty_write(fs):
    """a write of no bytes is refused: EINVAL; from 6.7 on it does nothing"""
    fs.make("mon_groups/m")
    if fs.since("6.7"):
        fs.write("mon_groups/m/tasks", "")
    else:
        with fails(EINVAL):
            fs.write("mon_groups/m/tasks", "")


@rule(needs="kthreads destructive")
def test_178_kernel_threads(fs):
    """kernel threads can be moved"""
    fs.make("mon_groups/m")
    fs.move(2, "mon_groups/m")
    try:
        assert fs.tasks("mon_groups/m")[0] == 2
    finally:
        fs.move(2, "")


def test_179_zombies(fs):
    """a process that has ended and is not reaped can be moved, and is listed"""
    fs.make("mon_groups/m")
    with zombie() as pid:
        fs.move(pid, "mon_groups/m")
        assert fs.tasks("mon_groups/m") == [pid]
    with fails(ESRCH):
        fs.move(pid, "mon_groups/m")


def test_180_new_threads_inherit(fs, member):
    """a thread made by a member is a member"""
    thread = member.thread()
    assert sorted(fs.tasks("mon_groups/m")) == sorted([member.pid, thread])


@rule(needs="alloc")
def test_181_root_lists_everybody_of_its_own(fs, process):
    """the root's tasks lists the threads of its MON groups, not those of another CTRL_MON group"""
    thread, other = process.thread(), process.thread()
    fs.make("c")
    fs.make("mon_groups/m")
    fs.move(thread, "c")
    fs.move(other, "mon_groups/m")
    listed = fs.tasks("")
    assert [tid in listed for tid in (process.pid, thread, other)] == [True, False, True]


@rule(needs="alloc")
def test_182_control_group_lists_its_mon_groups(fs, process):
    """a CTRL_MON group's tasks lists the threads of its MON groups"""
    fs.make("c")
    fs.make("c/mon_groups/k")
    fs.move(process.pid, "c")
    fs.move(process.pid, "c/mon_groups/k")
    assert (fs.tasks("c"), fs.tasks("c/mon_groups/k")) == ([process.pid], [process.pid])


@rule(needs="alloc")
def test_183_into_a_mon_group_through_its_control_group(fs, process):
    """a thread of the root gets into another CTRL_MON group's MON group only by way of the CTRL_MON group: EINVAL"""
    fs.make("c")
    fs.make("c/mon_groups/k")
    with fails(EINVAL):
        fs.move(process.pid, "c/mon_groups/k")
    fs.move(process.pid, "c")
    fs.move(process.pid, "c/mon_groups/k")
    assert fs.place(process.pid) == "res:c\nmon:k\n"


@rule(needs="alloc")
def test_184_control_group_takes_back(fs, process):
    """written to its CTRL_MON group, a thread leaves its MON group"""
    fs.make("c")
    fs.make("c/mon_groups/k")
    fs.move(process.pid, "c")
    fs.move(process.pid, "c/mon_groups/k")
    fs.move(process.pid, "c")
    assert fs.place(process.pid) == "res:c\nmon:\n"


def test_185_thread_by_its_own_number(fs, process):
    """a thread that is not its process's first is moved by its own number"""
    thread = process.thread()
    fs.make("mon_groups/m")
    fs.move(thread, "mon_groups/m")
    assert fs.tasks("mon_groups/m") == [thread]
    assert fs.place(process.pid) == ROOT


def test_186_longest_write(fs):
    """4096 bytes are read, one more is refused: E2BIG"""
    fs.make("mon_groups/m")
    with fails(EINVAL):
        fs.write("mon_groups/m/tasks", "x" * 4096)
    with fails(E2BIG):
        fs.write("mon_groups/m/tasks", "x" * 4097)
