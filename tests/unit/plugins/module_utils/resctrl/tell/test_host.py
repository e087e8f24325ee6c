# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host offers, and what it lacks: a sentence each, with what to do."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act import sampled
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.counting import Bandwidth
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.outcome import Outcome, result_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Queue, Turn, Turns
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
def scene_fixture(tmp_path, monkeypatch):
    monkeypatch.setattr(sampled, "queue", lambda: None)
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


def test_a_host_that_counts_packages_only_says_what_it_does_not_count(scene):
    scene.write("info/L3_MON/mon_features", "")
    scene.write("info/PERF_PKG_MON/mon_features", "core_energy\nactivity\n")
    occupancy, bandwidth = scene.problems()
    assert occupancy.endswith("resctrl.cmt is null: use the telemetry of packages")
    assert bandwidth.endswith("these values are null: use the telemetry of packages")
    described = describe_host(scene.kernel, scene.outcome())
    assert (described["supported"], described["features"]) == (True, ["core_energy", "activity"])


# -- what an event counts


def events(scene):
    """Name -> what is told of the event."""
    return {one.pop("name"): one for one in describe_host(scene.kernel, scene.outcome())["events"]}


def test_every_event_is_told_with_resource_unit_and_kind(scene):
    scene.write("info/PERF_PKG_MON/mon_features", "core_energy\nnew_event\n")
    assert events(scene) == {
        name: {"resource": resource, "unit": unit, "kind": kind, "configuration": None}
        for name, resource, unit, kind in (
            ("llc_occupancy", "L3", "bytes", "gauge"),
            ("mbm_total_bytes", "L3", "bytes", "counter"),
            ("mbm_local_bytes", "L3", "bytes", "counter"),
            ("core_energy", "PERF_PKG", "joules", "counter"),
            ("new_event", "PERF_PKG", None, None),
        )
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mbm_total_bytes_config", "0=0x03;1=0x7f\n"),
        ("event_configs/mbm_total_bytes/event_filter", "local_reads,remote_reads\n"),
    ],
    ids=["BMEC", "ABMC"],
)
def test_an_event_that_was_configured_is_told_for_each_cache_and_is_one_problem(scene, name, text):
    for cache in ("mon_L3_00", "mon_L3_01"):
        scene.write(f"mon_data/{cache}/llc_occupancy", "0\n")
    scene.write(f"info/L3_MON/{name}", text)
    first, second = events(scene)["mbm_total_bytes"]["configuration"]
    assert first == {"cache": 0, "counts": ["local_reads", "remote_reads"], "default": False}
    assert second["default"] == ("_config" in name.rpartition("/")[2])
    (problem,) = describe_host(scene.kernel, scene.outcome())["problems"]
    assert "mbm_total_bytes was configured to count local_reads, remote_reads on L3 cache 0" in problem
    assert problem.endswith(f"or write the default to info/L3_MON/{name}")


def test_an_event_that_counts_its_default_is_no_problem(scene):
    scene.write("mon_data/mon_L3_00/llc_occupancy", "0\n")
    scene.write("info/L3_MON/mbm_local_bytes_config", "0=0x15\n")
    assert events(scene)["mbm_local_bytes"]["configuration"] == [
        {
            "cache": 0,
            "counts": ["local_reads", "local_non_temporal_writes", "local_reads_slow_memory"],
            "default": True,
        }
    ]
    assert describe_host(scene.kernel, scene.outcome())["problems"] == []


def test_a_mount_on_which_nothing_can_be_switched_is_told(scene):
    scene.kernel.mount = Mount("/resctrl", "resctrl", ("ro",))
    (problem,) = scene.problems()
    assert "is mounted read-only" in problem


def test_when_all_rmids_are_in_use_their_holders_are_told(scene):
    scene.snapshot = host(vm(1), vm(2), members={OURS: {1001, 1002}}, groups=[LIBVIRT], num_rmids=3)
    (problem,) = scene.problems()
    assert "All 3 RMIDs are in use (default 1, kvmops 1, libvirt 1)" in problem


def test_domains_without_a_bandwidth_counter_are_named_and_full_caches_told(scene):
    scene.write("info/L3_MON/mbm_assign_mode", "[mbm_event]\ndefault\n")
    scene.write("info/L3_MON/num_mbm_cntrs", "0=8;1=8\n")
    scene.write("info/L3_MON/available_mbm_cntrs", "0=1;1=0\n")
    scene.write(f"{OURS.path}/mbm_L3_assignments", "mbm_total_bytes:0=e;1=_\n")
    bandwidth = Bandwidth({0: 1, 1: 0}, ("mbm_total_bytes",), {OURS: frozenset([("mbm_total_bytes", 0)])})
    scene.snapshot = scene.snapshot._replace(bandwidth=bandwidth)
    full, without = scene.problems()
    assert "No bandwidth counter is free on L3 cache 1" in full
    assert "These monitored domains have no bandwidth counter: vm1" in without
    described = describe_host(scene.kernel, scene.outcome())
    ours = {"owner": "kvmops", "counters": 1, "groups": [{"path": f"{scene.path}/{OURS.path}", "counters": 1}]}
    assert described["counters"] == [
        {"cache": 0, "total": 8, "free": 1, "held_by": [ours]},
        {"cache": 1, "total": 8, "free": 0, "held_by": []},
    ]


def test_where_turns_are_taken_with_bandwidth_counters_it_is_no_problem_that_they_do_not_suffice(scene, monkeypatch):
    """Who takes no part in them lacks one all the same."""
    scene.write("info/L3_MON/mbm_assign_mode", "[mbm_event]\ndefault\n")
    scene.write("info/L3_MON/num_mbm_cntrs", "0=1\n")
    scene.write("info/L3_MON/available_mbm_cntrs", "0=0\n")
    groups = [group_for(uuid(number), ROOT) for number in (1, 2, 3)]
    assigned = {groups[0]: frozenset([("mbm_total_bytes", 0)]), **dict.fromkeys(groups[1:], frozenset())}
    bandwidth = Bandwidth({0: 0}, ("mbm_total_bytes",), assigned)
    members = {group: {number * 1000 + 1, number * 1000 + 2} for number, group in enumerate(groups, 1)}
    scene.snapshot = host(vm(1), vm(2), vm(3), members=members, bandwidth=bandwidth)
    turns = {(uuid(1), 0): Turn(5.0), (uuid(2), 0): Turn(None)}
    monkeypatch.setattr(sampled, "queue", lambda: Queue(Turns(), 9.0, counters=turns))
    (problem,) = scene.problems()
    assert "These monitored domains have no bandwidth counter: vm3." in problem
    # Nobody has one who would make room
    turns[uuid(1), 0] = Turn(None)
    full, without = scene.problems()
    assert full.startswith("No bandwidth counter is free on L3 cache 0")
    assert "counter: vm2, vm3." in without


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
