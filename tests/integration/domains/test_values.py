# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values, beside those that libvirt itself reads for the domains that it monitors (virsh domstats)."""

from __future__ import annotations

import re

import pytest
from waiting import wait_until

from hosts import Cachetune, Memorytune, domain_xml
from hosts.domains import allocation

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture(scope="module")
def cache(host):
    """The id of an L3 cache that libvirt can allocate, and the smallest size in KiB that it takes."""
    host.need_kvm()
    found = allocation(host.host)
    assert found
    return {"cache_id": found[0], "size_kib": found[1]}


def occupancy(hv, name):
    """The sum over the monitors and caches that libvirt reports for a domain; there is at least one."""
    return total(hv.domstats(name, "--cpu-total"), r"cpu\.cache\.monitor\.\d+\.bank\.\d+\.bytes")


def bandwidth(hv, name, kind):
    """The same of memory bandwidth, total or local."""
    return total(hv.domstats(name, "--memory"), rf"memory\.bandwidth\.monitor\.\d+\.node\.\d+\.bytes\.{kind}")


def total(fields, pattern):
    """The sum of the fields of domstats that match; there is at least one."""
    numbers = [int(value) for field, value in fields.items() if re.fullmatch(pattern, field)]
    assert numbers
    return sum(numbers)


def libvirts_groups(hv):
    """The groups that libvirt made, those of an allocation first."""
    return sorted((path for path in hv.groups() if "kvmops-" not in path), key=lambda path: path.count("/"))


def test_paired_monitor(hv, cache):
    """The RFC's vm2: libvirt counts threads where it allocates for them. These counters move with the vCPUs' time."""
    hv.start("vm2", cachetune=[Cachetune("0-1", **cache, monitors=["0-1"])])
    wait_until(lambda: hv.stats("vm2")["cmt"], "the first bytes")
    hv.control.freeze()
    assert hv.stats("vm2")["cmt"] == occupancy(hv, "vm2") > 0


def test_two_allocations(hv, cache):
    """Each vCPU has one of its own; cmt is the sum."""
    hv.start("vm2", cachetune=[Cachetune("0", **cache, monitors=["0"]), Cachetune("1", **cache, monitors=["1"])])
    for group, occupied in zip(libvirts_groups(hv), (3 * MIB, 4 * MIB), strict=True):
        hv.control.set(group, cache["cache_id"], "llc_occupancy", occupied)
    stats = hv.stats("vm2")
    assert stats["cmt"] == occupancy(hv, "vm2") == 7 * MIB
    assert stats["vcpus"] == {"counted": [0, 1], "uncounted": []}


def test_allocation_without_monitor(hv, cache):
    """An allocation's directory counts even where no <monitor> asks for it, and libvirt has no value to show."""
    hv.start("vm2", cachetune=[Cachetune("0-1", **cache)])
    (group,) = libvirts_groups(hv)
    hv.control.set(group, cache["cache_id"], "llc_occupancy", 3 * MIB)
    assert hv.stats("vm2")["status"] == "Enabled (forced by cachetune)"
    assert hv.stats("vm2")["cmt"] == 3 * MIB
    # Newer versions say nothing of monitors that there are not
    assert hv.domstats("vm2", "--cpu-total").get("cpu.cache.monitor.count", "0") == "0"


def test_monitor_only_cachetune(hv, cache):
    """<cachetune> with <monitor> and without <cache> allocates nothing, and is counted all the same."""
    hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    (group,) = libvirts_groups(hv)
    assert group.startswith("mon_groups/")
    hv.control.set(group, cache["cache_id"], "llc_occupancy", 2613248)
    assert hv.stats("vm2")["status"] == "Enabled (forced by cachetune)"
    assert hv.stats("vm2")["cmt"] == occupancy(hv, "vm2") == 2613248


