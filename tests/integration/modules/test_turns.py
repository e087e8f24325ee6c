# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that take turns where there are more of them than RMIDs or bandwidth counters, by the agent's runs."""

from __future__ import annotations

import json
import re
import stat

import pytest
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from emulator.faults import Fault

NOTES = "/run/kvmops-resctrl/turns/turns.json"
# So short that a few rotations take seconds
TURNS = {"window": 2, "warm_up": 1, "keep": 0}


class Shared:
    """A host on which domains take turns, and its agent."""

    def __init__(self, host, agent, domains, *rules, vcpus=2, **policy):
        self.host, self.agent = host, agent
        self.names = [f"vm{number:02}" for number in range(1, domains + 1)]
        for name in self.names:
            host.domains.add(name, vcpus=vcpus)
        agent.declare(*rules, default="enabled", turns=TURNS, **policy)

    @property
    def counted(self):
        """The domains that have a group, by the emulator's own word."""
        held = {group.rpartition("kvmops-")[2] for group in self.host.groups()}
        return {name for name in self.names if self.host.domains[name].uuid in held}

    def run(self):
        """Let the agent run once, as its timer does."""
        status, said, complaints = self.agent.run("enforce")
        assert (status, complaints) == (0, "")
        return said

    def rotates(self):
        """Let the agent run until others are counted; who is counted then."""
        before = self.counted
        wait_until(lambda: self.run() and self.counted != before, "the end of a turn")
        return self.counted

    @property
    def notes(self):
        """What is noted, by the domain's name."""
        noted = json.loads(self.path.read_text())["domains"]
        return {
            name: noted[self.host.domains[name].uuid] for name in self.names if self.host.domains[name].uuid in noted
        }

    @property
    def path(self):
        """The file of the notes, as this process sees it."""
        return self.host.domains.path(NOTES)

    def stats(self):
        """What resctrl_stats says of each domain."""
        return self.host.all_stats()

    def metrics(self):
        """Name of a metric -> domain -> its values."""
        status, text, errors = self.agent.run("metrics")
        assert (status, errors) == (0, "")
        found = {}
        for family in text_string_to_metric_families(text):
            for one in family.samples:
                found.setdefault(one.name, {}).setdefault(one.labels.get("domain"), []).append(one.value)
        return found


@pytest.fixture
def share(make_host, make_agent):
    """Makes a host on which domains take turns: share(domains, profile and settings..., rules=[...])."""

    def make(domains, *profile, rules=(), **more):
        host = make_host(*profile)
        return Shared(host, make_agent(host), domains, *rules, **more)

    return make


def everyone_was_seen(shared):
    shared.run()
    return all(one["measured"] for one in shared.notes.values()) and set(shared.notes) == set(shared.names)


# -- more domains than RMIDs -------------------------------------------------------------------------------------------


def test_twenty_domains_with_eight_groups_are_all_told_each_with_its_window(share):
    shared = share(20, "intel-6.12", "num_rmids=9")
    said = shared.run()
    assert said.startswith("20 domains take turns with 8 groups\n")
    assert len(shared.counted) == 8
    wait_until(lambda: everyone_was_seen(shared), "a whole turn of each of the 20 domains")
    assert len(shared.counted) == 8
    waiting = set(shared.names) - shared.counted

    stats = shared.stats()
    assert stats.keys() == set(shared.names)
    for name, one in stats.items():
        assert (one["reason"] == "waiting") == (name in waiting)
        assert one["sampled"]["seconds"] >= 0.9 * TURNS["window"]
        assert one["sampled"]["age"] > 0
        assert 0 < one["sampled"]["coverage"] < 1
        assert one["sampled"]["mbm_total_bytes_per_second"] is not None
        assert (one["mbm_total_bytes"] is None) == (name in waiting)

    top = shared.agent.run("top", "--once", "--interval", "0.2")[1]
    rows = dict(re.findall(r"^(vm\d\d) +(.*)$", top, re.MULTILINE))
    assert rows.keys() == set(shared.names)
    # Of one whose turn has only begun the occupancy is that of its last turn
    warming = {name for name, one in stats.items() if one["reasons"].get("llc_occupancy") == "warming"}
    measured = {name for name, row in rows.items() if re.search(r"measured \d+ (s|min) ago, for \d+ s$", row)}
    assert waiting <= measured <= waiting | warming
    assert not warming & waiting

    told = shared.metrics()
    for metric in (
        "libvirt_domain_memory_bandwidth_sampled_bytes_per_second",
        "libvirt_domain_sampled_timestamp_seconds",
        "libvirt_domain_sampled_window_seconds",
        "libvirt_domain_sampled_coverage_ratio",
        "libvirt_domain_turn_ended_timestamp_seconds",
    ):
        assert told[metric].keys() == set(shared.names), metric
    # None of it pretends to be counted all the time
    assert "libvirt_domain_memory_bandwidth_bytes_total" not in told
    assert told["resctrl_turns_domains"] == {None: [20, 0]}
    assert told["resctrl_turns_round_seconds"] == {None: [3 * TURNS["window"]]}


