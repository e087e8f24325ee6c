# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of domains that take turns, with what is noted of them, and nothing believed that is not to be."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act import sampled
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.noted_turns import Noted, save
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.sampled import with_turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Turn, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.windows import Notes, Turned
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    L3,
    L3_EVENTS,
    OCCUPANCY,
    WAITING,
    WARMING,
    Place,
    Value,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.sampling import Statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish.place import TURNS
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import uuid, vm

NOW = 160.0
SETTINGS = Turns(window=60, warm_up=10)
OURS, CACHE = group_for(uuid(1), ROOT), Place(L3, 0)
STATUS = DomainStatus(vm(1).domain)
VALUES = {OCCUPANCY: Value(7), "mbm_total_bytes": Value(5), "mbm_local_bytes": Value(3)}


def counted(seconds=NOW):
    return Sample({OURS: Part({CACHE: VALUES}, "1")}, {}, L3_EVENTS, seconds)


def nothing(reason):
    return Sample({}, {}, L3_EVENTS, NOW, reason)


@pytest.fixture(name="believed")
def believed_fixture(tmp_path, monkeypatch):
    """What is told of vm1 at 160 seconds if this is noted of it."""
    monkeypatch.setattr("time.monotonic", lambda: NOW)

    def tell(sample, notes, before=None, of=1):
        save(Noted({uuid(of): notes}, SETTINGS), str(tmp_path))
        (one,) = with_turns([Statistics(STATUS, sample, before)], str(tmp_path))
        return one

    return tell


def occupancy(sample):
    return sample.parts[OURS].places[CACHE][OCCUPANCY]


def test_where_nothing_is_noted_all_is_told_as_it_is(tmp_path):
    one = Statistics(STATUS, counted())
    assert with_turns([one], str(tmp_path)) == [one]
    (tmp_path / "turns.json").write_text("{")
    assert with_turns([one], str(tmp_path)) == [one]


def test_a_domain_that_takes_no_turns_is_told_as_it_is(believed):
    one = Statistics(STATUS, counted())
    assert believed(one.sample, Notes(Turn(155.0)), of=2) == one


def test_what_is_noted_stands_beside_what_is_counted(believed):
    notes = Notes(Turn(100.0, 0.0))
    one = believed(counted(), notes)
    assert one.turned == Turned(notes, SETTINGS, NOW)
    assert one.sample == counted()


def test_who_is_not_counted_because_others_are_waits_for_its_turn(believed):
    waiting = Notes(Turn(None, 0.0))
    assert believed(nothing("disabled"), waiting).sample.reason == WAITING
    assert believed(nothing("disabled"), Notes(None, {0: Turn(None)})).sample.reason == "disabled"


def test_a_turn_that_began_or_ended_while_it_was_looked_at_is_no_failure(believed):
    """The notes are read after the counters."""
    assert believed(nothing("disabled"), Notes(Turn(159.0))).sample.reason == WAITING
    gone = Sample({OURS: Part({}, None)}, {}, L3_EVENTS, NOW)
    assert believed(gone, Notes(Turn(None, 159.0))).sample == nothing(WAITING)


def test_until_the_caches_are_warm_no_occupancy_is_told_and_all_else_is(believed):
    one = believed(counted(), Notes(Turn(155.0)), before=counted(154.0))
    for sample in (one.sample, one.before):
        assert occupancy(sample) == Value(None, WARMING)
        assert sample.parts[OURS].places[CACHE]["mbm_total_bytes"] == Value(5)


def test_each_of_two_samples_is_judged_for_itself(believed):
    one = believed(counted(166.0), Notes(Turn(155.0)), before=counted(160.0))
    assert (occupancy(one.sample), occupancy(one.before)) == (Value(7), Value(None, WARMING))


def test_in_caches_with_the_lines_of_others_no_occupancy_is_told_however_long_the_turn_is(believed):
    assert occupancy(believed(counted(), Notes(Turn(1.0), unclean=True)).sample).number is None


def test_the_file_is_where_it_is_forgotten_when_turns_are_switched_off():
    assert f"{sampled.DIRECTORY}/{sampled.FILE}" == TURNS


def test_whose_turn_it_is_is_read_only_where_turns_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: NOW)
    assert sampled.queue(str(tmp_path)) is None
    save(
        Noted({uuid(1): Notes(None, {0: Turn(100.0)}), uuid(2): Notes(None, {0: Turn(None)})}, SETTINGS), str(tmp_path)
    )
    queue = sampled.queue(str(tmp_path))
    assert (queue.settings, queue.now) == (SETTINGS, NOW)
    assert [queue.comes_to(uuid(2), cache) for cache in (0, 1)] == [True, False]
    assert [queue.shares(cache) for cache in (0, 1)] == [True, False]
    assert not queue.comes_to(uuid(3), 0)
