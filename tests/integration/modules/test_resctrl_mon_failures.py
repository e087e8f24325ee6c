# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How resctrl_mon fails: a sentence per cause, all that can be done is done, and the next run puts right the rest."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import fcntl
import os
from collections.abc import Mapping, Sequence

import pytest
from emulated_host import EmulatedHost
from waiting import wait_until

from emulator.faults import Fault

CPU_WITH = "flags\t\t: fpu cqm_llc cqm_occup_llc cqm_mbm_total cqm_mbm_local\n"
CPU_WITHOUT = "flags\t\t: fpu vme rdt_a\n"
FILESYSTEMS = "nodev\tsysfs\nnodev\tproc\n"


@contextlib.contextmanager
def locked(host):
    """Hold the lock on resctrl, as libvirt and pqos do."""
    root = os.open(host.domains.path(host.resctrl), os.O_RDONLY)
    try:
        fcntl.flock(root, fcntl.LOCK_EX)
        yield
    finally:
        os.close(root)


# -- the host ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Situation:
    """A host on which something is missing. `covers` are files of it with another content, `words` go before the
    modules' command line. `message` is what they say, or begins it; a `hint` ends it.
    """

    code: str
    message: str
    hint: str = ""
    covers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    mounted: bool = True
    words: Sequence[str] = ()
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def lay_out(self, host):
        """The options of a run there."""
        host.domains.add("vm3")
        for path, text in self.covers.items():
            host.domains.cover(path, text)
        if not self.mounted:
            host.unmount()
        return {**self.options, "words": self.words}


