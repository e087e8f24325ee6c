# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a value of an event is read, and how values are added up: nothing is invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import Sum, Value, add, parse_value


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
        ("1.5\n", Value(None, "error")),
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
    assert add([Value(1), Value(None, "unavailable"), Value(None, "error"), Value(4)]) == Sum(
        Value(None, "unavailable"), 5
    )


def test_where_no_part_is_known_there_is_no_known_part():
    assert add([Value(None, "unavailable"), Value(None, "error")]) == Sum(Value(None, "unavailable"))


def test_a_sum_of_nothing_is_gone():
    assert add([]) == Sum(Value(None, "gone"))
