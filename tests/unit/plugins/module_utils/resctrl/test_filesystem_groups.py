# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To whom a group belongs, and where it lies."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.filesystem import ROOT, Group, group_for

UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"


@pytest.mark.parametrize(
    ("group", "path"),
    [
        (ROOT, ""),
        (Group("COS1"), "COS1"),
        (Group("", "m"), "mon_groups/m"),
        (Group("COS1", "m"), "COS1/mon_groups/m"),
    ],
)
def test_path(group, path):
    assert group.path == path


@pytest.mark.parametrize(
    ("group", "owner"),
    [
        (ROOT, "default"),
        (Group("", f"kvmops-{UUID}"), "kvmops"),
        (Group("COS1", f"kvmops-{UUID}"), "kvmops"),
        # the name alone does not make a CTRL_MON group ours: we never make any
        (Group(f"kvmops-{UUID}"), "other"),
        (Group("", "kvmops-web01"), "other"),
        (Group("", f"kvmops-{UUID}.bak"), "other"),
        (Group("qemu-5-rsvm2-vcpus_0-3"), "libvirt"),
        (Group("qemu-5-rsvm2-vcpus_0,2-3", "qemu-5-rsvm2-vcpus_0"), "libvirt"),
        (Group("", "qemu-3-rsvm4-vcpus_0-1"), "libvirt"),
        (Group("", "qemu-3-rsvm4"), "other"),
        (Group("COS3"), "pqos"),
        (Group("", "pqos-4711-1"), "pqos"),
        (Group("COS1", "cadvisor-abc"), "other"),
    ],
)
def test_owner_is_told_by_the_name(group, owner):
    assert group.owner == owner


def test_our_group_lies_in_the_control_group_of_the_threads():
    assert group_for(UUID, Group("COS1", "m")) == Group("COS1", f"kvmops-{UUID}")
    assert group_for(UUID, ROOT).uuid == UUID


@pytest.mark.parametrize("name", ["", "vm1", "../../tasks", UUID.upper(), f"{UUID}\n", f"{UUID}/x"])
def test_no_path_is_built_from_anything_but_a_uuid(name):
    with pytest.raises(ValueError, match="not a UUID"):
        group_for(name, ROOT)
