# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains the QEMU processes of a host are, and what another user cannot make of them."""

from __future__ import annotations

import os

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms import qemu
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.commandline import made_uuid
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.qemu import Qemu
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import (
    OTHER_UUID,
    VM3,
    Proc,
    status,
)

WEB = Domain("web", VM3.uuid, True)
WORDS = ("-name", "web,debug-threads=on", "-uuid", VM3.uuid)


class FakeHost:
    """A /proc, and where libvirt's status files would be."""

    def __init__(self, path):
        self.state = path / "run"
        self.proc = Proc(path / "proc")
        self.emulator = self.proc.emulator
        self.source = Qemu(self.proc.processes, lambda: True, str(self.state))

    def list(self):
        return sorted(self.source.list())

    def find(self, name="web"):
        (domain,) = (one for one in self.list() if one.name == name)
        return self.source.find(domain)


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    return FakeHost(tmp_path)


# -- which processes are domains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        "/usr/bin/qemu-system-x86_64",
        "/usr/bin/qemu-system-aarch64 (deleted)",
        "/usr/libexec/qemu-kvm",
        "/usr/bin/kvm",
        "/opt/incus/bin/qemu-system-x86_64",
        "/nix/store/x-qemu-9/bin/.qemu-system-x86_64-wrapped",
        "/home/x\ny/qemu",
    ],
)
def test_a_domain_is_a_process_that_runs_qemu(host, program):
    host.emulator(100, *WORDS, program=program)
    assert host.list() == [WEB]


@pytest.mark.parametrize(
    "program", ["/bin/sh", "/usr/bin/qemu-img", "/usr/bin/qemu-x86_64", "/usr/bin/virt-launcher", "/x/qemu-kvm/sh"]
)
def test_a_command_line_alone_makes_no_domain(host, program):
    host.emulator(100, *WORDS, program=program)
    assert host.list() == []


def test_the_program_is_what_the_kernel_says_whatever_the_first_word_is(host):
    host.emulator(100, *WORDS)
    host.proc.program(100, "guest-of-mine", *WORDS)
    assert host.list() == [WEB]


def test_what_has_ended_is_no_domain(host):
    host.emulator(100, *WORDS)
    host.emulator(200, "-name", "zombie")
    (host.proc.path / "200/cmdline").write_text("")
    host.emulator(300, "-name", "just ended")
    (host.proc.path / "300/status").unlink()
    assert host.list() == [WEB]


def test_a_number_of_proxmox_comes_with_the_domain(host):
    host.emulator(100, "-id", "7", "-name", "web", "-smbios", f"type=1,uuid={VM3.uuid}")
    assert host.list() == [WEB._replace(number="7")]


def test_a_machine_without_uuid_is_said_to_have_a_made_one(host):
    host.emulator(100, "-name", "web")
    host.emulator(200, "-id", "7")
    assert host.list() == [
        Domain("vm7", made_uuid("id=7"), True, number="7", uuid_made=True),
        Domain("web", made_uuid("name=web"), True, uuid_made=True),
    ]


def test_one_without_anything_is_known_as_long_as_it_runs(host):
    host.emulator(100, "-m", "64")
    (first,) = host.list()
    assert (first.name, first.uuid_made) == ("unnamed-100", True)
    assert host.source.find(first).pid == 100
    assert host.proc.processes.runs(100, first.uuid)
    assert host.list() == [first]
    host.proc.end(100)
    host.emulator(200, "-m", "64")
    (second,) = host.list()
    assert second.uuid != first.uuid


def test_another_life_under_the_same_number_is_another_machine(host):
    host.emulator(100, "-m", "64")
    (first,) = host.list()
    path = host.proc.path / "100/stat"
    path.write_text(path.read_text().replace(" 22 ", " 2222 "))
    assert not host.proc.processes.runs(100, first.uuid)
    assert host.list() != [first]


def deny(monkeypatch, *pids):
    """Root without CAP_SYS_PTRACE is not told what these processes run."""
    readlink = os.readlink

    def refuse(path):
        if any(f"/{pid}/" in path for pid in pids):
            raise PermissionError(13, "Permission denied", path)
        return readlink(path)

    monkeypatch.setattr(os, "readlink", refuse)


def test_where_the_program_of_a_qemu_is_hidden_nothing_is_said(host, monkeypatch):
    host.emulator(100, *WORDS, program="/usr/bin/kvm")
    host.emulator(200, "-name", "db", "-uuid", OTHER_UUID)
    deny(monkeypatch, 100)
    with pytest.raises(errors.ProcessesHidden, match="cannot be seen from here: that of process 100"):
        host.list()


