# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs that use resctrl on the same host: libvirt itself, pqos, an administrator."""

from __future__ import annotations

from hosts import Cachetune
from hosts.domains import allocation

DOMAINS = ["vm3"]


def generations(hv):
    """Group -> its inode: whether it is still the same one."""
    return {path: group["inode"] for path, group in hv.control.snapshot()["groups"].items()}


def closid(hv, path):
    """The allocation that a group has part in."""
    return hv.control.snapshot()["groups"][path]["closid"]


# -- another program's groups ------------------------------------------------------------------------------------------


def test_threads_of_another_programs_monitoring_are_not_stolen(hv):
    """As pqos -m would have made it."""
    thread = hv.vcpus("vm3")[1]
    hv.make_group("mon_groups/pqos-1-0", thread)
    before = hv.groups()
    result = hv.mon("vm3")
    assert result["failed"]
    assert result["msg"] == (
        f"Thread {thread} of domain 'vm3' is in the group mon_groups/pqos-1-0 of pqos. "
        "Stop that monitoring first, or take its threads over (takeover=true)"
    )
    assert result["domains"][0]["code"] == "foreign_group"
    assert hv.groups() == before


def test_takeover(hv):
    """The other group stays, without the threads."""
    vcpus = hv.vcpus("vm3")
    hv.make_group("mon_groups/pqos-1-0", vcpus[1])
    assert hv.enable("vm3", takeover=True)["changed"]
    assert hv.groups() == {"mon_groups/pqos-1-0": set(), hv.ours("vm3"): set(vcpus.values())}
    assert not hv.enable("vm3")["changed"]


def test_threads_keep_their_allocation(hv):
    """Ours is below the CTRL_MON group that pqos -a or an administrator put the threads in."""
    vcpus = hv.vcpus("vm3")
    hv.make_group("COS1", vcpus[0])
    (domain,) = hv.enable("vm3")["domains"]
    below = f"COS1/{hv.ours('vm3')}"
    assert hv.groups() == {"COS1": set(), below: {vcpus[0]}, hv.ours("vm3"): {vcpus[1]}}
    assert closid(hv, below) == closid(hv, "COS1")
    assert domain["status"] == "Enabled"
    assert domain["vcpus"]["counted"] == [0, 1]

    (cache,) = hv.info()["host"]["caches"]
    hv.control.set("COS1", cache["id"], "llc_occupancy", 1 << 20)
    hv.control.set(below, cache["id"], "llc_occupancy", 100)
    hv.control.set(hv.ours("vm3"), cache["id"], "llc_occupancy", 11)
    assert hv.stats("vm3")["cmt"] == 111

    hv.disable("vm3")
    assert hv.groups() == {"COS1": {vcpus[0]}}


def test_another_program_moves_the_threads(hv):
    """An administrator gives a monitored domain an allocation, which takes its threads out of our group."""
    hv.enable("vm3")
    vcpus = hv.vcpus("vm3")
    hv.make_group("COS1", *vcpus.values())
    assert hv.query("vm3")["status"] == "Disabled"
    hv.enable("vm3")
    assert hv.groups() == {"COS1": set(), f"COS1/{hv.ours('vm3')}": set(vcpus.values())}


def test_another_program_removes_our_group(hv):
    hv.enable("vm3")
    hv.remove_group(hv.ours("vm3"))
    assert hv.query("vm3")["status"] == "Disabled"
    assert hv.stats("vm3")["reason"] == "disabled"
    assert hv.enable("vm3")["domains"][0]["msg"] == "Now counted: vCPU 0, 1"
    assert hv.groups() == {hv.ours("vm3"): set(hv.vcpus("vm3").values())}


# -- libvirt -----------------------------------------------------------------------------------------------------------


def test_our_groups_survive_libvirt(hv):
    """It starts and stops domains with and without groups of their own, and its daemon anew."""
    hv.enable("vm3")
    ours = hv.ours("vm3")
    before, threads = generations(hv)[ours], hv.groups()[ours]
    hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    hv.start("vm4")
    hv.kill_libvirtd()
    hv.start_libvirtd()
    hv.virsh("capabilities")
    hv.virsh("destroy", "vm2")
    hv.virsh("destroy", "vm4")
    assert generations(hv)[ours] == before
    assert hv.groups() == {ours: threads}


def test_libvirts_groups_survive_us(hv):
    """Whatever is asked for; takeover takes nothing from libvirt."""
    cache_id, size = allocation(hv.host)
    hv.start("vm1", cachetune=[Cachetune("0-1", cache_id, size, monitors=["0"])])
    hv.start("vm2", cachetune=[Cachetune("0", monitors=["0"])])
    libvirts, groups = generations(hv), hv.groups()
    assert len(groups) == 3
    for scope in ("domain", "vcpus"):
        for state in ("enabled", "disabled"):
            result = hv.mon("*", state=state, scope=scope, takeover=True)
            assert not result.get("failed")
            assert result["changed"]
            assert {path: inode for path, inode in generations(hv).items() if path in libvirts} == libvirts
            assert {path: threads for path, threads in hv.groups().items() if path in groups} == groups
    assert hv.groups() == groups


def test_libvirts_group_is_removed_by_another_program(hv):
    """The domain's XML still has the element, which alone has no thread of it counted."""
    hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    (libvirts,) = hv.groups()
    hv.remove_group(libvirts)
    domain = hv.query("vm2")
    assert (domain["status"], domain["forced_by"]) == ("Disabled", None)
    assert domain["vcpus"]["uncounted"] == [0, 1]
    assert (hv.stats("vm2")["cmt"], hv.stats("vm2")["reason"]) == (None, "disabled")
    # The collection can count it instead
    assert hv.enable("vm2")["domains"][0]["msg"] == "Now counted: vCPU 0, 1"
    assert hv.groups() == {hv.ours("vm2"): set(hv.vcpus("vm2").values())}
