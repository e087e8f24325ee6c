# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was counted for a domain, as plain data: a value, or null with a reason and perhaps the part that is known."""

from __future__ import annotations

import json
from decimal import Decimal

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    EVENTS,
    L3,
    L3_EVENTS,
    PACKAGE,
    Place,
    Value,
    event_of,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.sampling import Statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.statistics import describe_statistics
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3

RESCTRL = Resctrl("/sys/fs/resctrl")
OURS = group_for(VM3.uuid, ROOT)
STATUS = DomainStatus(VM3, True, None, (OURS,), {OURS: (0, 1)})


def taken(totals, seconds):
    """A sample with an occupancy of 10 on each cache, these totals, and no local bandwidth."""
    values = {
        Place(L3, cache): dict(zip(EVENTS, (Value(10), total, Value(None, "unsupported"))))
        for cache, total in enumerate(totals)
    }
    return Sample({OURS: Part(values, "1-10")}, {OURS: "1-10"}, L3_EVENTS[:2], seconds)


def describe(one, details=True):
    return describe_statistics(one, RESCTRL, Snapshot(), details)


FIRST = taken([Value(1000), Value(None, "unavailable")], 5.0)
SECOND = taken([Value(4000), Value(None, "unavailable")], 7.0)


def test_a_sum_of_which_a_part_is_unknown_is_null_with_its_reason_and_its_known_part():
    described = describe(Statistics(STATUS, SECOND))
    assert described["llc_occupancy"] == described["cmt"] == 20
    assert described["mbm_total_bytes"] is None
    assert described["reason"] == "unavailable"
    assert described["reasons"] == {"mbm_total_bytes": "unavailable", "mbm_local_bytes": "unsupported"}
    assert described["partial"] == {"mbm_total_bytes": 4000}
    assert described["rates"] is None


def test_each_cache_has_its_own_values_and_reasons():
    first, second = describe(Statistics(STATUS, SECOND))["caches"]
    assert (first["id"], first["mbm_total_bytes"], first["reasons"]) == (0, 4000, {"mbm_local_bytes": "unsupported"})
    assert (second["id"], second["mbm_total_bytes"]) == (1, None)
    assert second["reasons"]["mbm_total_bytes"] == "unavailable"


def test_a_rate_is_null_in_all_and_known_for_the_cache_that_counted():
    rates = describe(Statistics(STATUS, SECOND, FIRST))["rates"]
    assert rates["seconds"] == 2.0
    assert rates["mbm_total_bytes_per_second"] is None
    assert rates["reasons"]["mbm_total_bytes_per_second"] == "unavailable"
    assert rates["partial"] == {"mbm_total_bytes_per_second": 1500}
    assert [one["mbm_total_bytes_per_second"] for one in rates["caches"]] == [1500, None]


def test_groups_are_told_with_owner_and_generation():
    assert describe(Statistics(STATUS, SECOND))["groups"] == [
        {"path": f"/sys/fs/resctrl/{OURS.path}", "owner": "kvmops", "generation": "1-10"}
    ]


def test_without_details_there_are_totals_only():
    described = describe(Statistics(STATUS, SECOND, FIRST), details=False)
    assert not {"caches", "groups", "packages"} & {*described, *described["rates"]}
    assert described["cmt"] == 20


def test_the_occupancy_of_a_domain_that_is_shut_off_is_the_proposals_zero():
    off = DomainStatus(VM3._replace(active=False))
    described = describe(Statistics(off, Sample({}, {}, L3_EVENTS, 0.0, "disabled")))
    assert described["cmt"] == 0
    assert described["llc_occupancy"] is None
    assert set(described["reasons"].values()) == {"disabled"}


def test_the_occupancy_of_one_that_is_not_monitored_is_null():
    described = describe(Statistics(DomainStatus(VM3), Sample({}, {}, L3_EVENTS, 0.0, "disabled")))
    assert described["cmt"] is None


STALLS = ("unhalted_core_cycles", "stalls_llc_miss")
TELEMETRY = [event_of(name, PACKAGE) for name in ("core_energy", *STALLS)]


def telemetry(packages, seconds):
    """A sample of a host with telemetry. `packages`: an energy, cycles and stalls for each."""
    values = {
        Place(PACKAGE, package): dict(zip(("core_energy", *STALLS), map(Value, three)))
        for package, three in enumerate(packages)
    }
    return Sample({OURS: Part(values, "1-10")}, {OURS: "1-10"}, TELEMETRY, seconds)


def test_packages_are_told_with_their_values_and_no_digit_is_lost():
    sample = telemetry([(Decimal("12345.678901"), 2**63, 5), (Decimal("0.000099"), 1, 2)], 5.0)
    described = json.loads(json.dumps(describe(Statistics(STATUS, sample))))
    assert described["core_energy"] == 12345.679
    assert described["unhalted_core_cycles"] == 2**63 + 1
    assert described["packages"] == [
        {
            "id": number,
            "core_energy": energy,
            "unhalted_core_cycles": cycles,
            "stalls_llc_miss": stalls,
            "reasons": {},
            "partial": {},
        }
        for number, energy, cycles, stalls in ((0, 12345.678901, 2**63, 5), (1, 0.000099, 1, 2))
    ]
    assert (described["cmt"], described["reasons"]["llc_occupancy"]) == (None, "unsupported")


def test_watts_and_stalls_are_told_in_all_and_for_each_package():
    first = telemetry([(Decimal("1.5"), 1000, 100), (Decimal("1.5"), 0, 0)], 5.0)
    second = telemetry([(Decimal("26.5"), 3000, 600), (Decimal("1.5"), 0, 0)], 7.0)
    rates = describe(Statistics(STATUS, second, first))["rates"]
    assert (rates["core_energy_per_second"], rates["stalls_llc_miss_fraction"]) == (12.5, 0.25)
    assert [one["core_energy_per_second"] for one in rates["packages"]] == [12.5, 0.0]
    assert [one["stalls_llc_miss_fraction"] for one in rates["packages"]] == [0.25, None]
    assert rates["packages"][1]["reasons"] == {"stalls_llc_miss_fraction": "idle"}


# -- what an event counts ----------------------------------------------------------------------------------------------


def test_what_an_event_counts_is_told_beside_the_values_only_where_it_was_changed():
    default, changed = {0: "0x7f", 1: "0x7f"}, {0: "0x7f", 1: "0x03"}
    described = describe(Statistics(STATUS, SECOND._replace(configured={"mbm_total_bytes": changed})))
    assert described["configured"] == {"mbm_total_bytes": "local_reads, remote_reads on L3 cache 1"}
    assert [cache["configured"] for cache in described["caches"]] == [
        {},
        {"mbm_total_bytes": ["local_reads", "remote_reads"]},
    ]
    same = describe(Statistics(STATUS, SECOND._replace(configured={"mbm_total_bytes": default})))
    assert (same["configured"], [cache["configured"] for cache in same["caches"]]) == ({}, [{}, {}])
