# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table for a reader: human units, nothing hidden, nothing cut that would become another number."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    EVENTS,
    L3,
    L3_EVENTS,
    PACKAGE,
    Place,
    Value,
    event_of,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.sampling import Statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.table import (
    SORTS,
    Row,
    human,
    rest_of,
    row_of,
    share_bar,
    sort_rows,
    sum_of,
    table,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.text import columns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain

VM3 = Domain("vm3", "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", True, 5)
OURS = group_for(VM3.uuid, ROOT)
ENABLED = DomainStatus(VM3, enabled=True, groups=(OURS,))
MIB = 1024**2
SIZES = {0: 32 * MIB, 1: 32 * MIB}


def value(given):
    """A value of a number or of a reason."""
    return Value(None, given) if isinstance(given, str) else Value(given)


def sampled(caches, seconds=1.0, reason=""):
    """What the domain's group showed: cache id -> occupancy, total, local."""
    values = {Place(L3, cache): dict(zip(EVENTS, map(value, three))) for cache, three in caches.items()}
    parts = {} if reason else {OURS: Part(values, "1")}
    return Sample(parts, dict.fromkeys(parts, "1"), L3_EVENTS, seconds, reason)


def of(caches, before=None, status=ENABLED):
    """The domain's statistics; with what was counted two seconds before."""
    return Statistics(status, sampled(caches, 3.0), sampled(before) if before else None)


# -- numbers and bars


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "-"),
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0K"),
        (180224, "176K"),
        (5 * MIB, "5.0M"),
        (999.7 * 1024, "1.0M"),
        (7 * 1024**5, "7.0P"),
    ],
)
def test_bytes_are_shown_in_human_units_of_1024(number, shown):
    assert human(number) == shown


@given(st.floats(0, 900 * 1024**5))
def test_a_number_takes_five_columns_at_most(number):
    assert len(human(number)) <= 5


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 100, "[        ]"),
        (50, 100, "[####    ]"),
        (100, 100, "[########]"),
        (130, 100, "[########]"),
        (None, 100, " " * 10),
        (5, None, " " * 10),
    ],
)
def test_a_share_is_a_bar(part, whole, shown):
    assert share_bar(part, whole) == shown


# -- rows


def test_a_row_has_the_sums_over_the_caches_and_the_rates():
    row = row_of(of({0: (10, 300, 30), 1: (20, 500, 50)}, before={0: (9, 100, 10), 1: (9, 100, 10)}))
    assert row == Row("vm3", "Enabled", 30, {0: 10, 1: 20}, total=300.0, local=30.0)


def test_before_the_second_look_there_are_no_rates_and_nothing_is_missing():
    assert row_of(of({0: (10, 300, 30)})) == Row("vm3", "Enabled", 10, {0: 10})


def test_of_a_sum_that_is_known_in_part_the_part_is_shown_and_marked():
    row = row_of(of({0: (10, 300, 30), 1: ("unavailable", 500, 50)}, before={0: (1, 100, 10), 1: (1, 100, 10)}))
    assert (row.cache, row.partial, row.note) == (10, frozenset({"cache"}), "unavailable")
    lines = table([row], None, SIZES).lines
    assert " ~10B " in lines[1]
    assert " 300B " in lines[1]
    assert lines[-1] == "~ incomplete: part of it is unknown"


def test_a_domain_that_nobody_monitors_lacks_nothing():
    row = row_of(Statistics(DomainStatus(VM3), sampled({}, reason="disabled")))
    assert row == Row("vm3", "Disabled", None, {})
    assert not any("~" in line for line in table([row], None, SIZES).lines)


@pytest.mark.parametrize(
    ("status", "shown", "note"),
    [
        (ENABLED._replace(uncounted=(2, 3)), "Enabled", "not counted: vCPU 2, 3"),
        (ENABLED._replace(forced_by="cachetune"), "cachetune", ""),
        (DomainStatus(VM3, starting=True), "Disabled", "starting"),
    ],
    ids=["after a hot-plug", "by libvirt", "starting"],
)
def test_status_and_note_say_how_a_domain_stands(status, shown, note):
    row = row_of(of({0: (10, 300, 30)}, status=status))
    assert (row.status, row.note) == (shown, note)


