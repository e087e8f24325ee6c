# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command resctrl-mon on a host without Ansible: the RFC's verbs and texts, and the enforcement of a policy."""

from __future__ import annotations

import json
import subprocess

import pytest
from modules import ROOT
from waiting import wait_until

from hosts import domain_xml

DOMAINS = ["vm3", "vm4"]
# The smallest number of RMIDs with which two of three domains can be counted
PROFILE = "few-rmids"
POLICY = "/etc/kvmops-resctrl/policy.json"
SWITCHES = "/etc/kvmops-resctrl/switches.json"
COMMAND = ("env", f"PYTHONPATH={ROOT}/plugins/module_utils", "python3", f"{ROOT}/roles/monitor/files/resctrl_mon.py")


@pytest.fixture(name="agent")
def agent_fixture(hv):
    """resctrl-mon(verb, ...) -> (status, stdout, stderr)."""

    def run(*arguments):
        done = hv.host.run([*COMMAND, *arguments], check=False)
        return done.returncode, done.stdout, done.stderr

    yield run
    hv.host.run(["rm", "-rf", "/etc/kvmops-resctrl"])


@pytest.fixture(name="declare")
def declare_fixture(hv):
    """Write the policy file, as role monitor does."""

    def write(**policy):
        hv.host.run(["mkdir", "-p", "/etc/kvmops-resctrl"])
        hv.host.run(["tee", POLICY], input=json.dumps(policy))

    return write


def test_the_rfcs_verbs_print_the_rfcs_texts(hv, agent):
    hv.host.define(_shut_off("vm1"))
    assert agent("status", "vm3") == (0, "RDT Monitoring Status: Disabled\n", "")
    assert agent("enable", "vm3") == (0, "RDT Monitoring Status: Enabled\n", "")
    assert agent("status", "vm3") == (0, "RDT Monitoring Status: Enabled\n", "")
    assert agent("disable", "vm3") == (0, "RDT Monitoring Status: Disabled\n", "")
    refused = "error: Requested operation is not valid: domain is not running\n"
    assert agent("status", "vm1") == (0, "RDT Monitoring Status: Disabled\n", "")
    assert agent("enable", "vm1") == (1, "", refused)
    assert agent("disable", "vm1") == (1, "", refused)
    assert agent("status", "vm9") == (1, "", "error: Domain not found: no domain with matching name 'vm9'\n")


def _shut_off(name):
    return domain_xml(name, kvm=False)


def test_statistics_are_printed_as_the_rfc_has_them(hv, agent):
    agent("enable", "vm3")
    (cache,) = hv.stats("vm3")["caches"]
    hv.control.set(hv.ours("vm3"), cache["id"], "llc_occupancy", 180224)
    assert agent("stats", "vm3") == (0, "Domain: 'vm3'\n  resctrl.cmt=180224\n", "")
    assert agent("stats") == (
        0,
        "Domain: 'vm3'\n  resctrl.cmt=180224\nDomain: 'vm4'\n  resctrl.cmt=null (disabled)\n",
        "",
    )


def test_machines_get_what_the_modules_return(hv, agent):
    agent("enable", "vm3")
    assert json.loads(agent("status", "--json", "vm3")[1]) == hv.info("vm3")["domains"]
    hv.control.freeze()
    assert json.loads(agent("stats", "--json")[1]) == hv.all_stats()


def test_a_host_without_a_policy_is_left_as_it_is(hv, agent):
    agent("enable", "vm3")
    groups = hv.groups()
    assert agent("enforce") == (0, "Everything is as declared.\n", "")
    assert hv.groups() == groups


def test_what_is_declared_is_made_so_and_said(hv, agent, declare):
    agent("enable", "vm4")
    declare(default="disabled", domains=[{"name": "vm3"}])
    status, out, err = agent("enforce")
    assert (status, err) == (0, "")
    assert out == f"vm3: Now counted: vCPU 0, 1\nvm4: Removed {hv.ours('vm4')}\n"
    assert set(hv.groups()) == {hv.ours("vm3")}
    assert agent("enforce")[1] == "Everything is as declared.\n"


def test_everything_that_can_happen_to_a_domain_is_made_good(hv, agent, declare):
    declare(default="enabled")
    agent("enforce")
    hv.virsh("setvcpus", "vm3", "3", "--live")
    assert "Repaired, now counted too: vCPU 2" in agent("enforce")[1]
    hv.remove_group(hv.ours("vm4"))
    assert "vm4: Now counted: vCPU 0, 1" in agent("enforce")[1]
    hv.virsh("destroy", "vm4")
    assert agent("enforce")[1] == f"Removed /sys/fs/resctrl/{hv.ours('vm4')}: its domain is gone\n"
    hv.virsh("start", "vm4")
    agent("enforce")
    assert hv.groups()[hv.ours("vm4")] == set(hv.vcpus("vm4").values())


