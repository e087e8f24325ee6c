# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What resctrl_mon does to a host, rule by rule: the whole module, as a process."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import errno
import fcntl
import os
from collections.abc import Mapping, Sequence

import pytest
from modules import only, succeeded, warnings
from waiting import wait_until

NOT_RUNNING = "Requested operation is not valid: domain is not running"
# Names that libvirt accepts, each of them a trap for somebody who builds paths, patterns or command lines of them
ODD_NAMES = ['web 01 "é,..x', "n" * 200, "-rf", "..", "[v]m*", "a&b<c>", "$(reboot)", "ünïcødé", "%s{{ x }}\\n"]


# -- on and off --------------------------------------------------------------------------------------------------------


def test_enabled_means_that_every_vcpu_is_counted(host):
    vm3 = host.domains.add("vm3")
    result = host.run("resctrl_mon", name="vm3", state="enabled")
    assert result["changed"]
    assert only(result) == {
        "name": "vm3",
        "uuid": vm3.uuid,
        "uuid_made": False,
        "active": True,
        "status": "Enabled",
        "enabled": True,
        "starting": False,
        "forced_by": None,
        "changed": True,
        "failed": False,
        "msg": "Now counted: vCPU 0, 1",
        "code": None,
        "groups": [host.path(host.group(vm3))],
        "vcpus": {"counted": [0, 1], "uncounted": []},
        "without_bandwidth": [],
    }
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_disabled_means_that_no_group_of_ours_counts_the_domain(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    result = host.run("resctrl_mon", name="vm3", state="disabled")
    assert result["changed"]
    assert only(result)["status"] == "Disabled"
    assert only(result)["msg"] == f"Removed {host.group(vm3)}"
    assert host.groups() == {}


def test_rmids_are_told_as_they_are_after_the_run(host):
    host.domains.add("vm3")
    assert host.run("resctrl_mon", name="vm3", check=True)["rmids"] == {"total": 32, "used": 2, "free": 30}
    assert host.run("resctrl_mon", name="vm3")["rmids"] == {"total": 32, "used": 2, "free": 30}
    assert host.run("resctrl_mon", name="vm3", state="disabled")["rmids"] == {"total": 32, "used": 1, "free": 31}


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_second_run_changes_nothing(host, state):
    host.domains.add("vm3")
    host.run("resctrl_mon", name="vm3", state="enabled")
    host.run("resctrl_mon", name="vm3", state=state)
    host.changes()
    result = host.run("resctrl_mon", name="vm3", state=state, diff=True)
    assert not result["changed"]
    assert (only(result)["changed"], only(result)["msg"]) == (False, "")
    assert result["diff"]["before"] == result["diff"]["after"]
    assert host.changes() == []


def test_a_run_that_changes_nothing_does_not_wait_for_the_lock(host):
    host.enable(host.domains.add("vm3"))
    root = os.open(host.domains.path(host.resctrl), os.O_RDONLY)
    try:
        fcntl.flock(root, fcntl.LOCK_EX)
        assert not host.run("resctrl_mon", name="vm3")["changed"]
    finally:
        os.close(root)


def test_many_domains_are_switched_by_one_task(host):
    domains = [host.domains.add(f"vm{number}") for number in range(12)]
    result = host.run("resctrl_mon", name="vm*")
    assert [one["status"] for one in result["domains"]] == ["Enabled"] * 12
    assert host.groups() == {host.group(one): set(one.vcpus.values()) for one in domains}


# -- check mode and diff mode ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Situation:
    """A host before a run, and the run's options. Each field has the domains with which that was done, in this order;
    `tuned` says which vCPUs of vm2 libvirt counts, and `before` the options of an earlier run.
    """

    options: Mapping[str, object]
    defined: Sequence[str] = ()
    running: Sequence[str] = ("vm3",)
    tuned: str = ""
    enabled: Sequence[str] = ()
    before: Mapping[str, object] = dataclasses.field(default_factory=dict)
    plugged: Sequence[str] = ()
    restarted: Sequence[str] = ()
    stopped: Sequence[str] = ()
    counted_by_pqos: Sequence[str] = ()

    def lay_out(self, host):
        """Let the host be so."""
        for name in self.defined:
            host.domains.define(name)
        for name in self.running:
            host.domains.add(name)
        if self.tuned:
            host.tuned("vm2", self.tuned)
        for name in self.enabled:
            host.enable(host.domains[name])
        if self.before:
            succeeded(host.run("resctrl_mon", **self.before))
        for name in self.plugged:
            host.domains.plug(name, 2)
        for name in self.restarted:
            host.domains.start(name)
        for name in self.stopped:
            host.domains.stop(name)
        for name in self.counted_by_pqos:
            host.make_group("mon_groups/pqos-77-1", host.domains[name].vcpus[0])


VM2, VM3 = {"name": "vm2"}, {"name": "vm3"}
SITUATIONS = {
    "fresh": Situation(VM3),
    "enabled": Situation(VM3, enabled=["vm3"]),
    "to be disabled": Situation({**VM3, "state": "disabled"}, enabled=["vm3"]),
    "disabled": Situation({**VM3, "state": "disabled"}),
    "plugged": Situation(VM3, enabled=["vm3"], plugged=["vm3"]),
    "restarted": Situation(VM3, enabled=["vm3"], restarted=["vm3"]),
    "stale": Situation({"name": "vm4"}, running=["vm3", "vm4"], enabled=["vm3"], stopped=["vm3"]),
    "the whole process": Situation({**VM3, "scope": "domain"}, enabled=["vm3"]),
    "vCPUs again": Situation(VM3, enabled=["vm3"], before={**VM3, "scope": "domain"}),
    "forced": Situation(VM2, running=[], tuned="0-0"),
    "forced, to be disabled": Situation({**VM2, "state": "disabled"}, running=[], tuned="0-0", before=VM2),
    "foreign": Situation({**VM3, "takeover": True}, counted_by_pqos=["vm3"]),
    "foreign, refused": Situation(VM3, counted_by_pqos=["vm3"]),
    "some fail": Situation({"name": ["vm1", "vm3", "nobody"]}, defined=["vm1"]),
    "too many": Situation({**VM3, "reserve_rmids": 32}),
}


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_check_mode_tells_what_a_run_does_and_does_nothing(host, situation):
    situation.lay_out(host)
    host.changes()
    told = host.run("resctrl_mon", **situation.options, check=True, diff=True)
    assert host.changes() == []
    done = host.run("resctrl_mon", **situation.options, diff=True)
    assert bool(host.changes()) == done["changed"]
    assert told == done


def test_diff_mode_shows_who_counts_what_before_and_after(host):
    vm2 = host.tuned("vm2", "0-0")
    vm3 = host.domains.add("vm3")
    result = host.run("resctrl_mon", name=["vm2", "vm3"], scope="domain", diff=True)
    theirs = host.path("qemu-1-vm2-vcpus_0-0")
    assert result["diff"]["before"] == f"vm2: Enabled (forced by cachetune)\n  {theirs}: vCPU 0\nvm3: Disabled\n"
    assert result["diff"]["after"] == (
        "vm2: Enabled (forced by cachetune)\n"
        f"  {host.path(host.group(vm2))}: vCPU 1 and 3 other threads\n"
        f"  {theirs}: vCPU 0\n"
        "vm3: Enabled\n"
        f"  {host.path(host.group(vm3))}: vCPU 0, 1 and 3 other threads\n"
    )


@pytest.mark.parametrize("scopes", [("vcpus", "domain"), ("domain", "vcpus")], ids=" to ".join)
def test_diff_mode_shows_threads_that_are_no_vcpus(host, scopes):
    before, after = scopes
    host.domains.add("vm3")
    succeeded(host.run("resctrl_mon", name="vm3", scope=before))
    result = host.run("resctrl_mon", name="vm3", scope=after, diff=True)
    assert result["changed"]
    path = host.path(host.group(host.domains["vm3"]))
    words = {"vcpus": "vCPU 0, 1", "domain": "vCPU 0, 1 and 3 other threads"}
    assert result["diff"] == {
        "before": f"vm3: Enabled\n  {path}: {words[before]}\n",
        "after": f"vm3: Enabled\n  {path}: {words[after]}\n",
    }


def test_diff_mode_shows_the_stale_groups_that_go(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.stop("vm3")
    host.domains.add("vm4")
    diff = host.run("resctrl_mon", name="vm4", state="disabled", diff=True)["diff"]
    assert diff["before"] == f"vm4: Disabled\n{host.path(host.group(vm3))}: stale\n"
    assert diff["after"] == "vm4: Disabled\n"


# -- names -------------------------------------------------------------------------------------------------------------


def test_any_name_that_libvirt_accepts_will_do(host):
    domains = [host.domains.add(name) for name in ODD_NAMES]
    host.domains.add("vm1")  # which [v]m* would match, if it were a pattern
    enabled = host.run("resctrl_mon", name=ODD_NAMES)
    assert [(one["name"], one["status"]) for one in enabled["domains"]] == [(name, "Enabled") for name in ODD_NAMES]
    assert host.groups() == {host.group(one): set(one.vcpus.values()) for one in domains}
    assert not host.run("resctrl_mon", name=ODD_NAMES)["changed"]
    disabled = host.run("resctrl_mon", name=ODD_NAMES, state="disabled")
    assert [(one["name"], one["status"]) for one in disabled["domains"]] == [(name, "Disabled") for name in ODD_NAMES]
    assert host.groups() == {}


def test_a_domain_can_be_named_by_its_uuid_however_it_is_written(host):
    vm3 = host.domains.add("vm3")
    for name in (vm3.uuid, vm3.uuid.upper(), vm3.uuid.replace("-", "")):
        assert only(host.run("resctrl_mon", name=name))["name"] == "vm3"


def test_a_domain_that_is_named_twice_comes_once_and_the_order_is_kept(host):
    host.domains.add("vm3")
    vm4 = host.domains.add("vm4")
    result = host.run("resctrl_mon", name=["vm4", "vm3", vm4.uuid, "*"])
    assert [one["name"] for one in result["domains"]] == ["vm4", "vm3"]


def test_patterns_select_running_domains_only(host):
    host.domains.add("web-1")
    host.domains.add("db-1")
    host.domains.define("web-2")
    assert [one["name"] for one in host.run("resctrl_mon", name="web-*")["domains"]] == ["web-1"]


def test_a_pattern_may_match_nothing(host):
    host.domains.define("web-1")
    result = host.run("resctrl_mon", name="web-*")
    assert not result["changed"]
    assert result["domains"] == []


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_an_unknown_name_fails_in_libvirts_words(host, state):
    result = host.run("resctrl_mon", name="x", state=state)
    assert result["failed"]
    assert result["msg"] == "Domain not found: no domain with matching name 'x'"
    assert only(result)["code"] == "domain_not_found"
    assert (only(result)["name"], only(result)["uuid"], only(result)["status"]) == ("x", None, None)


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_domain_that_is_shut_off_fails_in_the_rfcs_words(host, state):
    host.domains.define("vm1")
    result = host.run("resctrl_mon", name="vm1", state=state)
    assert result["failed"]
    assert result["msg"] == NOT_RUNNING
    assert only(result)["code"] == "domain_not_running"
    assert only(result)["status"] == "Disabled"


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_domain_that_is_shut_off_can_be_ignored(host, state):
    host.domains.define("vm1")
    result = host.run("resctrl_mon", name="vm1", state=state, when_inactive="ignore")
    assert not result["changed"]
    assert (only(result)["status"], only(result)["active"]) == ("Disabled", False)


# -- repairs -----------------------------------------------------------------------------------------------------------


def test_a_vcpu_that_was_plugged_in_is_added(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.plug("vm3", 2)
    result = host.run("resctrl_mon", name="vm3")
    assert result["changed"]
    assert only(result)["msg"] == "Repaired, now counted too: vCPU 2"
    assert only(result)["vcpus"]["counted"] == [0, 1, 2]
    assert host.groups()[host.group(vm3)] == set(vm3.vcpus.values())


def test_a_vcpu_that_was_unplugged_leaves_nothing_to_do(host):
    host.enable(host.domains.add("vm3", vcpus=3))
    host.domains.unplug("vm3", 1)
    result = host.run("resctrl_mon", name="vm3")
    assert not result["changed"]
    assert only(result)["vcpus"]["counted"] == [0, 2]


def test_a_group_that_another_program_removed_is_made_again(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.remove_group(host.group(vm3))
    result = host.run("resctrl_mon", name="vm3")
    assert result["changed"]
    assert only(result)["msg"] == "Now counted: vCPU 0, 1"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_a_domain_that_was_started_anew_is_counted_again(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.start("vm3")
    result = host.run("resctrl_mon", name="vm3")
    assert result["changed"]
    assert only(result)["msg"] == "Repaired, now counted too: vCPU 0, 1"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_without_a_status_file_the_threads_are_found_by_their_names(host):
    vm3 = host.domains.add("vm3")
    host.domains.path("/run/libvirt/test/vm3.xml").unlink()
    assert only(host.run("resctrl_mon", name="vm3"))["vcpus"]["counted"] == [0, 1]
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


# -- stale groups ------------------------------------------------------------------------------------------------------


def test_a_group_whose_domain_has_stopped_is_pruned_on_every_run(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.stop("vm3")
    result = host.run("resctrl_mon", name="*")
    assert result["changed"]
    assert result["pruned"] == [host.path(host.group(vm3))]
    assert host.groups() == {}


def test_a_group_whose_domain_died_unnoticed_by_libvirt_is_pruned(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.kill("vm3")
    host.domains.add("vm4")
    assert host.run("resctrl_mon", name="vm4")["pruned"] == [host.path(host.group(vm3))]


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_run_that_fails_for_a_stopped_domain_prunes_its_group_all_the_same(host, state):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.stop("vm3")
    result = host.run("resctrl_mon", name="vm3", state=state)
    assert result["msg"] == NOT_RUNNING
    assert result["pruned"] == [host.path(host.group(vm3))]
    assert host.groups() == {}


def test_a_group_that_was_left_empty_by_a_restart_is_pruned_if_it_cannot_be_used(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.start("vm3")
    host.make_group("mon_groups/pqos-77-1", vm3.vcpus[0])
    result = host.run("resctrl_mon", name="vm3")
    assert result["domains"][0]["code"] == "foreign_group"
    assert result["pruned"] == [host.path(host.group(vm3))]


def test_pruning_can_be_left_out(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.stop("vm3")
    result = host.run("resctrl_mon", name="*", prune=False)
    assert not result["changed"]
    assert result["pruned"] == []
    assert list(host.groups()) == [host.group(vm3)]


def test_a_group_of_another_libvirts_running_domain_is_kept(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.hide("vm3")
    result = host.run("resctrl_mon", name="*")
    assert (result["changed"], result["domains"], result["pruned"]) == (False, [], [])
    assert list(host.groups()) == [host.group(vm3)]


def test_groups_with_other_names_are_never_pruned(host):
    host.make_group("mon_groups/pqos-1-1")
    host.make_group("mon_groups/kvmops-not-a-uuid")
    host.make_group("qemu-9-gone-vcpus_0")
    assert not host.run("resctrl_mon", name="*")["changed"]
    assert len(host.groups()) == 3


# -- what libvirt counts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cachetune", "monitor", "memorytune"])
@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_domain_that_libvirt_counts_wholly_is_left_as_it_is(host, kind, state):
    host.tuned("vm2", kind=kind)
    before = host.groups()
    result = host.run("resctrl_mon", name="vm2", state=state)
    forced_by = "memorytune" if kind == "memorytune" else "cachetune"
    assert not result["changed"]
    assert only(result)["status"] == f"Enabled (forced by {forced_by})"
    assert only(result)["forced_by"] == forced_by
    assert only(result)["groups"] == [host.path(group) for group in before]
    assert host.changes() == []
    assert host.groups() == before


def test_disabling_warns_that_libvirt_cannot_be_switched_off(host):
    host.tuned("vm2")
    result = host.run("resctrl_mon", name="vm2", state="disabled")
    assert warnings(result) == [
        "Monitoring of domain 'vm2' cannot be switched off while it runs: it is forced by cachetune in its XML"
    ]
    assert "warnings" not in host.run("resctrl_mon", name="vm2", state="enabled")


def test_vcpus_that_libvirt_does_not_count_are_switched_as_any(host):
    vm2 = host.tuned("vm2", vcpus="0-0")
    theirs = "qemu-1-vm2-vcpus_0-0"
    enabled = host.run("resctrl_mon", name="vm2")
    assert only(enabled)["status"] == "Enabled (forced by cachetune)"
    assert only(enabled)["msg"] == "Now counted: vCPU 1"
    assert only(enabled)["vcpus"] == {"counted": [0, 1], "uncounted": []}
    assert only(enabled)["groups"] == [host.path(host.group(vm2)), host.path(theirs)]
    assert host.groups() == {theirs: {vm2.vcpus[0]}, host.group(vm2): {vm2.vcpus[1]}}

    disabled = host.run("resctrl_mon", name="vm2", state="disabled")
    assert disabled["changed"]
    assert only(disabled)["status"] == "Enabled (forced by cachetune)"
    assert only(disabled)["vcpus"]["uncounted"] == [1]
    assert warnings(disabled) == [
        "No group of this collection counts domain 'vm2' any more. libvirt goes on counting vCPU 0 while the domain "
        "runs: that is forced by cachetune in its XML"
    ]
    assert host.groups() == {theirs: {vm2.vcpus[0]}}


def test_libvirts_groups_are_never_taken_over(host):
    host.tuned("vm2")
    before = host.groups()
    assert not host.run("resctrl_mon", name="vm2", takeover=True)["changed"]
    assert host.groups() == before


# -- what other programs count or allocate -----------------------------------------------------------------------------


def test_a_thread_in_a_foreign_monitoring_group_is_not_stolen(host):
    vm3 = host.domains.add("vm3")
    host.make_group("mon_groups/pqos-77-1", vm3.vcpus[1])
    before = host.groups()
    result = host.run("resctrl_mon", name="vm3")
    assert result["failed"]
    assert result["msg"] == (
        f"Thread {vm3.vcpus[1]} of domain 'vm3' is in the group mon_groups/pqos-77-1 of pqos. "
        "Stop that monitoring first, or take its threads over (takeover=true)"
    )
    assert only(result)["code"] == "foreign_group"
    assert host.groups() == before


def test_a_thread_can_be_taken_over_and_the_foreign_group_stays(host):
    vm3 = host.domains.add("vm3")
    host.make_group("mon_groups/container", vm3.vcpus[1])
    result = host.run("resctrl_mon", name="vm3", takeover=True)
    assert only(result)["msg"] == "Now counted: vCPU 0, 1"
    assert host.groups() == {"mon_groups/container": set(), host.group(vm3): set(vm3.vcpus.values())}


def test_threads_in_a_foreign_allocation_keep_it(host):
    vm3 = host.domains.add("vm3")
    host.make_group("COS1", *vm3.vcpus.values())
    result = host.run("resctrl_mon", name="vm3")
    assert only(result)["groups"] == [host.path(host.group(vm3, "COS1"))]
    assert host.groups() == {"COS1": set(), host.group(vm3, "COS1"): set(vm3.vcpus.values())}


def test_a_domain_spread_over_allocations_has_a_group_in_each(host):
    vm3 = host.domains.add("vm3")
    host.make_group("COS1", vm3.vcpus[0])
    host.run("resctrl_mon", name="vm3")
    assert host.groups() == {"COS1": set(), host.group(vm3, "COS1"): {vm3.vcpus[0]}, host.group(vm3): {vm3.vcpus[1]}}
    host.run("resctrl_mon", name="vm3", state="disabled")
    assert host.groups() == {"COS1": {vm3.vcpus[0]}}


def test_threads_that_get_another_allocation_are_followed(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.make_group("COS1", *vm3.vcpus.values())
    host.run("resctrl_mon", name="vm3")
    assert host.groups() == {"COS1": set(), host.group(vm3, "COS1"): set(vm3.vcpus.values())}


# -- scope -------------------------------------------------------------------------------------------------------------


def test_with_scope_domain_every_thread_of_the_process_is_counted(host):
    vm3 = host.domains.add("vm3")
    result = host.run("resctrl_mon", name="vm3", scope="domain")
    assert only(result)["msg"] == "Now counted: vCPU 0, 1 and 3 other threads"
    assert host.groups() == {host.group(vm3): vm3.threads}
    host.domains.add_thread("vm3", "worker")  # which inherits the group
    assert not host.run("resctrl_mon", name="vm3", scope="domain")["changed"]
    assert host.groups() == {host.group(vm3): vm3.threads}


def test_threads_that_are_not_counted_yet_are_added_by_the_next_run(host):
    """A thread inherits the group of the one that starts it, so these were taken out by another program."""
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.run("resctrl_mon", name="vm3", scope="domain")
    host.remove_group(host.make_group("mon_groups/passing", host.domains.add_thread("vm3", "worker")))
    result = host.run("resctrl_mon", name="vm3", scope="domain")
    assert only(result)["msg"] == "Repaired, now counted too: 1 other thread"
    assert host.groups() == {host.group(vm3): vm3.threads}


def test_going_back_to_the_vcpus_lets_the_others_out_and_the_group_goes_on_counting(host):
    vm3 = host.domains.add("vm3")
    host.run("resctrl_mon", name="vm3", scope="domain")
    before = host.control.snapshot()["groups"][host.group(vm3)]["inode"]
    result = host.run("resctrl_mon", name="vm3", scope="vcpus")
    assert only(result)["msg"] == "No longer counted: 3 other threads"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}
    assert host.control.snapshot()["groups"][host.group(vm3)]["inode"] == before


def test_a_qemu_that_runs_all_vcpus_in_one_thread_can_be_counted_as_a_whole_only(host):
    vm3 = host.domains.add("vm3", vcpus=0)
    failed = host.run("resctrl_mon", name="vm3")
    assert failed["msg"] == (
        "Domain 'vm3' has no threads for its vCPUs. "
        "It runs them all in one thread: monitor the whole process (scope=domain)"
    )
    assert host.groups() == {}
    assert only(host.run("resctrl_mon", name="vm3", scope="domain"))["status"] == "Enabled"
    assert host.groups() == {host.group(vm3): vm3.threads}


# -- RMIDs -------------------------------------------------------------------------------------------------------------


def test_if_the_rmids_do_not_suffice_nothing_is_changed(make_host):
    host = make_host("few-rmids")
    host.make_group("mon_groups/pqos-1-1")
    for name in ("vm1", "vm2", "vm3"):
        host.domains.add(name)
    host.changes()
    result = host.run("resctrl_mon", name=["vm1", "vm2", "vm3"])
    assert result["failed"]
    assert result["msg"] == (
        "Out of RMIDs: 3 needed, 2 free of 4 (held by: default 1, pqos 1). "
        "Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains"
    )
    assert [one["code"] for one in result["domains"]] == ["rmids_exhausted"] * 3
    assert host.changes() == []


def test_reserved_rmids_are_left_to_others(make_host):
    host = make_host("few-rmids")
    host.domains.add("vm1")
    host.domains.add("vm2")
    assert not host.run("resctrl_mon", name="vm1", reserve_rmids=2).get("failed")
    result = host.run("resctrl_mon", name=["vm1", "vm2"], reserve_rmids=2)
    assert result["msg"].startswith(
        "vm2: Out of RMIDs: 1 needed, 2 free of 4, 2 of them reserved (held by: default 1, kvmops 1)"
    )
    assert [one["failed"] for one in result["domains"]] == [False, True]


def test_what_is_enabled_already_is_kept_in_order_without_free_rmids(make_host):
    host = make_host("few-rmids")
    vm1 = host.domains.add("vm1")
    host.enable(vm1)
    host.make_group("mon_groups/a")
    host.make_group("mon_groups/b")
    host.domains.plug("vm1", 2)
    assert only(host.run("resctrl_mon", name="vm1", reserve_rmids=1))["status"] == "Enabled"
    assert host.groups()[host.group(vm1)] == set(vm1.vcpus.values())


def test_pruned_groups_give_their_rmids_to_the_same_run(make_host):
    host = make_host("few-rmids")
    for name in ("old1", "old2", "old3"):
        host.enable(host.domains.add(name))
    for name in ("old1", "old2", "old3"):
        host.domains.stop(name)
        host.domains.add(f"new-{name}")
    result = host.run("resctrl_mon", name="*")
    assert [one["status"] for one in result["domains"]] == ["Enabled"] * 3
    assert len(result["pruned"]) == 3


def test_a_negative_reserve_is_refused(host):
    result = host.run("resctrl_mon", name="*", reserve_rmids=-1)
    assert result["msg"] == "reserve_rmids cannot be negative: give the number of RMIDs to leave free, or 0"


def test_freed_rmids_are_waited_for(make_host):
    """Linux from 6.9 on keeps a freed RMID back as long as the cache has more of its lines than the threshold."""
    host = make_host("few-rmids", "era=6.12", "threshold=0")
    for name in ("vm1", "vm2", "vm3"):
        host.remove_group(host.enable(host.domains.add(name)))
    host.changes()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(host.run, "resctrl_mon", name="*")
        wait_until(lambda: errno.EBUSY in [one.errno for one in host.control.log("mkdir")], "the kernel's refusal")
        (host.seen("info/L3_MON") / "max_threshold_occupancy").write_text("65536\n")
        assert [one["status"] for one in run.result()["domains"]] == ["Enabled"] * 3
