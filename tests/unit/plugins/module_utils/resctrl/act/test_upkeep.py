# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping a host as its policy says: when to look, what is done, and what is said of it, once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act import upkeep
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.news import Report, is_news, news, report_on
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.upkeep import (
    LastRun,
    clear,
    enforce_policy,
    keep_up,
    last_run,
    note_run,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.outcome import Outcome, Result
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Turn
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.windows import Notes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish import store
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel, host_of
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT,
    host,
    uuid,
    vm,
)


@pytest.fixture(name="noted", autouse=True)
def noted_fixture(tmp_path, monkeypatch):
    """What was noted of turns is in a place of its own, not in that of this machine."""
    path = tmp_path / "turns.json"
    monkeypatch.setattr(upkeep, "TURNS", str(path))
    return path


NOTHING = Outcome([], Snapshot(), Snapshot())
STARTING = Outcome([], Snapshot(), Snapshot(), starting=[uuid(1)])


class World:
    """A clock that passes by sleeping and looking, and a host that changes at given seconds."""

    def __init__(self, changes=(), look_takes=0.05, up_at=0.0):
        self.now = 0.0
        self.up_at = up_at
        self.changes = sorted(changes)
        self.look_takes = look_takes
        self.looks = []

    def changed_at(self):
        """When the last change was, in nanoseconds, as the directory of the status files tells it."""
        return round(max((change for change in self.changes if change <= self.now), default=-1000) * 1e9)

    def look(self):
        self.looks.append(self.now)
        self.now += self.look_takes
        return NOTHING if self.looks[-1] >= self.up_at else STARTING

    def sleep(self, seconds):
        self.now += seconds

    def keep_up(self):
        return keep_up(self.look, self.changed_at, lambda: self.now, self.sleep)


def test_the_first_look_is_at_once_and_the_only_one_where_nothing_changes():
    world = World()
    assert world.keep_up() == [NOTHING]
    assert world.looks == [0.0]
    assert world.now == world.look_takes


def test_after_a_change_there_is_a_second_of_quiet_before_the_run_ends():
    """A change that comes soon after another one must not need another run."""
    world = World([0.0])
    assert world.keep_up() == [NOTHING]
    assert world.now == pytest.approx(1.0, abs=0.05)


def test_the_few_changes_of_a_domain_that_starts_are_each_acted_on_at_once():
    world = World([0.0, 0.3, 0.9])
    world.keep_up()
    assert world.looks == pytest.approx([0.0, 0.3, 0.9], abs=0.05)


def test_a_storm_of_changes_costs_one_look_a_second():
    world = World([number / 20 for number in range(400)])
    world.keep_up()
    at_once = upkeep._LOOKS_AT_ONCE - 1
    assert len(world.looks) <= 20 + at_once + 1
    assert all(later - earlier >= 0.999 for earlier, later in zip(world.looks[at_once:], world.looks[at_once + 1 :]))


def test_a_storm_that_does_not_end_is_left_to_the_next_run():
    world = World([number / 20 for number in range(20 * 1000)])
    assert len(world.keep_up()) == upkeep._MOST_LOOKS
    assert world.now < 61


def test_a_domain_that_is_starting_is_looked_at_once_a_second_until_it_is_up():
    """Not every manager writes a file then."""
    world = World([0.0], up_at=3.5)
    assert world.keep_up()[-1] == NOTHING
    assert world.looks[-2] < 3.5 <= world.looks[-1] < 5


def test_one_that_does_not_come_up_is_left_to_the_next_run():
    world = World([0.0], up_at=1000.0)
    assert len(world.keep_up()) == upkeep._LOOKS_AT_A_START
    assert world.now < 15


def test_a_clock_that_was_set_back_is_not_waited_for():
    world = World()
    world.changed_at = lambda: 5_000_000_000
    world.keep_up()
    assert world.looks == [0.0]


@given(st.lists(st.floats(0, 20)), st.floats(0.001, 3))
def test_no_change_is_missed(changes, look_takes):
    """Whoever starts us sees the changes after the end."""
    world = World(changes, look_takes)
    world.keep_up()
    assert all(world.looks[-1] >= change - 0.001 for change in changes if change <= world.now - 0.001)


