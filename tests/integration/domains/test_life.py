# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring in the course of a domain's life. The state ends when the domain does, as in the RFC."""

from __future__ import annotations

import pytest
from waiting import wait_until

from hosts import Cachetune, domain_xml

UUID = "c0ffee00-0000-4000-8000-000000000003"


def monitored(hv, name):
    """Whether exactly the vCPUs' threads of the domain are in its group, and the module says so."""
    domain = hv.query(name)
    vcpus = hv.vcpus(name)
    assert vcpus
    in_group = hv.groups().get(hv.ours(name), set())
    assert (domain["status"] == "Enabled") == bool(in_group)
    assert domain["vcpus"]["counted"] == sorted(vcpu for vcpu, tid in vcpus.items() if tid in in_group)
    return in_group == set(vcpus.values())


def generation(hv, name):
    """That of the one group that counts the domain."""
    (group,) = hv.stats(name)["groups"]
    return group["generation"]


# -- stopped and started again -----------------------------------------------------------------------------------------


def test_destroyed_and_started_again(hv):
    hv.start("vm3")
    hv.enable("vm3")
    assert monitored(hv, "vm3")
    first = hv.vcpus("vm3")

    hv.virsh("destroy", "vm3")
    assert hv.query("vm3")["status"] == "Disabled"
    assert hv.stats("vm3")["cmt"] == 0

    hv.virsh("start", "vm3")
    assert hv.query("vm3")["status"] == "Disabled"
    assert hv.enable("vm3")["changed"]
    assert monitored(hv, "vm3")
    assert not set(first.values()) & set(hv.vcpus("vm3").values())
    assert not hv.enable("vm3")["changed"]


@pytest.mark.parametrize("again", ["stopped", "running again"])
def test_group_without_its_domain_is_pruned_by_any_run(hv, again):
    """RMIDs are scarce. When the domain is monitored again its group is another one, and can be told from the first."""
    hv.start("vm3")
    hv.start("vm4")
    hv.enable("vm3")
    first = generation(hv, "vm3")
    hv.virsh("destroy", "vm3")
    if again == "running again":
        hv.virsh("start", "vm3")

    result = hv.enable("vm4")
    assert result["pruned"] == [f"/sys/fs/resctrl/{hv.ours('vm3')}"]
    assert set(hv.groups()) == {hv.ours("vm4")}

    hv.host.start("vm3")
    hv.enable("vm3")
    assert monitored(hv, "vm3")
    assert generation(hv, "vm3") != first


def test_transient_domain(hv):
    """libvirt forgets it when it stops."""
    hv.host.run(["virsh", "--quiet", "create", "/proc/self/fd/0"], input=domain_xml("vm3", kvm=hv.host.has_kvm()))
    hv.enable("vm3")
    assert monitored(hv, "vm3")
    group = hv.ours("vm3")
    hv.virsh("destroy", "vm3")
    result = hv.mon("vm3")
    assert result["msg"] == "Domain not found: no domain with matching name 'vm3'"
    assert result["pruned"] == [f"/sys/fs/resctrl/{group}"]


def test_run_for_a_stopped_domain_prunes_its_group(hv):
    hv.start("vm3")
    hv.enable("vm3")
    hv.virsh("destroy", "vm3")
    result = hv.mon("vm3", state="disabled", when_inactive="ignore")
    assert not result.get("failed")
    assert result["pruned"] == [f"/sys/fs/resctrl/{hv.ours('vm3')}"]
    assert hv.groups() == {}


def test_qemu_is_killed(hv):
    """libvirt notices, and so does the next run."""
    hv.start("vm3")
    hv.start("vm4")
    hv.enable("vm3", "vm4")
    hv.kill_qemu("vm3")
    wait_until(lambda: not hv.query("vm3")["active"], "libvirt notices")
    assert hv.query("vm3")["status"] == "Disabled"
    result = hv.enable("vm4")
    assert result["pruned"] == [f"/sys/fs/resctrl/{hv.ours('vm3')}"]
    assert [domain["changed"] for domain in result["domains"]] == [False]


def test_saved_and_restored(hv):
    """The restored domain is another process, with another id."""
    hv.start("vm3")
    hv.enable("vm3")
    first = hv.virsh("domid", "vm3"), hv.pid("vm3")
    hv.virsh("save", "vm3", "/var/lib/libvirt/vm3.save")
    assert hv.query("vm3")["status"] == "Disabled"
    hv.virsh("restore", "/var/lib/libvirt/vm3.save")
    second = hv.virsh("domid", "vm3"), hv.pid("vm3")
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert hv.query("vm3")["status"] == "Disabled"
    hv.enable("vm3")
    assert monitored(hv, "vm3")


def test_saved_and_restored_with_cachetune(hv):
    """libvirt's group is called after the id, so it is another one; the status is the same throughout."""
    hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    first = hv.query("vm2")
    hv.virsh("save", "vm2", "/var/lib/libvirt/vm2.save")
    assert hv.query("vm2")["status"] == "Disabled"
    hv.virsh("restore", "/var/lib/libvirt/vm2.save")
    second = hv.query("vm2")
    assert first["status"] == second["status"] == "Enabled (forced by cachetune)"
    assert first["vcpus"]["counted"] == second["vcpus"]["counted"] == [0, 1]
    assert first["groups"] != second["groups"]


