# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From counters to values and rates: judged for each group and each cache, nothing twice, nothing invented."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import (
    Part,
    Sample,
    named,
    outermost,
    per_place,
    rates,
    totals,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    BANDWIDTH,
    EVENTS,
    L3,
    L3_EVENTS,
    PACKAGE,
    TABLE,
    Event,
    Place,
    Sum,
    Value,
    event_of,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3

OURS = group_for(VM3.uuid, ROOT)
LIBVIRT = Group("qemu-1-vm2-vcpus_0-1")
TOTAL = "mbm_total_bytes"
UNAVAILABLE = Value(None, "unavailable")


def taken(groups, seconds=0.0, generations=None, *, caches=None, configured=None, reason="", events=L3_EVENTS):
    """A sample. `groups`: group -> cache -> the value of every event; a number stands for a value."""
    parts = {
        group: Part(
            {
                Place(L3, cache): dict.fromkeys(EVENTS, value if isinstance(value, Value) else Value(value))
                for cache, value in values.items()
            },
            (generations or {}).get(group, "1-10"),
        )
        for group, values in groups.items()
    }
    return Sample(
        parts,
        {group: part.generation for group, part in parts.items()},
        events,
        seconds,
        reason,
        {Place(L3, cache): one for cache, one in (caches or {0: "20", 1: "21"}).items()},
        configured or {},
    )


def test_a_control_group_counts_its_monitors_already():
    nested, elsewhere = Group(LIBVIRT.ctrl, "m"), Group("COS1", OURS.mon)
    assert outermost([LIBVIRT, nested, OURS, elsewhere]) == [OURS, elsewhere, LIBVIRT]


# -- values ------------------------------------------------------------------------------------------------------------


def test_values_are_summed_over_caches_and_groups():
    sample = taken({OURS: {8: 10, 9: 20}, LIBVIRT: {8: 40}})
    assert totals(sample)[TOTAL] == Sum(Value(70))
    assert {cache: one[TOTAL] for cache, one in per_place(sample, L3).items()} == {8: Sum(Value(50)), 9: Sum(Value(20))}


def test_one_unknown_value_hides_no_other():
    sample = taken({OURS: {0: UNAVAILABLE, 1: 200}})
    assert totals(sample)[TOTAL] == Sum(UNAVAILABLE, 200)
    assert per_place(sample, L3)[1][TOTAL] == Sum(Value(200))


def test_what_the_hardware_does_not_count_is_unsupported():
    sample = taken({OURS: {0: 10}}, events=L3_EVENTS[:1])
    assert totals(sample)["llc_occupancy"] == Sum(Value(10))
    assert totals(sample)[TOTAL] == Sum(Value(None, "unsupported"))


def test_a_group_that_vanished_makes_the_sum_unknown():
    sample = taken({OURS: {0: 10}, LIBVIRT: {}})
    assert totals(sample)[TOTAL] == Sum(Value(None, "gone"), 10)
    assert per_place(sample, L3)[0][TOTAL] == Sum(Value(10))


def test_where_nothing_counts_the_reason_is_every_values():
    assert set(totals(taken({}, reason="disabled")).values()) == {Sum(Value(None, "disabled"))}


# -- rates -------------------------------------------------------------------------------------------------------------


def rate(first, second):
    return rates(first, second).totals[TOTAL]


def test_a_rate_is_bytes_per_second_between_two_samples():
    found = rates(taken({OURS: {0: 1000}}, 5.0), taken({OURS: {0: 4000}}, 7.0))
    assert (found.seconds, found.totals[TOTAL], found.of(L3)[0][TOTAL]) == (2.0, Sum(Value(1500)), Sum(Value(1500)))
    assert set(found.totals) == set(BANDWIDTH)


def test_a_cache_that_counted_backwards_hides_behind_no_other():
    """Its event configuration was written: the kernel resets the counter. The sum of both grew all the same."""
    first = taken({OURS: {0: 9_000_000_000, 1: 1_000_000_000}}, 0.0)
    second = taken({OURS: {0: 2_000_000, 1: 11_000_000_000}}, 4.0)
    found = rates(first, second)
    assert found.totals[TOTAL] == Sum(Value(None, "reset"), 2_500_000_000)
    assert found.of(L3)[0][TOTAL] == Sum(Value(None, "reset"))
    assert found.of(L3)[1][TOTAL] == Sum(Value(2_500_000_000))


