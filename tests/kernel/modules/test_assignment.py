# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values where bandwidth counters are assigned to groups, in a guest with an AMD CPU that has such counters (ABMC)."""

from __future__ import annotations

from kernel_host import RESCTRL, number
from sampled import TOTAL


def test_an_allocation_of_libvirts_without_a_counter_is_unassigned_though_its_monitor_has_one(host):
    """The kernel's file of the CTRL_MON group has a number, the monitor's: it says nothing about the other vCPU."""
    vm2 = host.tuned("vm2", "0-1")
    allocation = "qemu-1-vm2-vcpus_0-1"
    (RESCTRL / allocation / "mbm_L3_assignments").write_text(f"{TOTAL}:*=_\n")
    monitor = host.make_group(f"{allocation}/mon_groups/qemu-1-vm2-vcpus_1", vm2.vcpus[1])
    assert number(allocation, TOTAL) >= number(monitor, TOTAL)
    domain = host.stats("vm2")
    assert domain[TOTAL] is None
    assert domain["reasons"][TOTAL] == "unassigned"
    for cache in domain["caches"]:
        assert (cache[TOTAL], cache["reasons"][TOTAL]) == (None, "unassigned")
