# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that take turns on the kernel's own resctrl, in a guest with three RMIDs for them."""

from __future__ import annotations

import json

import pytest
from agents import Agent
from kernel_host import RESCTRL, every_rmid
from waiting import wait_until

DOMAINS = [f"vm{number}" for number in range(1, 8)]
NOTES = "/run/kvmops-resctrl/turns/turns.json"
# In units of the hardware: more than any max_threshold_occupancy
MANY_LINES = 1024


@pytest.fixture
def shared(host):
    """Seven domains that take turns, beside a group of another program."""
    for name in DOMAINS:
        host.domains.add(name)
    host.make_group("mon_groups/pqos-77-1")
    host.agent = Agent(host)
    host.agent.declare(default="enabled", turns={"window": 5, "warm_up": 1})
    return host


def run(host):
    """Let the agent run once, as its timer does; the notes then."""
    status, _said, complaints = host.agent.run("enforce", "--quiet")
    assert (status, complaints) == (0, "")
    assert "mon_groups/pqos-77-1" in host.groups()
    noted = json.loads(host.domains.path(NOTES).read_text())
    names = {host.domains[name].uuid: name for name in DOMAINS}
    return {names[uuid]: notes for uuid, notes in noted["domains"].items()}, noted["in_limbo"]


def counted(host):
    """The domains that have a group, by the kernel's own files."""
    return {name for name in DOMAINS if (RESCTRL / host.group(host.domains[name])).is_dir()}


def measured_since(host, then):
    """Whether a turn of each domain has ended since then."""
    notes, _in_limbo = run(host)
    ends = {
        name: max((end for *_key, _since, _began, end, _number in one["measured"]), default=0.0)
        for name, one in notes.items()
    }
    return set(ends) == set(DOMAINS) and min(ends.values()) > then


def test_each_of_seven_domains_is_counted_in_turn_with_three_rmids(shared):
    run(shared)
    assert len(counted(shared)) == 3
    wait_until(lambda: measured_since(shared, 0.0), "a turn of each domain", patience=600)
    assert len(counted(shared)) == 3
    for name, one in shared.all_stats().items():
        assert (one["reason"] == "waiting") == (name not in counted(shared))
        assert one["sampled"]["seconds"] > 0
        assert one["sampled"]["mbm_total_bytes_per_second"] is not None


def test_rmids_in_limbo_are_waited_for_and_no_domain_is_forgotten(shared):
    """The caches keep the lines of those whose turn is over: the kernel gives none of their RMIDs away."""
    run(shared)
    first = counted(shared)
    with every_rmid("llc_occupancy", MANY_LINES, cpu=0):
        in_limbo = []
        wait_until(lambda: in_limbo.append(run(shared)[1]) or in_limbo[-1] > 0, "RMIDs in limbo", patience=600)
        assert counted(shared) < first
        notes, _in_limbo = run(shared)
        assert set(notes) == set(DOMAINS)
    then = max(turn for one in notes.values() for turn in one["group"] if turn is not None)
    wait_until(lambda: measured_since(shared, then), "a turn of each domain", patience=600)
    assert len(counted(shared)) == 3
