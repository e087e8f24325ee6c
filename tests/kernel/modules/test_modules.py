# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules do with a real kernel's resctrl: whole modules as processes, on processes with a QEMU's threads."""

from __future__ import annotations

import threading

import pytest
from counters import ERROR, UNAVAILABLE, frozen
from kernel_host import RESCTRL, every_rmid, number, tasks
from modules import only, warnings
from waiting import wait_until

FORCED = "Enabled (forced by cachetune)"


def thread_group(tid):
    """What the kernel itself says of a thread: its CTRL_MON and its MON group."""
    with open(f"/proc/{tid}/cpu_resctrl_groups", encoding="utf-8") as file:
        fields = dict(line.strip().split(":", 1) for line in file)
    return fields["res"], fields["mon"]


def rmids():
    """How many RMIDs there are."""
    return int((RESCTRL / "info/L3_MON/num_rmids").read_text())


def fill(host):
    """Make groups until a single RMID, the root's apart, is not held: there are as many as the kernel says."""
    for number_ in range(1, rmids()):
        host.make_group(f"mon_groups/held{number_}")


# -- on and off --------------------------------------------------------------------------------------------------------


def test_check_mode_tells_what_a_run_does_and_does_nothing(host):
    vm3 = host.domains.add("vm3")
    told = host.run("resctrl_mon", name="vm3", check=True, diff=True)
    assert host.changes() == []
    assert host.groups() == {}
    done = host.run("resctrl_mon", name="vm3", diff=True)
    assert told == done
    assert [operation.kind for operation in host.changes()] == ["mkdir", "write", "write"]
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_enabled_means_that_the_kernel_counts_every_vcpu_and_a_second_run_changes_nothing(host):
    vm3 = host.domains.add("vm3")
    result = host.run("resctrl_mon", name="vm3")
    assert result["changed"]
    assert result["rmids"] == {"total": rmids(), "used": 2, "free": rmids() - 2}
    assert only(result)["status"] == "Enabled"
    assert only(result)["msg"] == "Now counted: vCPU 0, 1"
    assert only(result)["groups"] == [host.path(host.group(vm3))]
    for tid in vm3.vcpus.values():
        assert thread_group(tid) == ("/", f"kvmops-{vm3.uuid}")
    for tid in vm3.threads - set(vm3.vcpus.values()):
        assert thread_group(tid) == ("/", "")
    again = host.run("resctrl_mon", name="vm3")
    assert not again["changed"]
    assert host.changes() == []


