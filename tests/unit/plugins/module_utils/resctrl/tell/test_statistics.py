# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was counted for a domain, as plain data: a value, or null with a reason and perhaps the part that is known."""

from __future__ import annotations

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import EVENTS, Value
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
        cache: dict(zip(EVENTS, (Value(10), total, Value(None, "unsupported")))) for cache, total in enumerate(totals)
    }
    return Sample({OURS: Part(values, "1-10")}, {OURS: "1-10"}, EVENTS[:2], seconds)


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
    described = describe(Statistics(off, Sample({}, {}, EVENTS, 0.0, "disabled")))
    assert described["cmt"] == 0
    assert described["llc_occupancy"] is None
    assert set(described["reasons"].values()) == {"disabled"}


def test_the_occupancy_of_one_that_is_not_monitored_is_null():
    described = describe(Statistics(DomainStatus(VM3), Sample({}, {}, EVENTS, 0.0, "disabled")))
    assert described["cmt"] is None
