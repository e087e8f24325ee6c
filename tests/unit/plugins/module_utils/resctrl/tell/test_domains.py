# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a query or a run for each domain, as data and as one sentence."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.outcome import Outcome, Result, result_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.domains import (
    describe_domain,
    describe_failures,
    describe_snapshot,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT,
    host,
    uuid,
    vm,
)

RESCTRL = Resctrl("/sys/fs/resctrl")
OURS, STALE = group_for(uuid(1), ROOT), group_for(uuid(9), ROOT)
PATH = f"/sys/fs/resctrl/mon_groups/kvmops-{uuid(1)}"


def results(snapshot):
    return [result_of(Selected(one.domain.name, one.domain), snapshot, {}) for one in snapshot.running]


def test_a_domain_that_is_counted_in_part():
    (one,) = results(host(vm(), members={OURS: {1001}}))
    assert describe_domain(one, RESCTRL) == {
        "name": "vm1",
        "uuid": uuid(1),
        "uuid_made": False,
        "active": True,
        "status": "Enabled",
        "enabled": True,
        "starting": False,
        "forced_by": None,
        "changed": False,
        "failed": False,
        "msg": "",
        "code": None,
        "groups": [PATH],
        "vcpus": {"counted": [0], "uncounted": [1]},
        "without_bandwidth": [],
    }


def test_what_libvirt_does_not_know_has_no_uuid_and_no_status():
    described = describe_domain(result_of(Selected("vm9", None), host(), {}), RESCTRL)
    assert (described["name"], described["uuid"], described["status"]) == ("vm9", None, None)
    assert (described["failed"], described["code"]) == (True, "domain_not_found")


UNMOUNTED, EXHAUSTED = errors.NotMounted, errors.RmidsExhausted


def failed(name, message="It failed", asked=None, of=errors.Refused):
    status = DomainStatus(vm().domain._replace(name=name)) if name else None
    error = of(message) if message else None
    return Result(asked or name, status, error=error)


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ([failed("vm1", None)], ""),
        ([failed("vm1")], "It failed"),
        # asked for by a pattern, or among others: the domain is named, not what was asked for
        ([failed("vm1", asked="*")], "vm1: It failed"),
        ([failed("vm1"), failed("vm2", None)], "vm1: It failed"),
        ([failed("vm1", "Domain 'vm1' failed"), failed("vm2", None)], "Domain 'vm1' failed"),
        ([failed("vm1"), failed("vm2")], "vm1, vm2: It failed"),
        ([failed("vm1"), failed("vm2"), failed("vm3", None)], "vm1, vm2: It failed"),
        # What the host lacks every domain lacks: who, is told where it is not all that were asked for
        ([failed("vm1", of=UNMOUNTED), failed("vm2", of=UNMOUNTED)], "It failed"),
        ([failed("vm1", of=EXHAUSTED), failed("vm2", of=EXHAUSTED)], "It failed"),
        ([failed("vm1", of=EXHAUSTED), failed("vm2", of=EXHAUSTED), failed("vm3", None)], "vm1, vm2: It failed"),
        ([failed("vm1", "A"), failed("vm2", "B"), failed("vm3", None)], "2 of 3 domains failed: vm1: A; vm2: B"),
    ],
)
def test_one_sentence_says_who_failed_and_why(outcome, sentence):
    assert describe_failures(outcome) == sentence


def test_one_side_of_a_diff_has_each_domains_groups_and_the_stale_ones_that_are_removed():
    before = host(
        vm(1),
        vm(2, tuning="cachetune"),
        vm(3),
        members={OURS: {1000, 1001}, STALE: set()},
        location={2001: LIBVIRT, 2002: LIBVIRT},
        stale=[STALE],
    )
    outcome = Outcome(results(before), before, before, pruned=[STALE])
    assert describe_snapshot(outcome, before, RESCTRL, {uuid(2): None, uuid(3): False}) == (
        "vm1: Enabled\n"
        f"  {PATH}: vCPU 0 and 1 other thread\n"
        "vm2: Enabled (forced by cachetune)\n"
        "  /sys/fs/resctrl/qemu-1-vm2-vcpus_0: vCPU 0, 1\n"
        "vm3: Disabled\n"
        "  persistently disabled\n"
        f"/sys/fs/resctrl/mon_groups/kvmops-{uuid(9)}: stale\n"
    )
