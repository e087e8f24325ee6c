# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several libvirts on one host, some of them in containers: what is not seen is not gone."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from modules import AGENT, only, run_module, succeeded, warnings
from waiting import wait_until

from hosts import Cachetune, domain_xml

DOMAINS = ["vm3"]
UUID = "c0ffee00-0000-4000-8000-00000000000c"
OTHER = "/run/other-libvirt"
# A libvirt of its own: nothing but /run is shared with the host's
OWN_FILES = f"""
mkdir -p {OTHER}; mount --bind {OTHER} /run/libvirt
for directory in /etc/libvirt/qemu /var/lib/libvirt/qemu /var/cache/libvirt; do
    mkdir -p $directory
    mount -t tmpfs libvirt $directory
done
"""
# PID 1 of a container reaps what is left of others
DAEMON = "libvirtd --pid-file /run/libvirt/daemon.pid & wait"
# What root is on hosts and in containers that hide the processes of others
HIDE = """
mount -t proc -o hidepid=2,gid=65534 proc /proc
exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$@"
"""


@contextlib.contextmanager
def libvirtd(hv, script, *namespaces):
    """Another libvirtd, in namespaces of its own; its process id on the host."""
    before = set(daemons(hv))
    with hv.host.popen(["unshare", *namespaces, "sh", "-ec", script], stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: set(daemons(hv)) - before, "the daemon's start")
            (pid,) = set(daemons(hv)) - before
            answers = hv.host.argv(enter(pid, ["virsh", "list"]))
            wait_until(lambda: subprocess.run(answers, capture_output=True, check=False).returncode == 0, "its answer")
            yield pid
        finally:
            hv.host.run(["kill", "-9", *map(str, set(daemons(hv)) - before)], check=False)
            process.wait(timeout=60)


def daemons(hv):
    """The process ids of all libvirtds."""
    return hv.host.run(["pidof", "libvirtd"], check=False).stdout.split()


def enter(pid, argv):
    """A command line in the namespaces of a process."""
    return ["nsenter", "--target", pid, "--mount", "--pid", "--", *argv]


def run_at(hv, pid, module, **options):
    """The result of a module's run beside a libvirtd."""
    options = {"uri": "qemu:///system", **options}
    return run_module(module, options, inside=lambda argv: hv.host.argv(enter(pid, argv)))


@pytest.fixture(name="shared")
def shared_fixture(hv):
    """libvirtd and its QEMUs run in a container, whose /run is the host's; domain vm1 is one of them."""
    hv.kill_qemu("vm3")
    hv.kill_libvirtd()
    with libvirtd(hv, DAEMON, "--pid", "--fork", "--mount-proc"):
        hv.start("vm1")
        yield hv


@pytest.fixture(name="container")
def container_fixture(hv):
    """A container with a libvirtd of its own, and with resctrl; the process id of that daemon."""
    with libvirtd(hv, OWN_FILES + DAEMON, "--pid", "--fork", "--mount-proc") as pid:
        yield pid


@pytest.fixture(name="second")
def second_fixture(hv):
    """A second libvirtd beside the host's, which has a domain of the same name, vm3; the process id of that daemon."""
    with libvirtd(hv, OWN_FILES + DAEMON, "--mount") as pid:
        xml = domain_xml("vm3", uuid=UUID, kvm=hv.host.has_kvm())
        hv.host.run(enter(pid, ["virsh", "--quiet", "create", "/proc/self/fd/0"]), input=xml)
        yield pid
        hv.host.run(["kill", "-9", *map(str, hv.processes_with({UUID}))], check=False)


# -- libvirt in a container --------------------------------------------------------------------------------------------


def test_domains_in_a_container_are_monitored_from_the_host(shared):
    """The status file tells the numbers that the threads have in the container."""
    vcpus = shared.vcpus("vm1")
    status = shared.host.run(["cat", "/run/libvirt/qemu/vm1.xml"]).stdout
    assert not any(f"pid='{tid}'" in status for tid in vcpus.values())
    assert only(shared.enable("vm1"))["vcpus"]["counted"] == [0, 1]
    assert shared.groups() == {shared.ours("vm1"): set(vcpus.values())}
    assert shared.query("vm1")["status"] == "Enabled"
    assert shared.stats("vm1")["vcpus"]["counted"] == [0, 1]
    assert not shared.enable("vm1")["changed"]
    assert only(shared.disable("vm1"))["status"] == "Disabled"


def test_every_thread_of_a_domain_in_a_container_is_counted_with_scope_domain(shared):
    shared.enable("vm1", scope="domain")
    assert shared.groups() == {shared.ours("vm1"): set(shared.threads("vm1"))}