def test_caches_on_which_a_domain_never_ran_leave_the_rate_of_the_others():
    """AMD: what the hardware has not counted for this group yet is Unavailable, perhaps for ever."""
    numbers = ({0: 1000}, {0: 9000})
    first, second = (
        taken({OURS: {**dict.fromkeys(range(4), UNAVAILABLE), **one}}, seconds)
        for one, seconds in zip(numbers, (0.0, 4.0))
    )
    found = rates(first, second)
    assert found.totals[TOTAL] == Sum(UNAVAILABLE, 2000)
    assert [found.of(L3)[cache][TOTAL] for cache in range(4)] == [Sum(Value(2000)), *[Sum(UNAVAILABLE)] * 3]
    assert totals(second)[TOTAL] == Sum(UNAVAILABLE, 9000)


FIRST = taken({OURS: {0: 1000, 1: 1000}}, 5.0, configured={TOTAL: {0: "0x7f", 1: "0x7f"}})


def second_after(**more):
    return taken({OURS: {0: 4000, 1: 5000}}, 7.0, **{"configured": FIRST.configured, **more})


@pytest.mark.parametrize(
    "second",
    [
        # resctrl was mounted anew: the inode may be the old one's
        second_after(generations={OURS: "2-10"}),
        # the group was made anew
        second_after(generations={OURS: "1-11"}),
        # it was removed while its counters were read
        second_after(generations={OURS: None}),
        # what the event counts was changed on all caches
        second_after(configured={TOTAL: {-1: "reads"}}),
    ],
)
def test_there_is_no_rate_between_two_counters(second):
    assert rate(FIRST, second) == Sum(Value(None, "reset"))


@pytest.mark.parametrize(
    "second",
    [
        # the cache's CPUs were off and on again, or a node of it went off
        second_after(caches={0: "22", 1: "21"}),
        # what the event counts there was changed
        second_after(configured={TOTAL: {0: "0x15", 1: "0x7f"}}),
    ],
)
def test_a_cache_that_counts_anew_leaves_the_rate_of_the_other(second):
    found = rates(FIRST, second)
    assert found.totals[TOTAL] == Sum(Value(None, "reset"), 2000)
    assert found.of(L3)[1][TOTAL] == Sum(Value(2000))


def test_a_configuration_that_is_the_same_on_all_caches_is_no_change():
    first = taken({OURS: {0: 1000}}, 5.0, configured={TOTAL: {-1: "reads"}})
    assert rate(first, taken({OURS: {0: 2000}}, 6.0, configured={TOTAL: {-1: "reads"}})) == Sum(Value(1000))


def test_a_cache_that_came_or_went_has_no_rate():
    one, both = taken({OURS: {0: 1000}}, 5.0), taken({OURS: {0: 3000, 1: 500}}, 7.0)
    assert rate(one, both) == Sum(Value(None, "gone"), 1000)
    assert rate(both, one._replace(seconds=9.0)) == Sum(Value(None, "reset"))


def test_a_counter_that_is_not_the_groups_own_has_no_rate():
    """libvirt's CTRL_MON group has no bandwidth counter, and shows the number of a MON group below it."""
    unassigned = Value(None, "unassigned")
    first, second = (taken({LIBVIRT: {0: unassigned}}, seconds) for seconds in (0.0, 4.0))
    assert rate(first, second) == Sum(unassigned)
    assert totals(second)[TOTAL] == Sum(unassigned)


# What the root's numbers are sums of: itself, and MON groups that have a counter
EVERYTHING, SHARED = None, frozenset({(TOTAL, 0), (TOTAL, 1)})
ROOTS, FIRSTS, SECONDS = "1-1", "1-20", "1-21"


