# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a host with a policy, an ad hoc switch against it says that the policy will win. Whole modules."""

from __future__ import annotations

import json

import pytest
from modules import succeeded, warnings

ADVICE = " says so, and is enforced on this host. Change that, or make this switch persistent"


def says(host, state, **options):
    """The warnings of a switch of vm1, which must succeed."""
    return warnings(succeeded(host.run("resctrl_mon", name="vm1", state=state, **options)))


@pytest.fixture
def agent(host, make_agent):
    """The agent of a host on which vm1 runs and a policy is enforced; agent.declare() writes one."""
    host.domains.add("vm1")
    agent = make_agent(host)
    agent.enforces()
    return agent


# -- against the policy ------------------------------------------------------------------------------------------------


def test_disabling_what_the_default_enables_is_warned_about(host, agent):
    agent.declare(default="enabled")
    assert says(host, "disabled") == [
        "Domain 'vm1' will soon be monitored again: the default of the policy" + ADVICE,
    ]


def test_enabling_what_a_rule_disables_is_warned_about(host, agent):
    agent.declare({"name": "vm*", "state": "disabled"}, default="enabled")
    assert says(host, "enabled") == [
        "Domain 'vm1' will soon no longer be monitored: the rule 'vm*' of the policy" + ADVICE,
    ]


def test_switching_against_a_persistent_switch_is_warned_about(host, agent):
    agent.declare(default="unmanaged")
    assert says(host, "enabled", persistent=True) == []
    assert says(host, "disabled") == ["Domain 'vm1' will soon be monitored again: a persistent switch" + ADVICE]


@pytest.mark.parametrize(
    ("declared", "scope", "soon"), [("domain", "vcpus", "domain"), ("vcpus", "domain", "vcpus")], ids=["more", "less"]
)
def test_another_scope_than_the_declared_one_is_warned_about(host, agent, declared, scope, soon):
    agent.declare(default="enabled", scope=declared)
    assert says(host, "enabled", scope=scope) == [
        f"Domain 'vm1' will soon be monitored with scope {soon}: the policy of this host says so"
    ]


def test_the_agent_does_what_the_warning_said(host, agent):
    agent.declare(default="enabled")
    says(host, "enabled")
    says(host, "disabled")
    assert host.groups() == {}
    agent.run("enforce")
    assert list(host.groups()) == [host.group(host.domains["vm1"])]


def test_check_mode_warns_as_the_run_does(host, agent):
    agent.declare(default="enabled")
    host.enable(host.domains["vm1"])
    assert says(host, "disabled", check=True) == says(host, "disabled")


def test_only_the_domains_that_were_switched_are_warned_about(host, agent):
    host.domains.add("vm2")
    agent.declare({"name": "vm2", "state": "disabled"}, default="enabled")
    (warning,) = warnings(succeeded(host.run("resctrl_mon", name="*", state="disabled")))
    assert warning.startswith("Domain 'vm1' will soon be monitored again: ")


# -- with the policy, or without one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_what_the_policy_says_too_is_not_warned_about(host, agent, state):
    agent.declare({"name": host.domains["vm1"].uuid.upper(), "state": state})
    assert says(host, state) == []


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_domain_that_the_policy_leaves_as_it_is_is_not_warned_about(host, agent, state):
    agent.declare({"name": "vm1", "state": "unmanaged"}, default="enabled")
    assert says(host, state) == []


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_persistent_switch_wins_over_the_policy_and_is_not_warned_about(host, agent, state, check):
    agent.declare(default="disabled" if state == "enabled" else "enabled")
    assert says(host, state, persistent=True, check=check) == []


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
def test_diff_mode_shows_a_persistent_switch_that_is_new(host, check):
    told = host.run("resctrl_mon", name="vm1", state="disabled", persistent=True, diff=True, check=check)
    assert told["changed"] is True
    assert told["diff"] == {"before": "vm1: Disabled\n", "after": "vm1: Disabled\n  persistently disabled\n"}


