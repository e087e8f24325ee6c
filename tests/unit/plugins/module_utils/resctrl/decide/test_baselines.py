# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of a domain's counters grows, or begins anew: a reader never sees more than was moved."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.baselines import (
    Baseline,
    Reading,
    carry_on,
    is_worth_keeping,
    total,
)


def readings(**groups):
    """Group -> reading, from `a=(value, generation)`."""
    return {name: Reading(Decimal(value), str(generation)) for name, (value, generation) in groups.items()}


def series(*looks, begins_at_zero=True):
    """What is told after each look."""
    told, baselines = [], {}
    for look in looks:
        baselines = carry_on(baselines, readings(**look), begins_at_zero)
        told.append(total(baselines))
    return told


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        pytest.param([{"a": (5, 1)}, {"a": (9, 1)}], [5, 9], id="one group is told as it is"),
        pytest.param([{"a": (5, 1)}, {"a": (2, 2)}], [5, 2], id="made anew it begins at 0"),
        pytest.param([{"a": (5, 1)}, {"a": (2, 1)}], [5, 2], id="so does one that the kernel has reset"),
        pytest.param([{"a": (5, 1), "b": (7, 1)}, {"a": (6, 1), "b": (8, 1)}], [12, 14], id="two are added up"),
        pytest.param([{"a": (5, 1)}, {"a": (6, 1), "b": (2, 1)}], [5, 8], id="a second one is added"),
        pytest.param(
            [{"a": (50, 1), "b": (70, 1)}, {"a": (51, 1), "b": (2, 2)}, {"a": (53, 1), "b": (3, 2)}],
            [120, 2, 5],
            id="where one of two is made anew both begin anew",
        ),
        pytest.param(
            [{"a": (50, 1), "b": (70, 1)}, {"a": (51, 1)}, {"a": (53, 1)}], [120, 0, 2], id="where one goes so too"
        ),
        pytest.param([{"a": (50, 1)}, {}, {"a": (51, 1)}], [50, 0, 51], id="one that comes back is new"),
    ],
)
def test_a_counter_that_begins_at_zero(looks, told):
    assert series(*looks) == told


def test_telemetry_begins_at_what_the_former_owner_of_the_rmid_had():
    looks = [{"a": ("1000.5", 1)}, {"a": ("1002.75", 1)}, {"a": ("5000.0", 2)}, {"a": ("5000.25", 2)}]
    assert series(*looks, begins_at_zero=False) == [0, Decimal("2.25"), 0, Decimal("0.25")]


@st.composite
def lives(draw, events):
    """Looks at two groups to which such things happen between the looks, and how much was moved meanwhile."""
    looks, moved, values, generation = [], [], {}, 0
    for _look in range(draw(st.integers(2, 8))):
        amount = 0
        for name in ("a", "b"):
            event = draw(st.sampled_from(events))
            if event == "is gone":
                values.pop(name, None)
                continue
            if event == "is made anew" or name not in values:
                generation += 1
                values[name] = (0, generation)
            step = draw(st.integers(0, 100))
            values[name] = (values[name][0] + step, values[name][1])
            amount += step
        looks.append(dict(values))
        moved.append(amount)
    return looks, moved


@given(lives(["moves data", "moves data", "is made anew", "is gone"]))
def test_a_reader_of_the_sum_never_sees_more_than_was_moved(life):
    looks, moved = life
    told = series(*looks)
    for before, now, amount in zip(told, told[1:], moved[1:]):
        assert (now - before if now >= before else now) <= amount


@given(lives(["moves data"]))
def test_where_nothing_happens_to_a_group_nothing_is_lost(life):
    looks, moved = life
    assert series(*looks)[-1] == sum(moved)


A, B, C = (frozenset(names) for names in ("a", "ab", "abc"))


@pytest.mark.parametrize(
    ("looks", "begins_at_zero", "totals"),
    [
        pytest.param([(150, B), (75, A)], True, [150, 0], id="what a group that went had counted is not told again"),
        pytest.param([(100, B), (120, A)], True, [100, 0], id="though the rest has counted more than it had"),
        pytest.param([(100, B), (120, A), (130, A)], True, [100, 0, 10], id="and from there it goes on"),
        pytest.param([(100, A), (120, B)], True, [100, 120], id="a group that comes begins at 0"),
        pytest.param([(100, B), (20, B)], True, [100, 20], id="a counter that the kernel has reset began at 0"),
        pytest.param([(100, A), (5000, B)], False, [0, 0], id="a group that comes may bring what another had"),
        pytest.param([(100, B), (5000, A | {"c"})], False, [0, 0], id="also in place of another"),
        pytest.param([(100, C), (130, C)], False, [0, 30], id="the same groups go on"),
    ],
)
def test_a_sum_of_groups_is_a_counter_as_long_as_none_leaves_it(looks, begins_at_zero, totals):
    baselines, found = {}, []
    for value, summed in looks:
        baselines = carry_on(baselines, {"ctrl": Reading(Decimal(value), "1", summed)}, begins_at_zero)
        found.append(total(baselines))
        assert is_worth_keeping(baselines)
    assert found == totals


def test_only_what_the_next_look_needs_is_kept():
    one = Baseline("1", Decimal(0), Decimal(5))
    assert not is_worth_keeping({"a": one})
    assert is_worth_keeping({"a": one, "b": one})
    assert is_worth_keeping({"a": one._replace(start=Decimal(5))})
