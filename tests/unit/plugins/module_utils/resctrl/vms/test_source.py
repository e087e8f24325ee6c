# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From libvirt's status file and /proc to a domain's threads."""

from __future__ import annotations

import os

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.source import Source
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import (
    OTHER_UUID,
    VM3,
    Proc,
    status,
)

THREADS = {100: "qemu-system-x86", 101: "CPU 0/KVM", 102: "CPU 1/KVM", 103: "IO mon_iothread"}


class FakeHost:
    """A state directory and a /proc in which tests put files."""

    def __init__(self, path):
        self.state = path / "run"
        self.state.mkdir()
        self.proc = Proc(path / "proc")
        self.namespace_is_whole = True
        self.source = Source(str(self.state), self.proc.processes, lambda: self.namespace_is_whole)

    def write(self, content, name="vm3"):
        (self.state / f"{name}.xml.new").write_bytes(content)
        (self.state / f"{name}.xml.new").rename(self.state / f"{name}.xml")


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    return FakeHost(tmp_path)


def test_a_running_domain_is_found_by_its_status_file(host):
    host.proc.qemu(100, THREADS)
    host.write(status())
    process = host.source.find(VM3)
    assert (process.pid, process.vcpus, process.threads) == (100, {0: 101, 1: 102}, frozenset(THREADS))


def test_tuning_comes_with_the_process(host):
    host.proc.qemu(100, THREADS)
    host.write(status(cputune="<cputune><cachetune vcpus='0'><monitor level='3' vcpus='0'/></cachetune></cputune>"))
    assert host.source.find(VM3).tuning == "cachetune"


def test_a_file_of_another_life_of_the_domain_is_not_believed(host):
    """libvirtd was killed, QEMU died, and its pid is another program's now."""
    host.proc.qemu(100, {100: "sshd"}, uuid=OTHER_UUID)
    host.proc.qemu(200, {200: "qemu-system-x86", 201: "CPU 0/KVM"})
    host.write(status())
    process = host.source.find(VM3)
    assert (process.pid, process.vcpus) == (200, {0: 201})


def test_a_file_of_another_domain_of_that_name_is_not_believed(host):
    """Another libvirt's, such as a session's: its cachetune is not ours."""
    host.proc.qemu(100, THREADS)
    host.proc.qemu(200, {200: "qemu-system-x86", 201: "CPU 0/KVM"}, uuid=OTHER_UUID)
    tuned = "<cputune><cachetune vcpus='0'><monitor level='3' vcpus='0'/></cachetune></cputune>"
    host.write(status(pid=200, vcpus=[(0, 201)], uuid=OTHER_UUID, cputune=tuned))
    process = host.source.find(VM3)
    assert (process.pid, process.vcpus, process.tuning) == (100, {0: 101, 1: 102}, None)


@pytest.mark.parametrize("vcpus", [(), ((0, 101), (1, 999))])
def test_threads_that_the_file_does_not_know_are_found_by_their_names(host, vcpus):
    host.proc.qemu(100, THREADS)
    host.write(status(vcpus=vcpus))
    assert host.source.find(VM3).vcpus == {0: 101, 1: 102}


def test_without_a_status_file_the_process_is_found_by_its_uuid(host):
    host.proc.qemu(100, THREADS)
    assert host.source.find(VM3).vcpus == {0: 101, 1: 102}


def test_a_damaged_status_file_is_like_none(host):
    host.proc.qemu(100, THREADS)
    host.write(status()[:300])
    assert host.source.find(VM3).vcpus == {0: 101, 1: 102}


def test_a_file_that_has_changed_is_read_again(host):
    host.proc.qemu(100, THREADS)
    host.write(status(vcpus=[(0, 101)]))
    assert host.source.find(VM3).vcpus == {0: 101}
    host.write(status())
    assert host.source.find(VM3).vcpus == {0: 101, 1: 102}


def test_one_thread_for_all_vcpus_is_no_vcpu_thread(host):
    host.proc.qemu(100, {100: "qemu-system-x86", 101: "ALL CPUs/TCG"})
    host.write(status(vcpus=()))
    assert host.source.find(VM3).vcpus == {}


# -- a wrapper around the emulator -------------------------------------------------------------------------------------


@pytest.fixture(name="wrapped")
def wrapped_fixture(host):
    """A shell that waits for QEMU has the same command line; libvirt knows the shell's number."""
    host.proc.qemu(90, {90: "sh"}, program="/bin/sh")
    host.proc.qemu(100, THREADS)
    return host


@pytest.mark.parametrize("vcpus", [((0, 101), (1, 102)), (), ((0, 999),)], ids=["told", "untold", "wrong"])
def test_the_child_of_a_wrapper_is_the_process(wrapped, vcpus):
    wrapped.write(status(pid=90, vcpus=vcpus))
    process = wrapped.source.find(VM3)
    assert (process.pid, process.vcpus) == (100, {0: 101, 1: 102})


def test_the_child_of_a_wrapper_is_found_without_a_status_file(wrapped):
    assert wrapped.source.find(VM3).pid == 100


def test_numbers_of_another_pid_namespace_are_not_this_hosts(host):
    """libvirt and its QEMUs run in a container: 54 in the file is 100 here, and 54 here is something else."""
    host.proc.qemu(54, {54: "sshd", 55: "sshd", 56: "sshd"}, uuid=OTHER_UUID)
    host.proc.qemu(100, THREADS)
    host.write(status(pid=54, vcpus=[(0, 55), (1, 56)]))
    process = host.source.find(VM3)
    assert (process.pid, process.vcpus) == (100, {0: 101, 1: 102})