def test_below_the_domains_stand_their_sum_and_the_rest_of_the_host():
    rows = [Row("a", "Enabled", 10, {0: 10}, 5.0, 1.0), Row("b", "Enabled", 20, {0: 20}, 6.0, 2.0)]
    whole = of({0: (100, 60, 60)}, before={0: (0, 0, 0)})
    assert sum_of(rows) == Row("(sum)", "", 30, {0: 30}, 11.0, 3.0)
    assert rest_of(whole, rows) == Row("(the rest)", "", 70, {0: 70}, 19.0, 27.0)
    foot = table(rows, rest_of(whole, rows), SIZES).foot
    assert [line.split()[0] for line in foot] == ["(sum)", "(the"]


def test_what_was_measured_in_a_last_turn_is_in_no_sum_and_what_is_now_is():
    waits = Row("a", "Enabled", 10, {0: 10}, 5.0, 1.0, sampled=frozenset({"total"}), partial=frozenset({"total"}))
    old = Row("b", "waiting", 20, {0: 20}, 6.0, 2.0, sampled=frozenset({"cache", "total", "local"}))
    assert sum_of([waits, old]) == Row("(sum)", "", 10, {0: 10}, None, 1.0)
    rest = rest_of(of({0: (100, 60, 60)}, before={0: (0, 0, 0)}), [waits, old])
    assert (rest.cache, rest.caches, rest.total, rest.local) == (90, {0: 90}, 30.0, 29.0)
    first, second = (re.sub(" +", " ", line) for line in table([waits, old], None, SIZES, by="name").body)
    assert " 10B ^~5B 1B" in re.sub(r"\[.*?\] ", "", first)
    assert " ^20B ^6B ^2B" in re.sub(r"\[.*?\] ", "", second)
    assert table([waits], None, SIZES).lines[-1].startswith("^ measured in the domain's last turn")


def test_the_rest_is_never_less_than_nothing():
    """The host was read before the domain, which occupies more meanwhile."""
    rest = rest_of(of({0: (100, 10, 10)}), [Row("a", "Enabled", 120, {0: 120})])
    assert (rest.cache, rest.caches) == (0, {0: 0})


@pytest.mark.parametrize(("reason", "left"), [("unassigned", 1.0), ("unavailable", 1.0), ("error", None)])
def test_the_rest_is_known_if_what_lacks_in_everything_lacks_in_the_domains_too(reason, left):
    """Of a domain that is counted now, in a group that goes out of the sum of everything, it does not."""
    whole = of({0: (100, 20, 20), 1: (100, reason, 20)}, before={0: (100, 0, 0), 1: (100, 0, 0)})
    rest = rest_of(whole, [Row("a", "Enabled", 10, {0: 10}, 9.0, 2.0)])
    assert (rest.total, rest.local) == (left, 18.0)
    assert rest.partial == {"total"}


def test_where_a_part_of_a_domain_is_unknown_so_is_a_part_of_sum_and_rest():
    rows = [Row("a", "Enabled", 10, {0: 10}, partial=frozenset({"cache"}))]
    assert sum_of(rows).partial == rest_of(of({0: (100, 10, 10)}), rows).partial == {"cache"}


# -- watts, where there are


def with_energy(energy, before):
    """The statistics of a domain on a host with telemetry: joules now, and two seconds before."""
    there = (*L3_EVENTS, event_of("core_energy", PACKAGE))
    samples = [
        Sample({OURS: Part({Place(PACKAGE, 0): {"core_energy": value(joules)}}, "1")}, {OURS: "1"}, there, seconds)
        for joules, seconds in ((before, 1.0), (energy, 3.0))
    ]
    return Statistics(ENABLED, samples[1], samples[0])