@pytest.mark.usefixtures("agent")
def test_diff_mode_shows_a_persistent_switch_that_is_turned_and_none_that_stays(host):
    host.run("resctrl_mon", name="vm1", state="disabled", persistent=True)
    stays = host.run("resctrl_mon", name="vm1", state="disabled", persistent=True, diff=True)
    assert (stays["changed"], stays["diff"]["before"]) == (False, stays["diff"]["after"])
    turned = host.run("resctrl_mon", name="vm1", persistent=True, diff=True)["diff"]
    assert turned["before"] == "vm1: Disabled\n  persistently disabled\n"
    assert turned["after"].endswith("\n  persistently enabled\n")


def test_a_policy_that_nothing_enforces_is_not_warned_about(host, make_agent):
    host.domains.add("vm1")
    make_agent(host).declare(default="enabled")
    assert says(host, "disabled") == []


def test_a_persistent_switch_that_nothing_enforces_says_so(host, make_agent):
    host.domains.add("vm1")
    make_agent(host)
    assert says(host, "enabled", persistent=True) == [
        "Noted, but nothing on this host enforces it: apply the role kvmops.resctrl.resctrl_monitor"
    ]
    switches = host.domains.path("/etc/kvmops-resctrl/switches.json")
    assert json.loads(switches.read_text()) == {host.domains["vm1"].uuid: "enabled"}


# -- a policy that cannot be understood --------------------------------------------------------------------------------


def test_a_policy_that_cannot_be_understood_does_not_hide_what_the_run_did(host, agent):
    agent.declare({"name": "vm1", "sate": "disabled"})
    result = succeeded(host.run("resctrl_mon", name="vm1"))
    assert result["domains"][0]["status"] == "Enabled"
    (warning,) = warnings(result)
    assert warning == (
        "The policy of this host cannot be enforced: Cannot understand /etc/kvmops-resctrl/policy.json: "
        "a rule has unknown keys: sate (known are bandwidth, name, priority, state)"
    )


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
def test_a_switch_that_cannot_be_noted_is_not_done_either(host, check):
    host.domains.path("/etc/kvmops-resctrl/switches.json").write_text("{")
    result = host.run("resctrl_mon", name="vm1", persistent=True, check=check)
    assert (result["code"], result["path"]) == ("policy_damaged", "/etc/kvmops-resctrl/switches.json")
    assert host.changes() == []


def test_switches_that_cannot_be_understood_do_not_hide_it_either(host, agent):
    agent.declare(default="enabled")
    host.domains.path("/etc/kvmops-resctrl/switches.json").write_text("{")
    result = succeeded(host.run("resctrl_mon", name="vm1"))
    assert (result["domains"][0]["status"], result["changed"]) == ("Enabled", True)
    (warning,) = warnings(result)
    assert warning.startswith("The policy of this host cannot be enforced: Cannot understand /etc/kvmops-resctrl/s")


def test_a_policy_that_cannot_be_understood_hides_no_status(host, agent):
    agent.declare({"name": "vm1", "sate": "disabled"})
    result = succeeded(host.run("resctrl_info", name="vm1"))
    assert [(one["status"], one["declared"]) for one in result["domains"]] == [("Disabled", None)]
    (warning,) = warnings(result)
    assert warning.startswith("Cannot understand /etc/kvmops-resctrl/policy.json: a rule has unknown keys: sate")
    assert agent.run("status", "vm1") == (0, "RDT Monitoring Status: Disabled\n", f"warning: {warning}\n")


def test_a_draft_that_is_no_policy_is_told_and_one_is_looked_at_instead_of_a_damaged_policy(host, agent):
    agent.declare({"name": "vm1", "sate": "disabled"})
    refused = host.run("resctrl_info", name="vm1", policy={"default": "on"})
    assert refused["msg"].startswith("policy cannot be understood: default is 'on'")
    result = succeeded(host.run("resctrl_info", name="vm1", policy={"default": "enabled"}))
    assert (result["domains"][0]["declared"]["state"], warnings(result)) == ("enabled", [])
