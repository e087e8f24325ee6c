# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a process is, which of its threads run vCPUs, and what is not seen of it."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.commandline import made_uuid, parse
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import OTHER_UUID, VM3, Proc


@pytest.fixture(name="proc")
def proc_fixture(tmp_path):
    found = Proc(tmp_path)
    names = {
        100: "qemu-system-x86",
        101: "CPU 0/KVM",
        102: "CPU 12/TCG",
        103: "CPU x/KVM",
        104: "CPU 3/KVM2",
        105: "IO mon_iothread",
    }
    found.qemu(100, names)
    return found


def test_vcpus_are_told_by_the_names_of_threads(proc):
    assert proc.processes.vcpus_by_name(100) == {0: 101, 12: 102}


def test_a_process_is_the_domains_whose_uuid_is_on_its_command_line(proc):
    assert proc.processes.runs(100, VM3.uuid)
    assert not proc.processes.runs(100, OTHER_UUID)
    assert not proc.processes.runs(0, VM3.uuid)


def test_a_uuid_anywhere_else_on_a_command_line_means_nothing(proc):
    proc.program(200, "grep", VM3.uuid)
    proc.program(201, "qemu", "-uuid")
    assert proc.processes.with_uuid(VM3.uuid) == [100]


@pytest.mark.parametrize(
    ("words", "uuid"),
    [
        (["-id", "7", "-name", "web", "-smbios", f"type=1,uuid={OTHER_UUID}"], OTHER_UUID),
        (["-uuid", OTHER_UUID.upper()], OTHER_UUID),
        (["-name", "web"], made_uuid("name=web")),
        (["-id", "7", "-name", "web"], made_uuid("id=7")),
    ],
)
def test_a_process_is_recognised_whoever_manages_it(proc, words, uuid):
    """Whoever finds the group of a domain of another source leaves it alone."""
    proc.program(200, "qemu-system-x86_64", *words)
    assert proc.processes.runs(200, uuid)
    assert not proc.processes.runs(200, VM3.uuid)
    assert not proc.processes.runs(200, "")
    assert proc.processes.with_uuid(VM3.uuid) == [100]


def test_a_process_without_a_name_is_recognised_by_any_of_its_threads(proc):
    proc.emulator(200, "-m", "64")
    (proc.path / "201").mkdir()
    (proc.path / "201/cmdline").write_bytes((proc.path / "200/cmdline").read_bytes())
    (proc.path / "201/status").write_text("Tgid:\t200\n")
    (proc.path / "201/stat").write_text("201 (CPU 0/KVM) S 1 " + " ".join(["0"] * 50))
    uuid = proc.processes.identity(200, parse(proc.processes.words(200)))
    assert proc.processes.runs(201, uuid)
    assert not proc.processes.runs(100, uuid)


def test_nobody_is_the_process_of_no_uuid(proc):
    assert proc.processes.with_uuid("") == []


def test_all_processes_are_looked_at_once_a_look(proc):
    assert proc.processes.with_uuid(OTHER_UUID) == []
    proc.qemu(200, {200: "qemu"}, uuid=OTHER_UUID)
    assert proc.processes.with_uuid(OTHER_UUID) == []
    proc.processes.look()
    assert proc.processes.with_uuid(OTHER_UUID) == [200]


def test_a_thread_tells_its_process(proc):
    assert proc.processes.process_of(102) == 100
    assert proc.processes.process_of(999) == 0


def test_what_has_ended_has_nothing(proc):
    assert proc.processes.threads(999) == frozenset()
    assert proc.processes.threads(0) == frozenset()
    assert proc.processes.allowed_cpus(999, 999) == ""
    assert not proc.processes.is_there(999)


def test_the_cpus_of_a_thread_are_those_of_the_kernel(proc):
    assert proc.processes.allowed_cpus(100, 101) == "0-3,8"


def test_with_hidepid_processes_are_there_but_not_visible(proc):
    assert proc.processes.are_visible()
    proc.hide(1)
    assert not proc.processes.are_visible()
    assert proc.processes.is_there(1)


def test_a_thread_tells_how_long_it_ran_and_waited(proc):
    (proc.path / "100/task/101/schedstat").write_text("1500000000 250000000 7\n")
    assert proc.processes.scheduled(100, 101) == (1.5, 0.25)
    assert proc.processes.scheduled(100, 999) is None
