# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host offers, and what it lacks: a sentence each, with what to do."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.outcome import Outcome, result_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import EVENTS
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.mounts import Mount
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.host import describe_host, problems
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import Kernel
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import (
    LIBVIRT,
    host,
    uuid,
    vm,
)

OURS = group_for(uuid(1), ROOT)
ALL = "".join(f"{event}\n" for event in EVENTS)


class Scene:
    """A host that lacks nothing, with vm1 counted; write() and the rest change that."""

    def __init__(self, path):
        self.path = path
        self.snapshot = host(vm(1), members={OURS: {1001, 1002}}, groups=[LIBVIRT])
        self.kernel = Kernel.of(self.snapshot, path)
        self.write("info/L3_MON/mon_features", ALL)
        self.write("info/L3_MON/max_threshold_occupancy", "65536\n")

    def write(self, name, text):
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def outcome(self):
        results = [result_of(Selected(one.domain.name, one.domain), self.snapshot, {}) for one in self.snapshot.running]
        return Outcome(results, self.snapshot, self.snapshot)

    def problems(self):
        return problems(self.kernel, self.outcome(), {})


@pytest.fixture(name="scene")
def scene_fixture(tmp_path):
    return Scene(tmp_path)


def test_a_host_that_lacks_nothing_has_no_problems(scene):
    assert scene.problems() == []


def test_where_nothing_can_be_monitored_that_is_the_only_problem(scene):
    scene.write("info/L3_MON/mon_features", "")
    (problem,) = scene.problems()
    assert "has no L3 monitoring" in problem


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"info/L3_MON/mon_features": "llc_occupancy\n"}, "The CPU does not count memory bandwidth"),
        (
            {"info/L3_MON/mon_features": "llc_occupancy\n", "info/MB_MON/num_rmids": "8\n"},
            "it is not in info/L3_MON), so these values are null: this kernel counts it in info/MB_MON",
        ),
        ({"info/L3_MON/mon_features": "mbm_total_bytes\n"}, "The CPU does not count cache occupancy"),
        ({"info/L3_MON/max_threshold_occupancy": "0\n"}, "max_threshold_occupancy is 0"),
        ({f"{OURS.path}/cpus_list": "0-1\n"}, "counts CPUs (0-1), so that other programs are charged to its domain"),
    ],
)
def test_each_lack_is_told(scene, files, said):
    for name, text in files.items():
        scene.write(name, text)
    (problem,) = scene.problems()
    assert said in problem


def test_a_mount_on_which_nothing_can_be_switched_is_told(scene):
    scene.kernel.mount = Mount("/resctrl", "resctrl", ("ro",))
    (problem,) = scene.problems()
    assert "is mounted read-only" in problem


def test_when_all_rmids_are_in_use_their_holders_are_told(scene):
    scene.snapshot = host(vm(1), members={OURS: {1001, 1002}}, groups=[LIBVIRT], num_rmids=3)
    (problem,) = scene.problems()
    assert "All 3 RMIDs are in use (default 1, kvmops 1, libvirt 1)" in problem


def test_domains_without_a_bandwidth_counter_are_named_and_full_caches_told(scene):
    scene.write("info/L3_MON/mbm_assign_mode", "[mbm_event]\ndefault\n")
    scene.write("info/L3_MON/num_mbm_cntrs", "0=8;1=8\n")
    scene.write("info/L3_MON/available_mbm_cntrs", "0=1;1=0\n")
    scene.write(f"{OURS.path}/mbm_L3_assignments", "mbm_total_bytes:0=e;1=_\n")
    for cache in ("mon_L3_00", "mon_L3_01"):
        scene.write(f"{OURS.path}/mon_data/{cache}/llc_occupancy", "0\n")
    full, without = scene.problems()
    assert "No bandwidth counter is free on L3 cache 1" in full
    assert "1 monitored domains have no bandwidth counter: vm1" in without
    described = describe_host(scene.kernel, scene.outcome())
    assert described["counters"] == [{"cache": 0, "total": 8, "free": 1}, {"cache": 1, "total": 8, "free": 0}]


def test_who_holds_rmids_is_told_with_the_threads_of_each_group(scene):
    scene.write("mon_data/mon_L3_00/llc_occupancy", "0\n")
    described = describe_host(scene.kernel, scene.outcome())
    assert described["rmids"]["total"] == 16
    assert described["rmids"]["held_by"] == [
        {"owner": "default", "rmids": 1, "groups": [{"path": str(scene.path), "threads": None}]},
        {
            "owner": "kvmops",
            "rmids": 1,
            "groups": [{"path": f"{scene.path}/{OURS.path}", "threads": 2}],
        },
        {"owner": "libvirt", "rmids": 1, "groups": [{"path": f"{scene.path}/{LIBVIRT.path}", "threads": 0}]},
    ]
    assert [cache["id"] for cache in described["caches"]] == [0]
    assert (described["supported"], described["mounted"], described["features"]) == (True, True, list(EVENTS))
