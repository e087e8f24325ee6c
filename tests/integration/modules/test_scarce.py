# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RMIDs and bandwidth counters that do not suffice: nothing is left half done, and who goes without is said."""

from __future__ import annotations

import pytest
from modules import succeeded, warnings

from emulator.faults import Fault

TELEMETRY = ("intel-aet", "telemetry_rmids=4", "packages=1", "num_rmids=256")


def names_of(host):
    """The domains that have a group of ours."""
    uuids = {group.rpartition("kvmops-")[2] for group in host.groups()}
    return {name for name in ("vm1", "vm2", "vm3", "vm4", "vm5", "vm6") if host.domains[name].uuid in uuids}


def add(host, count):
    """Domains vm1, vm2 and so on; further ones are shut off."""
    for number in range(1, 7):
        if number <= count:
            host.domains.add(f"vm{number}")
        else:
            host.domains.define(f"vm{number}")


def kinds(host):
    """What was done to resctrl, and with which errno, in order."""
    return [(one.kind, one.errno) for one in host.changes()]


# -- RMIDs of several resources ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
def test_where_telemetry_has_fewer_rmids_than_the_cache_nothing_is_changed_and_it_is_said_why(make_host, check):
    host = make_host(*TELEMETRY)
    add(host, 5)
    result = host.run("resctrl_mon", name="*", check=check)
    assert result["msg"] == (
        "Out of RMIDs: 5 needed, 3 free of 4 (held by: default 1). "
        "Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains"
    )
    assert (result["changed"], result["rmids"]) == (False, {"total": 4, "used": 1, "free": 3})
    assert [one["code"] for one in result["domains"]] == ["rmids_exhausted"] * 5
    assert host.changes() == []


def test_as_many_domains_as_telemetry_has_rmids_for_are_monitored(make_host):
    host = make_host(*TELEMETRY)
    add(host, 3)
    succeeded(host.run("resctrl_mon", name="*"))
    assert names_of(host) == {"vm1", "vm2", "vm3"}
    assert host.info()["host"]["problems"] == []


# -- the kernel refuses though the numbers allowed it ------------------------------------------------------------------


@pytest.mark.parametrize("tells_groups", [False, True], ids=["lists threads", "tells groups"])
def test_what_a_run_had_made_is_removed_again_if_the_kernel_refuses_the_next_group(make_host, tells_groups):
    host = make_host(tells_groups=tells_groups)
    add(host, 3)
    host.control.leave_rmids(2)
    result = host.run("resctrl_mon", name="*")
    assert result["msg"] == (
        "Out of RMIDs: 3 needed, 2 free of 3 (the kernel names 32, and has just refused another) "
        "(held by: default 1). "
        "Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains"
    )
    assert not result["changed"]
    assert [(one["status"], one["changed"], one["code"]) for one in result["domains"]] == [
        ("Disabled", False, "rmids_exhausted")
    ] * 3
    assert host.groups() == {}
    assert result["rmids"] == {"total": 3, "used": 1, "free": 2}


def test_no_thread_is_moved_before_all_groups_are_there(make_host):
    host = make_host()
    add(host, 2)
    host.control.leave_rmids(1)
    host.run("resctrl_mon", name="*")
    assert kinds(host) == [("mkdir", 0), ("mkdir", 28), ("rmdir", 0)]


def test_what_was_monitored_before_stays_monitored_if_the_kernel_refuses_the_next_group(make_host):
    host = make_host()
    add(host, 3)
    succeeded(host.run("resctrl_mon", name="vm1"))
    host.control.leave_rmids(1)
    result = host.run("resctrl_mon", name="*")
    assert [(one["status"], one["failed"]) for one in result["domains"]] == [
        ("Enabled", False),
        ("Disabled", True),
        ("Disabled", True),
    ]
    assert names_of(host) == {"vm1"}
    assert host.groups()[host.group(host.domains["vm1"])] == set(host.domains["vm1"].vcpus.values())


