# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a value of an event is read, and how values are added up: nothing is invented."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    PACKAGE,
    Event,
    Sum,
    Value,
    add,
    difference,
    event_of,
    parse_value,
    plain,
    told,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("180224\n", Value(180224)),
        ("0\n", Value(0)),
        ("18446744073709551615\n", Value(2**64 - 1)),
        ("Unavailable\n", Value(None, "unavailable")),
        ("Unassigned\n", Value(None, "unassigned")),
        ("Error\n", Value(None, "error")),
        ("", Value(None, "error")),
        ("-1\n", Value(None, "error")),
        ("1.5\n", Value(Decimal("1.5"))),
        ("12345.678901\n", Value(Decimal("12345.678901"))),
        ("0.000000\n", Value(Decimal(0))),
        ("1.5.5\n", Value(None, "error")),
        (".5\n", Value(None, "error")),
        ("5.\n", Value(None, "error")),
        ("-1.5\n", Value(None, "error")),
        ("1.5e3\n", Value(None, "error")),
        ("\u0664.5\n", Value(None, "error")),
        ("\u0664\n", Value(None, "error")),
    ],
)
def test_a_counter_is_a_number_or_the_reason_why_not(text, value):
    assert parse_value(text) == value


@given(st.text())
def test_any_text_is_a_value_or_a_reason(text):
    value = parse_value(text)
    assert (value.number is None) != (value.reason is None)


def test_a_sum_with_an_unknown_part_is_unknown_and_keeps_what_is_known():
    assert add([Value(1), Value(2)]) == Sum(Value(3))
    found = add([Value(1), Value(None, "reset"), Value(None, "error"), Value(4)])
    assert found == Sum(Value(None, "reset"), 5)
    assert (found.number, add([Value(7)]).number) == (5, 7)


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (["unavailable", "error"], "error"),
        (["unassigned", "reset"], "reset"),
        (["unavailable", "unassigned"], "unassigned"),
        (["unavailable", "unavailable"], "unavailable"),
    ],
)
def test_what_the_hardware_counts_nowhere_is_the_reason_only_where_there_is_no_other(reasons, said):
    assert add([Value(None, reason) for reason in reasons]) == Sum(Value(None, said))


def test_where_no_part_is_known_there_is_no_known_part():
    found = add([Value(None, "error"), Value(None, "gone")])
    assert (found, found.number) == (Sum(Value(None, "error")), None)


def test_a_sum_of_nothing_is_gone():
    assert add([]) == Sum(Value(None, "gone"))


@given(st.integers(0, 2**64), st.integers(0, 999_999))
def test_a_decimal_is_exactly_what_the_kernel_printed(whole, fraction):
    text = f"{whole}.{fraction:06d}"
    number = parse_value(f"{text}\n").number
    assert f"{number:f}" == text


@given(st.integers(0, 10**9 - 1), st.integers(0, 999_999))
def test_six_decimals_go_through_json_unchanged(whole, fraction):
    """Up to a thousand million joules, which a core does not use in its life: a float has 15 decimal digits."""
    text = f"{whole}.{fraction:06d}"
    assert f"{json.loads(json.dumps(plain(parse_value(text).number))):.6f}" == text


@given(st.integers(0, 2**64))
def test_an_integer_stays_one(number):
    assert parse_value(f"{number}\n").number == plain(number) == number
    assert isinstance(plain(parse_value(f"{number}\n").number), int)


def test_a_difference_is_exact_however_large_the_numbers():
    assert difference(2**63 + 3, 2**63) == 3
    assert difference(Decimal("70368744177664.000001"), Decimal("70368744177663.999999")) == 2e-06


def test_of_an_event_that_is_not_in_the_table_only_its_name_is_known():
    assert event_of("new_event", PACKAGE) == Event("new_event", PACKAGE, None, None)
    assert event_of("core_energy", PACKAGE).unit == "joules"
    assert event_of("core_energy", "L3").unit is None


def test_caches_have_all_of_their_values_and_packages_those_that_there_are():
    names = [event.name for event in told([event_of("core_energy", PACKAGE)])]
    assert names == ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes", "core_energy"]
