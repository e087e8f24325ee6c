# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""last_cmd_status: one buffer for the whole system, cleared at other moments in each era."""

from __future__ import annotations

import pytest

from emulator.status import LastCommand

LISTS = ["6.12", "7.3"]
APPENDING = ["5.10", "6.1", "6.12"]


def test_it_is_ok_after_the_mount(kernel):
    assert kernel.status == "ok\n"


def test_reading_it_does_not_clear_it(boot, fails):
    kernel = boot(era="7.3")
    with fails("ESRCH"):
        kernel.write("tasks", 999)
    first, second = kernel.status, kernel.status
    assert first == second != "ok\n"


def test_a_successful_tasks_write_clears_it(kernel, fails):
    with fails("ESRCH"):
        kernel.write("tasks", 999)
    kernel.write("tasks", kernel.machine.spawn())
    assert kernel.status == "ok\n"


@pytest.mark.parametrize("era", APPENDING)
def test_mkdir_does_not_clear_it_and_failures_add_up(boot, fails, era):
    kernel = boot("few-rmids", era=era)
    kernel.fill("mon_groups/m")
    with fails("ENOSPC"):
        kernel.mkdir("mon_groups/more")
    assert kernel.status == "Out of RMIDs\nOut of RMIDs\n"
    kernel.rmdir("mon_groups/m0")
    kernel.clock.advance(3)
    kernel.mkdir("mon_groups/m0")
    assert kernel.status == "Out of RMIDs\nOut of RMIDs\n"


def test_7_3_mkdir_clears_it(boot, fails):
    kernel = boot("few-rmids", era="7.3")
    kernel.fill("mon_groups/m")
    with fails("ENOSPC"):
        kernel.mkdir("mon_groups/more")
    assert kernel.status == "Out of RMIDs\n"


@pytest.mark.parametrize("era", APPENDING)
@pytest.mark.parametrize("path", ["tasks", "mon_groups/m/tasks", "mon_data/mon_L3_00/llc_occupancy"])
def test_reading_a_group_file_leaves_it_alone(boot, fails, era, path):
    kernel = boot(era=era)
    kernel.mkdir("mon_groups/m")
    with fails("ESRCH"):
        kernel.write("mon_groups/m/tasks", 999)
    kernel.read(path)
    assert kernel.status.startswith("No task 999\n")


@pytest.mark.parametrize("path", ["tasks", "mon_groups/m/tasks", "mon_data/mon_L3_00/llc_occupancy"])
def test_7_3_reading_a_group_file_clears_it(boot, fails, path):
    kernel = boot(era="7.3")
    kernel.mkdir("mon_groups/m")
    with fails("ESRCH"):
        kernel.write("mon_groups/m/tasks", 999)
    kernel.read(path)
    assert kernel.status == "ok\n"


def test_7_3_reading_an_info_file_leaves_it_alone(boot, fails):
    kernel = boot(era="7.3")
    with fails("ESRCH"):
        kernel.write("tasks", 999)
    kernel.read("info/L3_MON/num_rmids")
    assert kernel.status.startswith("No task 999\n")


@pytest.mark.parametrize(("era", "left"), [(era, False) for era in APPENDING] + [("7.3", True)])
@pytest.mark.parametrize("path", ["mon_groups", "mon_data", "mon_groups/m/mon_data"])
def test_rmdir_clears_it_in_7_3_even_when_it_fails(boot, fails, era, left, path):
    kernel = boot(era=era)
    kernel.mkdir("mon_groups/m")
    with fails("ESRCH"):
        kernel.write("tasks", 999)
    with fails("EPERM"):
        kernel.rmdir(path)
    assert (kernel.status == "ok\n") == left


def test_rmdir_below_info_never_clears_it(kernel, fails):
    with fails("ESRCH"):
        kernel.write("tasks", 999)
    with fails("EPERM"):
        kernel.rmdir("info/L3_MON")
    assert kernel.status.startswith("No task 999\n")


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("schemata", "L3:0=f", "schemata: Invalid input\n"),
        ("mode", "exclusive", "mode: Invalid input\n"),
        ("info/L3_MON/max_threshold_occupancy", "abc\n", "max_threshold_occupancy: Invalid input\n"),
    ],
)
def test_only_7_3_explains_malformed_input(kernel, fails, path, text, message):
    with fails("EINVAL"):
        kernel.write(path, text)
    assert kernel.status == (message if kernel.resctrl.profile.era.name == "7.3" else "ok\n")


def test_a_fixed_message_that_does_not_fit_is_dropped_whole():
    status = LastCommand(marks_truncation=False)
    for _time in range(100):
        status.puts("Out of RMIDs\n")
    assert status.show() == "Out of RMIDs\n" * 39


def test_a_formatted_message_is_cut_at_the_buffer_of_512_bytes():
    status = LastCommand(marks_truncation=False)
    status.printf("x" * 600)
    status.printf("y")
    assert status.show() == "x" * 511


def test_7_3_says_that_it_has_cut():
    status = LastCommand(marks_truncation=True)
    status.printf("x" * 600)
    assert status.show() == "x" * 511 + "[truncated]\n"
    status.clear()
    assert status.show() == "ok\n"