def test_narrower_monitor(hv, cache):
    """A monitor for some vCPUs of an allocation is part of it.

    domstats shows both, and the kernel counts vCPU 0 in both (a CTRL_MON group's counters include those of its MON
    groups): their sum would have vCPU 0 twice. cmt has each vCPU once.
    """
    hv.start("vm2", cachetune=[Cachetune("0-1", **cache, monitors=["0-1", "0"])])
    both, narrower = libvirts_groups(hv)
    hv.control.set(both, cache["cache_id"], "llc_occupancy", 1 * MIB)
    hv.control.set(narrower, cache["cache_id"], "llc_occupancy", 4 * MIB)
    domstats = hv.domstats("vm2", "--cpu-total")
    shown = {domstats[f"cpu.cache.monitor.{n}.vcpus"]: domstats[f"cpu.cache.monitor.{n}.bank.0.bytes"] for n in (0, 1)}
    assert shown == {"0-1": str(5 * MIB), "0": str(4 * MIB)}
    stats = hv.stats("vm2")
    assert stats["cmt"] == 5 * MIB
    assert stats["vcpus"] == {"counted": [0, 1], "uncounted": []}


def test_partial_cachetune(hv, cache):
    """libvirt counts vCPU 0, the collection the rest once it is asked to; cmt is the sum."""
    hv.start("vm2", cachetune=[Cachetune("0", **cache, monitors=["0"])])
    (group,) = libvirts_groups(hv)
    hv.control.set(group, cache["cache_id"], "llc_occupancy", 5 * MIB)
    stats = hv.stats("vm2")
    assert stats["cmt"] == occupancy(hv, "vm2") == 5 * MIB
    assert stats["vcpus"] == {"counted": [0], "uncounted": [1]}

    (domain,) = hv.enable("vm2")["domains"]
    assert (domain["status"], domain["msg"]) == ("Enabled (forced by cachetune)", "Now counted: vCPU 1")
    vcpus = hv.vcpus("vm2")
    assert hv.groups() == {group: {vcpus[0]}, hv.ours("vm2"): {vcpus[1]}}
    hv.control.set(hv.ours("vm2"), cache["cache_id"], "llc_occupancy", 2 * MIB)
    stats = hv.stats("vm2")
    assert stats["cmt"] == occupancy(hv, "vm2") + 2 * MIB == 7 * MIB
    assert stats["vcpus"] == {"counted": [0, 1], "uncounted": []}
    assert [one["owner"] for one in stats["groups"]] == ["kvmops", "libvirt"]

    (domain,) = hv.disable("vm2")["domains"]
    assert (domain["status"], domain["vcpus"]["counted"]) == ("Enabled (forced by cachetune)", [0])
    assert hv.groups() == {group: {vcpus[0]}}


def test_partial_monitor_only_cachetune(hv, cache):
    """The same where libvirt allocates nothing: its group and ours are neighbours."""
    hv.start("vm2", cachetune=[Cachetune("0", monitors=["0"])])
    (group,) = libvirts_groups(hv)
    hv.enable("vm2")
    vcpus = hv.vcpus("vm2")
    assert hv.groups() == {group: {vcpus[0]}, hv.ours("vm2"): {vcpus[1]}}
    hv.control.set(group, cache["cache_id"], "llc_occupancy", 5 * MIB)
    hv.control.set(hv.ours("vm2"), cache["cache_id"], "llc_occupancy", 2 * MIB)
    assert hv.stats("vm2")["cmt"] == occupancy(hv, "vm2") + 2 * MIB == 7 * MIB


def test_memorytune_only(hv, cache):
    """libvirt makes a group for <memorytune> too, so the domain is monitored, if not because of cachetune."""
    hv.start("vm2", memorytune=[Memorytune("0-1", cache["cache_id"], 50)])
    (group,) = libvirts_groups(hv)
    hv.control.set(group, cache["cache_id"], "llc_occupancy", 3 * MIB)
    for result in (hv.enable("vm2"), hv.disable("vm2"), hv.info("vm2")):
        (domain,) = result["domains"]
        assert (domain["status"], domain["forced_by"]) == ("Enabled (forced by memorytune)", "memorytune")
        assert not domain["changed"]
    assert libvirts_groups(hv) == [group]
    assert hv.stats("vm2")["cmt"] == 3 * MIB