# -- the policy --------------------------------------------------------------------------------------------------------


@pytest.fixture(name="enforced")
def enforced_fixture(tmp_path, monkeypatch):
    """Enforces a declaration on the host of a snapshot: the outcome, and the kernel."""
    monkeypatch.setattr("os.geteuid", lambda: 0)

    def enforce(snapshot, declared, **options):
        (tmp_path / "policy.json").write_text(json.dumps(declared))
        kernel = Kernel.of(snapshot, tmp_path / "kernel")
        return enforce_policy(host_of(snapshot, kernel), str(tmp_path), **options), kernel

    return enforce


def test_everything_that_runs_is_made_as_declared(enforced):
    off = group_for(uuid(2), ROOT)
    snapshot = host(vm(1), vm(2), vm(3), members={off: {2001, 2002}})
    rules = [{"name": "vm2", "state": "disabled"}, {"name": uuid(3), "state": "unmanaged"}]
    outcome, kernel = enforced(snapshot, {"default": "enabled", "domains": rules})
    assert kernel.content() == {group_for(uuid(1), ROOT): {1001, 1002}}
    assert [result.name for result in outcome.results] == ["vm1", "vm2"]


def test_in_check_mode_nothing_is(enforced):
    outcome, kernel = enforced(host(vm(1)), {"default": "enabled"}, check=True)
    assert outcome.changed
    assert kernel.steps == []


def test_who_waits_for_an_rmid_is_no_failure_and_one_is_next(enforced):
    outcome, kernel = enforced(host(vm(1), vm(2), vm(3), num_rmids=2), {"default": "enabled"})
    found = report_on([outcome], kernel)
    assert list(found.waiting) == [uuid(2), uuid(3)]
    assert ["It is the next" in line for line in found.waiting.values()] == [True, False]
    assert (found.errors, found.failed, found.idle) == ([], False, False)


def test_one_that_libvirt_counts_does_not_wait(enforced):
    snapshot = host(vm(2, tuning="cachetune"), location={2001: LIBVIRT, 2002: LIBVIRT}, num_rmids=3)
    outcome, kernel = enforced(snapshot, {"default": "enabled", "reserve_rmids": 1})
    assert report_on([outcome], kernel).idle


def test_a_damaged_policy_changes_nothing(enforced):
    with pytest.raises(errors.PolicyDamaged, match="Nothing was changed"):
        enforced(host(vm(1)), {"default": "on"})


# -- what is said ------------------------------------------------------------------------------------------------------


def result(name, changed=False, error=None, msg=""):
    return Result(name, DomainStatus(vm(int(name[2:])).domain), changed, error, msg)


def test_of_a_series_of_looks_all_that_was_done_and_what_the_last_one_left_is_said(tmp_path):
    kernel = Kernel(tmp_path)
    stale = group_for(uuid(9), ROOT)
    first = NOTHING._replace(
        results=[result("vm1", True, msg="Now counted: vCPU 0"), result("vm2", error=errors.Moved("It moved"))],
        pruned=[stale],
        warnings=["An old warning"],
    )
    last = NOTHING._replace(
        results=[
            result("vm1", error=errors.ForeignGroup("Another has it")),
            result("vm2", error=errors.RmidsExhausted("None is left")),
        ],
        warnings=["A warning"],
    )
    found = report_on([first, last], kernel)
    assert found == Report(
        ["vm1: Now counted: vCPU 0", f"Removed {kernel.path(stale)}: its domain is gone"],
        {uuid(2): "vm2: None is left"},
        ["A warning"],
        ["vm1: Another has it"],
        last,
        True,
    )
    assert not found.idle


def test_while_a_domain_starts_not_everything_is_as_declared(tmp_path):
    starting = DomainStatus(vm(1).domain, starting=True)
    last = NOTHING._replace(results=[Result("vm1", starting), result("vm2")], starting=[uuid(1)])
    found = report_on([last], Kernel(tmp_path))
    assert (found.starting, found.idle, found.failed) == (["vm1"], False, False)


