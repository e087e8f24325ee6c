# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To whom a group belongs, where it lies, and what the kernel writes about groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import (
    ROOT,
    Group,
    group_for,
    leaving_group,
    owner_of,
    parse_cpus,
    parse_tasks,
    parse_thread_groups,
)

UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"
# A name of a directory may hold anything else; Python's str.splitlines() would break it at some of these
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\n\0"), min_size=1)


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
        (Group("", f"kvmops-{UUID}-leaving"), "kvmops"),
        # the name alone does not make a CTRL_MON group ours: we never make any
        (Group(f"kvmops-{UUID}"), "other"),
        (Group("", "kvmops-web01"), "other"),
        (Group("", "kvmops--leaving"), "other"),
        (Group("", f"kvmops-{UUID}.bak"), "other"),
        (Group("", f"kvmops-{UUID}-leaving-leaving"), "other"),
        (Group("qemu-5-rsvm2-vcpus_0-3"), "libvirt"),
        (Group("qemu-5-rsvm2-vcpus_0,2-3", "qemu-5-rsvm2-vcpus_0"), "libvirt"),
        (Group("", "qemu-3-rsvm4-vcpus_0-1"), "libvirt"),
        # of a whole process: libvirt adds no suffix
        (Group("", "qemu-3-rsvm4"), "libvirt"),
        (Group("qemu-embed-0a1b2c3d-3-vm-vcpus_0"), "libvirt"),
        (Group("qemu-alice-3-vm-vcpus_0"), "libvirt"),
        (Group("ch-3-vm-vcpus_0"), "libvirt"),
        (Group("qemu-guest"), "other"),
        (Group("COS3"), "pqos"),
        (Group("", "pqos-4711-1"), "pqos"),
        (Group("COS1", "cadvisor-abc"), "other"),
    ],
)
def test_owner_is_told_by_the_name(group, owner):
    assert owner_of(group) == owner


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("qemu-1", "libvirt"),
        ("qemu-1-vcpus_0", "libvirt"),
        ("xen-7-a-b", "libvirt"),
        ("xen-7-a-b-vcpus_0-1", "libvirt"),
        ("xen-7-a", "other"),
        ("xen-7-a-bc", "other"),
        # a machine of that name would be libvirt's, whatever else makes such names
        ("COS1", "libvirt"),
        ("COS10", "pqos"),
    ],
)
def test_what_is_called_after_a_live_machine_is_libvirts(name, owner):
    assert owner_of(Group(name), {"qemu-1", "xen-7-a-b", "COS1"}) == owner


def test_our_group_lies_in_the_control_group_of_the_threads():
    assert group_for(UUID, Group("COS1", "m")) == Group("COS1", f"kvmops-{UUID}")
    assert group_for(UUID, ROOT).uuid == UUID


def test_the_group_by_way_of_which_threads_leave_is_the_domains_too():
    leaving = leaving_group(Group("COS1", f"kvmops-{UUID}"))
    assert leaving == Group("COS1", f"kvmops-{UUID}-leaving")
    assert leaving.uuid == UUID


@pytest.mark.parametrize("name", ["", "vm1", "../../tasks", UUID.upper(), f"{UUID}\n", f"{UUID}/x", f"{UUID}-leaving"])
def test_no_path_is_built_from_anything_but_a_uuid(name):
    with pytest.raises(ValueError, match="not a UUID"):
        group_for(name, ROOT)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("res:\nmon:\n", None),
        ("res:/\nmon:\n", ROOT),
        ("res:/\nmon:m0\n", Group("", "m0")),
        ("res:g0\nmon:\n", Group("g0")),
        ("res:g0\nmon:m:1\n", Group("g0", "m:1")),
        ("res:a\u2028b\nmon:c\x85d\r\n", Group("a\u2028b", "c\x85d\r")),
        ("", None),
    ],
)
def test_the_kernel_tells_a_threads_group(text, group):
    assert parse_thread_groups(text) == group


@given(NAMES, NAMES)
def test_a_group_of_any_name_is_told(ctrl, mon):
    assert parse_thread_groups(f"res:{ctrl}\nmon:{mon}\n") == Group(ctrl, mon)
    assert parse_thread_groups(f"res:/\nmon:{mon}\n") == Group("", mon)


@given(st.frozensets(st.integers(1, 2**22)))
def test_tasks(tids):
    assert parse_tasks("".join(f"{tid}\n" for tid in tids) + "0\n") == tids


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("\n", []), ("0\n", [0]), ("0-3,8\n", [0, 1, 2, 3, 8]), ("0-1,4-5,63", [0, 1, 4, 5, 63])]
    # What is no list names no CPU
    + [(text, []) for text in ("0,all", "0-", "-3", "0-1-2", "0 1", "0,,1")],
)
def test_a_list_of_cpus(text, cpus):
    assert sorted(parse_cpus(text)) == cpus


@given(st.lists(st.tuples(st.integers(0, 8191), st.integers(0, 64))))
def test_any_list_of_cpus(ranges):
    text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in ranges)
    assert parse_cpus(f"{text}\n") == {cpu for first, more in ranges for cpu in range(first, first + more + 1)}
