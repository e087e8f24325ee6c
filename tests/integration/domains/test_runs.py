# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are cut off, and runs at the same time as other runs and as libvirt's own work on resctrl."""

from __future__ import annotations

import json
import subprocess
import threading

import pytest
from waiting import wait_until

from hosts import Cachetune
from hosts.domains import allocation

DOMAINS = ["vm3", "vm4"]


def complete(hv, *names):
    """Whether the groups on the host are just these domains', each with just its vCPUs."""
    return hv.groups() == {hv.ours(name): set(hv.vcpus(name).values()) for name in names}


def ended(process):
    """The result of a run in the background, which must succeed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    return json.loads(out)


# -- cut off -----------------------------------------------------------------------------------------------------------


def kill(hv, operation, nth, *names, **options):
    """A run of resctrl_mon that is killed (SIGKILL) at its n-th operation of that kind, which is not done any more."""
    hv.fault(operation, nth=nth, kill=True)
    with hv.background(*names, **options) as process:
        out, _err = process.communicate(timeout=60)
    hv.control.clear_faults()
    assert process.returncode != 0
    assert not out


@pytest.mark.parametrize(
    ("operation", "nth", "left"),
    [
        ("mkdir", 1, []),
        ("mkdir", 2, [0]),
        ("write", 1, [0, 0]),
        ("write", 2, [1, 0]),
        ("write", 3, [2, 0]),
        ("write", 4, [2, 1]),
    ],
)
def test_enabling_is_cut_off(hv, operation, nth, left):
    """Whatever is left (the numbers of threads in the groups), the next run completes it."""
    kill(hv, operation, nth, "vm3", "vm4")
    assert sorted(map(len, hv.groups().values()), reverse=True) == left
    for name in DOMAINS:
        in_group = hv.groups().get(hv.ours(name), set())
        domain = hv.query(name)
        assert domain["status"] == ("Enabled" if in_group else "Disabled")
        assert len(domain["vcpus"]["counted"]) == len(in_group)
    assert hv.enable("vm3", "vm4")["changed"]
    assert complete(hv, "vm3", "vm4")
    assert not hv.enable("vm3", "vm4")["changed"]


def test_disabling_is_cut_off(hv):
    hv.enable("vm3", "vm4")
    kill(hv, "rmdir", 2, "vm3", "vm4", state="disabled")
    assert len(hv.groups()) == 1
    assert hv.disable("vm3", "vm4")["changed"]
    assert hv.groups() == {}


@pytest.mark.parametrize("operation", ["mkdir", "write", "rmdir"])
def test_threads_that_leave_a_group_are_cut_off(hv, operation):
    """From scope=domain to scope=vcpus: a group is made for those that leave, they enter it, it is removed."""
    hv.enable("vm3", scope="domain")
    kill(hv, operation, 1, "vm3", scope="vcpus")
    vcpus = set(hv.vcpus("vm3").values())
    left = vcpus if operation == "rmdir" else set(hv.threads("vm3"))
    assert hv.groups()[hv.ours("vm3")] == left
    assert hv.query("vm3")["vcpus"]["uncounted"] == []
    hv.enable("vm3", scope="vcpus")
    assert hv.groups() == {hv.ours("vm3"): vcpus}


# -- at the same time --------------------------------------------------------------------------------------------------


def test_two_runs_for_the_same_domains(hv):
    """Both succeed. Operations take a while, so that the runs meet."""
    hv.fault(times=0, delay=0.02)
    with hv.background("vm3", "vm4") as one, hv.background("vm4", "vm3") as other:
        results = [ended(one), ended(other)]
    for result in results:
        assert [domain["status"] for domain in result["domains"]] == ["Enabled", "Enabled"]
    assert any(result["changed"] for result in results)
    assert complete(hv, "vm3", "vm4")


def test_two_runs_for_different_domains(hv):
    hv.fault(times=0, delay=0.02)
    with hv.background("vm3") as one, hv.background("vm4") as other:
        assert ended(one)["changed"]
        assert ended(other)["changed"]
    assert complete(hv, "vm3", "vm4")


def test_two_runs_that_want_the_contrary(hv):
    """Both succeed, in whatever order; nothing half is left."""
    hv.enable("vm3")
    hv.fault(times=0, delay=0.02)
    with hv.background("vm3", "vm4") as one, hv.background("vm3", "vm4", state="disabled") as other:
        ended(one)
        ended(other)
    assert complete(hv) or complete(hv, "vm3") or complete(hv, "vm4") or complete(hv, "vm3", "vm4")


def run_behind_the_lock(hv, meanwhile, *names):
    """The result of a run that looked, found something to do, and then waited while `meanwhile` was done.

    The lock is flock(2) on the root directory, as the kernel's document has it, and libvirt and pqos take it.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with hv.host.popen(["flock", hv.resctrl, "sh", "-c", "echo locked; read line"], **pipes) as holder:
        assert holder.stdout.readline() == "locked\n"
        hv.control.clear_log()
        with hv.background(*names) as run:
            wait_until(lambda: any(one.path == "info/L3_MON/num_rmids" for one in hv.control.log("read")), "a look")
            meanwhile()
            holder.communicate("go\n")
            out, _err = run.communicate(timeout=60)
    return json.loads(out)


def test_a_run_waits_for_who_holds_the_lock(hv):
    result = run_behind_the_lock(hv, lambda: hv.make_group("mon_groups/another"), "vm3")
    assert result["changed"]
    assert [one.path for one in hv.control.log("mkdir")] == ["mon_groups/another", hv.ours("vm3")]


def test_a_domain_goes_away_half_way(hv):
    """It was running when the run began. The other one gets what it was to get."""
    result = run_behind_the_lock(hv, lambda: hv.kill_qemu("vm3"), "vm3", "vm4")
    assert result["failed"]
    vm3, vm4 = result["domains"]
    assert (vm3["failed"], vm3["code"], vm3["status"]) == (True, "domain_gone", "Disabled")
    assert (vm4["failed"], vm4["changed"], vm4["status"]) == (False, True, "Enabled")
    assert result["msg"] == vm3["msg"]
    assert complete(hv, "vm4")


def test_a_domain_gets_a_vcpu_half_way(hv):
    """The run follows it."""
    hv.start("vm5")
    result = run_behind_the_lock(hv, lambda: hv.virsh("setvcpus", "vm5", "3", "--live"), "vm5")
    assert result["domains"][0]["msg"] == "Now counted: vCPU 0, 1, 2"
    assert complete(hv, "vm5")


def test_domains_with_cachetune_start_and_stop_meanwhile(hv):
    """libvirt makes its groups under the same lock, which a run holds for a moment only, if operations are slow too."""
    cache_id, size = allocation(hv.host)
    hv.fault(times=0, delay=0.02)
    done = threading.Event()
    results = []

    def toggle():
        while not done.is_set():
            results.extend(hv.mon("vm3", "vm4", state=state) for state in ("enabled", "disabled"))

    thread = threading.Thread(target=toggle)
    thread.start()
    try:
        hv.start("vm2", cachetune=[Cachetune("0-1", cache_id, size, monitors=["0"])])
        for _again in range(2):
            assert hv.query("vm2")["status"] == "Enabled (forced by cachetune)"
            assert hv.query("vm2")["vcpus"]["counted"] == [0, 1]
            hv.virsh("destroy", "vm2")
            hv.virsh("start", "vm2")
    finally:
        done.set()
        thread.join()
    assert len(results) >= 2
    assert [result["msg"] for result in results if result.get("failed")] == []
    assert all(result["changed"] for result in results)
