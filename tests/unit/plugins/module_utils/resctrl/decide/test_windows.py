# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of domains that take turns: measured over a window, with the window, and of nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.baselines import Reading
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Queue, Turn, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.windows import (
    Measured,
    Notes,
    begin,
    counted,
    end_bandwidth,
    end_turn,
    taken,
    without_occupancy,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    L3,
    L3_EVENTS,
    OCCUPANCY,
    PACKAGE,
    Event,
    Place,
    Value,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    uuid,
)

SETTINGS = Turns(window=60, warm_up=10)
OURS, OTHER = group_for(uuid(1), ROOT), group_for(uuid(1), Group("COS1"))
TOTAL, LOCAL = "mbm_total_bytes", "mbm_local_bytes"
ON_0, ON_1 = Place(L3, 0), Place(L3, 1)


def sample(seconds, total=(0, 0), occupancy=(0, 0), groups=(OURS,), generation="1-10"):
    """What each group showed on two caches; None: it could not be read."""
    places = {
        Place(L3, cache): {
            OCCUPANCY: Value(occupancy[cache], None if occupancy[cache] is not None else "error"),
            TOTAL: Value(total[cache], None if total[cache] is not None else "error"),
            LOCAL: Value(None, "unsupported"),
        }
        for cache in (0, 1)
    }
    parts = {group: Part(places, generation) for group in groups}
    return Sample(parts, dict.fromkeys(groups, generation), L3_EVENTS[:2], seconds)


def queue(now):
    return Queue(SETTINGS, now)


def in_turn(began=100.0, unseen=0.0, **more):
    return Notes(Turn(began, unseen), **more)


def numbers(notes):
    return {(event, place.id): one.number for (event, place), one in notes.measured.items()}


# -- a turn with a group -----------------------------------------------------------------------------------------------


def test_what_was_counted_between_the_beginning_and_the_end_of_a_turn_is_a_rate_on_each_cache():
    notes = begin(in_turn(), sample(100.0, total=(1000, 5)))
    notes = end_turn(notes, sample(160.0, total=(7000, 65), occupancy=(4096, 0)), queue(160.0))
    assert numbers(notes) == {(TOTAL, 0): 100.0, (TOTAL, 1): 1.0, (OCCUPANCY, 0): 4096.0, (OCCUPANCY, 1): 0.0}


def test_what_was_measured_tells_its_window_and_how_much_of_the_round_that_was():
    notes = begin(in_turn(unseen=40.0), sample(100.0))
    (rate,) = {end_turn(notes, sample(160.0), queue(160.0)).measured[TOTAL, ON_0]}
    assert (rate.began, rate.ended, rate.seconds) == (100.0, 160.0, 60.0)
    assert rate.coverage == 0.5


def test_who_was_counted_all_the_time_since_was_covered_wholly():
    assert Measured(100.0, 90.0, 160.0, 1.0).coverage == 1.0
    assert Measured(160.0, 100.0, 160.0, 1.0).coverage == 1.0


def test_a_turn_that_is_over_waits_from_now_on_and_one_that_was_cut_short_from_before():
    assert end_turn(in_turn(unseen=40.0), sample(160.0), queue(160.0)).group == Turn(None, 160.0, 20.0)
    assert end_turn(in_turn(unseen=40.0), sample(120.0), queue(120.0)).group == Turn(None, 40.0)


def test_a_domain_that_has_no_turn_has_none_that_could_end():
    for notes in (Notes(), Notes(Turn(None, 3.0))):
        assert end_turn(notes, sample(160.0), queue(160.0)) == notes


def test_a_rate_of_a_counter_that_was_reset_or_belongs_to_another_group_is_not_made():
    notes = begin(in_turn(), sample(100.0, total=(1000, 1000)))
    for later in (
        sample(160.0, total=(999, 999)),
        sample(160.0, total=(2000, 2000), generation="1-11"),
        sample(160.0, total=(2000, 2000), groups=(OURS, OTHER)),
        sample(160.0, total=(None, None)),
        sample(100.0, total=(2000, 2000)),
    ):
        assert not [key for key in end_turn(notes, later, queue(160.0)).measured if key[0] == TOTAL]


def test_a_value_that_could_not_be_read_hides_no_other_and_that_of_the_turn_before_is_not_put_in_its_place():
    before = {(TOTAL, ON_1): Measured(0.0, 10.0, 20.0, 7.0)}
    notes = begin(in_turn(measured=before), sample(100.0))
    notes = end_turn(notes, sample(160.0, total=(60, None), occupancy=(1, None)), queue(160.0))
    assert numbers(notes) == {(TOTAL, 0): 1.0, (OCCUPANCY, 0): 1.0}
    assert notes.places == (ON_0, ON_1)


def test_of_a_turn_that_has_begun_and_is_not_noted_yet_no_occupancy_is_believed():
    assert not Notes(Turn(None, 50.0)).is_warm(100.0, SETTINGS)


def test_what_is_measured_already_goes_on_and_what_began_anew_is_measured_from_then_on():
    notes = begin(in_turn(), sample(100.0, total=(1000, 1000)))
    notes = begin(notes, sample(130.0, total=(4000, 10)))
    assert {key[1].id: start.began for key, start in notes.starts.items()} == {0: 100.0, 1: 130.0}