# -- processes that only say so ----------------------------------------------------------------------------------------

CLAIMED = {300: "python3", 301: "CPU 0/KVM", 302: "CPU 1/KVM", 303: "CPU 2/KVM"}


def test_what_a_users_process_says_on_its_command_line_is_not_believed(host):
    """libvirt runs in a container, so its numbers are not this host's, and a user has read the UUID."""
    host.proc.qemu(100, THREADS)
    host.proc.qemu(300, CLAIMED, program="python3", uid=1000, kvm=True)
    host.write(status(pid=54, vcpus=[(0, 55), (1, 56)]))
    assert host.source.find(VM3).pid == 100


def test_a_users_process_is_no_domain_that_is_starting(host):
    host.proc.qemu(100, {100: "qemu-system-x86"})
    host.proc.qemu(300, CLAIMED, program="python3", uid=1000, kvm=True)
    host.write(status(vcpus=(), reason="starting up"))
    with pytest.raises(errors.DomainStarting):
        host.source.find(VM3)


def test_a_users_process_is_no_domain_whose_own_cannot_be_seen(host):
    host.proc.qemu(300, CLAIMED, program="python3", uid=1000)
    host.namespace_is_whole = False
    with pytest.raises(errors.DomainUnseen):
        host.source.find(VM3)


def test_a_containers_account_has_any_number_so_its_process_has_to_hold_a_virtual_machine(host):
    host.proc.qemu(90, {90: "sh"}, program="/bin/sh", uid=42427)
    host.proc.qemu(100, THREADS, uid=42427, kvm=True)
    host.proc.qemu(300, CLAIMED, program="python3", uid=1000)
    assert host.source.find(VM3).pid == 100


def test_of_two_processes_that_may_be_the_domain_none_is_taken(host):
    host.proc.qemu(100, THREADS, uid=42427, kvm=True)
    host.proc.qemu(300, CLAIMED, uid=1000, kvm=True)
    with pytest.raises(errors.DomainAmbiguous, match=r"'vm3' is cannot be told, so it is left alone: .* 100 and 300 "):
        host.source.find(VM3)


# -- where there is no process -----------------------------------------------------------------------------------------


def test_a_domain_without_process_is_gone(host):
    host.write(status())
    with pytest.raises(errors.DomainGone, match="'vm3' as running, but it has no process"):
        host.source.find(VM3)


@pytest.mark.parametrize(
    "hide",
    [lambda host: setattr(host, "namespace_is_whole", False), lambda host: host.proc.hide(1)],
    ids=["PID namespace", "hidepid"],
)
def test_what_cannot_be_seen_is_not_gone(host, hide):
    hide(host)
    host.write(status())
    with pytest.raises(errors.DomainUnseen, match=r"cannot be seen from here.*hidepid"):
        host.source.find(VM3)


def test_a_domain_is_starting_as_long_as_it_has_no_process(host):
    host.write(status(pid=0, vcpus=(), reason="starting up"))
    with pytest.raises(errors.DomainStarting, match="'vm3' is starting"):
        host.source.find(VM3)


def test_a_domain_is_starting_as_long_as_its_process_has_no_vcpus(host):
    host.proc.qemu(100, {100: "qemu-system-x86"})
    host.write(status(vcpus=(), reason="starting up"))
    with pytest.raises(errors.DomainStarting, match="'vm3' is starting"):
        host.source.find(VM3)


def test_a_domain_is_starting_before_its_process_runs_qemu(host):
    """libvirt has forked, and the child waits for its permission to become QEMU."""
    host.proc.program(100, "libvirtd")
    host.write(status(vcpus=(), reason="starting up"))
    with pytest.raises(errors.DomainStarting, match="'vm3' is starting"):
        host.source.find(VM3)


def test_a_domain_that_died_while_it_was_starting_is_gone(host):
    host.write(status(vcpus=(), reason="starting up"))
    with pytest.raises(errors.DomainGone):
        host.source.find(VM3)


# -- names, and who may ask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../vm3", "a/b", "nul\0"])
def test_no_path_is_built_from_a_name_with_a_slash(host, name):
    (host.state.parent / "vm3.xml").write_bytes(status())
    host.proc.qemu(100, THREADS, uuid=OTHER_UUID)
    with pytest.raises(errors.DomainGone):
        host.source.find(VM3._replace(name=name))


@pytest.mark.parametrize("name", ['web 01 "é,..x', "-rf", ".", "..", "a" * 200, "*", "%s", "vm3.xml.new"])
def test_odd_names_are_file_names_like_any(host, name):
    host.proc.qemu(100, THREADS)
    (host.state / f"{name}.xml").write_bytes(status())
    assert host.source.find(VM3._replace(name=name)).vcpus == {0: 101, 1: 102}


def test_status_files_that_may_not_be_read_ask_for_root(host, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(errors.NotRoot, match="Cannot read libvirt's status files"):
        host.source.find(VM3)


def test_only_root_is_told_the_domains(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(errors.NotRoot, match="belong to root"):
        host.source.domains()


def test_domains_come_by_name(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    known = [Domain(name, OTHER_UUID, True) for name in ("b", "a", "C")]
    monkeypatch.setattr(host.source, "list", lambda: known)
    assert [one.name for one in host.source.domains()] == ["C", "a", "b"]


def test_the_driver_is_told_by_the_directory(host):
    assert Source("/run/libvirt/ch", host.proc.processes, lambda: True).driver == "ch"