def summed(seconds, number, **groups):
    """A sample of the root, whose number is the sum of its own and of some groups, by generation."""
    sample = taken({ROOT: {0: number}}, seconds, {ROOT: ROOTS})
    held = {ROOTS: EVERYTHING, **groups}
    return sample._replace(parts={ROOT: sample.parts[ROOT]._replace(summed=held)})


def test_what_a_group_had_counted_is_no_rate_of_the_root_after_it_has_gone():
    """The root has counted 100 more than it shows: the group that went took 60 with it."""
    first = summed(0.0, 1000, **{FIRSTS: EVERYTHING})
    assert rate(first, summed(4.0, 1040)) == Sum(Value(None, "reset"))
    # It was made anew under the same name
    assert rate(first, summed(4.0, 1040, **{SECONDS: EVERYTHING})) == Sum(Value(None, "reset"))


def test_a_group_that_is_new_begins_at_0_in_the_roots_rate():
    assert rate(summed(0.0, 1000), summed(4.0, 1040, **{FIRSTS: EVERYTHING})) == Sum(Value(10))


def test_a_counter_that_a_group_below_lost_went_out_of_the_sum_and_one_that_it_got_begins_at_0():
    with_counter, without = summed(0.0, 1000, **{FIRSTS: SHARED}), summed(4.0, 1040, **{FIRSTS: frozenset()})
    assert rate(with_counter, without) == Sum(Value(None, "reset"))
    assert rate(without._replace(seconds=0.0), with_counter._replace(seconds=4.0)) == Sum(Value(None, "reset"))
    more = summed(8.0, 1080, **{FIRSTS: SHARED})
    assert rate(without, more) == Sum(Value(None, "unassigned"), 10)


def test_a_sum_without_a_group_that_has_no_counter_is_only_its_known_part():
    first, second = (summed(seconds, number, **{FIRSTS: frozenset()}) for seconds, number in ((0.0, 100), (4.0, 500)))
    assert rate(first, second) == Sum(Value(None, "unassigned"), 100)
    assert totals(second)[TOTAL] == per_place(second, L3)[0][TOTAL] == Sum(Value(None, "unassigned"), 500)
    assert totals(second)["llc_occupancy"] == Sum(Value(500))


def test_a_control_group_without_a_counter_of_its_own_shows_only_what_is_below_it():
    sample = summed(0.0, 100, **{ROOTS: frozenset(), FIRSTS: SHARED})
    assert totals(sample)[TOTAL] == Sum(Value(None, "unassigned"), 100)
    everything = summed(0.0, 100, **{ROOTS: SHARED, FIRSTS: SHARED})
    assert totals(everything)[TOTAL] == Sum(Value(100))


def test_a_group_that_vanished_leaves_the_rate_of_the_other():
    first = taken({OURS: {0: 1000}, LIBVIRT: {0: 1000}}, 5.0)
    second = taken({OURS: {0: 3000}, LIBVIRT: {}}, 7.0)
    assert rate(first, second) == Sum(Value(None, "gone"), 1000)
    assert rate(taken({LIBVIRT: {}}, 5.0), taken({LIBVIRT: {}}, 7.0)) == Sum(Value(None, "gone"))


def test_no_time_is_no_rate():
    assert rate(FIRST, second_after()._replace(seconds=5.0)) == Sum(Value(None, "reset"))


@pytest.mark.parametrize(("before", "after", "reason"), [("disabled", "", "disabled"), ("", "gone", "gone")])
def test_where_one_sample_has_nothing_there_is_its_reason(before, after, reason):
    assert rate(FIRST._replace(reason=before), second_after(reason=after)) == Sum(Value(None, reason))


VALUES = st.integers(0, 2**40).map(Value) | st.sampled_from(["unavailable", "error", "unassigned"]).map(
    lambda reason: Value(None, reason)
)
GROUPS = st.dictionaries(st.sampled_from([OURS, LIBVIRT]), st.dictionaries(st.integers(0, 3), VALUES))
GENERATIONS = st.fixed_dictionaries({OURS: st.sampled_from(["1", "2", None]), LIBVIRT: st.just("1")})