def test_a_host_that_counts_energy_has_a_column_of_watts():
    rows = [row_of(with_energy(130.5, 100.0))]
    rest = rest_of(with_energy(1000.0, 800.0), rows)
    assert (rows[0].watts, sum_of(rows).watts, rest.watts) == (15.25, 15.25, 84.75)
    head, body, foot = table(rows, rest, SIZES)
    assert head.endswith("  WATTS")
    shown = [re.findall(r" [0-9]+\.[0-9]", line) for line in (body[0], *foot[:2])]
    assert shown == [[" 15.2"], [" 15.2"], [" 84.8"]]


def test_a_host_that_counts_none_has_no_such_column():
    lines = table([row_of(of({0: (10, 300, 30)}))], None, SIZES).lines
    assert not any("WATTS" in line for line in lines)


def test_watts_that_are_not_known_are_a_dash_and_come_last():
    unknown, known = row_of(with_energy("unavailable", 1.0)), row_of(with_energy(3.0, 1.0))._replace(name="z")
    assert [row.name for row in sort_rows([unknown, known], "watts")] == ["z", "vm3"]
    assert re.search(r" -  .*unavailable$", table([unknown], None, SIZES).body[0])


# -- order


def test_the_largest_comes_first_and_what_is_not_known_last():
    rows = [Row("a", "", None, {}), Row("b", "", 1, {}, 9.0), Row("c", "", 2, {}, 8.0, 0.0), Row("d", "", 0, {})]
    order = {by: "".join(row.name for row in sort_rows(rows, by)) for by in SORTS}
    assert order == {"name": "abcd", "cache": "cbda", "total": "bcad", "local": "cabd", "watts": "abcd"}


@pytest.mark.parametrize("by", SORTS)
def test_the_column_that_sorts_is_marked(by):
    head = table([Row("a", "Enabled", 1, {}, has_watts=True)], None, SIZES, by=by).head
    assert re.findall(r"\S+(?=\*)", head) == [SORTS[by]]


# -- the width of a window


def test_bars_are_left_out_before_anything_else():
    row = Row("vm3", "Enabled", 10, {0: 10, 1: 10}, 1.0, 1.0)
    assert [table([row], None, SIZES, width).head.count("L3") for width in (120, 68, 67, 57, 56)] == [2, 2, 1, 1, 0]


NAMES = st.text(st.characters(), min_size=1, max_size=40)
ROWS = st.builds(
    Row,
    NAMES,
    st.just("Enabled"),
    st.floats(0, 2**50),
    st.dictionaries(st.integers(0, 3), st.floats(0, 2**30)),
    st.none() | st.floats(0, 2**50),
    st.none() | st.floats(0, 2**50),
    st.just(frozenset({"total", "watts"})),
    NAMES,
    st.none() | st.floats(0, 2**20),
    st.booleans(),
    st.sets(st.sampled_from(["cache", "total", "local", "watts"])).map(frozenset),
)


@given(st.lists(ROWS, max_size=4), st.integers(0, 130))
def test_no_line_is_wider_than_the_window(rows, width):
    lines = table(rows, Row("(the rest)", "", 1, {0: 1}), SIZES, width).lines
    assert max(map(columns, lines)) <= width
    assert all(line.isprintable() for line in lines)


def test_a_number_is_shown_as_a_whole_or_not_at_all():
    row = Row("vm3", "Enabled", 123 * MIB, {}, 456.0 * MIB, 789.0 * MIB)
    shown = {
        tuple(re.findall(r"\d+\S*", table([row], None, {}, width).body[0].partition("vm3")[2])) for width in range(60)
    }
    assert shown == {(), ("123M",), ("123M", "456M"), ("123M", "456M", "789M")}


def test_columns_stay_in_line_under_wide_names():
    rows = [Row("仮想機械一号", "Enabled", 1, {}), Row("e\u0301", "Enabled", 1, {}), Row("x" * 40, "Enabled", 1, {})]
    lines = table(rows, None, {}).body
    assert {columns(line[: line.index("Enabled")]) for line in lines} == {25}


def test_every_form_of_every_row_is_one_line():
    for by, width in itertools.product(SORTS, (20, 80)):
        assert not any("\n" in line for line in table([Row("a\nb", "", 1, {}, note="c\nd")], None, {}, width, by).lines)