def test_disabled_means_that_no_group_of_ours_is_left(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    result = host.run("resctrl_mon", name="vm3", state="disabled")
    assert result["changed"]
    assert only(result)["status"] == "Disabled"
    assert host.groups() == {}
    assert {thread_group(tid) for tid in vm3.threads} == {("/", "")}
    again = host.run("resctrl_mon", name="vm3", state="disabled")
    assert not again["changed"]
    assert host.changes() == []


def test_without_resctrl_mounted_the_command_that_mounts_it_is_told(host):
    host.domains.add("vm3")
    host.unmount()
    result = host.run("resctrl_mon", name="vm3")
    assert result["msg"] == f"resctrl is not mounted at {RESCTRL}. Run 'mount -t resctrl resctrl {RESCTRL}'"
    assert only(result)["status"] == "Disabled"


# -- repairs -----------------------------------------------------------------------------------------------------------


def test_a_vcpu_that_was_plugged_in_is_added(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    tid = host.domains.plug("vm3", 2)
    assert thread_group(tid) == ("/", "")
    result = host.run("resctrl_mon", name="vm3")
    assert only(result)["msg"] == "Repaired, now counted too: vCPU 2"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_a_group_that_another_program_removed_is_made_again(host):
    vm3 = host.domains.add("vm3")
    host.remove_group(host.enable(vm3))
    assert only(host.run("resctrl_mon", name="vm3"))["msg"] == "Now counted: vCPU 0, 1"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_a_domain_that_was_started_anew_is_counted_again(host):
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.domains.start("vm3")
    result = host.run("resctrl_mon", name="vm3")
    assert only(result)["msg"] == "Repaired, now counted too: vCPU 0, 1"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_stale_groups_are_pruned_and_others_kept(host):
    stopped, died, runs = (host.domains.add(name) for name in ("stopped", "died", "runs"))
    for domain in (stopped, died, runs):
        host.enable(domain)
    host.make_group("mon_groups/other")
    host.domains.stop("stopped")
    host.domains.kill("died")
    result = host.run("resctrl_mon", name="*")
    assert sorted(result["pruned"]) == sorted(host.path(host.group(domain)) for domain in (stopped, died))
    assert host.groups() == {host.group(runs): set(runs.vcpus.values()), "mon_groups/other": set()}


@pytest.mark.parametrize(("call", "nth"), [("mkdir", 1), ("write", 1), ("write", 2)], ids=str)
def test_what_a_killed_run_has_left_the_next_one_completes(host, call, nth):
    vm3 = host.domains.add("vm3")
    group = RESCTRL / host.group(vm3)
    path = group if call == "mkdir" else group / "tasks"
    # Each thread is written through a descriptor of its own, so that a call's number counts over all of them
    host.kill_at(call, path, nth, "resctrl_mon", name="vm3")
    assert len(host.groups().get(host.group(vm3), ())) < 2
    assert only(host.run("resctrl_mon", name="vm3"))["status"] == "Enabled"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


# -- threads -----------------------------------------------------------------------------------------------------------


def test_with_scope_domain_new_threads_inherit_the_group_and_scope_vcpus_takes_them_out_of_it(host):
    vm3 = host.domains.add("vm3")
    result = host.run("resctrl_mon", name="vm3", scope="domain")
    assert only(result)["msg"] == "Now counted: vCPU 0, 1 and 3 other threads"
    host.domains.add_thread("vm3", "worker")
    assert host.groups() == {host.group(vm3): vm3.threads}
    assert not host.run("resctrl_mon", name="vm3", scope="domain")["changed"]

    before = (RESCTRL / host.group(vm3)).stat().st_ino
    assert only(host.run("resctrl_mon", name="vm3"))["msg"] == "No longer counted: 4 other threads"
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}
    assert (RESCTRL / host.group(vm3)).stat().st_ino == before, "it has lost what it had counted"


def test_a_thread_that_a_vcpus_thread_made_is_counted_and_stays(host):
    """The stand-in's main thread makes all threads: for that moment it is where a vCPU's thread is."""
    vm3 = host.domains.add("vm3")
    group = host.enable(vm3)
    host.move(group, vm3.pid)
    tid = host.domains.add_thread("vm3", "worker")
    host.move("", vm3.pid)
    inherited = {*vm3.vcpus.values(), tid}
    assert host.groups() == {group: inherited}
    result = host.run("resctrl_mon", name="vm3")
    assert not result["changed"]
    assert host.changes() == []
    assert host.groups() == {group: inherited}


def test_the_kernel_is_asked_for_each_thread_and_foreign_tasks_files_are_not_read(host):
    vm3 = host.domains.add("vm3")
    host.make_group("COS1", vm3.vcpus[0])
    host.make_group("mon_groups/other")
    result = host.run("resctrl_mon", name="vm3", check=True)
    assert only(result)["vcpus"]["counted"] == [0, 1]
    opened = [line.split('"')[1] for line in host.modules.calls()]
    for tid in vm3.vcpus.values():
        assert f"/proc/{vm3.pid}/task/{tid}/cpu_resctrl_groups" in opened
    assert [path for path in opened if path.endswith("/tasks")] == []


def test_where_few_threads_run_those_of_each_group_are_listed_and_no_thread_is_asked_for(host):
    host.domains.seem_crowded(10)
    vm3 = host.domains.add("vm3")
    ours, other = host.enable(vm3), host.make_group("mon_groups/other")
    result = host.run("resctrl_mon", name="vm3", check=True)
    assert only(result)["vcpus"]["counted"] == [0, 1]
    opened = [line.split('"')[1] for line in host.modules.calls()]
    listed = [path for path in opened if path.endswith("/tasks")]
    assert listed == [f"{RESCTRL}/{group}/tasks" for group in (ours, other)]
    assert not [path for path in opened if path.endswith("/cpu_resctrl_groups")]


# -- what libvirt counts -----------------------------------------------------------------------------------------------


def test_a_paired_domain_is_left_as_it_is(host):
    host.tuned("vm2", "0-1")
    before = host.groups()
    for state in ("enabled", "disabled"):
        result = host.run("resctrl_mon", name="vm2", state=state)
        assert not result["changed"]
        assert only(result)["status"] == FORCED
        assert host.changes() == []
    assert warnings(result) == [
        "Monitoring of domain 'vm2' cannot be switched off while it runs: it is forced by cachetune in its XML"
    ]
    assert host.groups() == before


def test_vcpus_that_libvirt_does_not_count_are_switched_as_any(host):
    vm2 = host.tuned("vm2", "0-0")
    theirs = "qemu-1-vm2-vcpus_0-0"
    enabled = only(host.run("resctrl_mon", name="vm2"))
    assert (enabled["status"], enabled["msg"]) == (FORCED, "Now counted: vCPU 1")
    assert host.groups() == {theirs: {vm2.vcpus[0]}, host.group(vm2): {vm2.vcpus[1]}}
    with frozen(), every_rmid("llc_occupancy", 7, cpu=0):
        cmt = host.stats("vm2")["cmt"]
        assert cmt == number(theirs, "llc_occupancy") + number(host.group(vm2), "llc_occupancy")
        assert cmt >= 2 * 7 * 65536

    disabled = only(host.run("resctrl_mon", name="vm2", state="disabled"))
    assert (disabled["status"], disabled["vcpus"]["uncounted"]) == (FORCED, [1])
    assert host.groups() == {theirs: {vm2.vcpus[0]}}


# -- what other programs allocate or count -----------------------------------------------------------------------------


def test_threads_in_foreign_allocations_keep_them(host):
    vm3 = host.domains.add("vm3")
    host.make_group("COS1", vm3.vcpus[0])
    (RESCTRL / "COS1/schemata").write_text("L3:0=f;1=f\n")
    schemata = (RESCTRL / "COS1/schemata").read_text()
    result = host.run("resctrl_mon", name="vm3")
    assert len(only(result)["groups"]) == 2
    assert host.groups() == {"COS1": set(), host.group(vm3, "COS1"): {vm3.vcpus[0]}, host.group(vm3): {vm3.vcpus[1]}}
    assert thread_group(vm3.vcpus[0]) == ("COS1", f"kvmops-{vm3.uuid}")
    assert vm3.vcpus[0] in tasks(RESCTRL / "COS1")

    host.run("resctrl_mon", name="vm3", state="disabled")
    assert host.groups() == {"COS1": {vm3.vcpus[0]}}
    assert (RESCTRL / "COS1/schemata").read_text() == schemata


def test_threads_that_get_another_allocation_are_followed(host):
    """A write to a CTRL_MON group's tasks takes a thread out of the MON group that it is in."""
    vm3 = host.domains.add("vm3")
    host.enable(vm3)
    host.make_group("COS1", *vm3.vcpus.values())
    host.run("resctrl_mon", name="vm3")
    assert host.groups() == {"COS1": set(), host.group(vm3, "COS1"): set(vm3.vcpus.values())}


def test_a_thread_in_a_foreign_monitoring_group_is_not_stolen_unless_asked(host):
    vm3 = host.domains.add("vm3")
    host.make_group("mon_groups/other", vm3.vcpus[1])
    result = host.run("resctrl_mon", name="vm3")
    assert result["msg"] == (
        f"Thread {vm3.vcpus[1]} of domain 'vm3' is in the group mon_groups/other of another program. "
        "Stop that monitoring first, or take its threads over (takeover=true)"
    )
    assert only(result)["code"] == "foreign_group"
    assert host.changes() == []
    assert only(host.run("resctrl_mon", name="vm3", takeover=True))["status"] == "Enabled"
    assert host.groups() == {"mon_groups/other": set(), host.group(vm3): set(vm3.vcpus.values())}


# -- RMIDs -------------------------------------------------------------------------------------------------------------


def test_if_the_rmids_do_not_suffice_nothing_is_changed(host):
    host.domains.add("vm3")
    fill(host)
    before = host.groups()
    result = host.run("resctrl_mon", name="vm3")
    assert result["msg"] == (
        f"Out of RMIDs: 1 needed, 0 free of {rmids()} (held by: default 1, other {rmids() - 1}). "
        "Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains"
    )
    assert only(result)["code"] == "rmids_exhausted"
    assert host.changes() == []
    assert host.groups() == before


def test_if_the_kernel_refuses_a_group_that_the_numbers_allow_nothing_is_left_behind(host):
    """RMIDs may run out although there were enough in the plan: another program was faster."""
    vm3 = host.domains.add("vm3")
    fill(host)
    before = host.groups()
    host.domains.cover(f"{RESCTRL}/info/L3_MON/num_rmids", f"{rmids() + 1}\n")
    result = host.run("resctrl_mon", name="vm3")
    assert result["msg"] == (
        f"Out of RMIDs: 1 needed, 0 free of {rmids()} (the kernel names {rmids() + 1}, and has just refused another) "
        f"(held by: default 1, other {rmids() - 1}). "
        "Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains"
    )
    assert only(result)["code"] == "rmids_exhausted"
    assert [(operation.kind, operation.path) for operation in host.changes()] == [("mkdir", host.group(vm3))]
    assert host.groups() == before


def test_an_rmid_in_limbo_is_waited_for(host):
    """The kernel keeps a freed RMID back (EBUSY) as long as the cache has more of its lines than the threshold."""
    vm3 = host.domains.add("vm3")
    fill(host)
    results = []
    # 64 MiB, of which the kernel's worker is told at its next look, once a second
    with every_rmid("llc_occupancy", 1024, cpu=0):
        host.remove_group("mon_groups/held1")
        run = threading.Thread(target=lambda: results.append(host.run("resctrl_mon", name="vm3")))
        run.start()
        wait_until(lambda: any("EBUSY" in line for line in host.modules.calls()), "the kernel's refusal")
    run.join()
    assert only(results[0])["status"] == "Enabled"
    assert host.groups()[host.group(vm3)] == set(vm3.vcpus.values())


# -- values ------------------------------------------------------------------------------------------------------------


def test_values_are_the_kernels(host):
    vm3 = host.domains.add("vm3")
    host.domains.define("vm1")
    group = host.enable(vm3)
    with frozen(), every_rmid("llc_occupancy", 7, cpu=0):
        domains = host.all_stats(interval=0.1)
        expected = {event: number(group, event) for event in ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")}
    assert {event: domains["vm3"][event] for event in expected} == expected
    assert domains["vm3"]["cmt"] == expected["llc_occupancy"] >= 7 * 65536
    assert [cache["id"] for cache in domains["vm3"]["caches"]] == [0, 1]
    assert domains["vm3"]["caches"][0]["llc_occupancy"] == 7 * 65536
    assert domains["vm3"]["rates"]["mbm_total_bytes_per_second"] == 0
    generation = f"{RESCTRL.stat().st_ctime_ns}-{(RESCTRL / group).stat().st_ino}"
    assert domains["vm3"]["groups"][0]["generation"] == generation
    assert (domains["vm1"]["cmt"], domains["vm1"]["status"]) == (0, "Disabled")


@pytest.mark.parametrize(
    ("raw", "reason"), [(UNAVAILABLE, "unavailable"), (ERROR, "error")], ids=["unavailable", "error"]
)
def test_what_the_hardware_does_not_give_is_null_with_a_reason(host, raw, reason):
    host.enable(host.domains.add("vm3"))
    # CPUs 2 and 3 are the second socket's
    with every_rmid("llc_occupancy", raw, cpu=2):
        vm3 = host.stats("vm3")
    assert (vm3["cmt"], vm3["reason"]) == (None, reason)
    assert isinstance(vm3["mbm_total_bytes"], int)
    assert isinstance(vm3["caches"][0]["llc_occupancy"], int)
    assert vm3["caches"][1]["reasons"] == {"llc_occupancy": reason}


def test_facts_of_the_host_are_the_kernels(host):
    host.domains.add("vm3")
    result = host.info()
    features = (RESCTRL / "info/L3_MON/mon_features").read_text().split()
    assert result["host"]["rmids"]["total"] == rmids()
    assert result["host"]["features"] == features
    assert [only(result)[key] for key in ("name", "status")] == ["vm3", "Disabled"]
