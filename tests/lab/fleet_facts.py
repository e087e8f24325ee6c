# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a whole fleet, made up: as resctrl_stats would return them, judged and worded by the library itself."""

from __future__ import annotations

import random
import typing as t
import uuid

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.advice import Allocations, advice
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.findings import findings
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.situation import (
    CONFIGURED,
    Ceiling,
    Holding,
    Situation,
    Subject,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.usage import Cpu
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.allocation import Rules
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.topology import Cache
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.findings import (
    describe_advice,
    describe_findings,
    describe_situation,
)

MiB = 1 << 20
GB = 10**9
SIZE = 32 * MiB


def fact(situation: Situation) -> dict[str, t.Any]:
    """The fact resctrl_stats of a host in that situation, with as much of its domains as the report reads."""
    found = findings(situation)
    allocations = Allocations(Rules(0xFFFF, 1, (10, 10)), {ROOT: dict.fromkeys(situation.caches, 0xFF)})
    return {
        "timestamp": situation.since,
        "domains": {
            one.name: {
                "uuid": one.uuid,
                "active": True,
                "vcpus": {"counted": list(range(one.counted)), "uncounted": list(range(one.uncounted))},
            }
            for one in situation.subjects
        },
        "findings": describe_findings(found, situation),
        "advice": describe_advice(advice(situation, found, allocations, {})),
        "host": describe_situation(situation),
    }


def fleet(hosts: int, seed: int = 7) -> dict[str, dict[str, t.Any]]:
    """Host -> its fact; about one in five has something to say. The same for the same numbers."""
    chance = random.Random(seed)
    return {f"kvm{number + 1:03d}.example.org": fact(_situation(chance)) for number in range(hosts)}


def crowded(domains: int) -> dict[str, dict[str, t.Any]]:
    """The host kvm1 -> its fact, with so many domains: the first holds most of each cache, the last one least."""
    (found,) = fleet(1).values()
    pattern = next(iter(found["domains"].values()))
    names = [f"vm{place:02d}" for place in range(domains)]
    found.update(domains={name: {**pattern, "uuid": name} for name in names}, findings=[], advice=[])
    for cache in found["host"]["caches"]:
        held = {name: (domains - place) << 17 for place, name in enumerate(names)}
        one = cache["domains"][0]
        cache["domains"] = [
            {**one, "name": name, "uuid": name, "llc_occupancy": size, "share": size / cache["size"]}
            for name, size in held.items()
        ]
    return {"kvm1": found}


def _situation(chance: random.Random) -> Situation:
    caches = {number: Cache(SIZE, frozenset(range(number * 16, number * 16 + 16)), number) for number in range(2)}
    subjects = [_subject(chance, place) for place in range(chance.randint(4, 14))]
    whole = {}
    for cache in caches:
        weights = {one.name: chance.uniform(0.5, 1.5) * one.places[cache] for one in subjects if one.counted}
        speeds = {name: weight * chance.uniform(0.1, 0.3) * GB for name, weight in weights.items()}
        if weights and chance.random() < 0.15:
            hog = chance.choice(sorted(weights))
            weights[hog] = 3 * sum(weights.values())
            speeds[hog] = chance.choice([0.02, 9.0]) * GB
        part = chance.uniform(0.6, 0.97) / max(1e-9, sum(weights.values()))
        for place, one in enumerate(subjects):
            if one.counted:
                holding = Holding(float(int(SIZE * part * weights[one.name])), speeds[one.name])
                subjects[place] = one._replace(holdings={**one.holdings, cache: holding})
        held = sum(one.holdings[cache].held or 0.0 for one in subjects if one.counted)
        whole[cache] = Holding(min(float(SIZE), held + 2 * MiB), sum(speeds.values()) + 0.1 * GB)
    ceilings = {f"package {cache}": Ceiling(12.0 * GB, CONFIGURED) for cache in caches}
    return Situation("2026-11-27T09:00:00Z", 10.0, caches, subjects, whole, ceilings)


def _subject(chance: random.Random, place: int) -> Subject:
    vcpus, name = chance.choice([2, 4, 8]), f"{chance.choice(['web', 'db', 'build', 'cache'])}-{place + 1:02d}"
    throttled = 0.3 * vcpus * 10 if chance.random() < 0.02 else 0.0
    counted = 0 if chance.random() < 0.04 else vcpus
    return Subject(
        name,
        str(uuid.UUID(int=chance.getrandbits(128))),
        {},
        {0: vcpus / 2, 1: vcpus / 2},
        counted,
        vcpus - counted,
        tuple(range(vcpus)),
        cpu=Cpu(10.0, vcpus, vcpus * 4.0, 0.1, throttled, 0.0),
    )
