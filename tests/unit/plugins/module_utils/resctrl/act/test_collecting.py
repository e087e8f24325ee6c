# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of counters between the looks of a collector."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.collecting import _follow_all
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import L3, L3_EVENTS, Place, Value
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.sampling import Statistics
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3

OURS, THEIRS = group_for(VM3.uuid, ROOT), Group("", "libvirt-monitor")


@pytest.fixture(name="look")
def look_fixture(tmp_path):
    """A look at a domain with these totals in its groups; what its counter has come to. Without any it is not seen."""

    def run(totals, groups=(OURS, THEIRS)):
        values = {
            group: {Place(L3, 0): {one.name: Value(total) for one in L3_EVENTS}} for group, total in totals.items()
        }
        parts = {group: Part(places, f"generation of {group.path}") for group, places in values.items()}
        seen = [Statistics(DomainStatus(VM3, True), Sample(parts, {}, L3_EVENTS, 0.0))] if totals else []
        counters, warnings = _follow_all(seen, groups, str(tmp_path))
        assert warnings == []
        return {int(number) for (event, _place), number in counters.get(VM3.uuid, {}).items() if "total" in event}

    return run


def test_a_domain_that_one_look_did_not_see_goes_on_from_where_it_was(look):
    """Such as one by another source of domains."""
    assert look({THEIRS: 100, OURS: 900}) == {1000}
    assert look({THEIRS: 110}) == {0}
    assert look({}) == set()
    assert look({THEIRS: 130}) == {20}


def test_what_is_noted_of_a_domain_goes_with_its_groups(look):
    assert look({OURS: 900}) == {900}
    assert look({}, groups=()) == set()
    # Which is as the first look at all
    assert look({OURS: 1000}) == {1000}