def test_a_vcpu_is_not_taken_out_of_a_group_that_the_same_run_could_not_replace(make_host):
    """A vCPU of vm1 was put into an allocation: it needs a group of ours there."""
    host = make_host()
    add(host, 1)
    vm1 = host.domains["vm1"]
    succeeded(host.run("resctrl_mon", name="vm1"))
    host.make_group("COS1", vm1.vcpus[1])
    host.control.leave_rmids(0)
    result = host.run("resctrl_mon", name="vm1")
    assert result["domains"][0]["code"] == "rmids_exhausted"
    assert host.groups() == {host.group(vm1): {vm1.vcpus[0]}, "COS1": {vm1.vcpus[1]}}


def test_another_program_that_is_faster_is_no_reason_to_leave_half_of_it_done(make_host):
    """The last RMID is taken between the look and the group."""
    host = make_host("few-rmids")
    add(host, 3)
    host.control.fault(Fault("mkdir", f".*{host.domains['vm3'].uuid}", times=0, errno=28))
    result = host.run("resctrl_mon", name="*")
    assert [one["code"] for one in result["domains"]] == ["rmids_exhausted"] * 3
    assert host.groups() == {}


# -- with the agent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["6.1", "6.12"])
def test_a_domain_of_higher_priority_that_starts_last_gets_its_group(make_host, make_agent, era):
    """Also where the kernel has fewer RMIDs than it names, so that only its refusal tells."""
    host = make_host("intel-6.1", f"era={era}")
    add(host, 2)
    agent = make_agent(host)
    agent.declare({"name": "vm3", "priority": 10}, default="enabled")
    host.control.leave_rmids(2)
    assert agent.run("enforce")[0] == 0
    assert names_of(host) == {"vm1", "vm2"}
    host.domains.start("vm3")
    status, said, complaints = agent.run("enforce")
    assert names_of(host) == {"vm1", "vm3"}
    assert "vm3: Now counted: vCPU 0, 1\n" in said
    assert "vm2: Out of RMIDs: of 3 (the kernel names 32, and has just refused another) none is left" in said
    assert (status, complaints) == (0, "")
    assert host.groups()[host.group(host.domains["vm3"])] == set(host.domains["vm3"].vcpus.values())


def test_a_domain_of_higher_priority_that_starts_last_gets_its_group_where_telemetry_has_few(make_host, make_agent):
    host = make_host(*TELEMETRY)
    add(host, 3)
    agent = make_agent(host)
    agent.declare({"name": "vm4", "priority": 10}, default="enabled")
    assert agent.run("enforce")[0] == 0
    host.domains.start("vm4")
    assert agent.run("enforce")[0] == 0
    assert names_of(host) == {"vm1", "vm2", "vm4"}


def test_the_agent_leaves_it_at_that_once_it_has_learned_how_many_there_are(make_host, make_agent):
    """A further run finds the same domains monitored, and moves no thread."""
    host = make_host()
    add(host, 3)
    agent = make_agent(host)
    agent.declare(default="enabled")
    host.control.leave_rmids(2)
    agent.run("enforce")
    before = host.groups()
    assert len(before) == 2
    host.changes()
    status, said, _complaints = agent.run("enforce")
    assert host.groups() == before
    assert "write" not in [kind for kind, _errno in kinds(host)]
    assert (status, said.count("Out of RMIDs")) == (0, 1)


# -- bandwidth counters (AMD ABMC) -------------------------------------------------------------------------------------


@pytest.fixture
def abmc(make_host):
    """Counters for the root and three domains, on each of two caches; six domains."""
    host = make_host("amd-abmc", "abmc_counters=8", "l3_ids=0,1")
    add(host, 6)
    return host