def test_what_a_domain_moved_in_its_turn_is_told_in_the_turns_of_others(share):
    shared = share(2, "intel-6.12", "num_rmids=2")
    shared.run()
    (first,) = shared.counted
    group = shared.host.group(shared.host.domains[first])
    shared.host.control.set(group, shared.host.cache, "mbm_total_bytes", 1 << 40)
    shared.host.control.set(group, shared.host.cache, "llc_occupancy", 1 << 20)
    assert first not in shared.rotates()
    sampled = shared.stats()[first]["sampled"]
    assert sampled["mbm_total_bytes_per_second"] * sampled["seconds"] == pytest.approx(1 << 40, rel=0.05)
    assert sampled["llc_occupancy"] == 1 << 20


def test_only_root_can_read_what_is_noted(share):
    shared = share(2, "intel-6.12", "num_rmids=2")
    shared.run()
    assert stat.S_IMODE(shared.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.path.parent.stat().st_mode) == 0o700


def test_a_higher_priority_is_counted_in_every_turn(share):
    shared = share(4, "intel-6.12", "num_rmids=3", rules=[{"name": "vm04", "priority": 1}])
    shared.run()
    others = set()
    for _turn in range(3):
        assert "vm04" in shared.counted
        others |= shared.rotates()
    assert others == set(shared.names)
    assert "vm04" not in shared.notes
    assert shared.stats()["vm04"]["sampled"] is None


def test_a_domain_that_stops_in_its_turn_makes_room_at_once_and_is_told_no_more(share):
    shared = share(3, "intel-6.1", "num_rmids=2")
    shared.run()
    (first,) = shared.counted
    shared.host.domains.stop(first)
    shared.run()
    assert len(shared.counted) == 1
    assert first not in shared.counted
    assert first not in shared.notes


def test_no_group_of_others_is_touched_in_any_turn(share):
    shared = share(3, "intel-6.12", "num_rmids=4")
    foreign = shared.host.make_group("mon_groups/pqos-77-1"), shared.host.make_group("COS1")
    for _turn in range(2):
        shared.rotates()
        assert set(foreign) <= shared.host.groups().keys()
    assert len(shared.counted) == 1


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("kind", ["rmdir", "mkdir"])
def test_a_run_that_is_killed_in_the_middle_loses_nothing_that_was_noted_and_the_next_goes_on(share, kind, nth):
    shared = share(6, "intel-6.1", "num_rmids=3")
    shared.run()
    first, second = shared.counted, shared.rotates()
    before = {name: shared.notes[name]["measured"] for name in first}
    assert all(before.values())
    shared.host.control.fault(Fault(kind, nth=nth, kill=True))
    # Nothing is said by one that was killed
    wait_until(lambda: shared.agent.run("enforce")[1] == "", "the end of a turn")
    noted = {name: shared.notes[name]["measured"] for name in first | second}
    assert {name: noted[name] for name in first} == before
    assert all(noted[name] for name in second)
    shared.run()
    assert len(shared.counted) == 2
    assert {name: shared.notes[name]["measured"] for name in first | second} == noted
    wait_until(lambda: everyone_was_seen(shared), "a whole turn of each of the domains")


