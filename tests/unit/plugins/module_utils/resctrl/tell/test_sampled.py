# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured in the last turn of a domain: as data, as a line of the table, and as metrics. Each tells when."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Turn, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.windows import Measured, Notes, Turned
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    L3,
    L3_EVENTS,
    OCCUPANCY,
    PACKAGE,
    Place,
    Value,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.sampling import Statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.exposition import exposition
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.sampled import describe_sampled, window
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.sampled_rows import row_of_turn
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.turn_metrics import (
    points_of_turn,
    points_of_turns,
)
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3

OURS = group_for(VM3.uuid, ROOT)
SETTINGS = Turns(window=60, warm_up=10)
TOTAL = "mbm_total_bytes"
ON_0, ON_1 = Place(L3, 0), Place(L3, 1)
# It was measured for a minute, which ended 90 seconds ago, and had been before that 60 seconds earlier
WHEN = (40.0, 100.0, 160.0)
NOW, WALL = 250.0, 1_700_000_000.0
BOTH = {
    (OCCUPANCY, ON_0): Measured(*WHEN, 4096.0),
    (OCCUPANCY, ON_1): Measured(*WHEN, 100.0),
    (TOTAL, ON_0): Measured(*WHEN, 3.5),
    (TOTAL, ON_1): Measured(*WHEN, 1.0),
}


WAITS = Turn(None, 160.0)


def turned(measured=None, group=WAITS, **more):
    return Turned(Notes(group, measured=BOTH if measured is None else measured, **more), SETTINGS, NOW)


# -- as data -----------------------------------------------------------------------------------------------------------


def test_what_was_measured_is_told_with_when_for_how_long_how_long_ago_and_how_much_of_the_time_that_was():
    assert describe_sampled(turned(), WALL) == {
        # 150 seconds before
        "from": "2023-11-14T22:10:50Z",
        "seconds": 60.0,
        "age": 90.0,
        "coverage": 0.5,
        "cmt": 4196,
        "llc_occupancy": 4196,
        "mbm_total_bytes_per_second": 4.5,
        "partial": {},
        "caches": [
            {"id": 0, "llc_occupancy": 4096, "mbm_total_bytes_per_second": 3.5},
            {"id": 1, "llc_occupancy": 100, "mbm_total_bytes_per_second": 1.0},
        ],
        "packages": [],
    }


def test_of_a_domain_that_has_had_no_turn_yet_nothing_is_told():
    assert describe_sampled(turned({}), WALL) is None


def test_a_sum_of_which_a_part_was_not_measured_is_null_and_the_part_is_said_to_be_one():
    described = describe_sampled(turned({key: one for key, one in BOTH.items() if key != (TOTAL, ON_1)}), WALL)
    assert described["mbm_total_bytes_per_second"] is None
    assert described["partial"] == {"mbm_total_bytes_per_second": 3.5}
    assert described["llc_occupancy"] == 4196


def test_where_parts_were_measured_at_different_times_none_is_said_to_be_newer_than_it_is():
    found = window(turned({**BOTH, (TOTAL, ON_1): Measured(0.0, 10.0, 20.0, 1.0)}))
    assert found == {"seconds": 150.0, "age": 230.0, "coverage": 0.5}


def test_packages_are_told_beside_caches_and_details_can_be_left_out():
    package = Place(PACKAGE, 1)
    described = describe_sampled(turned({("core_energy", package): Measured(*WHEN, 12.5)}), WALL)
    assert described["core_energy_per_second"] == 12.5
    assert described["packages"] == [{"id": 1, "core_energy_per_second": 12.5}]
    assert described["cmt"] is None
    assert not {"caches", "packages"} & describe_sampled(turned(), WALL, details=False).keys()


# -- in the table ------------------------------------------------------------------------------------------------------


def row(how, **shown):
    """The line of a domain. `shown`: what its group shows now on each cache, by event; it has none if nothing is."""
    status = DomainStatus(VM3, enabled=bool(shown), groups=(OURS,) if shown else ())
    values = {event: Value(None, one) if isinstance(one, str) else Value(one) for event, one in shown.items()}
    looks = [
        Sample({OURS: Part({ON_0: values, ON_1: values}, "1")} if shown else {}, {}, L3_EVENTS, seconds, reason)
        for seconds, reason in ((1.0, "" if shown else "waiting"), (2.0, "" if shown else "waiting"))
    ]
    return row_of_turn(Statistics(status, looks[1], looks[0]), how)


def test_the_line_of_one_that_waits_shows_what_was_measured_and_when():
    found = row(turned())
    assert (found.name, found.status, found.sampled) == ("vm3", "waiting", {"cache", "total"})
    assert (found.cache, found.total, found.local) == (4196, 4.5, None)
    assert found.caches == {0: 4096.0, 1: 100.0}
    assert found.note == "measured 90 s ago, for 60 s"


