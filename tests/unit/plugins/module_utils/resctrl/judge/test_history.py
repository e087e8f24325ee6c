# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain had at earlier looks, and what may be said of it now because of that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.findings import by_domain, findings
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.history import (
    AGE,
    APART,
    LEAST,
    MOST,
    TIMES,
    History,
    Look,
    grown,
    looks_of,
    rise,
    since,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.situation import (
    CONFIGURED,
    Ceiling,
    Holding,
    Situation,
    Subject,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.topology import Cache

HOUR = 3600.0
NOW = 1_000_000.0
SIZE = 1000
ONE = {0: Cache(SIZE, frozenset({0, 1}), 0)}
TWO = {0: Cache(SIZE, frozenset({0}), 0), 1: Cache(SIZE, frozenset({1}), 1)}


def subject(held=0.0, moved=0.0, identity="pid group", **more):
    """A domain on cache 0; more caches are in `more` (cache_1=...)."""
    holdings = {0: Holding(held, moved), **{int(key[-1]): one for key, one in more.items()}}
    return Subject("vm1", "u", holdings, dict.fromkeys(holdings, 1.0), 1, 0, identity=identity)


def situation(one, at=NOW, caches=None, held=SIZE, moved=1e9, **keys):
    caches = caches or ONE
    return Situation("now", 60.0, caches, [one], dict.fromkeys(caches, Holding(held, moved)), at=at, **keys)


def look(hours, moved=0.0, held=0.0, found=()):
    """A look so many hours ago, at a domain on one cache and its socket."""
    return Look(NOW - hours * HOUR, {"package 0": moved}, {"cache 0": held}, False, frozenset(found))


def history(*looks, identity="pid group"):
    return {"u": History(identity, looks)}


def risen(of, histories):
    return [one for one in findings(of, histories) if one.kind.endswith("_than_before")]


# -- what is said ------------------------------------------------------------------------------------------------------

QUIET = tuple(look(hours, moved=1e8, held=100.0) for hours in (72, 48, 24))


def test_who_moves_far_more_than_at_each_look_before_stands_out():
    (found,) = risen(situation(subject(moved=5e8), ceilings={"package 0": Ceiling(1e9, CONFIGURED)}), history(*QUIET))
    assert (found.kind, found.domain, found.package, found.cache) == ("moves_more_than_before", "vm1", 0, None)
    assert found.numbers == {"bytes_per_second": 5e8, "share": 0.5, "before": 1e8, "looks": 3.0}
    assert (found.since, found.against, found.confidence) == (NOW, (), "high")


def test_who_holds_far_more_than_at_each_look_before_stands_out():
    (found,) = risen(situation(subject(held=500.0)), history(*QUIET))
    assert (found.kind, found.cache, found.package) == ("holds_more_than_before", 0, 0)
    assert found.numbers == {"held": 500.0, "size": 1000.0, "share": 0.5, "before": 100.0, "looks": 3.0}


def test_it_rose_at_the_first_look_since_which_it_was_never_less():
    looks = [*QUIET, look(5, held=500.0), look(3, held=400.0)]
    (found,) = risen(situation(subject(held=450.0)), history(*looks))
    assert (found.since, found.numbers["looks"]) == (NOW - 5 * HOUR, 3.0)


@pytest.mark.parametrize(
    "looks",
    [
        (),
        QUIET[1:],
        (*QUIET, look(5, held=500.0), look(3, held=100.0), look(1, held=500.0)),
        tuple(look(hours, held=500.0) for hours in (72, 48, 24)),
        tuple(look(hours, held=251.0) for hours in (72, 48, 24)),
    ],
    ids=["never seen", "two looks only", "up and down", "always so", "not far above"],
)
def test_nothing_has_risen(looks):
    assert risen(situation(subject(held=500.0)), history(*looks)) == []


@pytest.mark.parametrize("keys", [{"held": 199.0}, {"moved": 9.9e7}, {"moved": 1.9e8}])
def test_what_is_little_may_rise(keys):
    looks = [look(hours) for hours in (72, 48, 24)]
    assert risen(situation(subject(**keys)), history(*looks)) == []


def test_who_went_to_another_cache_has_no_more_than_before():
    before = [
        Look(NOW - hours * HOUR, {"package 0": 5e8, "package 1": 0.0}, {"cache 0": 500.0, "cache 1": 0.0})
        for hours in (3, 2, 1)
    ]
    moved = subject(cache_1=Holding(500.0, 5e8))
    assert risen(situation(moved, caches=TWO), history(*before)) == []


def test_what_speaks_against_it_is_said():
    looks = [look(hours / 60, moved=1e8) for hours in (30, 20, 10)]
    part = Subject("vm1", "u", {0: Holding(0.0, 5e8, frozenset({"bandwidth"}))}, {0: 1.0}, 1, 0, identity="pid group")
    (found,) = risen(situation(part, configured=["mbm_total_bytes counts nothing"]), history(*looks))
    assert found.against == (
        "The 3 looks before reach back 30 minutes only: it may do this every day.",
        "Only a part of what it had was known, now or then.",
        "The bandwidth events count something else than usual.",
        "Others may well have enough: the memory bandwidth is not known to be near its ceiling.",
    )


def test_in_a_cache_that_is_not_full_nobody_lacks_anything():
    (found,) = risen(situation(subject(held=500.0), held=600), history(*QUIET))
    assert found.against == ("Others may well have enough: the cache is not full.",)


def test_since_when_something_was_found_is_said_of_every_finding():
    hog = subject(held=900.0, moved=90_000.0)
    other = Subject("vm2", "v", {0: Holding(1.0, 0.0)}, {0: 4.0}, 1, 0)
    of = situation(hog, moved=90_000.0)._replace(subjects=[hog, other])
    (found,) = findings(of)
    assert (found.kind, found.since) == ("streams", None)
    looks = [look(hours, 90_000.0, 900.0, found={found.name} if hours < 3 else ()) for hours in (3, 2, 1)]
    (found,) = findings(of, history(*looks))
    assert found.since == NOW - 2 * HOUR
    assert by_domain([found]) == {"u": frozenset({found.name})}


# -- which looks count -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["another pid group", ""])
def test_who_was_started_anew_or_cannot_be_told_apart_has_no_history(identity):
    assert looks_of(history(*QUIET), subject(identity=identity), NOW) == ()


def test_neither_what_is_too_old_nor_what_is_yet_to_come_counts():
    looks = [look(AGE / HOUR + 1), look(AGE / HOUR - 1), look(-1)]
    assert looks_of(history(*looks), subject(), NOW) == (looks[1],)


def test_a_look_in_which_that_was_not_known_says_nothing_of_it():
    blind = Look(NOW - HOUR / 2)
    assert rise([*QUIET, blind], look(0, held=500.0), "held", "cache 0").since == NOW
    assert rise(QUIET, blind, "held", "cache 0") is None


def test_looks_that_do_not_follow_on_each_other_are_no_duration():
    looks = [look(3, found={"a"}), look(2), look(1, found={"a"})]
    assert since(looks, "a") == NOW - HOUR
    assert since([*looks, look(0.5)], "a") is None


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_look_is_kept_with_what_was_found():
    kept = grown({}, situation(subject(held=5.0, moved=7.0)), {"u": frozenset({"streams"})})
    assert kept == history(Look(NOW, {"package 0": 7.0}, {"cache 0": 5.0}, False, frozenset({"streams"})))


def test_what_is_too_near_to_the_last_look_is_not_kept():
    looks = history(look(1), look((APART - 1) / HOUR))
    assert grown(looks, situation(subject()), {}) == looks
    looks = history(look(1), look(APART / HOUR))
    assert len(grown(looks, situation(subject()), {})["u"].looks) == 3


def test_no_more_are_kept_than_so_many_and_the_newest_stay():
    looks = history(*(look(hours) for hours in range(MOST, 0, -1)))
    (kept,) = list(grown(looks, situation(subject()), {}).values())
    assert [one.at for one in kept.looks] == [NOW - hours * HOUR for hours in range(MOST - 1, -1, -1)]


def test_those_that_began_anew_begin_anew():
    (kept,) = grown(history(*QUIET), situation(subject(identity="another")), {}).values()
    assert (kept.identity, len(kept.looks)) == ("another", 1)
    assert grown(history(*QUIET), situation(subject(identity="")), {}) == {}


def test_who_is_not_seen_now_is_remembered_for_as_long_as_a_look_counts():
    """It may be one that only another source of domains knows."""
    unseen = {"v": History("pid group", QUIET)}
    assert grown({**history(*QUIET), **unseen}, situation(subject()), {})["v"] == unseen["v"]
    last = QUIET[-1].at
    for at, kept in ((last + AGE, True), (last + AGE + 1, False), (last - AGE, True), (last - AGE - 1, False)):
        assert ("v" in grown(unseen, situation(subject(), at=at), {})) is kept


def test_a_look_that_began_and_was_kept_while_this_one_lasted_stays():
    """This one lasts for an hour, so that many others fit in."""
    now = situation(subject(held=5.0))._replace(interval=HOUR)
    kept = grown(history(look(1), look(-0.5, held=7.0)), now, {})["u"].looks
    assert [(one.at, one.held["cache 0"]) for one in kept] == [(NOW - HOUR, 0), (NOW, 5.0), (NOW + HOUR / 2, 7.0)]


@pytest.mark.parametrize("apart", [-APART + 1, -1, 1, APART - 1])
def test_of_two_looks_that_are_near_to_each_other_one_is_kept_with_what_was_found_at_both(apart):
    other = look(apart / HOUR, held=7.0, found={"streams", "large"})
    now = situation(subject(held=5.0))._replace(interval=HOUR)
    kept = grown(history(other), now, {"u": frozenset({"streams", "victim"})})
    assert kept == history(other._replace(found=frozenset({"streams"})))


numbers = st.lists(st.floats(0, 1e9), max_size=8)


@given(numbers, st.floats(0, 1e9))
def test_a_rise_is_what_it_is_said_to_be(before, now):
    looks = [look(len(before) - place, held=number) for place, number in enumerate(before)]
    found = rise(looks, look(0, held=now), "held", "cache 0")
    every = [*before, now]
    if found is None:
        assert len(before) < LEAST or now == 0 or now < TIMES * max(before)
        return
    assert (found.now, found.before) == (now, max(every[: found.looks]))
    assert found.looks >= LEAST
    assert min(every[found.looks :]) >= TIMES * found.before
    assert found.since == [*(one.at for one in looks), NOW][found.looks]
