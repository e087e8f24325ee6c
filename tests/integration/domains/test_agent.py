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
# Where the agent notes what it has reported
MEMORY = "/run/kvmops-resctrl"
ENVIRONMENT = ("env", f"PYTHONPATH={ROOT}/plugins/module_utils", "PYTHONDONTWRITEBYTECODE=1")
COMMAND = (*ENVIRONMENT, "python3", f"{ROOT}/roles/resctrl_monitor/files/agent.py")


@pytest.fixture(name="agent")
def agent_fixture(hv):
    """resctrl-mon(verb, ...) -> (status, stdout, stderr). `before` and `env` are what it runs in."""

    def run(*arguments, before=(), env=None):
        done = hv.host.run([*before, *COMMAND, *arguments], check=False, env=env)
        return done.returncode, done.stdout, done.stderr

    yield run
    hv.host.run(["rm", "-rf", "/etc/kvmops-resctrl", MEMORY])


@pytest.fixture(name="declare")
def declare_fixture(hv):
    """Write the policy file, as role resctrl_monitor does."""

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
    refused = (
        "error: Domain 'vm1': Requested operation is not valid: domain is not running. Start it first, or use "
        "--persistent, which holds whenever it runs\n"
    )
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
    assert agent("enforce") == (0, "Nothing is declared on this host.\n", "")
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
    waiting = "Out of RMIDs: of 4, 1 of them reserved, none is left for domain 'vm4'. It is the next to be monitored"
    assert f"vm4: {waiting}" in out
    assert agent("status", "vm4")[1].startswith("RDT Monitoring Status: Disabled\n  Declared: enabled by the default")
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
    """The unit runs once a minute and whenever something happens: what lasts is said once."""
    hv.start("vm5")
    hv.make_group("mon_groups/pqos-1", hv.vcpus("vm3")[0])
    declare(default="enabled", reserve_rmids=1)
    status, out, err = agent("enforce", "--quiet")
    assert (status, out.splitlines()[0]) == (1, "vm4: Now counted: vCPU 0, 1")
    assert "vm5: Out of RMIDs" in out
    assert err.startswith("error: vm3: Thread ")
    assert agent("enforce", "--quiet") == (1, "", "")
    status, out, err = agent("enforce")
    assert (status, "vm5: Out of RMIDs" in out, err.startswith("error: vm3: Thread ")) == (1, True, True)
    hv.remove_group("mon_groups/pqos-1")
    hv.virsh("destroy", "vm5")
    assert agent("enforce", "--quiet") == (0, "vm3: Now counted: vCPU 0, 1\n", "")


def test_a_trouble_that_comes_back_is_news_again(hv, agent, declare):
    declare(default="enabled")
    for _time in range(2):
        hv.make_group("mon_groups/pqos-1", hv.vcpus("vm3")[0])
        assert agent("enforce", "--quiet")[2].startswith("error: vm3: Thread ")
        hv.remove_group("mon_groups/pqos-1")
        assert agent("enforce", "--quiet")[0] == 0
        hv.remove_group(hv.ours("vm3"))


def test_a_domain_that_can_never_be_counted_by_its_vcpus_is_an_error(hv, agent, declare):
    hv.host.define(_in_one_thread("vm5"))
    hv.virsh("start", "vm5")
    declare(default="unmanaged", domains=[{"name": "vm5"}])
    status, _out, err = agent("enforce", "--quiet")
    assert (status, "has no threads for its vCPUs" in err) == (1, True)


def _in_one_thread(name):
    domain = domain_xml(name, kvm=False)
    options = "<qemu:commandline><qemu:arg value='-icount'/><qemu:arg value='shift=auto'/></qemu:commandline>"
    namespace = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
    return domain.replace("<domain ", f"<domain {namespace} ", 1).replace("</domain>", f"{options}</domain>")


# -- emulators of their own kind --------------------------------------------------------------------------------------

WRAPPER = "/var/lib/libvirt/wrapper"
# libvirt runs an emulator to learn what it can, too: then there is no domain
SLOW = """#!/bin/sh
case "$*" in *guest=*) while [ ! -e /run/up ]; do sleep 0.1; done ;; esac
exec /usr/bin/qemu-system-x86_64 "$@"
"""
WITHOUT_EXEC = """#!/bin/sh
/usr/bin/qemu-system-x86_64 "$@"
"""