WHOLE_HOST = [
    Situation(
        "not_root",
        "resctrl and libvirt's status files belong to root",
        "Run as root (become: true)",
        words=["setpriv", "--reuid=65534", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"],
    ),
    Situation(
        "libvirt_missing",
        "The Python library libvirt-python is not there for /usr/bin/python3 (No module named 'libvirt')",
        "Install python3-libvirt (Debian, Ubuntu, Fedora, RHEL) or python3-libvirt-python (SUSE), "
        "or set ansible_python_interpreter to an interpreter that has it",
        covers={
            "/usr/lib/python3/dist-packages/libvirt.py": "raise ModuleNotFoundError(\"No module named 'libvirt'\")\n"
        },
        words=["env", "PYTHONDONTWRITEBYTECODE=1"],
    ),
    Situation(
        "libvirt_unreachable",
        "libvirt does not answer at qemu:///system: read-only: Failed to connect socket to",
        "Start its daemon (systemctl start libvirtd, or virtqemud.socket on hosts with modular daemons)",
        options={"uri": "qemu:///system"},
    ),
    Situation(
        "uri_refused",
        "The libvirt URI qemu+ssh://root@kvm2.example.com/system leads to kvm2.example.com, "
        "but only this host's threads and resctrl can be reached",
        "Let Ansible run the module on that host, with a local URI such as qemu:///system",
        options={"uri": "qemu+ssh://root@kvm2.example.com/system"},
    ),
]


@pytest.mark.parametrize("situation", WHOLE_HOST, ids=lambda one: one.code)
def test_what_concerns_the_whole_host_fails_every_module(host, situation):
    options = situation.lay_out(host)
    for module in ("resctrl_mon", "resctrl_stats", "resctrl_info"):
        result = host.run(module, name="vm3", **options)
        assert result["failed"]
        assert result["msg"].startswith(situation.message)
        assert result["msg"].endswith(f". {situation.hint}")
        assert (result["code"], result["hint"]) == (situation.code, situation.hint)
    assert host.changes() == []


MISSING = [
    Situation(
        "cpu_without_monitoring",
        "The CPU has no cache or memory-bandwidth monitoring (none of the flags cqm_llc, cqm_occup_llc, cqm_mbm_total, "
        "cqm_mbm_local). It takes Intel RDT or AMD QoS, and virtual machines do not see them: monitor on another host",
        covers={"/proc/filesystems": FILESYSTEMS, "/proc/cpuinfo": CPU_WITHOUT},
        mounted=False,
        options={"resctrl_path": "/nowhere"},
    ),
    Situation(
        "kernel_without_resctrl",
        "The kernel offers no resctrl filesystem. "
        "It takes a kernel with CONFIG_X86_CPU_RESCTRL (on Arm: ARM64_MPAM) on a CPU that it supports, and no "
        "boot option that turns it off: look at 'dmesg | grep resctrl'",
        covers={"/proc/filesystems": FILESYSTEMS, "/proc/cpuinfo": CPU_WITH},
        mounted=False,
        options={"resctrl_path": "/nowhere"},
    ),
    Situation(
        "not_mounted",
        "resctrl is not mounted at /sys/fs/resctrl. Run 'mount -t resctrl resctrl /sys/fs/resctrl'",
        covers={"/proc/filesystems": FILESYSTEMS + "nodev\tresctrl\n"},
        mounted=False,
        options={"resctrl_path": "/sys/fs/resctrl"},
    ),
]


@pytest.mark.parametrize("situation", MISSING, ids=lambda one: one.code)
def test_where_nothing_can_be_monitored_enabling_fails_and_disabling_is_done_already(host, situation):
    options = situation.lay_out(host)
    enabled = host.run("resctrl_mon", name="vm3", **options)
    assert enabled["msg"] == situation.message
    (domain,) = enabled["domains"]
    assert (domain["failed"], domain["code"], domain["status"]) == (True, situation.code, "Disabled")
    assert enabled["rmids"]["total"] == 0

    disabled = host.run("resctrl_mon", name="vm3", state="disabled", **options)
    assert (disabled["changed"], disabled.get("failed")) == (False, None)
    assert f"Nothing is monitored on this host: {situation.message}" in str(disabled["warnings"])


def test_resctrl_that_is_mounted_elsewhere_is_pointed_at(host):
    host.domains.cover("/proc/filesystems", FILESYSTEMS + "nodev\tresctrl\n")
    host.domains.add("vm3")
    result = host.run("resctrl_mon", name="vm3", resctrl_path="/nowhere")
    assert result["msg"] == f"resctrl is not mounted at /nowhere. It is mounted at {host.resctrl}: set resctrl_path"


def test_a_cpu_that_can_only_allocate_is_told_apart(make_host):
    host = make_host("alloc-only")
    host.domains.add("vm3")
    result = host.run("resctrl_mon", name="vm3")
    assert result["msg"] == (
        f"resctrl at {host.resctrl} has no L3 monitoring. The CPU or the boot options (rdt=!cmt,!mbmtotal,!mbmlocal) "
        "rule it out: look at 'dmesg | grep resctrl' for 'L3 monitoring detected'"
    )
    assert result["domains"][0]["code"] == "allocation_only"


# -- one domain and the others -----------------------------------------------------------------------------------------


def test_one_domains_failure_never_hides_the_others_results(host):
    host.domains.define("vm1")
    vm2, vm3 = host.domains.add("vm2"), host.domains.add("vm3")
    result = host.run("resctrl_mon", name=["vm3", "vm1", "vm2"])
    assert result["failed"]
    assert result["changed"]
    assert result["msg"] == "vm1: Requested operation is not valid: domain is not running"
    assert [(one["name"], one["status"], one["failed"]) for one in result["domains"]] == [
        ("vm3", "Enabled", False),
        ("vm1", "Disabled", True),
        ("vm2", "Enabled", False),
    ]
    assert set(host.groups()) == {host.group(vm2), host.group(vm3)}


def test_different_failures_are_told_domain_by_domain(host):
    host.domains.define("vm1")
    vm3 = host.domains.add("vm3")
    host.make_group("mon_groups/pqos-1-1", vm3.vcpus[0])
    result = host.run("resctrl_mon", name=["vm1", "x", "vm3", "y"])
    assert result["msg"] == (
        "4 of 4 domains failed: "
        "vm1: Requested operation is not valid: domain is not running; "
        "x: Domain not found: no domain with matching name 'x'; "
        f"vm3: Thread {vm3.vcpus[0]} of domain 'vm3' is in the group mon_groups/pqos-1-1 of pqos. "
        "Stop that monitoring first, or take its threads over (takeover=true); "
        "y: Domain not found: no domain with matching name 'y'"
    )


def test_the_kernels_refusal_ends_one_domain_only(host):
    vm2, vm3 = host.domains.add("vm2"), host.domains.add("vm3")
    host.control.fault(Fault("write", f".*{vm2.uuid}/tasks", errno=errno.EPERM))
    result = host.run("resctrl_mon", name=["vm2", "vm3"])
    path = f"{host.path(host.group(vm2))}/tasks"
    assert result["msg"] == (
        f"vm2: Cannot move thread {vm2.vcpus[0]} at {path}: Operation not permitted. "
        "Look at the kernel's log, and whether resctrl is mounted read-write"
    )
    assert [one["failed"] for one in result["domains"]] == [True, False]
    assert host.groups()[host.group(vm3)] == set(vm3.vcpus.values())


def test_the_kernels_refusal_counts_more_than_the_number_that_it_names(make_host):
    """RMIDs may run out although there were enough in the plan."""
    host = make_host("few-rmids", "num_rmids=2")
    host.domains.add("vm3")
    host.make_group("mon_groups/faster")
    host.domains.cover(f"{host.resctrl}/info/L3_MON/num_rmids", "3\n")
    result = host.run("resctrl_mon", name="vm3")
    assert result["msg"] == (
        "Out of RMIDs: 1 needed, 0 free of 2 (the kernel names 3, and has just refused another) "
        "(held by: default 1, other 1). "
        "Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains"
    )
    assert result["domains"][0]["code"] == "rmids_exhausted"


# -- domains that change meanwhile -------------------------------------------------------------------------------------


def test_a_domain_without_a_process_fails_and_says_why(host):
    """QEMU died while libvirtd was down: its status file is still there."""
    host.domains.add("vm3")
    host.domains.kill("vm3")
    result = host.run("resctrl_mon", name="vm3")
    assert result["msg"] == (
        "libvirt lists domain 'vm3' as running, but it has no process. "
        "It stopped just now, or its QEMU died while libvirtd was down: run again, or see 'virsh list'"
    )
    assert result["domains"][0]["code"] == "domain_gone"


def test_a_domain_that_goes_away_half_way_fails_and_the_others_are_done(host, background):
    vm2, vm3 = host.domains.add("vm2"), host.domains.add("vm3")
    host.control.fault(Fault("write", f".*{vm3.uuid}/tasks", delay=0.3))
    run = background(host.run, "resctrl_mon", name=["vm3", "vm2"])
    wait_until(lambda: host.control.faults()[0].seen, "the fault")
    host.domains.stop("vm3")
    result = run.result()
    assert result["msg"] == "vm3: Requested operation is not valid: domain is not running"
    assert [one["failed"] for one in result["domains"]] == [True, False]
    assert host.groups() == {host.group(vm2): set(vm2.vcpus.values())}


def test_a_group_that_is_removed_meanwhile_is_made_again(host):
    vm3 = host.domains.add("vm3")
    host.control.fault(Fault("open", f".*{vm3.uuid}/tasks", remove=host.group(vm3)))
    result = host.run("resctrl_mon", name="vm3")
    assert result["domains"][0]["status"] == "Enabled"
    assert [operation.kind for operation in host.changes()] == ["mkdir", "mkdir", "write", "write"]
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_a_vcpu_that_is_unplugged_meanwhile_is_no_failure(host, background):
    vm3 = host.domains.add("vm3", vcpus=3)
    host.control.fault(Fault("mkdir", delay=0.3))
    run = background(host.run, "resctrl_mon", name="vm3")
    wait_until(lambda: host.control.faults()[0].seen, "the fault")
    host.domains.unplug("vm3", 2)
    assert run.result()["domains"][0]["vcpus"]["counted"] == [0, 1]
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


# -- runs that meet, and runs that are cut off -------------------------------------------------------------------------


def test_two_runs_at_once_both_succeed(host, background):
    vm2, vm3 = host.domains.add("vm2"), host.domains.add("vm3")
    host.control.fault(Fault("mkdir", delay=0.2))
    runs = [background(host.run, "resctrl_mon", name=["vm2", "vm3"]) for _run in range(2)]
    for run in runs:
        assert [one["status"] for one in run.result()["domains"]] == ["Enabled", "Enabled"]
    assert host.groups() == {host.group(one): set(one.vcpus.values()) for one in (vm2, vm3)}
    assert [operation.kind for operation in host.changes()] == ["mkdir", "mkdir", "write", "write", "write", "write"]


def test_enabling_and_disabling_at_once_leave_one_of_the_two(host, background):
    vm3 = host.domains.add("vm3")
    host.control.fault(Fault("mkdir", delay=0.2))
    runs = [background(host.run, "resctrl_mon", name="vm3", state=state) for state in ("enabled", "disabled")]
    for run in runs:
        assert not run.result().get("failed")
    assert host.groups() in ({}, {host.group(vm3): set(vm3.vcpus.values())})


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_run_that_was_killed_is_repaired_by_the_next(host, nth):
    """SIGKILL at each of the three changes: the group, the first thread, the second thread."""
    vm3 = host.domains.add("vm3")
    host.control.fault(Fault(("mkdir", "write", "write")[nth - 1], nth=max(1, nth - 1), kill=True))
    with pytest.raises(AssertionError, match="ended with -9"):
        host.run("resctrl_mon", name="vm3")
    assert len(host.changes()) == nth
    result = host.run("resctrl_mon", name="vm3")
    assert result["changed"]
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}
    assert not host.run("resctrl_mon", name="vm3")["changed"]


