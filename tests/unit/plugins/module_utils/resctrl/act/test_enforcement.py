# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the host changes faster than it can be followed: what a run tries again, for how long, and what it leaves.

A host in memory, on which something happens between a look and a step. Whole runs are tested as processes, elsewhere.
"""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import enforcement, errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domains import Domain, Process
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.enforcement import enforce
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.filesystem import (
    ROOT,
    Group,
    Mount,
    Resctrl,
    group_for,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.monitoring import Host
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.planning import Wish

UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"
GONE_UUID = "c0ffee00-0000-4000-8000-000000000009"
OURS = group_for(UUID, ROOT)
STALE = group_for(GONE_UUID, ROOT)
COS1 = Group("COS1")


class _Kernel(Resctrl):
    """resctrl in memory. `refuse` may raise for a step (its kind, group, thread), or change what is there."""

    def __init__(self, *groups):
        super().__init__("/resctrl")
        self.content = {group: set() for group in groups}
        self.refuse = lambda *_step: None
        self.steps = []
        self.held = False

    def mount(self):
        return Mount(self.root, "resctrl", ("rw",))

    def features(self):
        return ("llc_occupancy",)

    def num_rmids(self):
        return 16

    def tells_groups(self):
        return False

    def groups(self):
        return sorted(self.content)

    def tasks(self, group):
        return frozenset(self.content.get(group, ()))

    def _step(self, kind, group, tid=0):
        assert self.held, "a change without the lock"
        self.steps.append(kind)
        self.refuse(kind, group, tid)

    def create(self, group):
        self._step("create", group)
        self.content.setdefault(group, set())

    def remove(self, group):
        self._step("remove", group)
        del self.content[group]

    def assign(self, group, tid):
        self._step("assign", group, tid)
        for tids in self.content.values():
            tids.discard(tid)
        self.content[group].add(tid)

    @contextlib.contextmanager
    def locked(self, _patience=10.0):
        self.held = True
        yield
        self.held = False


class _Threads:
    """The processes: one, whose vCPUs' threads are those of `vcpus()`."""

    def __init__(self):
        self.vcpus = lambda: {0: 101}

    def find(self, _domain):
        vcpus = self.vcpus()
        return Process(100, vcpus, frozenset((100, *vcpus.values())))

    def runs(self, pid, uuid):
        return pid == 100 and uuid == UUID

    def threads(self, _pid):
        return frozenset(range(100, 1000))


@pytest.fixture
def pauses(monkeypatch):
    """The seconds that a run slept, without waiting for them; time passes by the same."""
    slept = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(enforcement.time, "sleep", slept.append)
    monkeypatch.setattr(enforcement.time, "monotonic", lambda: sum(slept))
    return slept


def run(kernel, threads=None, wish=None):
    """Enforce the wish (enabled) for vm3, which runs: its result and the warnings."""
    host = Host(lambda: [Domain("vm3", UUID, True)], threads or _Threads(), kernel)
    outcome = enforce(host, ["vm3"], wish or Wish(), ignore_inactive=False)
    assert not kernel.held
    return outcome.results[0], outcome.warnings


def test_a_thread_that_moved_to_another_allocation_is_followed(pauses):
    kernel = _Kernel(COS1)

    def move(kind, _group, tid):
        if kind == "assign" and tid not in kernel.content[COS1]:
            kernel.content[COS1].add(tid)
            raise errors.Moved("Invalid argument (Can't move task to different control group)")

    kernel.refuse = move
    result, _warnings = run(kernel)
    assert result.error is None
    assert kernel.content == {COS1: set(), group_for(UUID, COS1): {101}}
    assert pauses == [enforcement._PAUSE]


def test_rmids_in_limbo_are_asked_for_again_now_and_then(pauses):
    kernel = _Kernel()

    def limbo(kind, _group, _tid):
        if kind == "create" and len(kernel.steps) < 4:
            raise errors.RmidsInLimbo("Device or resource busy")

    kernel.refuse = limbo
    result, _warnings = run(kernel)
    assert result.error is None
    assert pauses == [enforcement._LIMBO_PAUSE] * 3
    assert kernel.content == {OURS: {101}}


@pytest.mark.parametrize("error", [errors.RmidsInLimbo("busy"), errors.Moved("moved")], ids=lambda error: error.code)
def test_what_does_not_pass_in_time_is_told_as_it_is(pauses, error):
    kernel = _Kernel()

    def fail(kind, _group, _tid):
        if kind == "create":
            raise error

    kernel.refuse = fail
    result, _warnings = run(kernel)
    assert result.error is error
    assert not result.changed
    assert sum(pauses) == pytest.approx(enforcement._PATIENCE, abs=enforcement._LIMBO_PAUSE)


def test_threads_that_keep_changing_are_not_followed_for_ever(pauses):
    kernel, threads = _Kernel(), _Threads()

    def another_one():
        pauses.append(1)  # a look takes its time
        return {0: 101 + len(pauses)}

    threads.vcpus = another_one
    result, _warnings = run(kernel, threads)
    assert isinstance(result.error, errors.NotSettled)
    assert str(result.error) == "The threads to be counted kept changing for 10 seconds. Run again"
    assert result.changed


def test_a_refusal_ends_a_domains_steps_at_once(pauses):
    kernel, threads = _Kernel(), _Threads()
    threads.vcpus = lambda: {0: 101, 1: 102}

    def refuse(kind, _group, _tid):
        if kind == "assign":
            raise errors.Refused("Operation not permitted")

    kernel.refuse = refuse
    result, _warnings = run(kernel, threads)
    assert result.error.code == "refused"
    assert kernel.steps == ["create", "assign"]
    assert pauses == []


def test_a_stale_group_that_cannot_be_removed_is_a_warning(pauses):
    kernel = _Kernel(STALE)

    def refuse(kind, _group, _tid):
        if kind == "remove":
            raise errors.Refused("Read-only file system")

    kernel.refuse = refuse
    result, warnings = run(kernel)
    assert result.error is None
    assert warnings == ["A stale group was left: Read-only file system"]
    assert kernel.content == {STALE: set(), OURS: {101}}
    assert pauses == []