@pytest.fixture(name="wrapped")
def wrapped_fixture(hv):
    """Define a domain whose emulator is this script."""

    def define(name, script):
        hv.host.run(["tee", WRAPPER], input=script)
        hv.host.run(["chmod", "755", WRAPPER])
        hv.host.define(domain_xml(name, kvm=hv.host.has_kvm()).replace("/usr/bin/qemu-system-x86_64", WRAPPER))

    yield define
    hv.host.run(["rm", "-f", WRAPPER, "/run/up"])


def test_a_domain_that_takes_long_to_start_is_no_error_and_is_counted_when_it_is_up(hv, agent, declare, wrapped):
    declare(default="enabled")
    agent("enforce")
    wrapped("vm5", SLOW)
    with subprocess.Popen(hv.host.argv(["virsh", "--quiet", "start", "vm5"])) as start:
        try:
            status_file = "/run/libvirt/qemu/vm5.xml"
            wait_until(lambda: "starting up" in hv.host.run(["cat", status_file], check=False).stdout, "vm5 begins")
            hv.host.run(["touch", "--date=2 minutes ago", "/run/libvirt/qemu"])
            assert agent("enforce", "--quiet") == (0, "", "")
            assert agent("enforce")[1].endswith("vm5: is starting, and will be monitored once it is up\n")
            assert agent("status", "vm5")[1] == (
                "RDT Monitoring Status: Disabled\n  Declared: enabled by the default. Now: starting\n"
            )
        finally:
            hv.host.run(["touch", "/run/up"])
        assert start.wait() == 0
    assert agent("enforce", "--quiet") == (0, "vm5: Now counted: vCPU 0, 1\n", "")
    assert hv.groups()[hv.ours("vm5")] == set(hv.vcpus("vm5").values())


def test_of_an_emulator_behind_a_wrapper_the_vcpus_are_counted_and_no_shell(hv, agent, declare, wrapped):
    wrapped("vm5", WITHOUT_EXEC)
    hv.virsh("start", "vm5")
    declare(default="unmanaged", domains=[{"name": "vm5"}])
    assert agent("enforce") == (0, "vm5: Now counted: vCPU 0, 1\n", "")
    assert hv.groups()[hv.ours("vm5")] == _vcpu_threads(hv, "vm5")
    assert agent("enforce") == (0, "Everything is as declared.\n", "")


def _vcpu_threads(hv, name):
    """The vCPU threads of all processes with the domain on their command lines."""
    script = "for at in $(grep --files-with-matches --text guest=$0, /proc/[0-9]*/cmdline); do "
    script += "grep --with-filename '^CPU ' ${at%/cmdline}/task/*/comm; done; true"
    return {int(line.split("/")[4]) for line in hv.host.run(["sh", "-c", script, name]).stdout.splitlines()}


# -- other PID namespaces ---------------------------------------------------------------------------------------------


@pytest.fixture(name="containered")
def containered_fixture(hv):
    """libvirtd and its domains run in a PID namespace of their own, as in a container that shares /run/libvirt."""
    hv.kill_libvirtd()
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "libvirtd", "--pid-file", "/run/inner.pid"]
    with subprocess.Popen(hv.host.argv(argv)):
        listed = ["virsh", "--quiet", "--connect", "qemu:///system", "list"]
        wait_until(lambda: hv.host.run(listed, check=False).returncode == 0, "libvirtd in its namespace answers")
        yield
        # With the first process of a namespace all others end
        hv.host.run(["sh", "-c", "kill -9 $(pidof libvirtd)"])
    hv.start_libvirtd()


@pytest.mark.usefixtures("containered")
def test_domains_of_a_libvirtd_in_a_container_are_managed_by_their_uuids(hv, agent, declare):
    hv.start("vm5")
    assert f"pid='{hv.pid('vm5')}'" not in hv.host.run(["cat", "/run/libvirt/qemu/vm5.xml"]).stdout
    declare(default="unmanaged", domains=[{"name": "vm5"}])
    assert agent("enforce") == (0, "vm5: Now counted: vCPU 0, 1\n", "")
    assert hv.groups() == {hv.ours("vm5"): set(hv.vcpus("vm5").values())}
    status, out, err = agent("status", "vm5")
    assert (status, err, out.startswith("RDT Monitoring Status: Enabled\n")) == (0, "", True)


