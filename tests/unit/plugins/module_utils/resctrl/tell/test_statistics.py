# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was counted for a domain, as plain data: null with a reason, and the known part beside it."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import EVENTS, Value
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.sampling import Statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.statistics import describe_statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain

VM3 = Domain("vm3", "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", True, 5)
OURS = group_for(VM3.uuid, ROOT)
STATUS = DomainStatus(VM3, enabled=True, groups=(OURS,), counted={OURS: (0, 1)})


def sampled(caches, seconds=1.0):
    values = {
        cache: {event: Value(None, one) if isinstance(one, str) else Value(one) for event, one in zip(EVENTS, three)}
        for cache, three in caches.items()
    }
    return Sample({OURS: Part(values, "7")}, {OURS: "7"}, EVENTS, seconds)


def described(caches, before=None, **options):
    one = Statistics(STATUS, sampled(caches, 3.0), sampled(before) if before else None)
    return describe_statistics(one, Resctrl("/resctrl"), Snapshot(), **options)


def test_values_are_in_bytes_by_the_kernels_names_with_the_rfcs_number():
    found = described({0: (10, 300, 30), 1: (20, 500, 50)})
    assert {name: found[name] for name in ("cmt", *EVENTS)} == dict(zip(("cmt", *EVENTS), (30, 30, 800, 80)))
    assert (found["reason"], found["reasons"], found["partial"], found["rates"]) == (None, {}, {}, None)
    assert found["groups"] == [{"path": f"/resctrl/{OURS.path}", "owner": "kvmops", "generation": "7"}]
    assert found["vcpus"] == {"counted": [0, 1], "uncounted": []}


def test_an_unknown_part_makes_the_sum_null_and_leaves_the_rest():
    found = described({0: (10, 300, 30), 1: ("unavailable", 500, 50)})
    assert (found["cmt"], found["llc_occupancy"], found["mbm_total_bytes"]) == (None, None, 800)
    assert found["reasons"] == {"llc_occupancy": "unavailable"}
    assert found["partial"] == {"llc_occupancy": 10}
    assert found["caches"][1]["reasons"] == {"llc_occupancy": "unavailable"}


def test_of_a_domain_that_is_shut_off_the_rfcs_number_is_zero():
    status = DomainStatus(VM3._replace(active=False))
    one = Statistics(status, Sample({}, {}, EVENTS, 1.0, "disabled"))
    found = describe_statistics(one, Resctrl("/resctrl"), Snapshot())
    assert (found["cmt"], found["llc_occupancy"], found["reason"]) == (0, None, "disabled")


def test_two_samples_give_rates_for_each_cache_and_in_all():
    found = described({0: (10, 300, 30), 1: (20, 500, 50)}, before={0: (1, 100, 10), 1: (1, 100, 10)})
    speeds = found["rates"]
    assert (speeds["seconds"], speeds["mbm_total_bytes_per_second"]) == (2.0, 300.0)
    assert [one["mbm_local_bytes_per_second"] for one in speeds["caches"]] == [10.0, 20.0]


def test_a_rate_of_a_counter_that_went_backwards_is_null_with_its_reason():
    speeds = described({0: (10, 50, 30)}, before={0: (1, 100, 10)})["rates"]
    assert speeds["mbm_total_bytes_per_second"] is None
    assert speeds["reasons"] == {"mbm_total_bytes_per_second": "reset"}
    assert speeds["mbm_local_bytes_per_second"] == 10.0


@pytest.mark.parametrize("part", ["caches", "groups", "packages"])
def test_details_can_be_left_out(part):
    values = {0: (10, 300, 30)}
    assert part in described(values)
    assert part not in described(values, details=False)
    assert "caches" not in described(values, before=values, details=False)["rates"]