def test_domains_that_got_no_bandwidth_counter_are_named_in_a_warning(abmc):
    result = succeeded(abmc.run("resctrl_mon", name="*"))
    assert [one["status"] for one in result["domains"]] == ["Enabled"] * 6
    without = [name for name in ("vm1", "vm2", "vm3", "vm4", "vm5", "vm6") if abmc.stats(name)["reasons"]]
    assert len(without) == 3
    assert warnings(result) == [
        f"Domain '{name}' is monitored without memory bandwidth on L3 cache 0, 1: no bandwidth counter is free "
        "there. Disable another domain, or take its counters back (bandwidth=false), and run again"
        for name in without
    ]


def test_domains_without_bandwidth_counters_are_a_problem_of_the_host(abmc):
    assert abmc.info()["host"]["problems"] == []
    succeeded(abmc.run("resctrl_mon", name="*"))
    without = ", ".join(name for name, values in abmc.all_stats().items() if values["reasons"])
    assert abmc.info()["host"]["problems"] == [
        "No bandwidth counter is free on L3 cache 0, 1: a domain that is enabled now is monitored without memory "
        "bandwidth there",
        f"These monitored domains have no bandwidth counter: {without}. Their cache occupancy is counted, their memory "
        "bandwidth is not",
    ]


def test_a_host_says_how_many_bandwidth_counters_each_cache_has_and_who_has_them(abmc):
    root = {"owner": "default", "counters": 2, "groups": [{"path": abmc.path(""), "counters": 2}]}
    assert abmc.info()["host"]["counters"] == [
        {"cache": cache, "total": 8, "free": 6, "held_by": [root]} for cache in (0, 1)
    ]
    abmc.make_group("mon_groups/qemu-7-other-vcpus_0")
    succeeded(abmc.run("resctrl_mon", name="vm1"))
    for cache in abmc.info()["host"]["counters"]:
        assert (cache["free"], {one["owner"]: one["counters"] for one in cache["held_by"]}) == (
            2,
            {"default": 2, "kvmops": 2, "libvirt": 2},
        )


def without_bandwidth(host):
    """Domain -> the caches on which it has no bandwidth counter; only of those that lack one."""
    return {one["name"]: one["without_bandwidth"] for one in host.info()["domains"] if one["without_bandwidth"]}


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
def test_a_domain_that_lost_a_counter_on_one_cache_gets_it_back(abmc, check):
    abmc.enable(abmc.domains["vm1"])
    (abmc.seen(abmc.group(abmc.domains["vm1"])) / "mbm_L3_assignments").write_text("mbm_total_bytes:1=_\n")
    assert without_bandwidth(abmc) == {"vm1": [1]}
    result = succeeded(abmc.run("resctrl_mon", name="vm1", check=check))
    (domain,) = result["domains"]
    assert (domain["changed"], domain["msg"]) == (True, "Memory bandwidth is counted on L3 cache 1")
    assert (domain["without_bandwidth"], warnings(result)) == ([], [])
    assert without_bandwidth(abmc) == ({"vm1": [1]} if check else {})


def test_one_for_which_bandwidth_is_wished_gets_the_counters_of_another_of_the_task(abmc):
    """In a task, domains have one wish: what was taken before with bandwidth=false is what others get."""
    succeeded(abmc.run("resctrl_mon", name=["vm1", "vm2", "vm3"]))
    (warning,) = warnings(succeeded(abmc.run("resctrl_mon", name="vm4", bandwidth="true")))
    assert "Domain 'vm4' is monitored without memory bandwidth on L3 cache 0, 1" in warning
    given_back = succeeded(abmc.run("resctrl_mon", name="vm1", bandwidth="false"))["domains"][0]
    assert given_back["msg"] == "Memory bandwidth is no longer counted on L3 cache 0, 1"
    assert abmc.stats("vm1")["reasons"].keys() == {"mbm_total_bytes", "mbm_local_bytes"}
    assert abmc.stats("vm1")["llc_occupancy"] is not None
    assert warnings(succeeded(abmc.run("resctrl_mon", name="vm4"))) == []
    assert without_bandwidth(abmc) == {"vm1": [0, 1]}


