# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with Arm MPAM, where each CTRL_MON group has RMIDs of its own: by the emulator, from the kernel's source."""

from __future__ import annotations

import pytest
from modules import only, succeeded, warnings
from standins import uuid_of

LLC, TOTAL = "llc_occupancy", "mbm_total_bytes"
ONE_PLACE = ("arm-mpam", "pmgs=2")
# The files do not tell how many RMIDs each CTRL_MON group has: only the kernel's refusals do
OCCUPANCY_ONLY = ("arm-mpam", "pmgs=2", "events=llc_occupancy", "abmc_counters=0")
MONITOR_ONLY = ("arm-mpam", "pmgs=2", "alloc=")
FULL = (
    "{needed} needed in the root group, {free} free: this CTRL_MON group has room for 1 (on Arm each has RMIDs of its "
    "own{refused}; held by: {held}). Nothing was changed. Disable other domains, remove groups that nobody needs, or "
    "name fewer domains. A domain to which libvirt allocates cache (<cachetune> with <cache>) has room of its own"
)
REFUSED = ", and the kernel has just refused another"


@pytest.fixture(name="arm", params=[False, True], ids=["lists threads", "tells groups"])
def arm_fixture(request, make_host):
    """Makes a host of Arm: arm(profile of the emulator, settings...); threads are found in both ways."""

    def make(*profile):
        return make_host(*profile, tells_groups=request.param)

    return make


def add(host, count):
    """Domains vm1, vm2 and so on."""
    return [host.domains.add(f"vm{number}") for number in range(1, count + 1)]


def monitored(host):
    """The domains that have a group of ours."""
    uuids = {group.rpartition("kvmops-")[2] for group in host.groups()}
    return {name for name in ("vm1", "vm2", "vm3") if uuid_of(name) in uuids}


def kinds(host):
    """What was done to groups, and with which errno, in order."""
    return [(one.kind, one.errno) for one in host.changes() if one.kind in ("mkdir", "rmdir")]


# -- room in a CTRL_MON group ------------------------------------------------------------------------------------------


def test_one_domain_fits_in_the_root_where_it_has_one_place(arm):
    host = arm(*ONE_PLACE)
    vm1 = add(host, 1)[0]
    result = succeeded(host.mon("vm1"))
    assert only(result)["status"] == "Enabled"
    assert host.groups() == {host.group(vm1): set(vm1.vcpus.values())}
    assert not host.mon("vm1")["changed"]


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
def test_a_second_one_does_not_though_rmids_are_free_and_nothing_is_tried(arm, check):
    host = arm(*ONE_PLACE)
    add(host, 3)
    succeeded(host.mon("vm1"))
    host.changes()
    result = host.mon("vm2", "vm3", check=check)
    assert result["msg"] == "Out of RMIDs: " + FULL.format(needed=2, free=0, held="kvmops 1", refused="")
    assert [(one["code"], one["changed"]) for one in result["domains"]] == [("rmids_exhausted", False)] * 2
    assert result["rmids"] == {"total": 32, "used": 2, "free": 30}
    assert host.changes() == []


@pytest.mark.parametrize("profile", [OCCUPANCY_ONLY, MONITOR_ONLY], ids=["occupancy only", "no allocation"])
def test_where_no_file_tells_the_kernels_refusal_does_and_what_was_made_is_removed(arm, profile):
    host = arm(*profile)
    add(host, 2)
    result = host.mon("vm1", "vm2")
    assert result["msg"] == "Out of RMIDs: " + FULL.format(needed=2, free=1, held="nobody", refused=REFUSED)
    assert kinds(host) == [("mkdir", 0), ("mkdir", 28), ("rmdir", 0)]
    assert host.groups() == {}
    assert not result["changed"]


def test_domains_in_allocations_have_room_of_their_own(arm):
    host = arm(*ONE_PLACE)
    vm1, vm2, _vm3 = add(host, 3)
    host.make_group("COS1", *vm2.vcpus.values())
    succeeded(host.mon("vm1", "vm2"))
    assert set(host.groups()) == {host.group(vm1), "COS1", host.group(vm2, "COS1")}


def test_a_place_that_was_just_freed_is_waited_for(arm):
    host = arm(*ONE_PLACE)
    add(host, 2)
    succeeded(host.mon("vm1"))
    succeeded(host.mon("vm1", state="disabled"))
    succeeded(host.mon("vm2"))
    assert monitored(host) == {"vm2"}


def test_the_place_of_a_group_that_was_renamed_to_another_control_group_is_lost_and_it_is_said(make_host):
    host = make_host(*ONE_PLACE)
    add(host, 1)
    host.make_group("COS1")
    host.make_group("mon_groups/theirs")
    (host.seen() / "mon_groups/theirs").rename(host.seen() / "COS1/mon_groups/theirs")
    result = host.mon("vm1")
    assert only(result)["code"] == "rmids_in_limbo"
    assert "a MON group was renamed to another CTRL_MON group, and its RMID is lost until" in result["msg"]


# -- priorities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [ONE_PLACE, OCCUPANCY_ONLY], ids=["the files tell", "the kernel's refusal tells"])
def test_the_one_place_in_the_root_goes_to_the_highest_priority(make_host, make_agent, profile):
    host = make_host(*profile)
    add(host, 3)
    agent = make_agent(host)
    agent.declare({"name": "vm2", "priority": 5}, default="enabled")
    status, said, complaints = agent.run("enforce")
    assert monitored(host) == {"vm2"}
    assert "vm2: Now counted: vCPU 0, 1\n" in said
    assert (
        "vm1: Out of RMIDs: none is left for domain 'vm1' in the root group: this CTRL_MON group has room for 1" in said
    )
    assert (status, complaints) == (0, "")


