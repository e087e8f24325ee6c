# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be said about a run though it is no failure."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.warn import warnings_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.counting import Bandwidth
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.outcome import result_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Queue, Turn, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel, host_of
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    DISABLE,
    ENABLE,
    LIBVIRT,
    PQOS,
    for_all,
    host,
    uuid,
    vm,
)

OURS = group_for(uuid(1), ROOT)
COUNTED = {OURS: {1001, 1002}}
FORCED = host(vm(tuning="memorytune"), location={1001: LIBVIRT, 1002: LIBVIRT})


@pytest.fixture(name="said")
def said_fixture(tmp_path):
    """The warnings of a run that led to this snapshot; `files` are written into resctrl."""

    def warn(snapshot, wish, missing=None, files=(), changed=False, **terms):
        kernel = Kernel.of(snapshot, tmp_path)
        for name, text in dict(files).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")
        found = [result_of(Selected(one.domain.name, one.domain), snapshot, {}) for one in snapshot.running]
        results = [one._replace(changed=changed) for one in found]
        return warnings_of(host_of(snapshot, kernel), results, for_all(snapshot, wish, **terms), snapshot, missing)

    return warn


def test_of_a_run_that_led_where_it_should_nothing_is_said(said):
    assert said(host(vm(), members=COUNTED), ENABLE) == []


def test_what_libvirt_forces_cannot_be_switched_off(said):
    assert said(FORCED, DISABLE) == [
        "Monitoring of domain 'vm1' cannot be switched off while it runs: it is forced by memorytune in its XML"
    ]


def test_where_ours_was_switched_off_what_libvirt_goes_on_counting_is_told(said):
    snapshot = host(vm(tuning="cachetune"), location={1002: LIBVIRT})
    assert said(snapshot, DISABLE, changed=True) == [
        "No group of this collection counts domain 'vm1' any more. libvirt goes on counting vCPU 1 while the domain "
        "runs: that is forced by cachetune in its XML"
    ]


def test_where_libvirts_group_is_gone_nothing_is_forced(said):
    assert said(host(vm(tuning="cachetune")), DISABLE, changed=True) == []


def test_nor_need_it_be_switched_on(said):
    assert said(FORCED, ENABLE) == []


def test_a_group_whose_count_lacks_the_domain_is_named(said):
    snapshot = host(vm(), members=COUNTED, groups=[PQOS], cpu_groups={uuid(1): (PQOS,)})
    (warning,) = said(snapshot, ENABLE, files={"COS1/cpus_list": "0-3"})
    assert "may run on CPU 0-3, which" in warning
    assert "COS1 of pqos counts" in warning


def test_it_lacks_nothing_of_a_domain_that_is_not_monitored(said):
    assert said(host(vm(), groups=[PQOS], cpu_groups={uuid(1): (PQOS,)}), DISABLE) == []


ONE_LACKS = Bandwidth({0: 0, 1: 0}, ("mbm_total_bytes",), {OURS: frozenset([("mbm_total_bytes", 0)])})


def test_a_domain_for_which_no_bandwidth_counter_was_free_is_named(said):
    (warning,) = said(host(vm(), members=COUNTED, bandwidth=ONE_LACKS), ENABLE)
    assert "Domain 'vm1' is monitored without memory bandwidth on L3 cache 1" in warning


def test_one_that_is_wished_to_have_none_is_not(said):
    assert said(host(vm(), members=COUNTED, bandwidth=ONE_LACKS), ENABLE._replace(bandwidth=False)) == []


@pytest.mark.parametrize(("holder", "warned"), [(Turn(1.0), False), (Turn(None), True)])
def test_one_that_takes_turns_with_others_is_not_named_as_long_as_one_of_them_has_a_counter(said, holder, warned):
    turns = Queue(Turns(), 2.0, counters={(uuid(1), 1): Turn(None), (uuid(2), 1): holder})
    assert bool(said(host(vm(), members=COUNTED, bandwidth=ONE_LACKS), ENABLE, turns=turns)) == warned


def test_a_group_that_was_left_because_nothing_is_seen_of_its_domain_is_named(said):
    (warning,) = said(host(vm(), members=COUNTED, unjudged=frozenset({OURS})), ENABLE)
    assert "cannot be seen from here" in warning
    assert OURS.path in warning


@pytest.mark.parametrize(("wish", "number"), [(DISABLE, 1), (ENABLE, 0)])
def test_to_switch_off_where_nothing_can_be_monitored_is_no_failure(said, wish, number):
    """To switch on is, and says why."""
    missing = errors.AllocationOnly("resctrl has no L3 monitoring")
    warnings = said(host(vm()), wish, missing=missing)
    assert warnings == ["Nothing is monitored on this host: resctrl has no L3 monitoring"] * number