def test_memory_bandwidth(hv, cache):
    """libvirt shows it for a <monitor> of <memorytune>; the numbers do not fit into 32 bits."""
    xml = domain_xml("vm2", memorytune=[Memorytune("0-1", cache["cache_id"], 50)])
    hv.host.define(xml.replace("</memorytune>", '<monitor vcpus="0-1"/></memorytune>'))
    hv.virsh("start", "vm2")
    (group,) = libvirts_groups(hv)
    hv.control.set(group, cache["cache_id"], "mbm_total_bytes", 7 * GIB)
    hv.control.set(group, cache["cache_id"], "mbm_local_bytes", 5 * GIB)
    stats = hv.stats("vm2")
    assert stats["mbm_total_bytes"] == bandwidth(hv, "vm2", "total") == 7 * GIB
    assert stats["mbm_local_bytes"] == bandwidth(hv, "vm2", "local") == 5 * GIB


def test_several_caches(host):
    """Each cache is shown with its own number, as libvirt's banks are; cmt is their sum."""
    host.need_kvm()
    with host.another("two-caches", overrides=["l3_ids=0,1"]) as hv:
        hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
        (group,) = libvirts_groups(hv)
        hv.control.set(group, 0, "llc_occupancy", 3 * MIB)
        hv.control.set(group, 1, "llc_occupancy", 4 * MIB)
        stats = hv.stats("vm2")
        assert stats["cmt"] == occupancy(hv, "vm2") == 7 * MIB
        assert {one["id"]: one["llc_occupancy"] for one in stats["caches"]} == {0: 3 * MIB, 1: 4 * MIB}
        domstats = hv.domstats("vm2", "--cpu-total")
        assert [domstats[f"cpu.cache.monitor.0.bank.{n}.id"] for n in (0, 1)] == ["0", "1"]


def test_value_that_the_hardware_does_not_give(hv, cache):
    """It is null, with the reason, and takes no other domain's value away.

    libvirt gives up altogether: up to 9.0 at least, domstats has then no values for any domain.
    """
    hv.start("vm2", cachetune=[Cachetune("0-1", **cache, monitors=["0-1"])])
    hv.start("vm3")
    hv.enable("vm3")
    (group,) = (path for path in hv.groups() if "vm2" in path)
    hv.control.set(group, cache["cache_id"], "llc_occupancy", "Unavailable")
    hv.control.set(hv.ours("vm3"), cache["cache_id"], "llc_occupancy", 180224)
    stats = hv.all_stats()
    assert (stats["vm2"]["cmt"], stats["vm2"]["reason"]) == (None, "unavailable")
    assert stats["vm2"]["mbm_total_bytes"] is not None
    assert (stats["vm3"]["cmt"], stats["vm3"]["reason"]) == (180224, None)


def test_rates(hv):
    """Two samples of counters that move with the CPU time of the vCPUs."""
    hv.need_kvm("the lab's guests stand still without it")
    hv.start("vm3")
    hv.enable("vm3")

    def rates():
        return hv.stats("vm3", interval=0.25)["rates"]

    wait_until(lambda: rates()["mbm_total_bytes_per_second"] > 0, "traffic")
    hv.control.freeze()
    standing = rates()
    assert standing.pop("seconds") >= 0.25
    zero = {"mbm_total_bytes_per_second": 0, "mbm_local_bytes_per_second": 0, "reasons": {}, "partial": {}}
    (cache,) = standing.pop("caches")
    assert cache == {"id": cache["id"], **zero}
    assert standing == {**zero, "packages": []}
