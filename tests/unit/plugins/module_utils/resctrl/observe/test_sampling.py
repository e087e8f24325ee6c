# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From counters to values: nothing twice, nothing invented."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.counters import EVENTS, Value
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domains import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.filesystem import ROOT, Group, Resctrl, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.sampling import (
    Sample,
    add,
    outermost,
    rate,
    sample,
    statistics,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.snapshot import DomainStatus

VM3 = Domain("vm3", "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", True)
OURS = group_for(VM3.uuid, ROOT)
LIBVIRT = Group("qemu-1-vm2-vcpus_0-1")


def test_a_sum_with_an_unknown_part_is_unknown():
    assert add([Value(1), Value(2)]) == Value(3)
    assert add([Value(1), Value(None, "unavailable"), Value(None, "error")]) == Value(None, "unavailable")
    assert add([]) == Value(None, "gone")


def test_a_control_group_counts_its_monitors_already():
    nested, elsewhere = Group(LIBVIRT.ctrl, "m"), Group("COS1", OURS.mon)
    assert outermost([LIBVIRT, nested, OURS, elsewhere]) == [OURS, elsewhere, LIBVIRT]


@pytest.fixture(name="tree")
def tree_fixture(tmp_path):
    """Writes counters: tree({group: {cache: (occupancy, total, local)}})."""

    def write(groups, features=EVENTS):
        (tmp_path / "info/L3_MON").mkdir(parents=True, exist_ok=True)
        (tmp_path / "info/L3_MON/mon_features").write_text("".join(f"{name}\n" for name in features))
        for group, caches in groups.items():
            for (cache, values), extra in itertools.product(caches.items(), ("", "mon_sub_L3_00")):
                directory = tmp_path / group.path / f"mon_data/mon_L3_{cache:02}" / extra
                directory.mkdir(parents=True, exist_ok=True)
                for event, value in zip(EVENTS, values):
                    (directory / event).write_text(f"{value}\n")
        return Resctrl(str(tmp_path))

    return write


def test_values_are_summed_over_caches_and_groups(tree):
    nested = Group(LIBVIRT.ctrl, "qemu-1-vm2-vcpus_0")
    resctrl = tree({OURS: {8: (10, 100, 1), 9: (20, 200, 2)}, LIBVIRT: {8: (40, 400, 4)}, nested: {8: (7, 7, 7)}})
    values = sample(resctrl, [OURS, LIBVIRT, nested], EVENTS)
    assert {event: value.number for event, value in values.totals.items()} == dict(zip(EVENTS, (70, 700, 7)))
    assert {cache: one["llc_occupancy"].number for cache, one in values.caches.items()} == {8: 50, 9: 20}


def test_one_unknown_value_hides_no_other(tree):
    resctrl = tree({OURS: {0: (10, "Unavailable", 1), 1: ("Error", 200, 2)}})
    values = sample(resctrl, [OURS], EVENTS)
    assert values.totals == dict(zip(EVENTS, (Value(None, "error"), Value(None, "unavailable"), Value(3))))
    assert values.caches[1] == dict(zip(EVENTS, (Value(None, "error"), Value(200), Value(2))))


def test_what_the_hardware_does_not_count_is_unsupported(tree):
    resctrl = tree({OURS: {0: (10, 0, 0)}}, features=["llc_occupancy"])
    values = sample(resctrl, [OURS], resctrl.features())
    assert values.totals == dict(zip(EVENTS, (Value(10), *[Value(None, "unsupported")] * 2)))


def test_a_group_that_vanished_makes_the_sum_unknown(tree):
    resctrl = tree({OURS: {0: (10, 100, 1)}})
    values = sample(resctrl, [OURS, LIBVIRT], EVENTS)
    assert values.totals["llc_occupancy"] == Value(None, "gone")
    assert values.caches[0]["llc_occupancy"] == Value(10)


@pytest.mark.parametrize(
    ("status", "features", "reason"),
    [
        (DomainStatus(VM3), EVENTS, "disabled"),
        (DomainStatus(VM3), (), "unsupported"),
        (DomainStatus(Domain("vm1", VM3.uuid, False)), (), "disabled"),
        (DomainStatus(VM3, True, "cachetune"), EVENTS, "gone"),
    ],
)
def test_without_a_group_there_is_a_reason(tree, status, features, reason):
    (one,) = statistics(tree({}, features), [status], None)
    assert {value.reason for value in one.sample.totals.values()} == {reason}
    assert one.rates is None


def taken(total, seconds, generation=1, caches=(0,)):
    values = dict.fromkeys(EVENTS, Value(total))
    return Sample(dict.fromkeys(caches, values), values, {OURS: generation}, seconds)


def test_a_rate_is_bytes_per_second_between_two_samples():
    assert rate("mbm_total_bytes", taken(1000, 5.0), taken(4000, 7.0)) == 1500


@pytest.mark.parametrize(
    "second",
    [
        taken(None, 7.0),
        taken(900, 7.0),  # the kernel reset the counter
        taken(4000, 7.0, generation=2),  # the group was made anew
        taken(4000, 7.0, caches=(0, 1)),  # a cache came online
        taken(4000, 5.0),
    ],
)
def test_there_is_no_rate_where_it_would_be_invented(second):
    assert rate("mbm_total_bytes", taken(1000, 5.0), second) is None


def test_an_interval_gives_rates(tree):
    status = DomainStatus(VM3, True, None, (OURS,))
    (one,) = statistics(tree({OURS: {0: (10, 100, 1)}}), [status], 0.01)
    assert one.rates["seconds"] >= 0.01
    assert one.rates["mbm_total_bytes_per_second"] == 0
