# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a snapshot says about a domain: the RFC's words, and who counts which vCPU."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Running, Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus, status_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain, Process

DOMAIN = Domain("vm2", "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", True)
OURS = group_for(DOMAIN.uuid, ROOT)
LIBVIRT = Group("qemu-1-vm2-vcpus_0")


def status(location, tuning=None):
    members = {OURS: frozenset(tid for tid, group in location.items() if group == OURS)}
    running = Running(DOMAIN, Process(100, {0: 101, 1: 102}, frozenset({100, 101, 102}), tuning))
    return status_of(DOMAIN, Snapshot((running,), {}, location, frozenset(location.values()), members))


def test_a_shut_off_domain_is_disabled():
    assert DomainStatus(DOMAIN).text == "Disabled"
    answer = status_of(DOMAIN._replace(active=False), Snapshot())
    assert (answer.text, answer.gone, answer.starting) == ("Disabled", False, False)


def test_a_domain_in_no_group_is_disabled():
    assert status({}).text == "Disabled"
    assert status({}).uncounted == (0, 1)


def test_somebody_elses_monitoring_is_not_ours_to_call_enabled():
    assert status({101: Group("", "pqos-1-1"), 102: Group("COS1")}).text == "Disabled"


def test_a_domain_in_our_group_is_enabled():
    answer = status({101: OURS, 102: OURS})
    assert (answer.text, answer.groups, answer.counted, answer.uncounted) == ("Enabled", (OURS,), {OURS: (0, 1)}, ())


def test_an_uncounted_vcpu_is_told_apart_from_the_status():
    answer = status({101: OURS})
    assert (answer.text, answer.uncounted) == ("Enabled", (1,))


def test_the_whole_process_may_be_counted_where_vcpus_are_not():
    assert status({100: OURS}).text == "Enabled"


def test_our_group_with_threads_of_others_only_does_not_count_the_domain():
    assert status({7: OURS}).text == "Disabled"


@pytest.mark.parametrize("tuning", ["cachetune", "memorytune", "energytune"])
def test_libvirts_groups_force_it(tuning):
    answer = status({101: LIBVIRT, 102: OURS}, tuning)
    assert answer.text == f"Enabled (forced by {tuning})"
    assert answer.counted == {LIBVIRT: (0,), OURS: (1,)}


def test_what_is_in_the_xml_alone_forces_nothing():
    """libvirt's group was removed, as by a remount."""
    answer = status({}, "cachetune")
    assert (answer.text, answer.enabled, answer.forced_by) == ("Disabled", False, None)
    assert (answer.groups, answer.uncounted) == ((), (0, 1))


def test_nor_does_it_where_a_group_of_ours_has_come_in_its_place():
    answer = status({101: OURS, 102: OURS}, "cachetune")
    assert (answer.text, answer.forced_by) == ("Enabled", None)


def test_a_foreign_monitor_below_libvirts_group_does_not_hide_it():
    """A CTRL_MON group's counters include those of its MON groups."""
    answer = status({101: Group(LIBVIRT.ctrl, "cadvisor-x")}, "cachetune")
    assert answer.counted == {LIBVIRT: (0,)}


@pytest.mark.parametrize(
    ("error", "gone", "starting"),
    [
        (errors.DomainStarting("It is starting"), False, True),
        (errors.DomainGone("It has no process"), True, False),
        (errors.DomainUnseen("It cannot be seen"), False, False),
    ],
)
def test_one_without_a_process_is_starting_or_gone(error, gone, starting):
    answer = status_of(DOMAIN, Snapshot(absent={DOMAIN.uuid: error}))
    assert (answer.text, answer.gone, answer.starting) == ("Disabled", gone, starting)