def report(waiting=(), warnings=(), failures=(), done=()):
    return Report(list(done), dict(waiting), list(warnings), list(failures), NOTHING, bool(failures))


WAITS = {"vm1": "vm1: waits"}


@pytest.fixture(name="say")
def say_fixture(tmp_path):
    """What is news of a report."""
    return lambda one: news(one, str(tmp_path / "run/said.json"))


def test_a_trouble_of_the_command_itself_is_news_when_it_begins(tmp_path):
    path = str(tmp_path / "run/slow.json")
    told = [is_news("slow", lasts, path) for lasts in (False, True, True, False, True)]
    assert told == [False, True, False, False, True]


def test_a_trouble_that_lasts_is_said_once(say):
    lasting = report(WAITS, ["A warning"], ["vm2: fails"])
    assert say(lasting) == lasting
    again = say(lasting)
    assert (again.waiting, again.warnings, again.errors) == ({}, [], [])
    assert again.failed


def test_a_new_trouble_is_said_beside_an_old_one(say):
    say(report(failures=["vm1: fails"]))
    assert say(report(failures=["vm1: fails", "vm2: fails"])).errors == ["vm2: fails"]


def test_a_trouble_that_comes_back_is_said_again(say):
    for _time in range(2):
        assert say(report(failures=["vm1: fails"])).errors == ["vm1: fails"]
        assert say(report()).errors == []


def test_what_was_done_is_always_said(say):
    for _time in range(2):
        assert say(report(done=["vm1: Now counted: vCPU 0"])).done == ["vm1: Now counted: vCPU 0"]


@pytest.mark.parametrize("waiting", [float("inf"), None, [], "many"])
def test_of_a_run_that_was_noted_in_another_way_nothing_is_known(tmp_path, waiting):
    path = tmp_path / "enforced.json"
    note_run(1.5, None, str(path))
    assert last_run(str(path)) == LastRun(1.5, True, 0, 0)
    path.write_text(json.dumps({**json.loads(path.read_text()), "waiting": waiting}))
    assert last_run(str(path)) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"said": "x"}'])
def test_a_damaged_memory_is_forgotten(tmp_path, content):
    path = tmp_path / "said.json"
    path.write_text(content)
    assert news(report(WAITS), str(path)).waiting == WAITS
    assert news(report(WAITS), str(path)).waiting == {}


def test_where_nothing_can_be_kept_everything_is_news(tmp_path):
    (tmp_path / "file").write_text("")
    lasting = report(WAITS)
    assert news(lasting, str(tmp_path / "file/said.json")) == lasting
    assert news(lasting, str(tmp_path / "file/said.json")) == lasting


def test_a_sentence_with_any_bytes_is_kept(say):
    """A domain's or a group's name may be no UTF-8."""
    assert say(report(failures=["\udcff: fails"])).errors == ["\udcff: fails"]
    assert say(report(failures=["\udcff: fails"])).errors == []


# -- turns -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
def test_when_turns_were_switched_off_what_was_measured_in_them_is_told_no_more(enforced, noted, check):
    noted.write_text("{}")
    enforced(host(vm(1)), {"default": "enabled"}, check=check)
    assert noted.exists() == check


def test_nor_is_it_on_a_host_that_is_given_up(tmp_path, noted):
    noted.write_text("{}")
    clear(Kernel(tmp_path))
    assert not noted.exists()


def test_while_a_run_takes_turns_a_host_is_not_given_up(tmp_path, noted, monkeypatch):
    """It would note again what is forgotten now."""
    monkeypatch.setattr(upkeep, "_LONGEST_RUN", 0.0)
    kernel = Kernel(tmp_path / "kernel", [group_for(uuid(1), ROOT)])
    noted.write_text("{}")
    with store.locked(str(noted.parent)), pytest.raises(errors.LockTimeout):
        clear(kernel)
    assert noted.exists()
    assert kernel.content() == {group_for(uuid(1), ROOT): set()}