# -- while it runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commands", [("suspend", "resume"), ("reset",)], ids=" ".join)
def test_same_threads_stay_monitored(hv, commands):
    hv.start("vm3")
    hv.enable("vm3")
    threads, first = hv.vcpus("vm3"), generation(hv, "vm3")
    for command in commands:
        hv.virsh(command, "vm3")
        assert monitored(hv, "vm3")
        assert not hv.enable("vm3")["changed"]
    assert (hv.vcpus("vm3"), generation(hv, "vm3")) == (threads, first)


def test_hot_plugged_vcpu(hv):
    """A new vCPU has a new thread. It is shown as uncounted, and the next run repairs it and says so."""
    hv.start("vm3", vcpus=2, max_vcpus=3)
    hv.enable("vm3")
    first = generation(hv, "vm3")
    hv.virsh("setvcpus", "vm3", "3", "--live")
    domain = hv.query("vm3")
    assert (domain["status"], domain["vcpus"]["uncounted"]) == ("Enabled", [2])

    (domain,) = hv.enable("vm3")["domains"]
    assert (domain["changed"], domain["msg"]) == (True, "Repaired, now counted too: vCPU 2")
    assert monitored(hv, "vm3")
    assert sorted(hv.vcpus("vm3")) == [0, 1, 2]
    # What was counted of the others is not lost
    assert generation(hv, "vm3") == first
    assert not hv.enable("vm3")["changed"]


def test_hot_plugged_vcpu_of_a_domain_with_cachetune(hv):
    """libvirt counts a new vCPU if the element names it; the collection counts it else."""
    hv.start("vm2", vcpus=1, max_vcpus=3, cachetune=[Cachetune("0-1", monitors=["0-1"])])
    hv.virsh("setvcpus", "vm2", "3", "--live")
    domain = hv.query("vm2")
    assert domain["vcpus"]["counted"] == [0, 1]
    assert domain["vcpus"]["uncounted"] == [2]
    (domain,) = hv.enable("vm2")["domains"]
    assert domain["msg"] == "Now counted: vCPU 2"
    assert hv.groups()[hv.ours("vm2")] == {hv.vcpus("vm2")[2]}


def test_cachetune_of_the_next_start(hv):
    """What counts is how the domain runs, not what its XML will say when it starts again."""
    hv.start("vm3", uuid=UUID)
    hv.need_kvm()
    hv.host.define(domain_xml("vm3", uuid=UUID, cachetune=[Cachetune("0-1", monitors=["0-1"])]))
    assert hv.query("vm3")["status"] == "Disabled"
    assert hv.enable("vm3")["domains"][0]["status"] == "Enabled"
    hv.virsh("destroy", "vm3")
    hv.virsh("start", "vm3")
    assert hv.query("vm3")["status"] == "Enabled (forced by cachetune)"
    # Ours was of the domain's life before
    assert hv.disable("vm3")["domains"][0]["msg"] == f"Removed {hv.ours('vm3')}"
    assert hv.query("vm3")["vcpus"]["counted"] == [0, 1]


def test_emulated_domain(hv):
    """Without KVM (TCG) its vCPUs have threads as well."""
    hv.start("vm3", kvm=False)
    hv.enable("vm3")
    assert sorted(hv.vcpus("vm3")) == [0, 1]
    assert monitored(hv, "vm3")


# -- libvirt's daemon --------------------------------------------------------------------------------------------------


def test_libvirtd_is_restarted(hv):
    """Threads and groups do not depend on it."""
    hv.start("vm2", cachetune=[Cachetune("0", monitors=["0"])])
    hv.start("vm3")
    hv.enable("vm2", "vm3")
    before, groups = hv.all_stats(), hv.groups()
    hv.kill_libvirtd()
    assert hv.groups() == groups
    hv.start_libvirtd()
    assert hv.groups() == groups
    assert not hv.enable("vm2", "vm3")["changed"]
    after = hv.all_stats()
    for name in ("vm2", "vm3"):
        assert after[name]["status"] == before[name]["status"]
        assert after[name]["groups"] == before[name]["groups"]


def test_libvirtd_is_down(hv):
    hv.start("vm3")
    hv.enable("vm3")
    groups = hv.groups()
    hv.kill_libvirtd()
    result = hv.mon("vm3", state="disabled")
    assert result["failed"]
    assert result["code"] == "libvirt_unreachable"
    assert result["msg"].startswith("libvirt does not answer at qemu:///system: read-only: ")
    assert hv.groups() == groups


def test_qemu_dies_while_libvirtd_is_down(hv):
    """libvirtd cannot remove the status file then, nor its own group: none of them makes a domain run, or monitored."""
    hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    hv.start("vm3")
    hv.enable("vm3")
    ours = hv.ours("vm3")
    (libvirts,) = set(hv.groups()) - {ours}
    hv.kill_libvirtd()
    hv.kill_qemu("vm2")
    hv.kill_qemu("vm3")
    hv.host.run(["test", "-e", "/run/libvirt/qemu/vm3.xml"])
    hv.start_libvirtd()
    assert set(hv.groups()) == {ours, libvirts}
    assert [domain["status"] for domain in hv.info("vm2", "vm3")["domains"]] == ["Disabled", "Disabled"]

    result = hv.mon("vm2", "vm3", state="disabled", when_inactive="ignore")
    assert result["pruned"] == [f"/sys/fs/resctrl/{ours}"]
    # It is not ours to remove
    assert set(hv.groups()) == {libvirts}

    hv.virsh("start", "vm2")
    assert hv.query("vm2")["status"] == "Enabled (forced by cachetune)"
    assert libvirts not in hv.query("vm2")["groups"]
