# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be allocated otherwise. Whole situations are those of tests/lab/neighbours.py."""

from __future__ import annotations

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import Part, Sample
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.advice import (
    Allocations,
    Own,
    advice,
    owned,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.situation import (
    Holding,
    Situation,
    Subject,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.allocation import Rules
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import Group
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.topology import Cache
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain

LIBVIRT = Group("qemu-1-vm1")
SIZE = 16 << 20
ALLOCATIONS = Allocations(Rules(mask=0xFFFF, least=1), {LIBVIRT: {0: 0x00FF, 1: 0x00FF}})


def given(*caches):
    """What is advised to a domain that holds little of its allocation on two caches, where the host has these."""
    subject = Subject("vm1", "u", {}, {0: 1.0}, counted=1, uncounted=0)
    there = {cache: Cache(SIZE) for cache in caches}
    situation = Situation("now", 60.0, there, [subject], dict.fromkeys(there, Holding(SIZE)))
    own = {"u": [Own(LIBVIRT, (0,), {0: 1 << 20, 1: 1 << 20})]}
    return [(one.kind, one.cache) for one in advice(situation, [], ALLOCATIONS, own)]


def test_an_allocation_that_is_not_filled_is_told_on_each_cache():
    assert given(0, 1) == [("allocation_not_filled", 0), ("allocation_not_filled", 1)]


def test_nothing_is_advised_of_a_cache_that_went_off_while_the_host_was_looked_at():
    """A group of libvirt's still showed it, and the root that was read later did not."""
    assert given(0) == [("allocation_not_filled", 0)]
    assert given() == []


def test_a_vcpu_that_a_monitor_in_the_allocation_counts_keeps_its_allocation():
    inner = Group(LIBVIRT.ctrl, "qemu-1-vm1-vcpus_0")
    status = DomainStatus(Domain("vm1", "u", True), True, "cachetune", (inner, LIBVIRT), {inner: (0,), LIBVIRT: (1, 2)})
    sample = Sample({LIBVIRT: Part({}, "1")}, {}, (), 0.0)
    assert owned(status, sample) == [Own(LIBVIRT, (0, 1, 2), {})]
