# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching domains on a host that has a policy: what is noted, and where the policy says otherwise."""

from __future__ import annotations

import errno
import json
import os

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act import switch as switching
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.switch import contradictions, switch
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wish
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish import files, store
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish.policy import Policy, Rule
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3, Kernel, host_of
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    DISABLE,
    ENABLE,
    LIBVIRT,
    host,
    uuid,
    vm,
)

WHOLE = Wish(whole_process=True)


@pytest.mark.parametrize(
    ("policy", "wish", "sentence"),
    [
        (Policy(True), DISABLE, "will soon be monitored again: the default of the policy says so"),
        (Policy(False), ENABLE, "will soon no longer be monitored: the default of the policy says so"),
        (Policy(rules=(Rule("vm*", True),)), DISABLE, "monitored again: the rule 'vm*' of the policy says so"),
        (Policy(False, switches={VM3.uuid: True}), DISABLE, "monitored again: a persistent switch says so"),
        (Policy(True), WHOLE, "will soon be monitored with scope vcpus: the policy of this host says so"),
        (Policy(True, whole_process=True), ENABLE, "will soon be monitored with scope domain: the policy"),
    ],
)
def test_where_the_policy_will_make_it_otherwise_that_is_said(policy, wish, sentence):
    (said,) = contradictions(policy, [VM3], wish)
    assert said.startswith("Domain 'vm3' ")
    assert sentence in said


@pytest.mark.parametrize(
    ("policy", "wish"),
    [
        (Policy(), DISABLE),
        (Policy(), ENABLE),
        (Policy(True, (Rule("vm3", None),)), DISABLE),
        (Policy(True), ENABLE),
        (Policy(False), DISABLE),
        (Policy(True, switches={VM3.uuid: False}), DISABLE),
        # Of one that is not to be monitored there is no scope
        (Policy(False, whole_process=True), DISABLE),
    ],
)
def test_where_it_says_the_same_or_nothing_there_is_nothing_to_say(policy, wish):
    assert contradictions(policy, [VM3], wish) == []


class Scene:
    """vm1 runs; what is noted lies in `directory`."""

    def __init__(self, path):
        self.directory = path / "policy"
        self.kernel = Kernel(path / "kernel")

    def declare(self, content):
        self.directory.mkdir()
        (self.directory / "policy.json").write_text(json.dumps(content))

    def switch(self, wish=ENABLE, name="vm1", **options):
        return switch(host_of(host(vm(1)), self.kernel), [name], wish, **options)

    def noted(self):
        return files.load(str(self.directory)).switches


@pytest.fixture(name="scene")
def scene_fixture(tmp_path, monkeypatch):
    """What says where the policy lies is a default of functions: they get another here."""
    scene = Scene(tmp_path)
    directory = str(scene.directory)
    load, note = files.load, files.switch
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(switching, "DIRECTORY", directory)
    monkeypatch.setattr(files, "load", lambda path=directory: load(path))
    monkeypatch.setattr(files, "switch", lambda changes, *, check: note(changes, directory, check=check))
    monkeypatch.setattr(files, "is_enforced", lambda: True)
    return scene


def test_without_a_policy_nothing_is_noted_or_said(scene):
    switched = scene.switch()
    assert (switched.changed, switched.noted, switched.warnings) == (True, {}, [])
    assert not scene.directory.exists()


def test_a_persistent_switch_is_noted_for_those_that_were_named(scene):
    switched = scene.switch(persistent=True)
    assert (switched.noted, switched.warnings) == ({uuid(1): None}, [])
    assert scene.noted() == {uuid(1): True}
    again = scene.switch(persistent=True)
    assert (again.changed, again.noted) == (False, {})


def test_check_mode_notes_nothing_but_says_that_it_would(scene):
    scene.declare({"default": "enabled"})
    switched = scene.switch(DISABLE, persistent=True, check=True)
    assert (switched.changed, switched.noted, switched.warnings) == (True, {uuid(1): None}, [])
    assert scene.noted() == {}