@given(GROUPS, GROUPS, GENERATIONS, GENERATIONS)
def test_a_sum_is_whole_or_says_why_not_and_is_never_negative(first, second, before, after):
    found = rates(taken(first, 0.0, before), taken(second, 2.0, after))
    for sums in (found.totals, *found.places.values()):
        for one in sums.values():
            assert (one.value.number is None) == (one.value.reason is not None)
            assert one.known is None or one.value.number is None
            assert min(one.value.number or 0, one.known or 0) >= 0


@given(GROUPS, GROUPS)
def test_what_is_known_in_all_is_what_is_known_of_the_caches(first, second):
    found = rates(taken(first, 0.0), taken(second, 2.0))
    for event in BANDWIDTH:
        known = sum(one[event].value.number or one[event].known or 0 for one in found.of(L3).values())
        total = found.totals[event]
        assert (total.value.number or total.known or 0) == pytest.approx(known)


# -- packages ----------------------------------------------------------------------------------------------------------

ENERGY, CYCLES, STALLS = (
    event_of(name, PACKAGE) for name in ("core_energy", "unhalted_core_cycles", "stalls_llc_miss")
)


def telemetry(groups, seconds=0.0, *, events=(ENERGY, CYCLES, STALLS), generation="1-10", reason=""):
    """A sample of a host that counts packages only. `groups`: group -> package -> a value for each of `events`."""
    parts = {
        group: Part(
            {
                Place(PACKAGE, package): {
                    event.name: value if isinstance(value, Value) else Value(value)
                    for event, value in zip(events, values)
                }
                for package, values in packages.items()
            },
            generation,
        )
        for group, packages in groups.items()
    }
    return Sample(parts, dict.fromkeys(parts, generation), events, seconds, reason)


def test_packages_are_summed_like_caches_and_do_not_mix_with_them():
    sample = telemetry({OURS: {0: (Decimal("1.5"), 10, 1), 1: (Decimal("2.25"), 20, 2)}})
    assert totals(sample)["core_energy"] == Sum(Value(Decimal("3.75")))
    assert per_place(sample, PACKAGE)[1]["stalls_llc_miss"] == Sum(Value(2))
    assert per_place(sample, L3) == {}
    assert {totals(sample)[name] for name in EVENTS} == {Sum(Value(None, "unsupported"))}


def test_what_a_package_does_not_know_yet_leaves_the_other_as_the_known_part():
    sample = telemetry({OURS: {0: (UNAVAILABLE, 10, 1), 1: (Decimal("2.25"), 20, 2)}})
    assert totals(sample)["core_energy"] == Sum(UNAVAILABLE, Decimal("2.25"))
    assert totals(sample)["unhalted_core_cycles"] == Sum(Value(30))


def test_a_group_without_packages_is_gone_there_only():
    sample = taken({OURS: {0: 10}}, events=(*L3_EVENTS, ENERGY))
    assert totals(sample)["core_energy"] == Sum(Value(None, "gone"))
    assert totals(sample)[TOTAL] == Sum(Value(10))
    found = rates(sample, sample._replace(seconds=2.0)).totals
    assert found["core_energy"] == Sum(Value(None, "gone"))
    assert found[TOTAL] == Sum(Value(0.0))


def test_watts_are_the_energy_of_a_second_however_large_the_number_of_the_former_owner():
    before, after = Decimal("98765432109876.123456"), Decimal("98765432109888.468135")
    found = rates(telemetry({OURS: {0: (before, 0, 0)}}, 5.0), telemetry({OURS: {0: (after, 0, 0)}}, 6.0))
    assert found.of(PACKAGE)[0]["core_energy"] == found.totals["core_energy"] == Sum(Value(12.344679))


def test_telemetry_of_another_generation_has_no_rate():
    """The kernel resets none of it: the number of the group that is made anew is that of its RMID's former owner."""
    first = telemetry({OURS: {0: (Decimal("1.5"), 10, 1)}}, 5.0)
    second = telemetry({OURS: {0: (Decimal("9.5"), 90, 9)}}, 6.0, generation="1-11")
    assert {one.value.reason for one in rates(first, second).totals.values()} >= {"reset"}
    assert rates(first, second).totals["core_energy"] == Sum(Value(None, "reset"))