def test_what_others_run_may_be_hidden(host, monkeypatch):
    host.emulator(100, *WORDS)
    host.emulator(200, "-name", "db", program="/bin/sh")
    host.emulator(300, program="/bin/sh")
    (host.proc.path / "300/cmdline").write_text("")
    deny(monkeypatch, 1, 200, 300)
    assert host.list() == [WEB]


def test_where_proc_hides_the_processes_of_others_nothing_is_said(host):
    """hidepid, without CAP_SYS_PTRACE."""
    host.emulator(100, *WORDS)
    host.proc.hide(1)
    with pytest.raises(errors.ProcessesHidden, match="hides those of other users"):
        host.list()


# -- threads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accelerator", ["KVM", "TCG"])
def test_vcpus_are_told_by_the_names_of_threads(host, accelerator):
    host.emulator(100, *WORDS, threads=[f"CPU 0/{accelerator}", "IO mon_iothread", f"CPU 1/{accelerator}"])
    process = host.find()
    assert (process.pid, process.vcpus, process.threads) == (100, {0: 101, 1: 103}, frozenset({100, 101, 102, 103}))
    assert not process.unnamed


def test_where_threads_have_no_telling_names_that_is_said(host):
    """Whether a thread is in the guest cannot be seen from outside, and QMP is the manager's."""
    host.emulator(100, "-name", "web", threads=["qemu-system-x86", "qemu-system-x86"])
    process = host.find()
    assert (process.vcpus, process.threads, process.unnamed) == ({}, frozenset({100, 101, 102}), True)


def test_one_thread_for_all_vcpus_is_known(host):
    host.emulator(100, *WORDS, threads=["ALL CPUs/TCG"])
    assert (host.find().vcpus, host.find().unnamed) == ({}, False)


def test_before_its_vcpus_are_there_it_is_starting(host):
    host.emulator(100, *WORDS, threads=["call_rcu"])
    with pytest.raises(errors.DomainStarting, match="'web' is starting"):
        host.find()


@pytest.mark.parametrize("after", [None, "-name other", f"-uuid {OTHER_UUID}"])
def test_one_that_has_ended_since_the_list_is_gone(host, after):
    """Its number may be another program's by now."""
    host.emulator(100, *WORDS)
    (domain,) = host.list()
    host.proc.end(100)
    if after:
        host.emulator(100, *after.split())
    with pytest.raises(errors.DomainGone, match="has just ended"):
        host.source.find(domain)


def test_what_was_never_listed_is_gone(host):
    with pytest.raises(errors.DomainGone):
        host.source.find(WEB)


@pytest.mark.parametrize(("pid", "tuning"), [(100, "cachetune"), (99, None)])
def test_what_libvirt_tunes_is_told_by_a_status_file_about_the_same_process(host, pid, tuning):
    tuned = "<cputune><cachetune vcpus='0'><monitor level='3' vcpus='0'/></cachetune></cputune>"
    host.state.mkdir()
    (host.state / "web.xml").write_bytes(status(pid=pid, name="web", cputune=tuned))
    host.emulator(100, *WORDS)
    assert host.find().tuning == tuning


# -- one identity, several processes -----------------------------------------------------------------------------------


def test_two_processes_of_one_uuid_are_left_alone_and_both_are_named(host):
    """A migration on one host, or the source and the target of KubeVirt on one node."""
    host.emulator(100, *WORDS)
    host.emulator(200, *WORDS)
    with pytest.raises(
        errors.DomainAmbiguous, match="'web' is cannot be told, so it is left alone: the processes 100 and 200"
    ) as raised:
        host.find()
    assert isinstance(raised.value, errors.DomainUnseen)


def test_two_machines_that_were_given_one_uuid_are_named_by_their_numbers(host):
    for pid, number in ((100, "7"), (200, "8")):
        host.emulator(pid, "-id", number, *WORDS)
    for domain in host.list():
        with pytest.raises(errors.DomainAmbiguous, match="Give the machines 7 and 8 each a UUID of its own"):
            host.source.find(domain)


def test_two_processes_of_one_name_and_without_uuid_are_left_alone(host):
    host.emulator(100, "-name", "web")
    host.emulator(200, "-name", "web")
    with pytest.raises(errors.DomainAmbiguous, match="100 and 200 have that name, and no UUID"):
        host.find()


def test_whoever_claims_a_uuid_under_another_name_is_named_too(host):
    host.emulator(100, *WORDS)
    host.emulator(200, "-name", "other", "-uuid", VM3.uuid)
    assert [one.name for one in host.list()] == ["other", "web"]
    for name in ("other", "web"):
        with pytest.raises(errors.DomainAmbiguous, match="100 and 200"):
            host.find(name)


