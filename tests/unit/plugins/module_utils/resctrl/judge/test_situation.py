# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has what, out of two samples."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.situation import (
    Holding,
    everything,
    holdings,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    L3,
    L3_EVENTS,
    Place,
    Value,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group

LIBVIRT = Group("qemu-1-vm2")


def look(seconds, root, libvirts, generation="1"):
    """A sample of the whole host on one cache: the total of the root, and that of a CTRL_MON group."""
    parts = {
        group: Part({Place(L3, 0): dict(zip((event.name for event in L3_EVENTS), (Value(9), total, Value(0))))}, name)
        for group, total, name in ((ROOT, root, generation), (LIBVIRT, libvirts, "2"))
    }
    return Sample(parts, {}, L3_EVENTS, seconds)


@pytest.mark.parametrize(
    ("second", "all_of_it", "part"),
    [
        pytest.param(look(4.0, Value(40), Value(80)), 30.0, 30.0, id="all of it is known"),
        pytest.param(look(4.0, Value(40), Value(None, "unassigned")), None, 10.0, id="one has no counter"),
        pytest.param(look(4.0, Value(40), Value(80), "7"), None, 20.0, id="the root's lacks what one had counted"),
        pytest.param(look(4.0, Value(40), Value(None, "unavailable")), 10.0, 10.0, id="one never ran there"),
    ],
)
def test_a_part_of_a_domains_bandwidth_is_judged_and_of_everything_only_the_whole(second, all_of_it, part):
    """A share of what is less than the whole is too large."""
    first = look(0.0, Value(0), Value(0))
    partial = frozenset() if part == 30.0 else frozenset({"bandwidth"})
    assert holdings(first, second) == {0: Holding(18, part, partial)}
    assert everything(first, second) == {0: Holding(18, all_of_it, partial)}


@pytest.mark.parametrize(
    ("reason", "all_of_it"), [("error", None), ("unavailable", 9)], ids=["it cannot be read", "nothing ran there"]
)
def test_how_full_a_cache_is_is_not_told_by_a_part(reason, all_of_it):
    second = look(4.0, Value(40), Value(80))
    parts = {**second.parts}
    values = {**parts[LIBVIRT].places[Place(L3, 0)], "llc_occupancy": Value(None, reason)}
    parts[LIBVIRT] = parts[LIBVIRT]._replace(places={Place(L3, 0): values})
    second = second._replace(parts=parts)
    assert holdings(look(0.0, Value(0), Value(0)), second)[0].held == 9
    assert everything(look(0.0, Value(0), Value(0)), second)[0].held == all_of_it
