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
    parse_assignments,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import EVENTS
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import Group


def test_what_is_gone_is_no_error(tmp_path):
    assert assignments(Resctrl(str(tmp_path)), Group("", "m")) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("mbm_total_bytes:0=e;1=_\nmbm_local_bytes:0=_;1=_\n", {"mbm_total_bytes": {0}, "mbm_local_bytes": set()}),
        ("mbm_total_bytes:\n", {"mbm_total_bytes": set()}),
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