# -- whose lines are in the caches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notes", "believed"),
    [
        (in_turn(149.0), True),
        (in_turn(151.0), False),
        (in_turn(100.0, unclean=True), False),
        (in_turn(100.0, made=155.0), False),
        (in_turn(100.0, made=120.0), True),
    ],
)
def test_occupancy_is_believed_after_the_warm_up_if_the_lines_of_others_were_gone(notes, believed):
    assert notes.is_warm(160.0, SETTINGS) == believed
    assert ((OCCUPANCY, ON_0) in end_turn(notes, sample(160.0), queue(160.0)).measured) == believed


def test_the_occupancy_of_one_that_takes_no_turns_is_believed_at_once():
    assert Notes(unclean=True).is_warm(0.0, SETTINGS)


def test_a_sample_without_occupancy_keeps_all_else_and_says_why():
    bare = without_occupancy(sample(1.0, total=(5, 6), occupancy=(7, 8)))
    for place, total in ((ON_0, 5), (ON_1, 6)):
        values = bare.parts[OURS].places[place]
        assert (values[OCCUPANCY], values[TOTAL]) == (Value(None, "warming"), Value(total))


def test_a_package_has_no_occupancy_that_could_be_taken_back():
    package = {Place(PACKAGE, 0): {"core_energy": Value(3)}}
    one = Sample({OURS: Part(package, "1-1")}, {}, [Event("core_energy", PACKAGE)], 1.0)
    assert without_occupancy(one) == one


# -- what is counted between two readings ------------------------------------------------------------------------------

READINGS = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.builds(Reading, st.integers(0, 100), st.sampled_from(["1", "2"]), st.frozensets(st.sampled_from("xy"))),
    min_size=1,
)


@given(READINGS, READINGS)
def test_a_difference_is_made_of_the_same_counters_only_and_is_never_negative(before, now):
    found = counted(before, now)
    same = before.keys() == now.keys() and all(
        before[one][1:] == now[one][1:] and before[one].value <= now[one].value for one in now
    )
    assert (found is not None) == same
    if found is not None:
        assert found == sum(now[one].value - before[one].value for one in now) >= 0


# -- turns of bandwidth counters ---------------------------------------------------------------------------------------


def test_the_turn_of_a_counter_ends_on_one_cache_and_the_group_keeps_its_own():
    notes = begin(Notes(None, {0: Turn(100.0, 40.0), 1: Turn(130.0, 0.0)}), sample(100.0))
    notes = end_bandwidth(notes, sample(160.0, total=(6000, 6000), occupancy=(9, 9)), 0, queue(160.0))
    assert notes.counters == {0: Turn(None, 160.0, 20.0), 1: Turn(130.0, 0.0)}
    assert numbers(notes) == {(TOTAL, 0): 100.0}
    assert notes.measured[TOTAL, ON_0].coverage == 0.5
    assert (TOTAL, ON_0) not in notes.starts
    assert (TOTAL, ON_1) in notes.starts


def test_of_a_cache_on_which_a_domain_takes_no_turns_nothing_is_noted():
    notes = begin(Notes(), sample(100.0))
    assert end_bandwidth(notes, sample(160.0, total=(60, 60)), 0, queue(160.0)).measured == {}


def test_when_a_domain_gives_its_group_up_the_turns_of_its_counters_end_too():
    notes = Notes(Turn(100.0, 0.0), {0: Turn(150.0, 20.0), 1: Turn(None, 30.0)})
    assert end_turn(notes, sample(160.0), queue(160.0)).counters == {0: Turn(None, 20.0), 1: Turn(None, 30.0)}


def test_only_what_is_counted_in_turns_is_shared():
    by_counter, by_group = Notes(None, {0: Turn(1.0)}), Notes(Turn(1.0))
    assert [by_counter.shares(TOTAL, place) for place in (ON_0, ON_1)] == [True, False]
    assert not by_counter.shares(OCCUPANCY, ON_0)
    assert not by_counter.shares("core_energy", Place(PACKAGE, 0))
    assert all(by_group.shares(event, ON_1) for event in (TOTAL, OCCUPANCY, "core_energy"))


def test_only_what_is_counted_in_turns_is_measured_for_them():
    assert begin(Notes(None, {0: Turn(100.0)}), sample(100.0)).starts.keys() == {(TOTAL, ON_0)}


def test_who_waits_for_a_group_does_not_wait_for_a_counter_only():
    waits, has = {0: Turn(None, 1.0), 1: Turn(5.0)}, {0: Turn(5.0)}
    asked = (Notes(None, waits), Notes(Turn(5.0), waits), Notes(Turn(None), waits), Notes(None, has), Notes(Turn(5.0)))
    assert [notes.waits_for_counters for notes in asked] == [True, True, False, False, False]


def test_how_many_take_turns_is_told_in_words():
    one = [Notes(Turn(1.0)), Notes(Turn(None)), Notes(None, {0: Turn(1.0)})]
    assert taken(one) == ["2 domains take turns with 1 group", "1 domains take turns with the bandwidth counters"]
    assert taken([Notes(Turn(None))]) == ["1 domains take turns with 0 groups"]
    assert taken([]) == []
