# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules beside libvirt's own domains with KVM and the kernel's own resctrl, in a guest with an AMD CPU.

vm1 is shut off, vm2 runs with <cachetune> for the first of its two vCPUs, vm3 runs without. What they run is an endless
loop, which an emulated CPU has no time for: they are paused, which is running to libvirt, until something is to count.
"""

from __future__ import annotations

import re
import subprocess
from xml.etree import ElementTree as ET

import pytest
from counters import frozen
from kernel_host import RESCTRL, KernelLibvirtHost, mount, number
from modules import only, warnings
from tuning import Cachetune, cputune
from waiting import wait_until

FORCED = "Enabled (forced by cachetune)"
LOOP = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
TUNED = Cachetune("0", cache_id=0, size_kib=4096, monitors=["0"])
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


@pytest.fixture(scope="module", name="host")
def host_fixture(tmp_path_factory):
    """libvirtd with the three domains."""
    mount()
    subprocess.run(["/harness/start-libvirtd"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # libvirt allocates what the default group leaves
    (RESCTRL / "schemata").write_text("L3:0=ff;1=ff\n")
    host = KernelLibvirtHost()
    directory = tmp_path_factory.mktemp("domains")
    for name, vcpus, tuning in (("vm1", 1, []), ("vm2", 2, [TUNED]), ("vm3", 1, [])):
        disk = directory / f"{name}.img"
        disk.write_bytes(LOOP.ljust(1 << 20, b"\0"))
        file = directory / f"{name}.xml"
        xml = ET.tostring(cputune(tuning), encoding="unicode")
        file.write_text(DOMAIN.format(name=name, vcpus=vcpus, cputune=xml, disk=disk))
        host.virsh("define", str(file))
        if name != "vm1":
            host.virsh("start", name, "--paused")
    return host


@pytest.fixture(scope="module", name="theirs")
def theirs_fixture(host):
    """The group that libvirt has made for vm2, which has counted something."""
    (theirs,) = host.groups()
    count(host, "vm2", theirs)
    return theirs


def count(host, name, group):
    """Let a domain run until a group has counted something."""
    host.virsh("resume", name)
    wait_until(lambda: number(group, "llc_occupancy") > 0, "a count")
    host.virsh("suspend", name)


def test_vm3_is_enabled_counted_and_disabled(host, theirs):
    assert host.stats("vm3")["status"] == "Disabled"
    result = host.mon("vm3", state="enabled")
    assert (only(result)["status"], only(result)["msg"]) == ("Enabled", "Now counted: vCPU 0")
    assert set(host.vcpus("vm3").values()) <= host.groups()[host.ours("vm3")]
    count(host, "vm3", host.ours("vm3"))
    with frozen():
        cmt = host.stats("vm3")["cmt"]
        assert cmt == number(host.ours("vm3"), "llc_occupancy") > 0
    assert not host.mon("vm3", state="enabled")["changed"]
    assert only(host.mon("vm3", state="disabled"))["status"] == "Disabled"
    assert list(host.groups()) == [theirs]


@pytest.mark.usefixtures("theirs")
def test_vm1_is_shut_off(host):
    for state in ("enabled", "disabled"):
        result = host.mon("vm1", state=state)
        assert result["msg"] == "Requested operation is not valid: domain is not running"
        assert only(result)["status"] == "Disabled"


@pytest.mark.usefixtures("theirs")
def test_cmt_of_a_paired_domain_is_what_libvirt_reads(host):
    """libvirt counts vCPU 0 of vm2 only: as long as nobody asks for the other, there is nothing else to add."""
    with frozen():
        shown = host.virsh("domstats", "--cpu-total", "vm2")
        vm2 = host.stats("vm2")
    banks = [int(value) for value in re.findall(r"cpu\.cache\.monitor\.\d+\.bank\.\d+\.bytes=(\d+)", shown)]
    assert len(banks) == 2
    assert vm2["cmt"] == sum(banks) > 0
    assert (vm2["status"], vm2["vcpus"]) == (FORCED, {"counted": [0], "uncounted": [1]})


def test_the_other_vcpu_of_vm2_is_switched_and_libvirts_stays(host, theirs):
    threads = host.vcpus("vm2")
    schemata = (RESCTRL / theirs / "schemata").read_text()
    enabled = only(host.mon("vm2", state="enabled"))
    assert (enabled["status"], enabled["msg"]) == (FORCED, "Now counted: vCPU 1")
    assert threads[0] in host.groups()[theirs]
    assert threads[1] in host.groups()[host.ours("vm2")]
    with frozen():
        cmt = host.stats("vm2")["cmt"]
        assert cmt == number(theirs, "llc_occupancy") + number(host.ours("vm2"), "llc_occupancy")

    result = host.mon("vm2", state="disabled")
    assert (only(result)["status"], only(result)["vcpus"]["counted"]) == (FORCED, [0])
    assert warnings(result) == [
        "No group of this collection counts domain 'vm2' any more. libvirt goes on counting vCPU 0 while the domain "
        "runs: that is forced by cachetune in its XML"
    ]
    assert list(host.groups()) == [theirs]
    assert threads[0] in host.groups()[theirs]
    assert (RESCTRL / theirs / "schemata").read_text() == schemata


@pytest.mark.usefixtures("theirs")
def test_a_destroyed_domain_leaves_a_group_that_the_next_run_prunes(host):
    host.mon("vm3", state="enabled")
    group = host.ours("vm3")
    host.virsh("destroy", "vm3")
    result = host.mon("*", state="enabled")
    assert result["pruned"] == [str(RESCTRL / group)]
    assert group not in host.groups()
