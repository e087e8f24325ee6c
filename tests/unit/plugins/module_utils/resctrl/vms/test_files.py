# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains there are, told by libvirt's files."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.files import Files, changed_at
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.processes import Processes
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import (
    OTHER_UUID,
    VM3,
    Proc,
    status,
)


class FakeHost:
    """libvirt's two directories and a /proc."""

    def __init__(self, path):
        self.state, self.config = path / "run", path / "etc"
        self.state.mkdir()
        self.config.mkdir()
        self.proc = Proc(path / "proc")
        self.namespace_is_whole = True

    def define(self, name, uuid):
        (self.config / f"{name}.xml").write_text(f"<domain><name>{name}</name><uuid>{uuid}</uuid></domain>")

    def list(self):
        files = Files(self.proc.processes, lambda: self.namespace_is_whole, str(self.state), str(self.config))
        return sorted(files.list())


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    return FakeHost(tmp_path)


def test_a_domain_runs_if_its_process_does(host):
    host.define("vm1", OTHER_UUID)
    host.define("vm3", VM3.uuid)
    (host.state / "vm3.xml").write_bytes(status())
    (host.state / "old.xml").write_bytes(status(pid=8, name="old", uuid="00000000-0000-4000-8000-000000000009"))
    (host.state / "vm1.xml.new").write_text("<half")
    (host.state / "junk.xml").write_text("<half")
    host.proc.qemu(100, {100: "qemu"})
    assert host.list() == [Domain("vm1", OTHER_UUID, False), VM3]


def test_of_a_domain_that_runs_the_configuration_is_not_read(host):
    host.define("vm3", OTHER_UUID)
    (host.state / "vm3.xml").write_bytes(status())
    host.proc.qemu(100, {100: "qemu"})
    assert host.list() == [VM3]


def test_one_that_is_defined_nowhere_runs_too(host):
    (host.state / "vm3.xml").write_bytes(status())
    host.proc.qemu(100, {100: "qemu"})
    assert host.list() == [VM3]


def test_a_domain_that_is_starting_runs_before_its_process_does(host):
    (host.state / "vm3.xml").write_bytes(status(pid=0, vcpus=(), reason="starting up"))
    assert host.list() == [VM3]


def test_one_whose_process_is_not_qemu_yet_runs_too(host):
    (host.state / "vm3.xml").write_bytes(status(vcpus=(), reason="starting up"))
    host.proc.program(100, "libvirtd")
    assert host.list() == [VM3]


def test_a_domain_of_another_pid_namespace_runs_under_another_number(host):
    """libvirt and its QEMUs are in a container: 54 in the file is 100 here."""
    (host.state / "vm3.xml").write_bytes(status(pid=54))
    host.proc.program(54, "sshd")
    host.proc.qemu(100, {100: "qemu"})
    assert host.list() == [VM3]


@pytest.mark.parametrize(
    "hide",
    [lambda host: setattr(host, "namespace_is_whole", False), lambda host: host.proc.hide(1)],
    ids=["PID namespace", "hidepid"],
)
def test_a_domain_whose_process_cannot_be_seen_still_runs(host, hide):
    (host.state / "vm3.xml").write_bytes(status())
    assert host.list() == []
    hide(host)
    assert host.list() == [VM3]


def test_a_host_without_libvirt_has_no_domains(tmp_path):
    nowhere = str(tmp_path / "missing")
    files = Files(Processes(nowhere), lambda: True, nowhere, nowhere)
    assert list(files.list()) == []
    assert changed_at(nowhere) == 0


def test_a_directory_tells_when_a_status_file_came_or_went(host):
    (host.state / "vm3.xml").write_bytes(status())
    before = changed_at(str(host.state))
    (host.state / "vm3.xml").unlink()
    assert changed_at(str(host.state)) >= before > 0