def test_a_switch_for_now_against_the_policy_is_warned_of(scene):
    scene.declare({"default": "disabled"})
    (warning,) = scene.switch().warnings
    assert "will soon no longer be monitored" in warning
    assert scene.kernel.content() == {group_for(uuid(1), ROOT): {1001, 1002}}


@pytest.mark.parametrize(("by_libvirt", "warned"), [([1001], True), ([1001, 1002], False)])
def test_so_is_one_of_the_vcpus_that_libvirt_leaves(scene, by_libvirt, warned):
    scene.declare({"default": "enabled"})
    snapshot = host(vm(tuning="cachetune"), location=dict.fromkeys(by_libvirt, LIBVIRT))
    switched = switch(host_of(snapshot, Kernel.of(snapshot, scene.directory / "kernel")), ["vm1"], DISABLE)
    assert any("will soon be monitored again" in warning for warning in switched.warnings) == warned


def test_a_policy_that_nothing_enforces_contradicts_nothing(scene, monkeypatch):
    monkeypatch.setattr(files, "is_enforced", lambda: False)
    scene.declare({"default": "disabled"})
    assert scene.switch().warnings == []
    (warning,) = scene.switch(persistent=True).warnings
    assert "nothing on this host enforces it" in warning


@pytest.mark.parametrize("file", ["policy.json", "switches.json"])
def test_a_damaged_file_of_the_policy_is_only_warned_of_where_nothing_is_to_be_noted(scene, file):
    scene.directory.mkdir()
    (scene.directory / file).write_text("{")
    switched = scene.switch()
    (warning,) = switched.warnings
    assert warning.startswith(f"The policy of this host cannot be enforced: Cannot understand {scene.directory / file}")
    assert (switched.changed, [one.error for one in switched.outcome.results]) == (True, [None])


def test_what_can_certainly_not_be_noted_is_not_switched_either(scene):
    scene.directory.mkdir()
    (scene.directory / "switches.json").write_text("{")
    with pytest.raises(errors.PolicyDamaged):
        scene.switch(persistent=True)
    assert scene.kernel.content() == {}


def full(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_could_not_be_noted_was_switched_all_the_same_and_both_is_said(scene, monkeypatch):
    """That the disk is full is found out when it is written to."""
    monkeypatch.setattr(files, "write_json", full)
    switched = scene.switch(persistent=True)
    (result,) = switched.outcome.results
    assert str(result.error).startswith(f"Cannot note the switch in {scene.directory}: No space left on device")
    assert (switched.changed, result.status.text, switched.noted) == (True, "Enabled", {})
    assert switched.warnings == ["Switched until the domain stops, but not persistently: that could not be noted"]
    assert scene.kernel.content() == {group_for(uuid(1), ROOT): {1001, 1002}}


def test_so_it_is_while_another_run_holds_the_lock_of_the_policy(scene, monkeypatch):
    scene.declare({})
    monkeypatch.setattr(store, "_PATIENCE", 0.0)
    with store.locked(str(scene.directory)):
        switched = scene.switch(persistent=True)
    assert [one.error.code for one in switched.outcome.results] == ["lock_timeout"]
    assert (switched.changed, len(switched.warnings)) == (True, 1)


def test_where_nothing_was_switched_either_there_is_the_error_only(scene, monkeypatch):
    monkeypatch.setattr(files, "write_json", full)
    one = vm(1)
    shut_off = one._replace(domain=one.domain._replace(active=False))
    switched = switch(host_of(host(shut_off), scene.kernel), ["vm1"], ENABLE, persistent=True)
    assert [one.error.code for one in switched.outcome.results] == ["refused"]
    assert (switched.changed, switched.warnings) == (False, [])


def test_what_libvirt_does_not_know_is_not_noted(scene):
    switched = scene.switch(name="vm9", persistent=True)
    assert (switched.changed, switched.noted) == (False, {})
    assert switched.outcome.results[0].error.code == "domain_not_found"
    assert not scene.directory.exists()