def test_two_names_with_two_uuids_are_two_domains(host):
    host.emulator(100, *WORDS)
    host.emulator(200, "-name", "web,debug-threads=on", "-uuid", OTHER_UUID)
    found = {one.uuid: host.source.find(one).pid for one in host.list()}
    assert found == {VM3.uuid: 100, OTHER_UUID: 200}


@pytest.mark.parametrize("pid", [50, 150], ids=["started first", "started later"])
@pytest.mark.parametrize("parent_has", [(), ("CPU 0/KVM", "CPU 1/KVM", "call_rcu")], ids=["waits", "forked a helper"])
def test_of_a_process_and_its_child_the_one_with_more_threads_is_the_domain(host, pid, parent_has):
    """With -daemonize the parent waits until the child is up; a helper looks like QEMU until it runs its program."""
    host.emulator(pid, *WORDS, threads=parent_has)
    host.emulator(100, *WORDS, parent=pid, threads=() if parent_has else ("CPU 0/KVM", "CPU 1/KVM"))
    assert host.find().pid == (pid if parent_has else 100)


# -- what another user cannot do ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", [1000, 60001, 65535, 100000])
def test_a_users_process_that_only_looks_like_qemu_is_no_domain(host, uid):
    """A user's own account, one of systemd-homed, and those that a user has for containers."""
    host.emulator(100, *WORDS, uid=uid)
    assert host.list() == []


def test_a_users_process_with_a_machine_of_kvm_is_a_domain(host):
    host.emulator(100, *WORDS, uid=1000, kvm=True)
    assert host.list() == [WEB]


@pytest.mark.parametrize("uid", [0, 107, 999, 64055, 65534])
def test_a_system_accounts_process_needs_no_kvm(host, uid):
    """Emulated with TCG. 107 is qemu of RHEL and KubeVirt, 64055 libvirt-qemu of Debian."""
    host.emulator(100, *WORDS, uid=uid)
    assert host.list() == [WEB]


def test_all_user_ids_of_a_process_count(host):
    host.emulator(100, *WORDS)
    path = host.proc.path / "100/status"
    path.write_text(path.read_text().replace("Uid:\t0\t0\t0\t0", "Uid:\t1000\t0\t0\t0"))
    assert host.list() == []


@pytest.mark.parametrize("pid", [50, 150])
def test_a_user_cannot_take_the_uuid_of_a_managers_machine(host, pid):
    host.emulator(pid, "-name", "mine", "-uuid", VM3.uuid, uid=1000, kvm=True)
    host.emulator(100, *WORDS, uid=107)
    assert host.list() == [WEB]
    assert host.find().pid == 100


def test_a_user_cannot_take_a_made_uuid_either(host):
    host.emulator(50, "-name", "mine,debug-threads=on", "-uuid", made_uuid("name=web"), uid=1000, kvm=True)
    host.emulator(100, "-name", "web,debug-threads=on")
    assert host.find().pid == 100


def test_a_user_cannot_have_a_name_that_is_the_uuid_of_another(host):
    host.emulator(100, *WORDS, uid=107)
    host.emulator(200, "-name", VM3.uuid.upper(), "-uuid", OTHER_UUID, uid=1000, kvm=True)
    assert [one.name for one in host.list()] == ["unnamed-200", "web"]


def test_a_name_that_fills_the_screen_is_not_shown(host):
    host.emulator(100, "-name", "a" * 256, uid=1000, kvm=True)
    host.emulator(200, "-name", "b" * 255, uid=1000, kvm=True)
    assert [one.name for one in host.list()] == ["b" * 255, "unnamed-100"]


def test_a_machine_may_be_named_after_its_own_uuid(host):
    host.emulator(100, "-name", VM3.uuid, "-uuid", VM3.uuid)
    assert [one.name for one in host.list()] == [VM3.uuid]


def test_files_of_a_process_that_ends_meanwhile_are_no_evidence(host):
    host.emulator(100, *WORDS, uid=1000, kvm=True)
    (host.proc.path / "100/fd/0").unlink()
    (host.proc.path / "100/fd/0").write_text("no link")
    assert host.list() == [WEB]
    for path in (host.proc.path / "100/fd").iterdir():
        path.unlink()
    (host.proc.path / "100/fd").rmdir()
    assert host.list() == []


# -- when anything changes ---------------------------------------------------------------------------------------------


def test_a_change_in_any_managers_directory_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(qemu, "WATCHED", (str(tmp_path), str(tmp_path / "missing")))
    assert qemu.changed_at() == tmp_path.stat().st_mtime_ns
