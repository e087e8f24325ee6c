# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains with <energytune>, which libvirt counts itself; and what it says of their energy beside what we say.

libvirt reads its own groups with code of its own, so that it is an oracle for our values.
"""

from __future__ import annotations

import decimal
import re

import pytest
from modules import warnings

from hosts import Cachetune, Energytune

LIBVIRT = "12.4"
PROFILE = "intel-aet"
OVERRIDES = ("packages=2",)
ENERGY = ("core_energy", "activity")


def libvirts_energy(hv, name):
    """Per monitor of the domain: package -> event -> the number, by `virsh domstats`."""
    found = {}
    fields = hv.domstats(name, "--cpu-total")
    for key, value in fields.items():
        match = re.fullmatch(r"cpu\.energy\.monitor\.(\d+)\.pkg\.(\d+)\.(core_energy|activity)", key)
        if match:
            monitor, place, event = match.groups()
            package = int(fields[f"cpu.energy.monitor.{monitor}.pkg.{place}.id"])
            vcpus = fields[f"cpu.energy.monitor.{monitor}.vcpus"]
            found.setdefault(vcpus, {}).setdefault(package, {})[event] = decimal.Decimal(value)
    return found


def our_energy(hv, name):
    """package -> event -> the number, by resctrl_stats."""
    packages = hv.stats(name)["packages"]
    return {one["id"]: {event: number(one[event]) for event in ENERGY} for one in packages}


def number(value):
    """A value of ours as the decimal that it is printed as."""
    return decimal.Decimal(str(value))


def test_a_domain_with_energytune_is_enabled_by_it(hv):
    hv.start("vm1", energytune=[Energytune("0-1", ["0-1"])])
    (libvirts,) = hv.groups()
    assert hv.query("vm1")["status"] == "Enabled (forced by energytune)"
    for state in ("enabled", "disabled"):
        result = hv.mon("vm1", state=state)
        (domain,) = result["domains"]
        assert (result["changed"], domain["status"]) == (False, "Enabled (forced by energytune)")
        assert (domain["groups"], domain["vcpus"]["uncounted"]) == ([hv.path(libvirts)], [])
    assert warnings(result) == [
        "Monitoring of domain 'vm1' cannot be switched off while it runs: it is forced by energytune in its XML"
    ]
    assert hv.groups() == {libvirts: set(hv.vcpus("vm1").values())}


def test_libvirt_says_the_same_of_its_energy(hv):
    hv.start("vm1", energytune=[Energytune("0-1", ["0-1"])])
    hv.control.freeze()
    theirs = libvirts_energy(hv, "vm1")
    assert theirs["0-1"].keys() == {0, 1}
    assert our_energy(hv, "vm1") == theirs["0-1"]


def test_a_group_for_cache_and_energy_is_counted_once(hv):
    """libvirt makes one group for a cachetune monitor and an energytune monitor of the same vCPUs."""
    hv.start("vm1", cachetune=[Cachetune("0-1", monitors=["0-1"])], energytune=[Energytune("0-1", ["0-1"])])
    (libvirts,) = hv.groups()
    (cache,) = hv.info()["host"]["caches"]
    hv.control.freeze()
    hv.control.set(libvirts, cache["id"], "llc_occupancy", 180224)
    stats = hv.stats("vm1")
    fields = hv.domstats("vm1", "--cpu-total")
    assert (stats["status"], stats["cmt"]) == ("Enabled (forced by cachetune)", 180224)
    assert fields["cpu.cache.monitor.0.bank.0.bytes"] == "180224"
    assert our_energy(hv, "vm1") == libvirts_energy(hv, "vm1")["0-1"]
    held_by = hv.info()["host"]["rmids"]["held_by"]
    paths = {one["owner"]: [group["path"] for group in one["groups"]] for one in held_by}
    assert paths == {"default": [hv.path("")], "libvirt": [hv.path(libvirts)]}


def test_the_vcpus_that_libvirt_leaves_out_are_counted_beside_it_and_added(hv):
    hv.start("vm1", energytune=[Energytune("0", ["0"])])
    (domain,) = hv.enable("vm1")["domains"]
    assert (domain["status"], domain["vcpus"]) == (
        "Enabled (forced by energytune)",
        {"counted": [0, 1], "uncounted": []},
    )
    ours = hv.ours("vm1")
    assert hv.groups()[ours] == {hv.vcpus("vm1")[1]}
    hv.control.freeze()
    theirs = libvirts_energy(hv, "vm1")["0"]
    for package in theirs:
        hv.control.set(ours, package, "core_energy", 1.5)
        hv.control.set(ours, package, "activity", "Unavailable")
    for one in hv.stats("vm1")["packages"]:
        counted = theirs[one["id"]]
        assert number(one["core_energy"]) == counted["core_energy"] + decimal.Decimal("1.5")
        assert (one["activity"], one["reasons"]["activity"]) == (None, "unavailable")
        assert number(one["partial"]["activity"]) == counted["activity"]
    disabled = hv.disable("vm1")
    assert disabled["domains"][0]["status"] == "Enabled (forced by energytune)"
    assert ours not in hv.groups()


def test_several_monitors_of_a_domain_are_added(hv):
    hv.start("vm1", energytune=[Energytune("0", ["0"]), Energytune("1", ["1"])])
    assert len(hv.groups()) == 2
    hv.control.freeze()
    theirs = libvirts_energy(hv, "vm1")
    assert our_energy(hv, "vm1") == {
        package: {event: theirs["0"][package][event] + theirs["1"][package][event] for event in ENERGY}
        for package in theirs["0"]
    }


@pytest.mark.parametrize("name", ['web 01 "é,..x', "n" * 80])
def test_any_name_will_do(hv, name):
    hv.start(name, energytune=[Energytune("0-1", ["0-1"])])
    (libvirts,) = hv.groups()
    hv.control.freeze()
    assert hv.disable(name)["domains"][0]["status"] == "Enabled (forced by energytune)"
    assert our_energy(hv, name) == libvirts_energy(hv, name)["0-1"]
    assert {one["owner"] for one in hv.info()["host"]["rmids"]["held_by"]} == {"default", "libvirt"}
    assert set(hv.groups()) == {libvirts}
