# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains are called what libvirt lets them be called. Groups are called after UUIDs, so any name will do."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain, machine_name
from hosts import Cachetune

UUID = "c0ffee00-0000-4000-8000-00000000000a"
NAMES = {
    "blanks, quotes, commas, dots": 'web 01 "é,..x',
    "like an option": "-dash",
    "like a pattern": "web-[0-9]*",
    "like another domain's UUID": "c0ffee00-0000-4000-8000-00000000000b",
    "like a group of ours": f"kvmops-{UUID}",
    "markup": "a&b<c>'d",
    "like a hidden file": ".web",
    # libvirt keeps it in NAME.xml.new, and a file's name has 255 bytes at most
    "as long as it may be": "n" * 247,
    "as many bytes as it may have": "é" * 123,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_any_name(hv, name):
    hv.start(name, uuid=UUID)
    (domain,) = hv.enable(name)["domains"]
    assert (domain["name"], domain["uuid"], domain["msg"]) == (name, UUID, "Now counted: vCPU 0, 1")
    assert hv.groups() == {f"mon_groups/kvmops-{UUID}": set(hv.vcpus(name).values())}
    assert hv.query(name)["status"] == "Enabled"
    hv.control.set(f"mon_groups/kvmops-{UUID}", 0, "llc_occupancy", 180224)
    assert hv.stats(name)["cmt"] == 180224
    assert hv.disable(name)["domains"][0]["status"] == "Disabled"
    assert hv.groups() == {}


@pytest.mark.parametrize("name", ['web 01 "é,..x', "-dash", "é" * 123])
def test_any_name_with_cachetune(hv, name):
    """libvirt calls its groups after names, of which it leaves out what it does not like."""
    hv.start(name, uuid=UUID, cachetune=[Cachetune("0", monitors=["0"])])
    (libvirts,) = hv.groups()
    (domain,) = hv.enable(name)["domains"]
    assert domain["status"] == "Enabled (forced by cachetune)"
    assert domain["vcpus"] == {"counted": [0, 1], "uncounted": []}
    assert {path.removeprefix("/sys/fs/resctrl/") for path in domain["groups"]} == {
        libvirts,
        f"mon_groups/kvmops-{UUID}",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("web 01", "a,b", "--..lead", "ümläut-ß", "Über flüssig", "東京", "a-.b--c..d", "n" * 56 + "-.x", "x_y.."),
        *("n" * 57, "n" * 80),  # with qemu-ID- in front about 64 characters, which is the limit, and more
    ],
)
def test_libvirts_groups_are_called_after_the_machine_whose_name_we_know(hv, name):
    """Newer versions call the group that counts a whole process after the machine alone."""
    hv.start(name, uuid=UUID, cachetune=[Cachetune("0-1", monitors=["0-1"])])
    (libvirts,) = hv.groups()
    number = int(hv.virsh("domid", "--domain", UUID))
    machine = f"mon_groups/{machine_name(Domain(name, UUID, True, number))}"
    assert libvirts == f"{machine}-vcpus_0-1"
    hv.remove_group(libvirts)
    hv.make_group(machine, *hv.threads(name))
    assert {one["owner"] for one in hv.info()["host"]["rmids"]["held_by"]} == {"default", "libvirt"}
    (domain,) = hv.enable(name, scope="domain", takeover=True)["domains"]
    assert (domain["changed"], domain["groups"]) == (False, [hv.path(machine)])
    assert hv.groups() == {machine: set(hv.threads(name))}


def test_uuid_selects_a_domain_whatever_its_name(hv):
    hv.start("web 01", uuid=UUID)
    for word in (UUID, UUID.upper(), UUID.replace("-", "")):
        assert hv.query(word)["name"] == "web 01"


def test_patterns_select_running_domains(hv):
    hv.start("web-1")
    hv.start("web-2")
    hv.start("db-1")
    hv.virsh("destroy", "web-2")
    assert [domain["name"] for domain in hv.enable("web-*")["domains"]] == ["web-1"]
    assert [domain["name"] for domain in hv.enable("*")["domains"]] == ["db-1", "web-1"]
    assert hv.enable("none-*")["domains"] == []


def test_unknown_name(hv):
    """It fails in libvirt's words, and does not keep the others from what they are to get."""
    hv.start("vm3")
    result = hv.mon("vm9", "vm3")
    assert result["failed"]
    assert result["msg"] == "Domain not found: no domain with matching name 'vm9'"
    assert [(domain["name"], domain["failed"]) for domain in result["domains"]] == [("vm9", True), ("vm3", False)]
    assert hv.query("vm3")["status"] == "Enabled"
    libvirt = "import libvirt; libvirt.openReadOnly('qemu:///system').lookupByName('vm9')"
    assert hv.host.run(["/usr/bin/python3", "-c", libvirt], check=False).stderr.endswith(f": {result['msg']}\n")
