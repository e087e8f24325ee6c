# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bandwidth counters a group has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.assignments import (
    assignments,
    counters_in,
    counters_of,
    parse_assignments,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    EVENTS,
    L3,
    PACKAGE,
    Place,
    Value,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import Group


def test_what_is_gone_is_no_error(tmp_path):
    assert assignments(Resctrl(str(tmp_path)), Group("", "m")) == {}
    assert counters_of(Resctrl(str(tmp_path)), Group("", "m")) == frozenset()


def test_a_monitoring_group_tells_by_its_values_what_its_file_tells(tmp_path):
    group = Group("", "m")
    (tmp_path / group.path).mkdir(parents=True)
    (tmp_path / group.path / "mbm_L3_assignments").write_text("mbm_total_bytes:0=e;1=_\nmbm_local_bytes:0=_;1=e\n")
    unassigned, occupancy = Value(None, "unassigned"), {"llc_occupancy": Value(1)}
    values = {
        Place(L3, 0): {**occupancy, "mbm_total_bytes": Value(5), "mbm_local_bytes": unassigned},
        Place(L3, 1): {**occupancy, "mbm_total_bytes": unassigned, "mbm_local_bytes": Value(None, "unavailable")},
        Place(PACKAGE, 0): {"core_energy": Value(7)},
    }
    assert counters_in(values) == {("mbm_total_bytes", 0), ("mbm_local_bytes", 1)}
    assert counters_of(Resctrl(str(tmp_path)), group) == counters_in(values)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("mbm_total_bytes:0=e;1=_\nmbm_local_bytes:0=_;1=_\n", {"mbm_total_bytes": {0}, "mbm_local_bytes": set()}),
        ("mbm_total_bytes:\n", {"mbm_total_bytes": set()}),
        ("mbm_total_bytes:0=e;all;x=e;1=e\nnothing\n", {"mbm_total_bytes": {0, 1}, "nothing": set()}),
    ],
)
def test_assignments(text, found):
    assert parse_assignments(text) == found


@given(st.dictionaries(st.sampled_from(EVENTS), st.dictionaries(st.integers(0, 1024), st.booleans())))
def test_any_assignments(wanted):
    lines = [
        f"{event}:" + ";".join(f"{cache}={'e' if on else '_'}" for cache, on in caches.items())
        for event, caches in wanted.items()
    ]
    assert parse_assignments("".join(f"{line}\n" for line in lines)) == {
        event: {cache for cache, on in caches.items() if on} for event, caches in wanted.items()
    }
