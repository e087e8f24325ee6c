# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From libvirt's status file and /proc to a domain's threads. Files are laid out as libvirt 9 and Linux write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domains import (
    Domain,
    Processes,
    parse_head,
    parse_tuning,
)

UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"
VM3 = Domain("vm3", UUID, True)
STATUS = """<!--
WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
OVERWRITTEN AND LOST.
-->
<domstatus state='running' reason='booted' pid='{pid}'>
  <taint flag='high-privileges'/>
  <monitor path='/var/lib/libvirt/qemu/domain-5-vm3/monitor.sock' type='unix'/>
  <vcpus>
    {vcpus}
  </vcpus>
  <qemuCaps><flag name='vcpus'/></qemuCaps>
  <domain type='kvm' id='5'>
    <name>vm3</name>
    <vcpu placement='static' current='2'>4</vcpu>
    <vcpus><vcpu id='0' enabled='yes'/><vcpu id='3' enabled='no'/></vcpus>
    {cputune}
  </domain>
</domstatus>
"""


def status(pid=100, vcpus=((0, 101), (1, 102)), cputune=""):
    lines = "".join(f"<vcpu id='{vcpu}' pid='{tid}'/>" for vcpu, tid in vcpus)
    return STATUS.format(pid=pid, vcpus=lines, cputune=cputune).encode()


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    return FakeHost(tmp_path)


class FakeHost:
    """A state directory and a /proc in which tests put files."""

    def __init__(self, path):
        self.state, self.proc = path / "run", path / "proc"
        self.state.mkdir()
        self.proc.mkdir()
        self.processes = Processes(str(self.state), str(self.proc))

    def process(self, pid, threads, uuid=UUID):
        """A QEMU with that UUID on its command line, and threads: tid -> name."""
        words = ["/usr/bin/qemu-system-x86_64", "-name", "guest=vm3,debug-threads=on", "-uuid", uuid, "-S"]
        (self.proc / str(pid)).mkdir()
        (self.proc / str(pid) / "cmdline").write_text("\0".join(words) + "\0")
        for tid, comm in threads.items():
            (self.proc / str(pid) / "task" / str(tid)).mkdir(parents=True)
            (self.proc / str(pid) / "task" / str(tid) / "comm").write_text(f"{comm}\n")


THREADS = {100: "qemu-system-x86", 101: "CPU 0/KVM", 102: "CPU 1/KVM", 103: "IO mon_iothread"}


def test_the_head_of_a_status_file_has_the_threads():
    assert parse_head(status()) == (100, {0: 101, 1: 102})


def test_vcpus_without_ids_are_counted_through():
    without = status().replace(b" id='0' pid", b" pid").replace(b" id='1' pid", b" pid")
    assert parse_head(without) == (100, {0: 101, 1: 102})


@given(st.binary() | st.text().map(str.encode) | st.integers(0, len(status())).map(lambda cut: status()[:cut]))
def test_any_other_bytes_are_a_value_error_or_a_head(content):
    with contextlib.suppress(ValueError):
        pid, vcpus = parse_head(content)
        assert all(isinstance(number, int) for number in (pid, *vcpus, *vcpus.values()))


@given(st.dictionaries(st.integers(0, 4096), st.integers(1, 2**22)))
def test_every_vcpu_is_found(vcpus):
    assert parse_head(status(vcpus=vcpus.items()))[1] == vcpus


ALLOCATION = "<cache id='0' level='3' type='both' size='4' unit='MiB'/>"


@pytest.mark.parametrize(
    ("cputune", "tuning"),
    [
        ("", None),
        ("<cputune><shares>1024</shares></cputune>", None),
        (f"<cputune><cachetune vcpus='0-1' id='vcpus_0-1'>{ALLOCATION}</cachetune></cputune>", "cachetune"),
        ("<cputune><cachetune vcpus='0'><monitor level='3' vcpus='0'/></cachetune></cputune>", "cachetune"),
        ("<cputune><memorytune vcpus='0'><node id='0' bandwidth='50'/></memorytune></cputune>", "memorytune"),
        # both: the RFC's word wins
        (
            "<cputune><memorytune vcpus='0'><node id='0' bandwidth='50'/></memorytune>"
            "<cachetune vcpus='0'><monitor level='3' vcpus='0'/></cachetune></cputune>",
            "cachetune",
        ),
        # libvirt drops an element without allocation and monitor
        ("<cputune><cachetune vcpus='0'/></cputune>", None),
        # somebody's metadata is not tuning
        ("<metadata><x:a xmlns:x='u'><cachetune vcpus='0'><monitor/></cachetune></x:a></metadata>", None),
    ],
)
def test_tuning_is_told_by_the_live_xml(cputune, tuning):
    assert parse_tuning(status(cputune=cputune)) == tuning


def test_a_running_domain_is_found_by_its_status_file(host):
    host.process(100, THREADS)
    (host.state / "vm3.xml").write_bytes(status())
    process = host.processes.find(VM3)
    assert (process.pid, process.vcpus, process.threads) == (100, {0: 101, 1: 102}, frozenset(THREADS))


def test_a_file_of_another_life_of_the_domain_is_not_believed(host):
    """libvirtd was killed, QEMU died, and its pid is another program's now."""
    host.process(100, {100: "sshd"}, uuid="00000000-0000-4000-8000-000000000001")
    host.process(200, {200: "qemu-system-x86", 201: "CPU 0/KVM"})
    (host.state / "vm3.xml").write_bytes(status())
    process = host.processes.find(VM3)
    assert (process.pid, process.vcpus) == (200, {0: 201})


@pytest.mark.parametrize("vcpus", [(), ((0, 101), (1, 999))])
def test_threads_that_the_file_does_not_know_are_found_by_their_names(host, vcpus):
    host.process(100, THREADS)
    (host.state / "vm3.xml").write_bytes(status(vcpus=vcpus))
    assert host.processes.find(VM3).vcpus == {0: 101, 1: 102}


def test_without_a_status_file_the_process_is_found_by_its_uuid(host):
    host.process(100, THREADS)
    assert host.processes.find(VM3).vcpus == {0: 101, 1: 102}


def test_one_thread_for_all_vcpus_is_no_vcpu_thread(host):
    host.process(100, {100: "qemu-system-x86", 101: "ALL CPUs/TCG"})
    (host.state / "vm3.xml").write_bytes(status(vcpus=()))
    assert host.processes.find(VM3).vcpus == {}


def test_a_domain_without_process_is_gone(host):
    (host.state / "vm3.xml").write_bytes(status())
    with pytest.raises(errors.DomainGone, match="'vm3' as running, but it has no process"):
        host.processes.find(VM3)


@pytest.mark.parametrize("name", ["../vm3", "a/b", "nul\0"])
def test_no_path_is_built_from_a_name_with_a_slash(host, name):
    (host.state.parent / "vm3.xml").write_bytes(status())
    host.process(100, THREADS, uuid="00000000-0000-4000-8000-000000000001")
    with pytest.raises(errors.DomainGone):
        host.processes.find(Domain(name, UUID, True))


@pytest.mark.parametrize("name", ['web 01 "é,..x', "-rf", ".", "..", "a" * 200, "*", "%s", "vm3.xml.new"])
def test_odd_names_are_file_names_like_any(host, name):
    host.process(100, THREADS)
    (host.state / f"{name}.xml").write_bytes(status())
    assert host.processes.find(Domain(name, UUID, True)).vcpus == {0: 101, 1: 102}