def test_it_changes_hands_when_a_more_important_domain_starts(make_host, make_agent):
    host = make_host(*ONE_PLACE)
    host.domains.add("vm1")
    for name in ("vm2", "vm3"):
        host.domains.define(name)
    agent = make_agent(host)
    agent.declare({"name": "vm3", "priority": 1}, default="enabled")
    agent.run("enforce")
    assert monitored(host) == {"vm1"}
    host.domains.start("vm3")
    host.changes()
    assert agent.run("enforce")[0] == 0
    assert monitored(host) == {"vm3"}
    first, *waiting, last = kinds(host)
    # While the RMID that was freed waits, the kernel says ENOSPC, as if it was held
    assert (first, set(waiting), last) == (("rmdir", 0), {("mkdir", 28)}, ("mkdir", 0))


# -- the allocation of a CPU's group -----------------------------------------------------------------------------------


def test_a_domain_keeps_the_allocation_of_its_cpus_group(arm):
    """On Arm a thread in a MON group of the root has the root's CLOSID."""
    host = arm("arm-mpam")
    add(host, 1)
    host.make_group("COS1")
    (host.seen("COS1") / "cpus_list").write_text("0-1\n")
    result = host.mon("vm1")
    assert only(result)["code"] == "allocated_by_cpu"
    assert "has the allocation of the group COS1 of the CPU that it may run on, and on Arm monitoring" in result["msg"]
    assert list(host.groups()) == ["COS1"]
    succeeded(host.mon("vm1", leave_cpu_group=True))


# -- values ------------------------------------------------------------------------------------------------------------


def test_values_are_occupancy_and_total_bandwidth(arm):
    host = arm("arm-mpam")
    vm1 = add(host, 1)[0]
    succeeded(host.mon("vm1"))
    for event, value in ((LLC, 4711), (TOTAL, 1234567)):
        host.control.set(host.group(vm1), host.cache, event, value)
    first = host.stats("vm1")["caches"][0]
    assert (first["llc_occupancy"], first["mbm_total_bytes"]) == (4711, 1234567)
    assert first["mbm_local_bytes"] is None
    assert host.stats("vm1")["reasons"]["mbm_local_bytes"] == "unsupported"


def test_a_0_that_means_not_ready_is_read_again(arm):
    host = arm("arm-mpam")
    vm1 = add(host, 1)[0]
    succeeded(host.mon("vm1"))
    host.control.set(host.group(vm1), host.cache, LLC, 4711)
    host.control.not_ready(host.group(vm1), host.cache, LLC)
    assert host.stats("vm1")["caches"][0]["llc_occupancy"] == 4711


def test_a_true_0_is_told(arm):
    host = arm("arm-mpam")
    vm1 = add(host, 1)[0]
    succeeded(host.mon("vm1"))
    host.control.set(host.group(vm1), host.cache, LLC, 0)
    assert host.stats("vm1")["caches"][0]["llc_occupancy"] == 0


@pytest.mark.parametrize(("word", "reason"), [("Error", "error"), ("Unavailable", "unavailable")])
def test_a_word_hides_no_other_value(arm, word, reason):
    """Error where all CPUs of a cache are nohz_full, Unavailable where MPAM was switched off after an error."""
    host = arm("arm-mpam")
    vm1 = add(host, 1)[0]
    succeeded(host.mon("vm1"))
    host.control.set(host.group(vm1), host.cache, TOTAL, word)
    host.control.set(host.group(vm1), host.cache, LLC, 4711)
    first = host.stats("vm1")["caches"][0]
    assert (first["llc_occupancy"], first["mbm_total_bytes"]) == (4711, None)
    assert host.stats("vm1")["reasons"]["mbm_total_bytes"] == reason


# -- what a host says of itself ----------------------------------------------------------------------------------------


def test_a_host_says_how_many_rmids_each_control_group_has(make_host):
    host = make_host("arm-mpam")
    info = host.info()["host"]
    assert (info["rmids"]["total"], info["rmids"]["per_ctrl_mon"]) == (64, 4)
    assert info["mbm_assign_mode"] == "mbm_event"
    assert info["features"] == [LLC, TOTAL]


@pytest.mark.parametrize("profile", [OCCUPANCY_ONLY, MONITOR_ONLY, ("intel-7.3",), ("amd-abmc",)])
def test_elsewhere_or_where_no_file_tells_it_says_nothing(make_host, profile):
    assert make_host(*profile).info()["host"]["rmids"]["per_ctrl_mon"] is None


def test_a_full_root_is_a_problem_where_a_domain_lacks_a_place(make_host):
    host = make_host(*ONE_PLACE)
    add(host, 2)
    succeeded(host.mon("vm1"))
    assert host.info()["host"]["problems"] == [
        "All places for MON groups in the root group are in use, though RMIDs are free: on Arm each CTRL_MON group has "
        "RMIDs of its own, here 2 with that of the group itself. Domains in the root are monitored by priority; one "
        "to which libvirt allocates cache has room of its own"
    ]


def test_without_a_counter_a_domain_is_monitored_without_bandwidth(make_host):
    host = make_host("arm-mpam", "abmc_counters=1")
    add(host, 1)
    result = succeeded(host.mon("vm1"))
    assert [one for one in warnings(result) if "without memory bandwidth" in one]
    assert host.stats("vm1")["reasons"]["mbm_total_bytes"] == "unassigned"