def test_damaged_notes_are_set_aside_and_said_and_turns_go_on(share):
    shared = share(3, "intel-6.12", "num_rmids=2")
    shared.run()
    shared.path.write_text("{")
    stats = shared.stats()
    assert {one["sampled"] for one in stats.values()} == {None}
    status, _said, complaints = shared.agent.run("enforce")
    assert status == 0
    assert f"Cannot understand {NOTES}" in complaints
    assert f"It was set aside as {NOTES}.damaged, and all turns begin anew" in complaints
    assert shared.host.domains.path(f"{NOTES}.damaged").read_text() == "{"
    wait_until(lambda: everyone_was_seen(shared), "a whole turn of each of the domains")


def test_when_turns_are_switched_off_nothing_is_told_of_them_any_more(share):
    shared = share(3, "intel-6.12", "num_rmids=2")
    wait_until(lambda: everyone_was_seen(shared), "a whole turn of each of the domains")
    assert all(one["sampled"] for one in shared.stats().values())
    shared.agent.declare(default="enabled")
    assert "Out of RMIDs" in shared.run()
    assert not shared.path.exists()
    assert {one["sampled"] for one in shared.stats().values()} == {None}
    assert not [metric for metric in shared.metrics() if "sampled" in metric or "turn" in metric]


def test_the_journal_hears_once_that_turns_are_taken(share):
    shared = share(3, "intel-6.12", "num_rmids=2")
    assert shared.agent.run("enforce", "--quiet") == (0, "3 domains take turns with 1 group\n", "")
    for _turn in range(2):
        before = shared.counted
        wait_until(
            lambda: shared.agent.run("enforce", "--quiet") == (0, "", "") and shared.counted != before,  # noqa: B023
            "the end of a turn",
        )


# -- more domains than bandwidth counters ------------------------------------------------------------------------------


def with_counters(shared):
    """The domains that have a bandwidth counter on a cache, by the kernel's file."""
    host = shared.host
    return {
        name
        for name in shared.names
        if "=e" in (host.seen(host.group(host.domains[name])) / "mbm_L3_assignments").read_text()
    }


def test_turns_of_bandwidth_counters_keep_the_group_and_its_occupancy_and_move_only_the_counter(share):
    shared = share(4, "amd-abmc", "l3_ids=0,1", "abmc_counters=6")
    shared.run()
    groups = shared.host.groups()
    inodes = {group: shared.host.seen(group).stat().st_ino for group in groups}
    assert len(groups) == 4
    seen = first = with_counters(shared)
    assert len(first) == 2
    shared.host.changes()

    def moves():
        shared.run()
        return with_counters(shared) != first

    wait_until(moves, "the end of a turn")
    seen = seen | with_counters(shared)
    assert seen == set(shared.names)
    assert {one.kind for one in shared.host.changes()} == {"write"}
    assert shared.host.groups() == groups
    assert {group: shared.host.seen(group).stat().st_ino for group in groups} == inodes

    for name, one in shared.stats().items():
        assert one["llc_occupancy"] is not None
        assert (one["mbm_total_bytes"] is None) == (name not in with_counters(shared))
        sampled = one["sampled"] or {}
        assert ("mbm_total_bytes_per_second" in sampled) == (name in first)
        assert "llc_occupancy" not in sampled
    told = shared.metrics()
    assert told["libvirt_domain_llc_occupancy_bytes"].keys() == set(shared.names)
    assert told["libvirt_domain_memory_bandwidth_sampled_bytes_per_second"].keys() == first
    assert "libvirt_domain_memory_bandwidth_bytes_total" not in told
    assert told["resctrl_turns_domains"] == {None: [0, 4]}


# -- many --------------------------------------------------------------------------------------------------------------


def test_two_hundred_domains_with_twenty_groups_rotate(share):
    shared = share(200, "intel-6.12", "num_rmids=21", vcpus=1)
    seen = set()
    shared.run()
    for turn in range(1, 4):
        seen |= shared.counted
        assert len(seen) == 20 * turn
        shared.rotates()
    assert sum(bool(one["measured"]) for one in shared.notes.values()) == 60