def test_an_agent_that_cannot_see_the_processes_says_so_and_changes_nothing(hv, agent, declare):
    declare(default="enabled")
    agent("enforce")
    groups = hv.groups()
    blind = ["unshare", "--pid", "--fork", "--mount-proc"]
    status, out, err = agent("enforce", before=blind)
    assert (status, out) == (1, "")
    assert "error: vm3: The process of domain 'vm3' cannot be seen from here" in err
    status, _out, err = agent("status", before=blind)
    assert (status, "cannot be seen from here" in err) == (1, True)
    assert hv.groups() == groups


# -- what is printed, and the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "printed"),
    [({"LC_ALL": "C"}, "wäb"), ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, r"w\xe4b")],
    ids=["UTF-8 all the same", "ASCII only"],
)
def test_names_are_printed_in_any_locale(hv, agent, declare, environment, printed):
    hv.start("wäb")
    declare(default="unmanaged", domains=[{"name": "w?b"}])
    assert agent("enforce", env=environment) == (0, f"{printed}: Now counted: vCPU 0, 1\n", "")
    status, out, _err = agent("status", env=environment)
    assert (status, f"Domain: '{printed}'\nRDT Monitoring Status: Enabled\n" in out) == (0, True)
    assert agent("status", "--json", env=environment)[0] == 0


def test_clear_ends_all_monitoring_that_is_not_libvirts_own_and_asks_nobody(hv, agent):
    agent("enable", "vm3")
    hv.make_group("COS1")
    stray = "COS1/mon_groups/kvmops-00000000-0000-4000-8000-000000000000"
    hv.make_group(stray)
    hv.kill_libvirtd()
    status, out, err = agent("clear")
    assert (status, err) == (0, "")
    assert set(out.splitlines()) == {f"Removed /sys/fs/resctrl/{path}" for path in (hv.ours("vm3"), stray)}
    assert set(hv.groups()) == {"COS1"}
    assert agent("clear") == (0, "", "")


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ({"domains": [{"name": "vm3", "sate": "disabled"}]}, "a rule has unknown keys: sate"),
        ({"reserve_rmids": -1}, "reserve_rmids is -1: it cannot be less than 0"),
        (
            {"domains": [{"name": "vm3", "priority": "high"}]},
            "priority of 'vm3' is 'high': it has to be a whole number",
        ),
    ],
    ids=["a misspelt key", "a negative reserve", "a priority that is no number"],
)
def test_a_policy_that_cannot_be_meant_is_refused_as_a_whole(hv, agent, declare, policy, sentence):
    declare(**{"default": "enabled", **policy})
    status, out, err = agent("enforce")
    assert (status, out, sentence in err) == (1, "", True)
    assert hv.groups() == {}


def test_a_uuid_in_capitals_is_the_same_uuid(hv, agent, declare):
    declare(domains=[{"name": hv.uuid("vm3").upper()}])
    assert agent("enforce")[1].startswith("vm3: Now counted: vCPU 0, 1")


# -- switches ----------------------------------------------------------------------------------------------------------


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
    assert "apply the role kvmops.resctrl.resctrl_monitor" in json.dumps(warnings)


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


def test_two_domains_take_turns_with_one_rmid_and_what_was_measured_is_told_with_its_window(hv, agent, declare):
    declare(default="enabled", reserve_rmids=2, turns={"window": 2, "warm_up": 1})

    def counted():
        assert agent("enforce", "--quiet")[0] == 0
        return [name for name in ("vm3", "vm4") if hv.ours(name) in hv.groups()]

    assert counted() == ["vm3"]
    status, out, _err = agent("status", "vm4")
    assert (status, "Now: waiting (Domain 'vm4' is not counted now: 2 domains take turns with 1 group." in out) == (
        0,
        True,
    )
    # That all RMIDs are in use is as it should be
    assert hv.info()["host"]["problems"] == []
    wait_until(lambda: counted() == ["vm4"], "the turn of vm4")
    waiting = json.loads(agent("stats", "vm3", "--json")[1])["vm3"]
    assert (waiting["cmt"], waiting["reason"]) == (None, "waiting")
    assert waiting["sampled"]["seconds"] >= 1.8
    assert waiting["sampled"]["mbm_total_bytes_per_second"] >= 0
    assert waiting["sampled"]["cmt"] >= 0
    assert hv.stats("vm3")["sampled"]["from"] == waiting["sampled"]["from"]
    wait_until(lambda: counted() == ["vm3"], "the turn of vm3 again")
    # What is told of it now is what is now, but for the cache, which still holds the lines of others
    current = json.loads(agent("stats", "vm3", "--json")[1])["vm3"]
    assert (current["reason"] in (None, "warming"), current["mbm_total_bytes"] is not None) == (True, True)
