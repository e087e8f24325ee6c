# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured of domains that take turns, as metrics of Prometheus.

None of it is a counter: between two turns nothing is known. When it was measured stands beside it.
"""

from __future__ import annotations

import math
import typing as t

from ..kernel.events import L3, OCCUPANCY, TABLE
from .exposition import SCOPES, Family, Point

if t.TYPE_CHECKING:
    from ..decide.windows import Turned

_LAST = "measured in the domain's last turn"
_OCCUPANCY = Family(
    "libvirt_domain_llc_occupancy_sampled_bytes", f"Bytes of an L3 cache that the domain occupied, {_LAST}."
)
_BANDWIDTH = Family(
    "libvirt_domain_memory_bandwidth_sampled_bytes_per_second",
    f"Bytes per second moved between an L3 cache and memory, {_LAST}.",
)
_POWER = Family("libvirt_domain_core_energy_sampled_watts", f"Power of the cores, {_LAST}.")
_UNITS = {event.name: event.unit for event in TABLE}
_WHEN = Family("libvirt_domain_sampled_timestamp_seconds", "When that turn ended.")
_SECONDS = Family("libvirt_domain_sampled_window_seconds", "How long that turn was measured.")
_COVERAGE = Family(
    "libvirt_domain_sampled_coverage_ratio", "Share of the time since the previous turn that was measured."
)
_ENDED = Family(
    "libvirt_domain_turn_ended_timestamp_seconds",
    "When the domain's last whole turn ended; before the first, since when the domain waits for it.",
)
_WINDOW = Family("resctrl_turns_window_seconds", "How long a turn lasts.")
_ROUND = Family("resctrl_turns_round_seconds", "Seconds within which each domain that takes turns is counted once.")
_DOMAINS = Family("resctrl_turns_domains", "Domains that take turns with groups, or with bandwidth counters.")


def points_of_turn(labels: t.Mapping[str, str], turned: Turned, wall: float) -> t.Iterator[Point]:
    """What was measured of a domain. `wall`: the Unix time at which it was looked at."""
    from .sampled import window

    notes = turned.notes
    for (event, place), one in sorted(notes.measured.items()):
        where = {"cache_id" if place.resource == L3 else "package": str(place.id)}
        scope = {"scope": SCOPES[event]} if event in SCOPES else {}
        yield Point(
            _family(event),
            {**labels, **where, **scope},
            int(one.number) if event == OCCUPANCY else round(one.number, 3),
        )
    if notes.measured:
        found = window(turned)
        yield Point(_WHEN, labels, round(wall - found["age"], 3))
        yield Point(_SECONDS, labels, found["seconds"])
        yield Point(_COVERAGE, labels, found["coverage"])
    ended = [turn.unseen for turn in [notes.group, *notes.counters.values()] if turn]
    if ended:
        yield Point(_ENDED, labels, round(wall - (turned.now - min(ended)), 3))


def _family(event: str) -> Family:
    if event == OCCUPANCY:
        return _OCCUPANCY
    if event in SCOPES:
        return _BANDWIDTH
    if _UNITS.get(event) == "joules":
        return _POWER
    return Family(f"libvirt_domain_{event}_sampled_per_second", f"The kernel's event {event} per second, {_LAST}.")


def points_of_turns(turned: t.Sequence[Turned]) -> t.Iterator[Point]:
    """How turns are taken on a host: of all domains that take some."""
    if not turned:
        return
    groups = [one for one in turned if one.notes.group]
    counters = [one for one in turned if one.notes.counters]
    window = turned[0].settings.window
    yield Point(_WINDOW, {}, window)
    yield Point(_DOMAINS, {"of": "groups"}, len(groups))
    yield Point(_DOMAINS, {"of": "counters"}, len(counters))
    rounds = []
    if groups:
        rounds.append(_round(len(groups), sum(not one.notes.waits for one in groups), window))
    if counters:
        rounds.append(_round(len(counters), min(_holders(counters)), window))
    if all(rounds):
        yield Point(_ROUND, {}, max(rounds))


def _round(domains: int, slots: int, window: int) -> int:
    """Seconds within which each has had its turn; 0 where nobody has one now, so that it cannot be told."""
    return math.ceil(domains / slots) * window if slots else 0


def _holders(turned: t.Sequence[Turned]) -> list[int]:
    """How many have a bandwidth counter, on each L3 cache."""
    caches = sorted({cache for one in turned for cache in one.notes.counters})
    return [
        sum(one.notes.counters[cache].began is not None for one in turned if cache in one.notes.counters)
        for cache in caches
    ]
