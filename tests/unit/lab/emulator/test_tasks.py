# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks files: what may be written, who ends up where, and what inherits."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.kernfs import Caller
from emulator.status import LastCommand
from emulator.tasks import parse_list, parse_one

LISTS = ["6.12", "7.3"]
NO_LISTS = ["5.10", "6.1"]


# -- parsing


@given(st.integers(0, 2**31 - 1), st.sampled_from(["{}", "{}\n", " {} \n", "\t{}", "{:#x}", "+{}", "{}\n\n"]))
def test_one_number_is_read_alike_in_all_eras(pid, form):
    text = form.format(pid)
    assert parse_one(text) == pid
    assert list(parse_list(text, LastCommand(marks_truncation=False))) == [pid]


@given(st.lists(st.integers(0, 2**31 - 1)), st.sampled_from([",", ", ", " ,"]), st.sampled_from(["", "\n", ",", ",\n"]))
def test_a_list_is_read_from_left_to_right(pids, comma, end):
    text = comma.join(map(str, pids)) + (end if pids else "\n")
    assert list(parse_list(text, LastCommand(marks_truncation=False))) == pids


def collect(parser):
    """What a parser yields, and the errno that ends it (0 if none does)."""
    pids = []
    try:
        pids.extend(parser)
    except OSError as error:
        return pids, error.errno
    return pids, 0


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_whatever_is_written_gives_pids_or_einval_with_a_reason(text):
    status = LastCommand(marks_truncation=False)
    pids, code = collect(parse_list(text, status))
    assert all(0 <= pid < 2**31 for pid in pids)
    assert (code, status.show()) == (0, "ok\n") or (
        code == errno.EINVAL and status.show().startswith(("Task list parsing error pid ", "Invalid pid -"))
    )


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_before_6_7_it_is_one_number_or_einval(text):
    pids, code = collect(parse_one(text) for _once in (1,))
    assert code in (0, errno.EINVAL)
    assert len(pids) == (code == 0)
    assert all(0 <= pid < 2**31 for pid in pids)


@pytest.mark.parametrize("era", NO_LISTS)
@pytest.mark.parametrize("text", ["\n", " \n", "abc", "12x", "-1", "99999999999", "1,1", "1\n1\n", "1 1", "1,", ",1"])
def test_before_6_7_anything_else_leaves_the_status_alone(boot, fails, era, text):
    kernel = boot(era=era)
    with fails("ESRCH"):
        kernel.write("tasks", 999)
    with fails("EINVAL"):
        kernel.write("tasks", text)
    assert kernel.status == "No task 999\n"


@pytest.mark.parametrize("era", LISTS)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "Task list parsing error pid \n"),
        ("abc", "Task list parsing error pid abc\n"),
        ("99999999999", "Task list parsing error pid 99999999999\n"),
        ("1\n1\n", "Task list parsing error pid 1\n1\n"),
        (",1", "Task list parsing error pid \n"),
        ("-1", "Invalid pid -1\n"),
    ],
)
def test_from_6_7_on_the_status_explains_it(boot, fails, era, text, message):
    kernel = boot(era=era)
    with fails("EINVAL"):
        kernel.write("tasks", text)
    assert kernel.status == message


@pytest.mark.parametrize("era", LISTS)
def test_an_empty_line_is_no_error_from_6_7_on(boot, era):
    boot(era=era).write("tasks", "\n")


@pytest.mark.parametrize("era", LISTS)
def test_a_list_is_not_undone_when_it_fails_half_way(boot, fails, era):
    kernel = boot(era=era)
    first, second = kernel.machine.spawn(), kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    with fails("ESRCH"):
        kernel.write("mon_groups/m/tasks", f"{first},999999,{second}\n")
    assert kernel.status == "No task 999999\nError while processing task 999999\n"
    assert kernel.tasks("mon_groups/m") == [first]


def test_a_leading_zero_is_octal(kernel):
    kernel.machine.spawn(pid=8)
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", "010")
    assert kernel.tasks("mon_groups/m") == [8]


def test_zero_is_the_writing_thread(kernel):
    thread = kernel.machine.clone(kernel.caller.tid)
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", 0, Caller(thread, 0, 0))
    assert kernel.tasks("mon_groups/m") == [thread]


@pytest.mark.parametrize(("length", "name"), [(4096, None), (4097, "E2BIG")])
def test_a_write_is_at_most_a_page(kernel, fails, length, name):
    text = str(kernel.machine.spawn()).ljust(length)
    if name is None:
        kernel.write("tasks", text)
    else:
        with fails(name):
            kernel.write("tasks", text)


# -- moves


def test_a_dead_thread_is_esrch(kernel, fails):
    pid = kernel.machine.spawn()
    kernel.machine.exit(pid)
    with fails("ESRCH"):
        kernel.write("tasks", pid)
    more = f"Error while processing task {pid}\n" if kernel.resctrl.profile.era.task_lists else ""
    assert kernel.status == f"No task {pid}\n{more}"


def test_only_that_one_thread_moves(kernel):
    pid = kernel.machine.spawn()
    other = kernel.machine.clone(pid)
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    assert kernel.tasks("mon_groups/m") == [pid]
    kernel.write("mon_groups/m/tasks", other)
    assert kernel.tasks("mon_groups/m") == [pid, other]


def test_a_second_mon_group_takes_it_silently(kernel):
    pid = kernel.machine.spawn()
    for name in "ab":
        kernel.mkdir(f"mon_groups/{name}")
        kernel.write(f"mon_groups/{name}/tasks", pid)
    assert kernel.tasks("mon_groups/a") == []
    assert kernel.tasks("mon_groups/b") == [pid]


