# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared for a domain beside how it stands: the answer to "why is this one not monitored?"."""

from __future__ import annotations

import json

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.declared import (
    Declarations,
    Declared,
    declarations,
    draft_of,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import query
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish import files
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel, host_of
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    PQOS_MONITOR,
    host,
    uuid,
    vm,
)


@pytest.fixture(name="declared")
def declared_fixture(tmp_path):
    """What is declared for vm1 on the host of a snapshot, with a policy and switches."""

    def ask(snapshot, policy, switches=None, change=lambda _host: None):
        directory = tmp_path / "etc"
        directory.mkdir()
        (directory / "policy.json").write_text(json.dumps(policy))
        (directory / "switches.json").write_text(json.dumps(switches or {}))
        machine = host_of(snapshot, Kernel.of(snapshot, tmp_path))
        change(machine)
        return declarations(machine, query(machine, None), str(directory)).of[uuid(1)]

    return ask


def counted(number):
    """The group of ours in which all of a domain's vCPUs are."""
    return {group_for(uuid(number), ROOT): vm(number).process.vcpus.values()}


MONITORED = {"default": "enabled"}


def test_on_a_host_without_a_policy_nothing_is_declared(tmp_path):
    snapshot = host(vm(1))
    machine = host_of(snapshot, Kernel.of(snapshot, tmp_path))
    assert declarations(machine, query(machine, None), str(tmp_path / "nowhere")) == Declarations({}, 0, ())


@pytest.mark.parametrize("file", ["policy.json", "switches.json"])
def test_a_damaged_policy_is_a_warning_and_nothing_is_said_of_it(tmp_path, file):
    (tmp_path / file).write_text("{")
    machine = host_of(host(vm(1)), Kernel.of(host(vm(1)), tmp_path / "resctrl"))
    of, reserve, (warning,) = declarations(machine, query(machine, None), str(tmp_path))[:3]
    assert (of, reserve) == ({}, None)
    assert warning.startswith(f"Cannot understand {tmp_path / file}: ")


def test_a_draft_stands_for_the_policy_and_the_switches_hold(tmp_path):
    (tmp_path / "policy.json").write_text("{")
    (tmp_path / "switches.json").write_text(json.dumps({uuid(2): "disabled"}))
    machine = host_of(host(vm(1), vm(2)), Kernel.of(host(vm(1), vm(2)), tmp_path / "resctrl"))
    draft = draft_of({"default": "enabled", "reserve_rmids": 3})
    of, reserve, warnings = declarations(machine, query(machine, None), str(tmp_path), draft)[:3]
    assert [(one.state, one.switch) for one in of.values()] == [("enabled", None), ("enabled", "disabled")]
    assert (reserve, warnings) == (3, ())


def test_switches_that_are_damaged_hide_no_draft(tmp_path):
    (tmp_path / "switches.json").write_text("{")
    machine = host_of(host(vm(1)), Kernel.of(host(vm(1)), tmp_path / "resctrl"))
    draft = draft_of({"default": "enabled", "reserve_rmids": 3})
    of, reserve, (warning,) = declarations(machine, query(machine, None), str(tmp_path), draft)[:3]
    assert ([one.state for one in of.values()], reserve) == (["enabled"], 3)
    assert warning.startswith(f"Cannot understand {tmp_path / 'switches.json'}: ")


def test_the_policy_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "policy.json").write_text(json.dumps({"reserve_rmids": 2}))
    read, seen = files.read_json, []
    monkeypatch.setattr(files, "read_json", lambda path, parse: [seen.append(path), read(path, parse)][1])
    machine = host_of(host(vm(1)), Kernel.of(host(vm(1)), tmp_path / "resctrl"))
    assert declarations(machine, query(machine, None), str(tmp_path)).reserve == 2
    assert seen == [str(tmp_path / name) for name in ("policy.json", "switches.json")]


def test_a_domain_that_is_as_declared_is_counted(declared):
    found = declared(host(vm(1), members=counted(1)), {"domains": [{"name": "vm*", "priority": 3}]})
    assert found == Declared("enabled", "vm*", None, 3, "counted", "")
    assert found.in_words() == "Declared: enabled by rule 'vm*'. Now: counted"


def test_a_domain_whose_group_of_libvirts_is_gone_is_not_counted(declared):
    """After a remount its XML still says that libvirt counts it."""
    found = declared(host(vm(1, tuning="cachetune")), MONITORED)
    assert found.condition == "pending"


WHOLE = {"default": "enabled", "scope": "domain"}