def test_a_second_run_changes_nothing(abmc):
    succeeded(abmc.run("resctrl_mon", name="*"))
    abmc.changes()
    assert abmc.run("resctrl_mon", name="*")["changed"] is False
    assert abmc.changes() == []


def test_the_policy_gives_counters_by_wish_and_priority_and_touches_nobody_elses(abmc, make_agent):
    foreign = abmc.make_group("mon_groups/qemu-7-other-vcpus_0")
    theirs = (abmc.seen(foreign) / "mbm_L3_assignments").read_text()
    agent = make_agent(abmc)
    agent.declare(default="enabled")
    assert agent.run("enforce")[0] == 0
    assert sorted(without_bandwidth(abmc)) == ["vm3", "vm4", "vm5", "vm6"]
    agent.declare({"name": "vm6", "bandwidth": True}, {"name": "vm5", "priority": 3}, default="enabled")
    assert agent.run("enforce")[0] == 0
    assert sorted(without_bandwidth(abmc)) == ["vm1", "vm2", "vm3", "vm4"]
    assert (abmc.seen(foreign) / "mbm_L3_assignments").read_text() == theirs
    assert agent.run("enforce")[:2] == (0, "Everything is as declared.\n")


def test_a_counter_that_the_kernel_refuses_is_no_failure_and_is_not_asked_for_again(abmc):
    abmc.enable(abmc.domains["vm1"])
    assignments = abmc.seen(abmc.group(abmc.domains["vm1"])) / "mbm_L3_assignments"
    assignments.write_text("mbm_total_bytes:1=_\n")
    abmc.control.fault(Fault("write", ".*/mbm_L3_assignments", times=0, errno=28))
    result = succeeded(abmc.run("resctrl_mon", name="vm1"))
    assert (result["changed"], result["domains"][0]["without_bandwidth"]) == (False, [1])
    assert len(warnings(result)) == 1


def test_caches_with_different_numbers_of_free_counters_are_judged_each_for_itself(abmc):
    for number in (7, 8):
        group = abmc.make_group(f"mon_groups/other-{number}")
        (abmc.seen(group) / "mbm_L3_assignments").write_text("mbm_total_bytes:1=_\nmbm_local_bytes:1=_\n")
    succeeded(abmc.run("resctrl_mon", name=["vm1", "vm2", "vm3"]))
    assert without_bandwidth(abmc) == {"vm2": [0], "vm3": [0]}


def test_where_the_kernel_gives_no_counter_to_a_new_group_it_is_asked_for_one(abmc):
    (abmc.seen() / "info/L3_MON/mbm_assign_on_mkdir").write_text("0\n")
    result = succeeded(abmc.run("resctrl_mon", name="vm1"))
    assert result["domains"][0]["msg"] == "Now counted: vCPU 0, 1; Memory bandwidth is counted on L3 cache 0, 1"
    assert without_bandwidth(abmc) == {}


def test_disabling_a_domain_gives_its_counters_to_the_next(abmc):
    succeeded(abmc.run("resctrl_mon", name="*"))
    without = [name for name, values in abmc.all_stats().items() if values["reasons"]]
    with_counters = next(name for name in ("vm1", "vm2", "vm3", "vm4") if name not in without)
    succeeded(abmc.run("resctrl_mon", name=[with_counters, without[0]], state="disabled"))
    assert warnings(succeeded(abmc.run("resctrl_mon", name=without[0]))) == []
    assert abmc.stats(without[0])["reasons"] == {}


def test_where_every_group_has_counters_of_its_own_nothing_is_said_of_them(host):
    add(host, 6)
    assert warnings(succeeded(host.run("resctrl_mon", name="*"))) == []
    assert (host.info()["host"]["counters"], host.info()["host"]["problems"]) == ([], [])