# -- bounded waits: ten seconds each, all at once ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def waits(tmp_path_factory):
    """Runs that wait until they give up: each one's result, and what it did to resctrl."""
    with contextlib.ExitStack() as stack:
        hosts = []
        for profile, settings in (("intel-6.1", []), ("few-rmids", ["era=6.12", "num_rmids=3", "threshold=0"])):
            host = stack.enter_context(EmulatedHost(tmp_path_factory.mktemp("waits"), profile, settings))
            host.domains.add("vm3")
            hosts.append(host)
        lock, limbo = hosts
        limbo.remove_group(limbo.enable(limbo.domains["vm3"]))
        limbo.enable(limbo.domains.add("vm4"))
        limbo.changes()
        stack.enter_context(locked(lock))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            results = list(pool.map(lambda host: host.run("resctrl_mon", name=["vm3"]), hosts))
        yield {"lock": (lock, results[0]), "limbo": (limbo, results[1])}


def test_a_lock_that_is_held_for_too_long_fails_and_nothing_is_changed(waits):
    host, result = waits["lock"]
    assert result["msg"] == (
        f"Another program has held the lock on {host.resctrl} for more than 10 seconds. "
        "Find it with 'fuser -v' on that directory (libvirt, pqos, another run?), then run again"
    )
    assert (result["code"], result["path"]) == ("lock_timeout", host.resctrl)
    assert host.changes() == []


def test_rmids_that_do_not_come_back_are_told_from_those_that_are_in_use(waits):
    """With max_threshold_occupancy at 0 no RMID's cache lines are ever few enough."""
    host, result = waits["limbo"]
    path = host.path(host.group(host.domains["vm3"]))
    assert result["msg"] == (
        f"Cannot make the group at {path}: Device or resource busy (Out of RMIDs). "
        "Freed RMIDs wait until the cache has lost their lines: try again in some seconds, "
        "or raise info/L3_MON/max_threshold_occupancy"
    )
    assert result["domains"][0]["code"] == "rmids_in_limbo"
    assert {operation.kind for operation in host.changes()} == {"mkdir"}