@pytest.mark.parametrize(
    ("names", "policy", "looks"),
    [(None, MONITORED, 0), (["vm1"], MONITORED, 1), (None, WHOLE, 1)],
    ids=["all domains", "one domain", "all domains, of which every thread counts"],
)
def test_only_what_a_query_did_not_see_is_looked_at(tmp_path, names, policy, looks):
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    snapshot = host(vm(1), vm(2), num_rmids=8)
    machine = host_of(snapshot, Kernel.of(snapshot, tmp_path / "resctrl"))
    outcome, look, calls = query(machine, names), machine.look, []
    machine.look = lambda *words, **options: [calls.append(words), look(*words, **options)][1]
    assert declarations(machine, outcome, str(tmp_path)).of[uuid(1)].condition == "pending"
    assert len(calls) == looks


def test_what_the_next_run_sees_to_is_pending(declared):
    found = declared(host(vm(1)), MONITORED)
    assert found == Declared("enabled", None, None, 0, "pending", "")
    assert (
        found.in_words() == "Declared: enabled by the default. Now: pending, the next run of the agent will monitor it"
    )


def test_a_switch_that_beats_the_policy_is_named(declared):
    found = declared(host(vm(1)), MONITORED, {uuid(1): "disabled"})
    assert found == Declared("enabled", None, "disabled", 0, "unmonitored", "")
    assert found.in_words() == "Declared: enabled by the default, but switched off persistently. Now: not monitored"


def test_a_switch_may_be_for_a_domain_that_nothing_is_declared_for(declared):
    found = declared(host(vm(1), members=counted(1)), {}, {uuid(1): "enabled"})
    assert found == Declared("unmanaged", None, "enabled", 0, "counted", "")


def test_of_several_that_wait_for_an_rmid_one_is_next(declared):
    policy = {"default": "enabled", "domains": [{"name": "vm2", "priority": 5}]}
    found = declared(host(vm(1), vm(2), vm(3), num_rmids=2), policy)
    assert found.condition == "waiting"
    assert found.why.startswith("Out of RMIDs: of 2 none is left for domain 'vm1'. It is the next")


def test_a_domain_that_libvirt_counts_waits_for_nothing(declared):
    """Three RMIDs: the root's, libvirt's and one that is reserved."""
    group = next(iter(counted(1)))._replace(mon="", ctrl="qemu-1-vm1-vcpus_0-1")
    snapshot = host(vm(1, tuning="cachetune"), location=dict.fromkeys(vm(1).process.vcpus.values(), group), num_rmids=3)
    assert declared(snapshot, {"reserve_rmids": 1, "domains": [{"name": "vm1"}]}).condition == "counted"


def test_a_domain_that_cannot_be_monitored_fails_with_the_reason(declared):
    found = declared(host(vm(1), location={1001: PQOS_MONITOR}), MONITORED)
    assert (found.condition, PQOS_MONITOR.path in found.why) == ("failing", True)


def test_on_a_host_that_cannot_monitor_every_declared_domain_fails(declared):
    def unmount(machine):
        machine.resctrl.mount = None

    found = declared(host(vm(1)), MONITORED, change=unmount)
    assert (found.condition, bool(found.why)) == ("failing", True)


def test_a_domain_that_is_shut_off_is_off_whatever_is_declared(declared):
    def stop(machine):
        machine.source.known = [Domain("vm1", uuid(1), active=False)]

    found = declared(host(vm(1)), MONITORED, change=stop)
    assert found.condition == "off"
    assert found.in_words() == "Declared: enabled by the default. Now: shut off"


def test_a_domain_that_starts_is_starting(declared):
    def begin(machine):
        def starts(_domain):
            raise errors.DomainStarting("Domain 'vm1' is starting")

        machine.source.find = starts

    assert declared(host(vm(1)), MONITORED, change=begin).condition == "starting"


def test_a_domain_that_cannot_be_seen_fails_and_is_not_said_to_be_off(declared):
    def hide(machine):
        def is_hidden(_domain):
            raise errors.DomainUnseen("The process of domain 'vm1' cannot be seen from here")

        machine.source.find = is_hidden

    found = declared(host(vm(1)), MONITORED, change=hide)
    assert (found.condition, found.why) == ("failing", "The process of domain 'vm1' cannot be seen from here")


def test_a_domain_with_a_thread_that_cannot_be_counted_is_not_as_declared(declared):
    """A vCPU that was plugged in is counted by another program."""
    counted_one, other = vm(1).process.vcpus.values()
    snapshot = host(vm(1), members={group_for(uuid(1), ROOT): {counted_one}}, location={other: PQOS_MONITOR})
    found = declared(snapshot, MONITORED)
    assert found.condition == "failing"
    assert "pqos" in found.why
