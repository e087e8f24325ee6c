# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a host's RMIDs."""

from __future__ import annotations

from hypothesis import given

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT,
    hosts,
    uuid,
)


def test_rmids_are_held_by_groups_and_the_root():
    snapshot = Snapshot(groups=frozenset({LIBVIRT, group_for(uuid(1), ROOT)}), num_rmids=8)
    assert snapshot.rmids() == {"total": 8, "used": 3, "free": 5}
    assert {owner: len(groups) for owner, groups in snapshot.held_by().items()} == {
        "default": 1,
        "libvirt": 1,
        "kvmops": 1,
    }
    assert snapshot.holders() == "default 1, kvmops 1, libvirt 1"


def test_a_group_of_a_live_machine_is_libvirts_whatever_it_is_called():
    snapshot = Snapshot(groups=frozenset({Group("xen-1-vm1")}), machines=frozenset({"xen-1-vm1"}))
    assert snapshot.owner(Group("xen-1-vm1")) == "libvirt"
    assert snapshot.libvirts(Group("xen-1-vm1", "anybody's")) == Group("xen-1-vm1")


@given(hosts())
def test_every_rmid_is_held_once_or_free(snapshot):
    assert snapshot.used_rmids + snapshot.free_rmids == snapshot.num_rmids
    held = [group for groups in snapshot.held_by().values() for group in groups]
    assert sorted(held) == [ROOT, *sorted(snapshot.groups)]
