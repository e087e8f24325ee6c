# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was read of a domain's groups to its values, sums and rates: nothing twice, nothing invented. Pure.

Values and rates are judged for each group and each cache first. A sum is made of what is left.
"""

from __future__ import annotations

import types
import typing as t

from ..kernel.events import BANDWIDTH, EVENTS, GONE, RESET, UNSUPPORTED, Sum, Value, Values, add

if t.TYPE_CHECKING:
    from ..kernel.groups import Group


class Part(t.NamedTuple):
    """What one group showed: L3 cache id -> event -> value, its generation, and why a cache that is not there is not.

    A group that is gone shows no cache at all.
    """

    caches: t.Mapping[int, Values]
    generation: str | None
    reason: str = GONE


class Sample(t.NamedTuple):
    """What the groups of one domain showed at one moment.

    `parts`: the groups to be added up.  `generations`: that of each group, those inside of another included.
    `events`: those that the hardware has.  `seconds`: when, on the monotonic clock: only differences mean something.
    `reason`: why there is nothing at all, "" if there is.  `caches`: the generation of each cache's counters.
    `configured`: event -> cache id (-1: all) -> what it counts there, where that can be changed.
    """

    parts: t.Mapping[Group, Part]
    generations: t.Mapping[Group, str | None]
    events: t.Sequence[str]
    seconds: float
    reason: str = ""
    caches: t.Mapping[int, str] = types.MappingProxyType({})
    configured: t.Mapping[str, t.Mapping[int, str]] = types.MappingProxyType({})

    def counter(self, group: Group, cache: int, event: str) -> tuple[str | None, ...]:
        """What tells one counter from another that is read from the same file later."""
        masks = self.configured.get(event, {})
        return (self.parts[group].generation, self.caches.get(cache), masks.get(cache, masks.get(-1)))


def outermost(groups: t.Iterable[Group]) -> list[Group]:
    """The groups to add up: a CTRL_MON group's counters include those of its MON groups, so these are left out."""
    every = set(groups)
    return sorted(group for group in every if not group.mon or group.parent not in every)


def per_cache(sample: Sample) -> dict[int, dict[str, Sum]]:
    """L3 cache id -> event -> the sum over the domain's groups."""
    ids = sorted({cache for part in sample.parts.values() for cache in part.caches})
    return {
        cache: {
            event: add([part.caches[cache][event] for part in sample.parts.values() if cache in part.caches])
            for event in EVENTS
        }
        for cache in ids
    }


def totals(sample: Sample) -> dict[str, Sum]:
    """Event -> the sum over the domain's groups and caches."""
    if sample.reason:
        return {event: Sum(Value(None, sample.reason)) for event in EVENTS}
    return {event: _total(sample, event) for event in EVENTS}


def _total(sample: Sample, event: str) -> Sum:
    if event not in sample.events:
        return Sum(Value(None, UNSUPPORTED))
    values = [value for part in sample.parts.values() for value in _values(part, event)]
    return add(values)


def _values(part: Part, event: str) -> list[Value]:
    """The values of a group. Of one that shows no cache at all it is unknown what it counted."""
    return [values[event] for values in part.caches.values()] or [_nothing(part)]


class Rates(t.NamedTuple):
    """Bytes per second between two samples, `seconds` apart: for each cache, and in all. Only counters have rates."""

    seconds: float
    caches: t.Mapping[int, t.Mapping[str, Sum]]
    totals: t.Mapping[str, Sum]


def rates(first: Sample, second: Sample) -> Rates:
    """The rates between two samples of one domain. An event has one only where both values are of the same counter."""
    seconds = second.seconds - first.seconds
    if second.reason or first.reason:
        nothing = {event: Sum(Value(None, second.reason or first.reason)) for event in BANDWIDTH}
        return Rates(seconds, {}, nothing)
    groups = sorted({*first.parts, *second.parts})
    found = {
        (group, cache): {event: _rate(first, second, group, cache, event) for event in BANDWIDTH}
        for group in groups
        for cache in _caches(first, second, group)
    }
    ids = sorted({cache for _group, cache in found})
    caches = {
        cache: {event: add([rates[event] for (_g, one), rates in found.items() if one == cache]) for event in BANDWIDTH}
        for cache in ids
    }
    vanished = [_nothing(second.parts.get(group)) for group in groups if not _caches(first, second, group)]
    total = {event: add([rates[event] for rates in found.values()] + vanished) for event in BANDWIDTH}
    return Rates(seconds, caches, total)


def _caches(first: Sample, second: Sample, group: Group) -> list[int]:
    """The caches that a group showed in either sample."""
    parts = [sample.parts[group] for sample in (first, second) if group in sample.parts]
    return sorted({cache for part in parts for cache in part.caches})


def _rate(first: Sample, second: Sample, group: Group, cache: int, event: str) -> Value:
    """Bytes per second of one group on one cache.

    None where a value is missing, where it is not the same counter any more, or where the counter went backwards, as it
    does when the kernel resets it.
    """
    before, after = _value(first, group, cache, event), _value(second, group, cache, event)
    if after.number is None or before.number is None:
        return Value(None, after.reason or before.reason)
    seconds = second.seconds - first.seconds
    counter = second.counter(group, cache, event)
    same = counter == first.counter(group, cache, event) and counter[0] is not None
    if not same or after.number < before.number or seconds <= 0:
        return Value(None, RESET)
    return Value((after.number - before.number) / seconds)


def _value(sample: Sample, group: Group, cache: int, event: str) -> Value:
    part = sample.parts.get(group)
    return part.caches[cache][event] if part and cache in part.caches else _nothing(part)


def _nothing(part: Part | None) -> Value:
    """The value on a cache that a group did not show."""
    return Value(None, part.reason if part else GONE)
