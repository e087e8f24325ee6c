# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the counters of domains, once or twice."""

from __future__ import annotations

import itertools
import shutil

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.samples import per_place, rates, totals
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.status import DomainStatus
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel import assignments, counters
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import (
    BANDWIDTH,
    EVENTS,
    L3,
    Sum,
    Value,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group, group_for
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe import sampling
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.sampling import (
    sample_all,
    statistics,
    whole_host,
)
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3

OURS = group_for(VM3.uuid, ROOT)
LIBVIRT = Group("qemu-1-vm2-vcpus_0-1")
LIBVIRT_MONITOR = Group("", LIBVIRT.ctrl)
NESTED = Group(LIBVIRT.ctrl, "qemu-1-vm2-vcpus_0")


class Tree:
    """Counters in a directory, which write({group: {cache: (occupancy, total, local)}}) fills."""

    def __init__(self, path):
        self.path = path
        self.resctrl = Resctrl(str(path), str(path / "proc"))

    def info(self, name, text):
        path = self.path / "info/L3_MON" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write(self, groups):
        for group, caches in {ROOT: dict.fromkeys((0, 1, 8, 9), (0, 0, 0)), **groups}.items():
            # The nodes of a cache, with sub-NUMA clusters, are in it already
            for (cache, values), extra in itertools.product(caches.items(), ("", "mon_sub_L3_00")):
                directory = self.path / group.path / f"mon_data/mon_L3_{cache:02}" / extra
                directory.mkdir(parents=True, exist_ok=True)
                for event, value in zip(EVENTS, values):
                    (directory / event).write_text(f"{value}\n")

    def assign(self, group, events):
        """Give a group counters on cache 0 for `events`, such as "total local"."""
        states = {event: "e" if event.split("_")[1] in events else "_" for event in BANDWIDTH}
        text = "".join(f"{event}:0={state}\n" for event, state in states.items())
        (self.path / group.path / "mbm_L3_assignments").write_text(text)

    def sample(self, *groups, interval=None):
        (one,) = statistics(self.resctrl, [DomainStatus(VM3, True, None, groups)], interval)
        return one


@pytest.fixture(name="tree")
def tree_fixture(tmp_path):
    tree = Tree(tmp_path)
    tree.info("mon_features", "".join(f"{name}\n" for name in EVENTS))
    return tree


def test_values_are_summed_over_caches_and_groups_and_nothing_twice(tree):
    tree.write({OURS: {8: (10, 100, 1), 9: (20, 200, 2)}, LIBVIRT: {8: (40, 400, 4)}, NESTED: {8: (7, 7, 7)}})
    sample = tree.sample(OURS, LIBVIRT, NESTED).sample
    assert totals(sample) == dict(zip(EVENTS, (Sum(Value(70)), Sum(Value(700)), Sum(Value(7)))))
    assert {cache: one["llc_occupancy"] for cache, one in per_place(sample, L3).items()} == {
        8: Sum(Value(50)),
        9: Sum(Value(20)),
    }


def test_the_generation_of_each_group_is_told_of_nested_ones_too(tree):
    tree.write({OURS: {0: (1, 1, 1)}, LIBVIRT: {0: (1, 1, 1)}, NESTED: {0: (1, 1, 1)}})
    generations = tree.sample(OURS, LIBVIRT, NESTED).sample.generations
    assert list(generations) == [OURS, LIBVIRT, NESTED]
    assert len(set(generations.values())) == 3


def test_a_group_that_vanished_has_no_generation(tree):
    tree.write({OURS: {0: (1, 1, 1)}})
    sample = tree.sample(OURS, LIBVIRT).sample
    assert sample.generations[LIBVIRT] is None
    assert totals(sample)["llc_occupancy"] == Sum(Value(None, "gone"), 1)


def test_what_the_hardware_does_not_count_is_unsupported(tree):
    tree.info("mon_features", "llc_occupancy\n")
    tree.write({OURS: {0: (10, 0, 0)}})
    unsupported = Sum(Value(None, "unsupported"))
    assert totals(tree.sample(OURS).sample) == dict(zip(EVENTS, (Sum(Value(10)), unsupported, unsupported)))


@pytest.mark.parametrize(
    ("own", "nested", "total", "local"),
    [
        ("total", "total local", Sum(Value(100)), Sum(Value(None, "unassigned"), 50)),
        ("local", "total local", Sum(Value(None, "unassigned"), 100), Sum(Value(50))),
        ("total local", "", Sum(Value(None, "unassigned"), 100), Sum(Value(None, "unassigned"), 50)),
        ("total local", "total local", Sum(Value(100)), Sum(Value(50))),
    ],
)
def test_a_control_groups_number_is_a_part_where_it_or_a_group_below_it_has_no_counter(tree, own, nested, total, local):
    tree.info("mbm_assign_mode", "[mbm_event]\ndefault\n")
    tree.write({LIBVIRT: {0: (10, 100, 50)}, NESTED: {0: (10, 100, 50)}})
    tree.assign(LIBVIRT, own)
    tree.assign(NESTED, nested)
    assert totals(tree.sample(LIBVIRT, NESTED).sample) == dict(zip(EVENTS, (Sum(Value(10)), total, local)))


@pytest.mark.parametrize(
    ("status", "features", "reason"),
    [
        (DomainStatus(VM3), True, "disabled"),
        (DomainStatus(VM3), False, "unsupported"),
        (DomainStatus(VM3._replace(active=False)), False, "disabled"),
        (DomainStatus(VM3, gone=True), True, "gone"),
        (DomainStatus(VM3, unseen=True), True, "error"),
        (DomainStatus(VM3, starting=True), True, "disabled"),
    ],
)
def test_without_a_group_there_is_a_reason(tree, status, features, reason):
    if not features:
        tree.info("mon_features", "")
    (one,) = statistics(tree.resctrl, [status], None)
    assert {value.value.reason for value in totals(one.sample).values()} == {reason}
    assert one.before is None


class Clock:
    """A monotonic clock that passes by sleeping; `meanwhile` is done then."""

    def __init__(self):
        self.now = 100.0
        self.meanwhile = lambda: None

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.meanwhile()


@pytest.fixture(name="clock")
def clock_fixture(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sampling, "time", clock)
    return clock


def total_rate(one):
    return rates(one.before, one.sample).totals["mbm_total_bytes"]


def test_an_interval_gives_two_samples_of_the_same_counters(tree, clock):
    tree.write({OURS: {0: (10, 1000, 1)}})
    clock.meanwhile = lambda: tree.write({OURS: {0: (10, 7000, 1)}})
    assert total_rate(tree.sample(OURS, interval=4)) == Sum(Value(1500))


def whole_rate(tree, *groups):
    """What everything on the host moves, by two looks 4 seconds apart. `groups`: those that are there at the first."""
    (one,) = statistics(tree.resctrl, [whole_host(groups)], 4)
    return total_rate(one)


def test_what_everything_moves_is_not_known_if_a_group_goes_meanwhile(tree, clock):
    """The root's number is a sum with that group in it: it grew, though it lacks what the group had counted."""

    def remove():
        shutil.rmtree(tree.path / OURS.path)
        tree.write({ROOT: {0: (10, 7000, 1)}})

    tree.write({ROOT: {0: (10, 5000, 1)}, OURS: {0: (10, 1000, 1)}})
    clock.meanwhile = remove
    assert whole_rate(tree, OURS) == Sum(Value(None, "reset"))


def test_what_everything_moves_is_not_known_if_an_allocation_comes_meanwhile(tree, clock, monkeypatch):
    """Its domain may move more than all others."""
    # A directory that is made in the root is no new mount
    monkeypatch.setattr(Resctrl, "generation_of_mount", lambda _self: 1)
    tree.write({ROOT: {0: (10, 5000, 1)}})
    clock.meanwhile = lambda: tree.write({ROOT: {0: (10, 7000, 1)}, LIBVIRT: {0: (10, 40000, 1)}})
    assert whole_rate(tree) == Sum(Value(None, "gone"), 500.0)


def test_what_everything_moves_is_known_if_a_group_comes_meanwhile(tree, clock):
    tree.write({ROOT: {0: (10, 5000, 1)}, LIBVIRT_MONITOR: {0: (10, 100, 1)}})
    clock.meanwhile = lambda: tree.write({ROOT: {0: (10, 7000, 1)}, OURS: {0: (10, 100, 1)}})
    assert whole_rate(tree) == Sum(Value(500))


@pytest.mark.parametrize("moment", ["first look", "second look"])
def test_what_everything_moves_is_not_known_if_a_group_goes_while_it_is_read(tree, clock, monkeypatch, moment):
    """Whether the root's number was read with it or without it cannot be told."""
    tree.write({ROOT: {0: (10, 5000, 1)}, OURS: {0: (10, 1000, 1)}})
    read = counters.Reader.read

    def remove(self, group):
        found = read(self, group)
        if moment == "first look" or clock.now > 100:
            shutil.rmtree(tree.path / OURS.path, ignore_errors=True)
        return found

    monkeypatch.setattr(counters.Reader, "read", remove)
    clock.meanwhile = lambda: tree.write({ROOT: {0: (10, 7000, 1)}})
    assert whole_rate(tree, OURS) == Sum(Value(None, "reset"))


def test_what_everything_moves_is_not_known_if_the_groups_below_the_root_cannot_be_listed(tree, clock, monkeypatch):
    def refuse(_path):
        raise PermissionError

    tree.write({ROOT: {0: (10, 5000, 1)}})
    monkeypatch.setattr(counters.os, "scandir", refuse)
    clock.meanwhile = lambda: tree.write({ROOT: {0: (10, 7000, 1)}})
    assert whole_rate(tree) == Sum(Value(None, "reset"))


def test_what_was_read_of_a_group_tells_whether_everything_is_in_the_roots_number(tree, monkeypatch):
    """So the file that tells its counters is read only of a group of which nothing was."""
    other = Group("", "pqos-1")
    tree.info("mbm_assign_mode", "[mbm_event]\ndefault\n")
    tree.write({OURS: {0: (10, "Unassigned", 1)}, other: {0: (10, 1, 1)}})
    tree.assign(ROOT, "total local")
    tree.assign(other, "local")
    looked = []
    monkeypatch.setattr(assignments, "assignments", lambda _resctrl, group: looked.append(group) or {})
    *_domain, whole = sample_all(tree.resctrl, [DomainStatus(VM3, True, None, (OURS,)), whole_host([OURS, other])])
    assert set(looked) == {ROOT, other}
    held = {name: whole.parts[ROOT].summed[whole_of] for name, whole_of in generations_of(tree, OURS, other).items()}
    assert held == {OURS: {("mbm_local_bytes", cache) for cache in (0,)}, other: frozenset()}


def test_a_group_made_anew_in_the_interval_has_no_rate(tree, clock):
    def make_anew():
        (tree.path / OURS.path).rename(tree.path / "info/old")
        tree.write({OURS: {0: (10, 7000, 1)}})

    tree.write({OURS: {0: (10, 1000, 1)}})
    clock.meanwhile = make_anew
    assert total_rate(tree.sample(OURS, interval=4)) == Sum(Value(None, "reset"))


def generations_of(tree, *groups):
    with counters.Reader(tree.resctrl, ()) as reader:
        return {group: reader.generation(group) for group in groups}


@pytest.mark.usefixtures("clock")
def test_what_was_read_while_resctrl_was_mounted_anew_has_no_rate(tree, monkeypatch):
    tree.write({OURS: {0: (10, 1000, 1)}})
    mounts = iter([1, 1, 1, 2])
    monkeypatch.setattr(tree.resctrl, "generation_of_mount", lambda: next(mounts))
    one = tree.sample(OURS, interval=4)
    assert total_rate(one) == Sum(Value(None, "reset"))
    assert totals(one.sample)["mbm_total_bytes"] == Sum(Value(1000))


def test_a_cache_that_was_off_in_the_interval_leaves_the_rate_of_the_other(tree, clock):
    def switch_off_and_on():
        (tree.path / "mon_data/mon_L3_01").rename(tree.path / "info/old")
        tree.write({OURS: {0: (10, 7000, 1), 1: (10, 9000, 1)}})

    tree.write({OURS: {0: (10, 1000, 1), 1: (10, 1000, 1)}})
    clock.meanwhile = switch_off_and_on
    assert total_rate(tree.sample(OURS, interval=4)) == Sum(Value(None, "reset"), 1500)


def test_a_node_that_went_off_in_the_interval_leaves_the_rate_of_the_other_cache(tree, clock):
    def switch_off():
        tree.write({OURS: {0: (10, 7000, 1), 1: (10, 9000, 1)}})
        shutil.rmtree(tree.path / "mon_data/mon_L3_01/mon_sub_L3_00")

    tree.write({OURS: {0: (10, 1000, 1), 1: (10, 1000, 1)}})
    clock.meanwhile = switch_off
    assert total_rate(tree.sample(OURS, interval=4)) == Sum(Value(None, "reset"), 1500)


def test_a_cache_that_is_configured_anew_in_the_interval_leaves_the_rate_of_the_other(tree, clock):
    def configure():
        tree.info("mbm_total_bytes_config", "0=0x7f;1=0x15\n")
        tree.write({OURS: {0: (10, 7000, 1), 1: (10, 9000, 1)}})

    tree.info("mbm_total_bytes_config", "0=0x7f;1=0x7f\n")
    tree.write({OURS: {0: (10, 1000, 1), 1: (10, 1000, 1)}})
    clock.meanwhile = configure
    assert total_rate(tree.sample(OURS, interval=4)) == Sum(Value(None, "reset"), 1500)