def test_the_line_of_one_that_waits_for_a_counter_only_has_what_is_now_and_beside_it_what_was_measured():
    bandwidth = {key: one for key, one in BOTH.items() if key[0] == TOTAL}
    waits = turned(bandwidth, group=None, counters={0: WAITS, 1: WAITS})
    found = row(waits, llc_occupancy=7, mbm_total_bytes="unassigned", mbm_local_bytes="unassigned")
    assert (found.status, found.sampled, found.caches) == ("Enabled", {"total"}, {0: 7, 1: 7})
    assert (found.cache, found.total, found.local) == (14, 4.5, None)
    assert found.partial == {"local"}
    assert found.note == "unassigned; measured 90 s ago, for 60 s"


def test_what_is_counted_now_is_not_replaced_by_what_was_measured():
    found = row(turned(group=Turn(100.0)), llc_occupancy=7, mbm_total_bytes=5, mbm_local_bytes=5)
    assert (found.sampled, found.cache, found.total, found.note) == (frozenset(), 14, 0.0, "")


def test_a_long_time_ago_is_told_in_minutes():
    assert row(turned()._replace(now=160.0 + 600)).note == "measured 10 min ago, for 60 s"


def test_one_that_has_had_no_turn_has_no_number():
    found = row(turned({}))
    assert (found.cache, found.total, found.local, found.caches) == (None, None, None, {})
    assert found.note == "waiting for its first turn"


def test_a_part_is_shown_as_a_part():
    found = row(turned({key: one for key, one in BOTH.items() if key != (TOTAL, ON_1)}))
    assert (found.cache, found.total, found.partial) == (4196, 3.5, frozenset({"total"}))
    assert row(turned()).partial == frozenset()


# -- as metrics --------------------------------------------------------------------------------------------------------


def lines(points):
    return [line for line in exposition(points).splitlines() if not line.startswith("#")]


def test_what_was_measured_is_told_as_gauges_with_the_time_at_which_the_turn_ended():
    told = lines(points_of_turn({"domain": "vm1"}, turned(), WALL))
    assert sorted(told) == sorted(
        [
            'libvirt_domain_llc_occupancy_sampled_bytes{domain="vm1",cache_id="0"} 4096',
            'libvirt_domain_llc_occupancy_sampled_bytes{domain="vm1",cache_id="1"} 100',
            'libvirt_domain_memory_bandwidth_sampled_bytes_per_second{domain="vm1",cache_id="0",scope="total"} 3.5',
            'libvirt_domain_memory_bandwidth_sampled_bytes_per_second{domain="vm1",cache_id="1",scope="total"} 1.0',
            f'libvirt_domain_sampled_timestamp_seconds{{domain="vm1"}} {WALL - 90}',
            'libvirt_domain_sampled_window_seconds{domain="vm1"} 60.0',
            'libvirt_domain_sampled_coverage_ratio{domain="vm1"} 0.5',
            f'libvirt_domain_turn_ended_timestamp_seconds{{domain="vm1"}} {WALL - 90}',
        ]
    )


def test_no_metric_of_turns_is_a_counter():
    text = exposition([*points_of_turn({"domain": "vm1"}, turned(), WALL), *points_of_turns([turned()])])
    assert "counter" not in [line.split()[-1] for line in text.splitlines() if line.startswith("# TYPE")]


def test_before_the_first_turn_it_is_told_since_when_a_domain_waits():
    (line,) = lines(points_of_turn({}, turned({}, Turn(None, 200.0)), WALL))
    assert line == f"libvirt_domain_turn_ended_timestamp_seconds {WALL - 50}"


def test_energy_is_told_as_power_and_any_other_event_by_its_name():
    package = Place(PACKAGE, 0)
    every = {("core_energy", package): Measured(*WHEN, 12.5), ("uops_retired", package): Measured(*WHEN, 2.0)}
    told = lines(points_of_turn({}, turned(every), WALL))
    assert 'libvirt_domain_core_energy_sampled_watts{package="0"} 12.5' in told
    assert 'libvirt_domain_uops_retired_sampled_per_second{package="0"} 2.0' in told


def has_turn(counted):
    return turned(group=Turn(100.0 if counted else None, 0.0))


@pytest.mark.parametrize(("counted", "domains", "seconds"), [(1, 3, 180), (2, 3, 120), (8, 20, 180), (3, 3, 60)])
def test_a_round_is_as_many_windows_as_each_has_to_wait_for_its_turn_to_come_again(counted, domains, seconds):
    told = lines(points_of_turns([has_turn(number < counted) for number in range(domains)]))
    assert told == [
        "resctrl_turns_window_seconds 60",
        f'resctrl_turns_domains{{of="groups"}} {domains}',
        'resctrl_turns_domains{of="counters"} 0',
        f"resctrl_turns_round_seconds {seconds}",
    ]


def test_where_nobody_has_a_turn_now_it_cannot_be_told_how_long_a_round_takes():
    assert not [line for line in lines(points_of_turns([has_turn(False)])) if "round" in line]


def test_the_round_of_counters_is_that_of_the_cache_that_has_the_fewest():
    every = [
        turned(group=None, counters={0: Turn(1.0), 1: Turn(1.0)}),
        turned(group=None, counters={0: Turn(None), 1: Turn(1.0)}),
    ]
    assert "resctrl_turns_round_seconds 120" in lines(points_of_turns(every))


def test_where_nobody_takes_turns_nothing_is_told_of_them():
    assert lines(points_of_turns([])) == []