def test_the_agent_on_the_host_keeps_domains_in_a_container_as_declared(shared):
    """It reads libvirt's files alone, and the numbers in them are the container's."""
    shared.host.run(["mkdir", "-p", "/etc/kvmops-resctrl"])
    shared.host.run(["tee", "/etc/kvmops-resctrl/policy.json"], input='{"default": "enabled"}')
    try:
        shared.host.run([*AGENT, "enforce"])
        assert shared.groups() == {shared.ours("vm1"): set(shared.vcpus("vm1").values())}
        assert shared.host.run([*AGENT, "status", "vm1"]).stdout == (
            "RDT Monitoring Status: Enabled\n  Declared: enabled by the default. Now: counted\n"
        )
    finally:
        shared.host.run(["rm", "-rf", "/etc/kvmops-resctrl"])


def test_a_domain_in_a_container_that_has_stopped_is_pruned_from_the_host(shared):
    shared.enable("vm1")
    shared.virsh("destroy", "vm1")
    assert shared.enable("*")["pruned"] == [shared.path(shared.ours("vm1"))]


# -- a run in a container ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_run_in_a_container_removes_nothing_of_the_hosts(hv, container, state):
    hv.start("vm4")
    hv.enable("vm3")
    hv.enable("vm4", scope="domain")
    before = hv.groups()
    result = succeeded(run_at(hv, container, "resctrl_mon", name="*", state=state))
    assert (result["changed"], result["pruned"], hv.groups()) == (False, [], before)
    paths = ", ".join(sorted(map(hv.path, before)))
    assert warnings(result) == [
        f"It cannot be seen from here whether the domain of a group still runs, so the group was left: {paths}"
    ]


def test_a_stale_group_is_left_by_a_run_in_a_container_and_removed_by_one_on_the_host(hv, container):
    hv.start("vm4")
    hv.enable("vm4")
    stale = hv.ours("vm4")
    hv.virsh("destroy", "vm4")
    succeeded(run_at(hv, container, "resctrl_mon", name="*"))
    assert set(hv.groups()) == {stale}
    assert hv.enable("vm3")["pruned"] == [hv.path(stale)]


def test_a_domain_whose_process_is_hidden_is_a_failure_and_its_group_is_left(hv):
    """hidepid, and root without CAP_SYS_PTRACE."""
    hv.start("vm4")
    hv.enable("vm3", "vm4")
    before = hv.groups()
    for name in ("vm3", "*"):
        for state in ("enabled", "disabled"):
            options = {"name": name, "state": state, "uri": "qemu:///system"}
            result = run_module(
                "resctrl_mon",
                options,
                inside=lambda argv: hv.host.argv(["unshare", "--mount", "sh", "-ec", HIDE, "sh", *argv]),
            )
            assert {one["code"] for one in result["domains"]} == {"domain_unseen"}
            assert hv.groups() == before


# -- two libvirts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_run_for_one_libvirt_removes_nothing_of_anothers(hv, second, state):
    ours = hv.ours("vm3")
    theirs = f"mon_groups/kvmops-{UUID}"
    hv.enable("vm3")
    succeeded(run_at(hv, second, "resctrl_mon", name="*"))
    assert set(hv.groups()) == {ours, theirs}
    succeeded(run_at(hv, second, "resctrl_mon", name="*", state=state))
    assert set(hv.groups()) == ({ours, theirs} if state == "enabled" else {ours})
    succeeded(run_at(hv, second, "resctrl_mon", name="*"))
    succeeded(hv.mon("*", state=state))
    assert set(hv.groups()) == ({ours, theirs} if state == "enabled" else {theirs})


def test_a_domain_of_the_same_name_of_another_libvirt_has_a_status_of_its_own(hv, second):
    """The status file of that name is the other domain's, with cachetune and other threads."""
    del second
    hv.virsh("destroy", "vm3")
    hv.virsh("undefine", "vm3")
    hv.start("vm3", uuid="c0ffee00-0000-4000-8000-00000000000d", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    (libvirts,) = hv.groups()
    counted = hv.groups()[libvirts]
    uri = f"qemu+unix:///system?socket={OTHER}/libvirt-sock"
    assert only(succeeded(hv.run("resctrl_info", name="vm3", uri=uri)))["status"] == "Disabled"
    domain = only(succeeded(hv.run("resctrl_mon", name="vm3", uri=uri)))
    assert (domain["uuid"], domain["status"], domain["vcpus"]["counted"]) == (UUID, "Enabled", [0, 1])
    groups = hv.groups()
    assert groups[libvirts] == counted
    assert len(groups[f"mon_groups/kvmops-{UUID}"]) == 2
    assert not groups[f"mon_groups/kvmops-{UUID}"] & counted