def test_priorities_decide_who_is_counted_and_the_next_in_line_follows(hv, agent, declare):
    hv.start("vm5")
    hv.start("vm6")
    declare(default="enabled", reserve_rmids=1, domains=[{"name": "vm6", "priority": 10}])
    status, out, _err = agent("enforce")
    assert status == 0
    assert set(hv.groups()) == {hv.ours("vm6"), hv.ours("vm3")}
    assert "vm4: Out of RMIDs: of 4 none is left for domain 'vm4'. It is next in line when one is freed" in out
    assert agent("status", "vm4") == (0, "RDT Monitoring Status: Disabled\n", "")
    hv.virsh("destroy", "vm3")
    agent("enforce")
    assert set(hv.groups()) == {hv.ours("vm6"), hv.ours("vm4")}


def test_a_damaged_policy_is_reported_and_nothing_is_switched_off(hv, agent, declare):
    declare(default="enabled")
    agent("enforce")
    groups = hv.groups()
    hv.host.run(["tee", POLICY], input='{"default": "disab')
    status, out, err = agent("enforce")
    assert (status, out) == (1, "")
    assert err.startswith(f"error: Cannot understand {POLICY}")
    assert hv.groups() == groups


def test_where_something_is_not_as_declared_nothing_else_is_said(hv, agent, declare):
    hv.make_group("mon_groups/pqos-1", hv.vcpus("vm3")[0])
    declare(default="enabled", domains=[{"name": "vm4", "state": "unmanaged"}])
    status, out, err = agent("enforce")
    assert (status, out) == (1, "")
    assert err.startswith("error: vm3: Thread ")


def test_in_the_journal_is_what_is_news(hv, agent, declare):
    """The unit runs once a minute, which is no news; who goes without an RMID is while domains start and stop."""
    hv.start("vm5")
    declare(default="enabled", reserve_rmids=1)
    assert "Now counted" in agent("enforce", "--quiet")[1]
    assert agent("enforce", "--quiet")[1].startswith("vm5: Out of RMIDs")
    _let_time_pass(hv)
    assert agent("enforce", "--quiet") == (0, "", "")
    assert agent("enforce")[1].startswith("vm5: Out of RMIDs")


def test_a_domain_without_vcpus_is_no_error_while_it_may_be_starting(hv, agent, declare):
    """The first status file that libvirt writes is there before the threads are. Here they never come."""
    hv.host.define(_in_one_thread("vm5"))
    hv.virsh("start", "vm5")
    declare(default="unmanaged", domains=[{"name": "vm5"}])
    assert agent("enforce", "--quiet") == (0, "", "")
    _let_time_pass(hv)
    status, _out, err = agent("enforce", "--quiet")
    assert (status, "has no threads for its vCPUs" in err) == (1, True)


def _in_one_thread(name):
    domain = domain_xml(name, kvm=False)
    options = "<qemu:commandline><qemu:arg value='-icount'/><qemu:arg value='shift=auto'/></qemu:commandline>"
    namespace = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
    return domain.replace("<domain ", f"<domain {namespace} ", 1).replace("</domain>", f"{options}</domain>")


def _let_time_pass(hv):
    hv.host.run(["touch", "--date=1 minute ago", "/run/libvirt/qemu"])


def test_a_persistent_switch_outlives_the_domain(hv, agent, declare):
    declare(default="disabled")
    assert hv.mon("vm3", persistent=True)["changed"]
    assert not hv.mon("vm3", persistent=True)["changed"]
    hv.virsh("destroy", "vm3")
    hv.virsh("start", "vm3")
    assert "vm3: " in agent("enforce")[1]
    assert hv.query("vm3")["status"] == "Enabled"
    agent("disable", "--persistent", "vm3")
    agent("enforce")
    assert hv.query("vm3")["status"] == "Disabled"


@pytest.mark.usefixtures("agent")
def test_a_persistent_switch_may_be_for_a_domain_that_is_shut_off(hv):
    hv.host.define(_shut_off("vm1"))
    result = hv.enable("vm1", persistent=True)
    assert (result["changed"], result["domains"][0]["status"]) == (True, "Disabled")
    assert json.loads(hv.host.run(["cat", SWITCHES]).stdout) == {hv.uuid("vm1"): "enabled"}


@pytest.mark.usefixtures("agent")
def test_a_persistent_switch_warns_where_nothing_enforces_it(hv):
    warnings = hv.enable("vm3", persistent=True)["warnings"]
    assert "apply the role kvmops.resctrl.monitor" in json.dumps(warnings)


@pytest.mark.usefixtures("agent")
def test_check_mode_writes_no_switch(hv):
    assert hv.mon("vm3", persistent=True, check=True)["changed"]
    assert hv.host.run(["test", "-e", SWITCHES], check=False).returncode == 1


@pytest.mark.usefixtures("agent")
def test_a_change_that_falls_inside_a_run_is_not_missed(hv, declare):
    """The run is held up while a domain starts: it looks again before it ends."""
    declare(default="enabled")
    hv.fault("mkdir", delay=3.0, times=1)
    argv = hv.host.argv([*COMMAND, "enforce"])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: hv.control.log("mkdir"), "the run makes a group")
        hv.start("vm5")
        out, _err = process.communicate()
    assert "vm5: Now counted: vCPU 0, 1" in out
