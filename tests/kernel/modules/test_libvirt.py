# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules beside libvirt's own domains with KVM and the kernel's own resctrl, in a guest with an AMD CPU.

vm1 is shut off, vm2 runs with <cachetune> for the first of its two vCPUs, vm3 runs without. What they run is an endless
loop, which an emulated CPU has no time for: they are paused, which is running to libvirt, until something is to count.
"""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest
from counters import frozen
from kernel_host import RESCTRL, groups, mount, number, only, texts, wait_for
from modules import run_module

FORCED = "Enabled (forced by cachetune)"
LOOP = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
CACHETUNE = """
<cputune><cachetune vcpus="0">
  <cache id="0" level="3" type="both" size="4" unit="MiB"/><monitor level="3" vcpus="0"/>
</cachetune></cputune>
"""
DOMAIN = """
<domain type="kvm">
  <name>{name}</name><memory unit="MiB">32</memory><vcpu>{vcpus}</vcpu>{cputune}
  <os><type arch="x86_64" machine="pc">hvm</type></os>
  <cpu mode="host-passthrough" check="none"/>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="raw"/><source file="{disk}"/><target dev="hda" bus="ide"/>
    </disk>
    <controller type="usb" model="none"/>
    <memballoon model="none"/>
  </devices>
</domain>
"""


def virsh(*words):
    """What virsh prints."""
    return subprocess.run(
        ["virsh", "--quiet", *words], check=True, stdout=subprocess.PIPE, text=True, timeout=180
    ).stdout


def mon(name, state):
    """The result of resctrl_mon."""
    return run_module("resctrl_mon", {"name": [name], "state": state})


def stats():
    """The fact of resctrl_stats: domains by name."""
    return run_module("resctrl_stats", {})["ansible_facts"]["resctrl_stats"]["domains"]


def vcpu_threads(name):
    """vCPU -> thread, by the threads' names; what QEMU's process is, its pid file says."""
    pid = pathlib.Path(f"/run/libvirt/qemu/{name}.pid").read_text().strip()
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        match = re.fullmatch(r"CPU ([0-9]+)/KVM\n", (task / "comm").read_text())
        if match:
            found[int(match.group(1))] = int(task.name)
    return found


def ours(name):
    """The group of ours for a domain."""
    return f"mon_groups/kvmops-{virsh('domuuid', name).strip()}"


def count(name, group):
    """Let a domain run until a group has counted something."""
    virsh("resume", name)
    wait_for(lambda: number(group, "llc_occupancy") > 0)
    virsh("suspend", name)


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    """libvirtd with the three domains; the group that libvirt has made for vm2."""
    mount()
    subprocess.run(["/harness/start-libvirtd"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # libvirt allocates what the default group leaves
    (RESCTRL / "schemata").write_text("L3:0=ff;1=ff\n")
    directory = tmp_path_factory.mktemp("domains")
    for name, vcpus, cputune in (("vm1", 1, ""), ("vm2", 2, CACHETUNE), ("vm3", 1, "")):
        disk = directory / f"{name}.img"
        disk.write_bytes(LOOP.ljust(1 << 20, b"\0"))
        file = directory / f"{name}.xml"
        file.write_text(DOMAIN.format(name=name, vcpus=vcpus, cputune=cputune, disk=disk))
        virsh("define", str(file))
        if name != "vm1":
            virsh("start", name, "--paused")
    theirs = next(iter(groups()))
    count("vm2", theirs)
    return theirs


def test_vm3_is_enabled_counted_and_disabled(domains):
    assert stats()["vm3"]["status"] == "Disabled"
    result = mon("vm3", "enabled")
    assert (only(result)["status"], only(result)["msg"]) == ("Enabled", "Now counted: vCPU 0")
    assert set(vcpu_threads("vm3").values()) <= groups()[ours("vm3")]
    count("vm3", ours("vm3"))
    with frozen():
        cmt = stats()["vm3"]["cmt"]
        assert cmt == number(ours("vm3"), "llc_occupancy") > 0
    assert not mon("vm3", "enabled")["changed"]
    assert only(mon("vm3", "disabled"))["status"] == "Disabled"
    assert list(groups()) == [domains]


@pytest.mark.usefixtures("domains")
def test_vm1_is_shut_off():
    for state in ("enabled", "disabled"):
        result = mon("vm1", state)
        assert result["msg"] == "Requested operation is not valid: domain is not running"
        assert only(result)["status"] == "Disabled"


@pytest.mark.usefixtures("domains")
def test_cmt_of_a_paired_domain_is_what_libvirt_reads():
    """libvirt counts vCPU 0 of vm2 only: as long as nobody asks for the other, there is nothing else to add."""
    with frozen():
        shown = virsh("domstats", "--cpu-total", "vm2")
        vm2 = stats()["vm2"]
    banks = [int(value) for value in re.findall(r"cpu\.cache\.monitor\.\d+\.bank\.\d+\.bytes=(\d+)", shown)]
    assert len(banks) == 2
    assert vm2["cmt"] == sum(banks) > 0
    assert (vm2["status"], vm2["vcpus"]) == (FORCED, {"counted": [0], "uncounted": [1]})


def test_the_other_vcpu_of_vm2_is_switched_and_libvirts_stays(domains):
    threads = vcpu_threads("vm2")
    schemata = (RESCTRL / domains / "schemata").read_text()
    enabled = only(mon("vm2", "enabled"))
    assert (enabled["status"], enabled["msg"]) == (FORCED, "Now counted: vCPU 1")
    assert threads[0] in groups()[domains]
    assert threads[1] in groups()[ours("vm2")]
    with frozen():
        cmt = stats()["vm2"]["cmt"]
        assert cmt == number(domains, "llc_occupancy") + number(ours("vm2"), "llc_occupancy")

    result = mon("vm2", "disabled")
    assert (only(result)["status"], only(result)["vcpus"]["counted"]) == (FORCED, [0])
    assert texts(result) == [
        "Monitoring of domain 'vm2' cannot be switched off while it runs: it is forced by cachetune in its XML"
    ]
    assert list(groups()) == [domains]
    assert threads[0] in groups()[domains]
    assert (RESCTRL / domains / "schemata").read_text() == schemata


@pytest.mark.usefixtures("domains")
def test_a_destroyed_domain_leaves_a_group_that_the_next_run_prunes():
    mon("vm3", "enabled")
    group = ours("vm3")
    virsh("destroy", "vm3")
    result = mon("*", "enabled")
    assert result["pruned"] == [str(RESCTRL / group)]
    assert group not in groups()
