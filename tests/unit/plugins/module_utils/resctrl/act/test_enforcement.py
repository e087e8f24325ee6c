# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the host changes faster than it can be followed: what a run tries again, for how long, and what it leaves.

A host in memory, on which something happens between a look and a step. Whole runs are tested as processes, elsewhere.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act import enforcement
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.enforcement import Enforcement, enforce
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wish, Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import (
    ROOT,
    Group,
    group_for,
    leaving_group,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Process, Selected
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import (
    VM3,
    Kernel,
    Libvirt,
    Threads,
    host_of,
)
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    ENABLE,
    asked,
    host,
    uuid,
    vm,
)

GONE_UUID = "c0ffee00-0000-4000-8000-000000000009"
OURS = group_for(VM3.uuid, ROOT)
STALE = group_for(GONE_UUID, ROOT)
COS1 = Group("COS1")


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The seconds that a run slept, without waiting for them; time passes by the same."""
    slept = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(enforcement.time, "sleep", slept.append)
    monkeypatch.setattr(enforcement.time, "monotonic", lambda: sum(slept))
    return slept


class Scene:
    """vm3 runs; the threads of its vCPUs are those of `vcpus()`, which may also raise."""

    def __init__(self, path):
        self.path = path
        self.kernel = Kernel(path / "kernel")
        self.vcpus = lambda: {0: 101}
        self.active = True

    def _find(self, _domain):
        vcpus = self.vcpus()
        return Process(100, vcpus, frozenset((100, *vcpus.values())))

    def host(self):
        threads = Threads({100: (VM3.uuid, range(100, 1000))})
        return Host(Libvirt([VM3._replace(active=self.active)], self._find, threads), self.kernel, clock=lambda: 0)

    def run(self, wish=ENABLE, name=VM3.name, **options):
        outcome = enforce(self.host(), [name], wish, **options)
        assert not self.kernel.held
        return outcome

    def result(self, *arguments, **options):
        (result,) = self.run(*arguments, **options).results
        return result


@pytest.fixture(name="scene")
def scene_fixture(tmp_path):
    return Scene(tmp_path)


# -- a kernel that refuses ---------------------------------------------------------------------------------------------


def test_a_thread_that_moved_to_another_allocation_is_followed(scene, pauses):
    kernel = scene.kernel
    kernel.there.add(COS1)

    def move(kind, _group, tid):
        if kind == "assign" and tid not in kernel.where:
            kernel.where[tid] = COS1

    kernel.refuse = move
    assert scene.result().error is None
    assert kernel.content() == {COS1: set(), group_for(VM3.uuid, COS1): {101}}
    assert pauses == [enforcement._PAUSE]


def test_rmids_in_limbo_are_asked_for_again_now_and_then(scene, pauses):
    kernel = scene.kernel

    def limbo(kind, _group, _tid):
        if kind == "create" and len(kernel.steps) < 4:
            raise errors.RmidsInLimbo("Device or resource busy")

    kernel.refuse = limbo
    assert scene.result().error is None
    assert pauses == [enforcement._LONG_PAUSE] * 3
    assert kernel.content() == {OURS: {101}}


@pytest.mark.parametrize("error", [errors.RmidsInLimbo("busy"), errors.Moved("moved")], ids=lambda error: error.code)
def test_what_does_not_pass_in_time_is_told_as_it_is(scene, pauses, error):
    def fail(kind, _group, _tid):
        if kind == "create":
            raise error

    scene.kernel.refuse = fail
    result = scene.result()
    assert result.error is error
    assert not result.changed
    assert sum(pauses) == pytest.approx(enforcement._PATIENCE, abs=enforcement._LONG_PAUSE)


def test_threads_that_keep_changing_are_not_followed_for_ever(scene, pauses):
    def another_one():
        pauses.append(1)  # a look takes its time
        return {0: 101 + len(pauses)}

    scene.vcpus = another_one
    result = scene.result()
    assert isinstance(result.error, errors.NotSettled)
    assert str(result.error) == "The threads to be counted kept changing for 10 seconds. Run again"
    assert result.changed


def test_a_refusal_ends_a_domains_steps_at_once(scene, pauses):
    scene.vcpus = lambda: {0: 101, 1: 102}

    def refuse(kind, _group, _tid):
        if kind == "assign":
            raise errors.Refused("Operation not permitted")

    scene.kernel.refuse = refuse
    result = scene.result()
    assert result.error.code == "refused"
    assert scene.kernel.steps == ["create", "assign", "remove"]
    assert pauses == []


def test_a_group_whose_threads_are_refused_holds_no_rmid_and_is_no_change(scene):
    def refuse(kind, _group, _tid):
        if kind == "assign":
            raise errors.Refused("Operation not permitted")

    scene.kernel.refuse = refuse
    assert (scene.result().changed, scene.kernel.content()) == (False, {})


def test_what_was_done_is_told_where_a_later_look_fails(scene):
    looks = []

    def fail():
        looks.append(1)
        if len(looks) > 2:
            raise errors.Unreadable("Cannot read the groups")
        return {0: 101}

    scene.vcpus = fail
    result = scene.result()
    assert result.changed
    assert str(result.error) == "Cannot read the groups"


def test_a_stale_group_that_cannot_be_removed_is_a_warning(scene, pauses):
    def refuse(kind, _group, _tid):
        if kind == "remove":
            raise errors.Refused("Read-only file system")

    scene.kernel.there.add(STALE)
    scene.kernel.refuse = refuse
    outcome = scene.run()
    assert outcome.results[0].error is None
    assert outcome.warnings == ["A stale group was left: Read-only file system"]
    assert scene.kernel.content() == {STALE: set(), OURS: {101}}
    assert pauses == []


# -- fewer RMIDs than the kernel announced -----------------------------------------------------------------------------


def for_both(snapshot, path, wishes):
    """Enforce wishes for all domains of a snapshot: the outcome and what the kernel has then."""
    kernel = Kernel.of(snapshot, path)
    found = host_of(snapshot, kernel)
    known = found.source.known
    selected = [Selected(one.name, one) for one in known if one.uuid in wishes.of]
    kernel.most = max(kernel.most, len(kernel.there) + 1)
    return Enforcement(found, known, selected, wishes), kernel


BOTH = {uuid(1): ENABLE, uuid(2): ENABLE._replace(priority=1)}


def test_what_a_run_has_made_before_the_kernel_had_no_more_is_removed_again(tmp_path):
    run, kernel = for_both(host(vm(1), vm(2)), tmp_path, Wishes(BOTH))
    kernel.most = 2
    outcome = run.outcome()
    assert [type(result.error) for result in outcome.results] == [errors.RmidsExhausted] * 2
    assert "2 needed, 1 free of 2" in str(outcome.results[0].error)
    assert not outcome.changed
    assert kernel.there == set()


def test_with_a_policy_the_one_of_the_highest_priority_gets_what_there_is(tmp_path):
    ours = group_for(uuid(1), ROOT)
    run, kernel = for_both(host(vm(1), vm(2), members={ours: {1001, 1002}}), tmp_path, Wishes(BOTH, ration=True))
    kernel.most = 2
    outcome = run.outcome()
    assert [type(result.error) for result in outcome.results] == [errors.RmidsExhausted, type(None)]
    assert kernel.content() == {group_for(uuid(2), ROOT): {2001, 2002}}


def test_without_an_rmid_for_a_moment_nothing_is_lost(tmp_path):
    """From scope domain to vcpus, while the kernel gives no RMID: the group stays, with its counters."""
    ours = group_for(uuid(1), ROOT)
    run, kernel = for_both(host(vm(1), members={ours: {1000, 1001, 1002}}), tmp_path, Wishes({uuid(1): ENABLE}))
    kernel.most = 2
    (result,) = run.outcome().results
    assert isinstance(result.error, errors.RmidsExhausted)
    assert result.status.enabled
    assert kernel.content() == {ours: {1000, 1001, 1002}}


def test_while_the_lines_of_a_freed_rmid_are_in_the_cache_nothing_is_lost(tmp_path):
    ours = group_for(uuid(1), ROOT)
    run, kernel = for_both(host(vm(1), members={ours: {1000, 1001, 1002}}), tmp_path, Wishes({uuid(1): ENABLE}))

    def limbo(kind, _group, _tid):
        if kind == "create":
            raise errors.RmidsInLimbo("Device or resource busy")

    kernel.refuse = limbo
    (result,) = run.outcome().results
    assert isinstance(result.error, errors.RmidsInLimbo)
    assert result.status.enabled
    assert kernel.content() == {ours: {1000, 1001, 1002}}


def test_a_stranger_in_our_group_leaves_it(scene):
    scene.kernel.there.add(OURS)
    scene.kernel.where = {101: OURS, 7: OURS}
    result = scene.result()
    assert result.error is None
    assert result.msg == "No longer counted: 1 other thread"
    assert scene.kernel.content() == {OURS: {101}}


def test_a_run_that_was_cut_off_while_threads_were_leaving_is_finished_by_the_next(scene):
    scene.kernel.there = {OURS, leaving_group(OURS)}
    scene.kernel.where = {101: OURS, 100: leaving_group(OURS)}
    assert scene.result().error is None
    assert scene.kernel.content() == {OURS: {101}}


# -- domains that start and stop ---------------------------------------------------------------------------------------


def unless_asked(times, error):
    """Raises the error so many times, then the vCPUs are there."""
    left = [error] * times

    def vcpus():
        if left:
            raise left.pop()
        return {0: 101}

    return vcpus


STARTING = errors.DomainStarting("Domain 'vm3' is starting", hint="Run again when it is up")
GONE = errors.DomainGone("libvirt lists domain 'vm3' as running, but it has no process")
UNSEEN = errors.DomainUnseen("The process of domain 'vm3' cannot be seen from here")


@pytest.mark.parametrize("check", [False, True])
def test_a_domain_that_is_starting_is_waited_for_if_it_is_named(scene, pauses, check):
    scene.vcpus = unless_asked(4, STARTING)
    result = scene.result(check=check)
    assert (result.error, result.changed) == (None, True)
    assert pauses == [enforcement._LONG_PAUSE] * 4


def test_one_that_takes_too_long_is_a_failure_that_says_so(scene, pauses):
    scene.vcpus = unless_asked(1000, STARTING)
    assert scene.result().error is STARTING
    assert sum(pauses) == pytest.approx(enforcement._PATIENCE, abs=enforcement._LONG_PAUSE)


@pytest.mark.parametrize(
    "question",
    [{"name": "vm*"}, {"ignore_inactive": True}, {"wish": Wish(enabled=False)}],
    ids=["pattern", "inactive ignored", "disabled"],
)
@pytest.mark.parametrize("error", [STARTING, GONE])
def test_one_that_need_not_run_is_neither_waited_for_nor_a_failure(scene, pauses, question, error):
    scene.vcpus = unless_asked(1000, error)
    result = scene.result(**question)
    assert (result.error, result.changed) == (None, False)
    assert result.msg == (STARTING.message if error is STARTING else "")
    assert pauses == []


def test_one_that_stopped_while_we_looked_is_shut_off(scene):
    found = scene.host()

    def stop():
        found.source.known = [VM3._replace(active=False)]
        raise GONE

    scene.vcpus = stop
    (result,) = enforce(found, ["vm3"], ENABLE).results
    assert str(result.error) == "Requested operation is not valid: domain is not running"


def test_one_whose_process_died_is_a_failure_if_it_is_named(scene):
    scene.vcpus = unless_asked(1000, GONE)
    assert scene.result().error is GONE


@pytest.mark.parametrize("question", [{}, {"name": "vm*"}, {"wish": Wish(enabled=False)}])
def test_what_cannot_be_seen_is_a_failure_in_any_case(scene, question):
    scene.vcpus = unless_asked(1000, UNSEEN)
    assert scene.result(**question).error is UNSEEN


@pytest.mark.parametrize(("ignore", "failed"), [(False, True), (True, False)])
def test_one_that_is_shut_off_fails_unless_that_is_ignored(scene, ignore, failed):
    scene.active = False
    result = scene.result(ignore_inactive=ignore)
    assert isinstance(result.error, errors.DomainNotRunning) is failed
    assert not result.changed


# -- what is predicted -------------------------------------------------------------------------------------------------


def test_check_mode_takes_no_lock_and_changes_nothing(scene):
    result = scene.result(check=True)
    assert (result.changed, result.msg) == (True, "Now counted: vCPU 0")
    assert scene.kernel.steps == []


@given(asked())
def test_a_run_ends_as_check_mode_predicts(tmp_path_factory, question):
    snapshot, wishes = question
    predicted = for_both(snapshot, tmp_path_factory.mktemp("kernel"), wishes)[0].outcome(check=True)
    outcome = for_both(snapshot, tmp_path_factory.mktemp("kernel"), wishes)[0].outcome()
    assert [(one.status, one.changed, type(one.error)) for one in outcome.results] == [
        (one.status, one.changed, type(one.error)) for one in predicted.results
    ]
    assert (outcome.after.groups, outcome.after.members) == (predicted.after.groups, predicted.after.members)


@given(asked())
def test_a_second_run_changes_nothing(tmp_path_factory, question):
    snapshot, wishes = question
    run, kernel = for_both(snapshot, tmp_path_factory.mktemp("kernel"), wishes)
    first = run.outcome()
    kernel.steps.clear()
    again = Enforcement(run.host, run.known, run.selected, wishes).outcome()
    assert kernel.steps == []
    assert not again.changed
    assert [one.status for one in again.results] == [one.status for one in first.results]
