# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel counts: numbers, words, and directories that come and go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.counters import (
    Value,
    assign_mode,
    cache_directories,
    generation,
    parse_counter,
    read_counter,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.filesystem import Group, Resctrl


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
    assert parse_counter(text) == value


@given(st.text())
def test_any_text_is_a_value_or_a_reason(text):
    value = parse_counter(text)
    assert (value.number is None) != (value.reason is None)


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["mon_L3_00", "mon_L3_01"], [0, 1]),
        (["mon_L3_08", "mon_L3_09", "mon_L3_10"], [8, 9, 10]),
        (["mon_L3_112", "mon_PERF_PKG_00", "mon_L2_03"], [112]),
    ],
)
def test_cache_ids_are_decimal_and_of_the_l3(tmp_path, names, ids):
    for name in names:
        (tmp_path / "mon_data" / name).mkdir(parents=True)
    assert list(cache_directories(Resctrl(str(tmp_path)))) == ids


@pytest.mark.parametrize(
    ("text", "mode"),
    [("[default]\n", "default"), ("[mbm_event]\ndefault\n", "mbm_event"), ("default\n", None)],
)
def test_the_assign_mode_is_the_one_in_brackets(tmp_path, text, mode):
    (tmp_path / "info/L3_MON").mkdir(parents=True)
    (tmp_path / "info/L3_MON/mbm_assign_mode").write_text(text)
    assert assign_mode(Resctrl(str(tmp_path))) == mode


def test_what_is_gone_is_no_error(tmp_path):
    nothing, group = Resctrl(str(tmp_path)), Group("", "m")
    assert cache_directories(nothing, group) == {}
    assert generation(nothing, group) is None
    assert assign_mode(nothing) is None
    assert read_counter(str(tmp_path), "llc_occupancy") == Value(None, "gone")


def test_a_group_made_anew_has_another_generation(tmp_path):
    resctrl, path = Resctrl(str(tmp_path)), tmp_path / "mon_groups" / "m"
    path.mkdir(parents=True)
    first = generation(resctrl, Group("", "m"))
    path.rename(tmp_path / "old")
    path.mkdir()
    assert first is not None
    assert generation(resctrl, Group("", "m")) != first