def test_a_control_group_lists_the_tasks_of_its_mon_groups_too(kernel):
    pid = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    assert pid in kernel.tasks("")


def test_writing_to_the_root_leaves_the_mon_group(kernel):
    pid = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    kernel.write("tasks", pid)
    assert kernel.tasks("mon_groups/m") == []


def test_a_task_of_another_control_group_may_not_enter_a_mon_group(kernel, fails):
    pid = kernel.machine.spawn()
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    kernel.mkdir("c/mon_groups/k")
    message = "Can't move task to different control group\n"
    more = f"Error while processing task {pid}\n" if kernel.resctrl.profile.era.task_lists else ""
    with fails("EINVAL"):
        kernel.write("c/mon_groups/k/tasks", pid)
    assert kernel.status == message + more
    kernel.write("c/tasks", pid)
    kernel.write("c/mon_groups/k/tasks", pid)
    with fails("EINVAL"):
        kernel.write("mon_groups/m/tasks", pid)
    assert kernel.tasks("c") == kernel.tasks("c/mon_groups/k") == [pid]
    assert pid not in kernel.tasks("")


def test_writing_to_a_control_group_drops_it_out_of_its_mon_group(kernel):
    pid = kernel.machine.spawn()
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    kernel.write("c/tasks", pid)
    assert kernel.tasks("mon_groups/m") == []
    assert kernel.tasks("c") == [pid]


def test_monitoring_only_hardware_does_not_list_the_root(boot):
    kernel = boot("monitor-only")
    pid = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    assert kernel.tasks("") == []
    assert kernel.tasks("mon_groups/m") == [pid]


def test_a_user_moves_only_his_own_threads(kernel, fails):
    own, others = kernel.machine.spawn(uid=1000), kernel.machine.spawn(uid=0)
    kernel.mkdir("mon_groups/m")
    user = Caller(own, 1000, 1000)
    kernel.write("mon_groups/m/tasks", own, user)
    with fails("EPERM"):
        kernel.write("mon_groups/m/tasks", others, user)
    assert kernel.status.startswith(f"No permission to move task {others}\n")
    assert kernel.tasks("mon_groups/m") == [own]


# -- what changes by itself


def test_a_thread_that_ends_leaves_and_the_group_stays(kernel):
    pid = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    kernel.machine.exit(pid)
    assert kernel.tasks("mon_groups/m") == []
    assert kernel.exists("mon_groups/m")


def test_a_number_that_is_used_again_is_another_thread(kernel):
    pid = kernel.machine.spawn()
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    kernel.machine.exit(pid)
    kernel.machine.spawn(pid=pid)
    assert kernel.tasks("mon_groups/m") == []
    assert pid in kernel.tasks("")
    kernel.write("mon_groups/m/tasks", pid)
    assert kernel.tasks("mon_groups/m") == [pid]


def test_a_new_thread_inherits_from_the_first_thread_of_its_process(kernel):
    pid = kernel.machine.spawn()
    before = kernel.machine.clone(pid)
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    after = kernel.machine.clone(pid)
    assert kernel.tasks("mon_groups/m") == [pid, after]
    assert before in kernel.tasks("")


def test_a_new_thread_does_not_inherit_from_the_other_threads(kernel):
    pid = kernel.machine.spawn()
    vcpu = kernel.machine.clone(pid)
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", vcpu)
    kernel.machine.clone(pid)
    assert kernel.tasks("mon_groups/m") == [vcpu]


def test_children_forked_after_the_move_inherit_and_earlier_ones_do_not(kernel):
    pid = kernel.machine.spawn()
    kernel.machine.spawn(parent=pid)
    kernel.mkdir("mon_groups/m")
    kernel.write("mon_groups/m/tasks", pid)
    child = kernel.machine.spawn(parent=pid)
    grandchild = kernel.machine.spawn(parent=child)
    assert kernel.tasks("mon_groups/m") == [pid, child, grandchild]


def test_children_forked_before_a_second_move_stay(kernel):
    pid = kernel.machine.spawn()
    kernel.mkdir("mon_groups/a")
    kernel.mkdir("mon_groups/b")
    kernel.write("mon_groups/a/tasks", pid)
    child = kernel.machine.spawn(parent=pid)
    kernel.write("mon_groups/b/tasks", pid)
    assert kernel.tasks("mon_groups/a") == [child]
    assert kernel.tasks("mon_groups/b") == [pid]


def test_an_heir_that_nobody_has_looked_at_is_where_its_parent_was(kernel, fails):
    pid = kernel.machine.spawn()
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    kernel.write("c/tasks", pid)
    grandchild = kernel.machine.spawn(parent=kernel.machine.spawn(parent=pid))
    with fails("EINVAL"):
        kernel.write("mon_groups/m/tasks", grandchild)


def test_an_earlier_child_of_a_moved_process_is_in_the_root(kernel):
    pid = kernel.machine.spawn()
    child = kernel.machine.spawn(parent=pid)
    kernel.mkdir("c")
    kernel.mkdir("mon_groups/m")
    kernel.write("c/tasks", pid)
    kernel.write("mon_groups/m/tasks", child)
    assert kernel.tasks("mon_groups/m") == [child]


def test_many_dead_threads_are_forgotten(kernel):
    kernel.mkdir("mon_groups/m")
    for _time in range(1000):
        pid = kernel.machine.spawn()
        kernel.write("mon_groups/m/tasks", pid)
        kernel.write("tasks", pid)
        kernel.machine.exit(pid)
    assert len(kernel.resctrl.default.tasks) < 600