def test_a_group_that_is_refused_keeps_no_other_one(tmp_path, monkeypatch):
    first, second, third = (group_for(uuid(number), ROOT) for number in (1, 2, 3))
    kernel = Kernel(tmp_path, [first, second, third])
    remove = kernel.changes.remove
    refusal = errors.Refused("It is refused")

    def refuse(group):
        if group == second:
            raise refusal
        remove(group)

    monkeypatch.setattr(kernel.changes, "remove", refuse)
    assert clear(kernel) == ([first, third], [refusal])
    assert kernel.content() == {second: set()}


def turning(results, **takers):
    """What a look left where domains take turns. `takers`: their names, and when they began to be counted, or None."""
    known = {vm(int(name[2:])).domain.uuid: Notes(Turn(began)) for name, began in takers.items()}
    return NOTHING._replace(results=results, turns=known)


def of_vm(number, changed=False, error=None, msg=""):
    return Result(f"vm{number}", DomainStatus(vm(number).domain), changed, error, msg)


WAITING = errors.WaitsForTurn("'vm1' is not counted now")


def test_whose_turn_is_over_and_who_waits_is_told_with_how_many_there_are(tmp_path):
    results = [
        of_vm(1, True, WAITING, "Removed mon_groups/x"),
        of_vm(2, True, msg="Now counted: vCPU 0, 1"),
        of_vm(3, True, msg="Now counted: vCPU 0"),
    ]
    found = report_on([turning(results, vm1=None, vm2=5.0)], Kernel(tmp_path))
    assert found.turns == (
        "2 domains take turns with 1 group",
        "vm1: Its turn is over",
        "vm2: Now counted: vCPU 0, 1",
        "vm1: 'vm1' is not counted now",
    )
    assert found.done == ["vm3: Now counted: vCPU 0"]
    assert (found.waiting, found.errors, found.failed) == ({}, [], False)
    assert not found.idle


@pytest.mark.parametrize("failure", [WAITING, errors.RmidsInLimbo("Not yet"), errors.RmidsExhausted("None")])
def test_to_wait_for_an_rmid_is_no_failure_of_one_that_takes_turns(tmp_path, failure):
    found = report_on([turning([of_vm(1, error=failure)], vm1=None)], Kernel(tmp_path))
    assert (found.waiting, found.errors, found.failed) == ({}, [], False)


def test_any_other_failure_of_one_that_takes_turns_is_one(tmp_path):
    failure = errors.ForeignGroup("Another has it")
    found = report_on([turning([of_vm(1, error=failure)], vm1=5.0)], Kernel(tmp_path))
    assert (found.errors, found.failed) == (["vm1: Another has it"], True)
    assert found.turns == ("1 domains take turns with 1 group",)


def test_that_turns_are_taken_is_said_once_and_nothing_of_each_turn(say):
    first = report()._replace(turns=("2 domains take turns", "vm1: Its turn is over"))
    assert say(first).turns == ("2 domains take turns",)
    for line in ("vm1: Now counted", "vm2: Its turn is over"):
        assert say(report()._replace(turns=("3 domains take turns", line))).turns == ()


def test_that_turns_are_taken_again_is_said_again(say):
    for _time in range(2):
        assert say(report()._replace(turns=("2 domains take turns",))).turns == ("2 domains take turns",)
        assert say(report()).turns == ()


def test_turns_hide_no_other_news(say):
    one = report(WAITS, ["A warning"], ["vm2: fails"])._replace(turns=("2 domains take turns",))
    assert say(one) == one
    assert say(one._replace(errors=["vm3: fails"])).errors == ["vm3: fails"]


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_host_that_is_given_up_keeps_the_groups_of_others_only(tmp_path):
    ours, unseen = group_for(uuid(1), ROOT), group_for(uuid(9), LIBVIRT)
    kernel = Kernel(tmp_path, [ours, unseen, LIBVIRT])
    kernel.where = {1001: ours, 9001: unseen}
    assert clear(kernel) == ([ours, unseen], [])
    assert kernel.content() == {LIBVIRT: {9001}}