@pytest.mark.parametrize("groups", [("1-10", "1-20"), ("1-10",)])
def test_the_telemetry_of_a_control_group_has_a_rate_only_while_the_same_groups_are_in_it(groups):
    """The kernel does not reset it: with a new group what the former owner of its RMID had comes into the sum."""
    first = telemetry({ROOT: {0: (Decimal("1.5"), 10, 1)}}, 5.0)
    second = telemetry({ROOT: {0: (Decimal("9.5"), 90, 9)}}, 6.0)
    first, second = (
        sample._replace(parts={ROOT: sample.parts[ROOT]._replace(summed=dict.fromkeys(below))})
        for sample, below in ((first, ("1-10",)), (second, groups))
    )
    expected = Sum(Value(8.0)) if len(groups) == 1 else Sum(Value(None, "reset"))
    assert rates(first, second).totals["core_energy"] == expected


def test_an_event_of_which_only_the_name_is_known_has_a_value_and_no_rate():
    events = (Event("new_event", PACKAGE), ENERGY)
    first, second = (telemetry({OURS: {0: (7, Decimal("1.0"))}}, seconds, events=events) for seconds in (0.0, 1.0))
    assert totals(second)["new_event"] == Sum(Value(7))
    assert "new_event" not in rates(first, second).totals


def stalled(first, second):
    """The fraction of stalls. `first`, `second`: stalls and cycles on package 0."""
    samples = (
        telemetry({OURS: {0: (0, cycles, stalls)}}, seconds)
        for seconds, (stalls, cycles) in zip((1.0, 3.0), (first, second))
    )
    return named(rates(*samples).totals)["stalls_llc_miss_fraction"]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ((100, 1000), (400, 2000), Sum(Value(0.3))),
        ((100, 1000), (100, 2000), Sum(Value(0.0))),
        ((100, 1000), (100, 1000), Sum(Value(None, "idle"))),
        ((UNAVAILABLE, 1000), (400, 2000), Sum(UNAVAILABLE)),
        ((100, 1000), (400, Value(None, "error")), Sum(Value(None, "error"))),
        ((100, 1000), (50, 2000), Sum(Value(None, "reset"))),
    ],
)
def test_stalls_are_a_fraction_of_the_cycles_of_the_interval(first, second, found):
    assert stalled(first, second) == found


def test_rates_are_named_after_their_events_and_the_fraction_is_there_only_with_both_of_its_events():
    names = set(named(rates(telemetry({}), telemetry({}, 1.0)).totals))
    assert names == {
        *(f"{event}_per_second" for event in (*BANDWIDTH, "core_energy", "unhalted_core_cycles", "stalls_llc_miss")),
        "stalls_llc_miss_fraction",
    }
    only_stalls = [telemetry({}, seconds, events=(STALLS,)) for seconds in (0.0, 1.0)]
    assert "stalls_llc_miss_fraction" not in named(rates(*only_stalls).totals)


DECIMALS = st.integers(0, 2**64).map(lambda scaled: Decimal(scaled).scaleb(-6))


@given(st.lists(DECIMALS, min_size=1, max_size=8), st.integers(0, 2**40))
def test_sums_and_differences_of_decimals_lose_no_digit(numbers, more):
    """Up to as many packages as there are, of as many joules as the hardware can count."""
    values = [(number, 0, 0) for number in numbers]
    first = telemetry({OURS: dict(enumerate(values))}, 0.0)
    scaled = sum(int(number.scaleb(6)) for number in numbers)
    assert int(totals(first)["core_energy"].value.number.scaleb(6)) == scaled
    grown = {OURS: {**dict(enumerate(values)), 0: (numbers[0] + Decimal(more).scaleb(-6), 0, 0)}}
    found = rates(first, telemetry(grown, 1.0)).totals["core_energy"]
    assert found == Sum(Value(float(Decimal(more).scaleb(-6))))


def test_every_event_of_the_table_has_a_unit_and_is_a_counter_or_a_gauge():
    assert {(event.unit is None, event.kind in ("counter", "gauge")) for event in TABLE} == {(False, True)}
    assert len({event.name for event in TABLE}) == len(TABLE)
