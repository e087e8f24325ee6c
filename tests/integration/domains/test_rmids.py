# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with four RMIDs: one belongs to the default group, and libvirt needs one for a domain with <cachetune>."""

from __future__ import annotations

import pytest

from hosts import Cachetune, LabError

PROFILE = "few-rmids"
DOMAINS = ["vm1", "vm2", "vm3", "vm4"]


def refused(message):
    """The whole sentence."""
    hint = "Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains"
    return f"{message}. {hint}"


def test_if_they_do_not_suffice_for_all_nothing_is_changed(hv):
    result = hv.mon("vm1", "vm2", "vm3", "vm4")
    assert result["failed"]
    assert result["msg"] == refused("Out of RMIDs: 4 needed, 3 free of 4 (held by: default 1)")
    assert [domain["code"] for domain in result["domains"]] == ["rmids_exhausted"] * 4
    assert [domain["status"] for domain in result["domains"]] == ["Disabled"] * 4
    assert not result["changed"]
    assert hv.groups() == {}


def test_one_too_many_does_not_disturb_the_others(hv):
    hv.enable("vm1", "vm2", "vm3")
    groups = hv.groups()
    result = hv.mon("vm4")
    assert result["msg"] == refused("Out of RMIDs: 1 needed, 0 free of 4 (held by: default 1, kvmops 3)")
    assert result["rmids"] == {"total": 4, "used": 4, "free": 0}
    assert hv.groups() == groups
    # Those that need none are fine in the same run
    result = hv.mon("vm1", "vm2", "vm3", "vm4")
    assert [domain["failed"] for domain in result["domains"]] == [False, False, False, True]


def test_freed_ones_are_used_again(hv):
    hv.enable("vm1", "vm2", "vm3")
    hv.disable("vm2")
    assert hv.enable("vm4")["changed"]
    hv.virsh("destroy", "vm1")
    # The group of vm1 is pruned first
    assert hv.enable("vm2")["changed"]
    assert set(hv.groups()) == {hv.ours(name) for name in ("vm2", "vm3", "vm4")}


def test_who_holds_them(hv):
    hv.enable("vm1", "vm2")
    hv.make_group("mon_groups/pqos-1-0")
    host = hv.info()["host"]
    assert {one["owner"]: one["rmids"] for one in host["rmids"]["held_by"]} == {"default": 1, "kvmops": 2, "pqos": 1}
    assert host["problems"] == ["All 4 RMIDs are in use (default 1, kvmops 2, pqos 1): remove groups that nobody needs"]


def test_without_a_reserve_domains_with_cachetune_cannot_start(hv):
    """libvirt needs an RMID of its own, and does not start the domain without."""
    hv.enable("vm1", "vm2", "vm3")
    with pytest.raises(LabError, match="Cannot create resctrl directory"):
        hv.start("cached", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    hv.disable("vm3")
    hv.virsh("start", "cached")
    assert hv.query("cached")["status"] == "Enabled (forced by cachetune)"


def test_reserve_leaves_one_to_libvirt(hv):
    result = hv.mon("vm1", "vm2", "vm3", reserve_rmids=1)
    assert result["msg"] == refused("Out of RMIDs: 3 needed, 3 free of 4, 1 of them reserved (held by: default 1)")
    assert hv.groups() == {}

    assert hv.enable("vm1", "vm2", reserve_rmids=1)["rmids"] == {"total": 4, "used": 3, "free": 1}
    hv.start("cached", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    assert hv.query("cached")["status"] == "Enabled (forced by cachetune)"
    assert hv.query("cached")["vcpus"]["counted"] == [0, 1]

    # The reserve is in use now, and what is monitored stays so
    assert not hv.enable("vm1", "vm2", reserve_rmids=1)["changed"]
