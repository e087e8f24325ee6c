# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was read of a domain's groups to its values, sums and rates: nothing twice, nothing invented. Pure.

Values and rates are judged for each group and each place (a cache, a package) first. A sum is made of what is left.
"""

from __future__ import annotations

import types
import typing as t

from ..kernel.events import (
    ALL_CACHES,
    BANDWIDTH,
    COUNTER,
    CYCLES,
    GONE,
    IDLE,
    L3,
    RESET,
    STALLS,
    UNASSIGNED,
    UNSUPPORTED,
    Event,
    Place,
    Sum,
    Value,
    Values,
    add,
    difference,
    told,
)

if t.TYPE_CHECKING:
    from ..kernel.assignments import Assigned
    from ..kernel.groups import Group


class Part(t.NamedTuple):
    """What one group showed: place -> event -> value, its generation, and why a place that is not there is not.

    A group that is gone shows no place at all.
    `summed`: of a CTRL_MON group, whose numbers are sums: the generations of itself and of each MON group below it, and
    event and L3 cache id of each bandwidth counter that these have (None: they need none). Empty for a MON group.
    """

    places: t.Mapping[Place, Values]
    generation: str | None
    reason: str = GONE
    summed: t.Mapping[str, Assigned | None] = types.MappingProxyType({})

    def values(self, place: Place, event: str) -> list[Value]:
        """What it showed of an event in a place; where that is only a part of the sum, also that a part is not known.

        The kernel shows a number as soon as one of the groups has a counter (mon_event_count(), fs/resctrl/monitor.c).
        """
        value = self.places[place].get(event)
        if value is None:
            # Another kernel brought the event in (resctrl was mounted anew)
            return [Value(None, self.reason)]
        if value.number is not None and self.lacks(place, event):
            return [Value(None, UNASSIGNED), value]
        return [value]

    def lacks(self, place: Place, event: str) -> bool:
        """Whether one of the groups has no counter for a bandwidth event of a cache."""
        if not self.summed or place.resource != L3 or event not in BANDWIDTH:
            return False
        return any(held is not None and (event, place.id) not in held for held in self.summed.values())

    def counting(self, place: Place, event: str) -> set[str]:
        """The generations of the groups that are in the sum."""
        if place.resource != L3 or event not in BANDWIDTH:
            return set(self.summed)
        return {one for one, held in self.summed.items() if held is None or (event, place.id) in held}


class Sample(t.NamedTuple):
    """What the groups of one domain showed at one moment.

    `parts`: the groups to be added up.  `generations`: that of each group, those inside of another included.
    `events`: those that the host has.  `seconds`: when, on the monotonic clock: only differences mean something.
    `reason`: why there is nothing at all, "" if there is.  `places`: the generation of each place's counters.
    `configured`: event -> L3 cache id (ALL_CACHES: all) -> what it counts there, where that can be changed.
    """

    parts: t.Mapping[Group, Part]
    generations: t.Mapping[Group, str | None]
    events: t.Sequence[Event]
    seconds: float
    reason: str = ""
    places: t.Mapping[Place, str] = types.MappingProxyType({})
    configured: t.Mapping[str, t.Mapping[int, str]] = types.MappingProxyType({})

    @property
    def counters(self) -> list[Event]:
        """The events that have rates."""
        return [event for event in told(self.events) if event.kind == COUNTER]

    def counter(self, group: Group, place: Place, event: str) -> tuple[str | None, ...]:
        """What tells one counter from another that is read from the same file later."""
        masks = self.configured.get(event, {})
        return (self.parts[group].generation, self.places.get(place), masks.get(place.id, masks.get(ALL_CACHES)))


def outermost(groups: t.Iterable[Group]) -> list[Group]:
    """The groups to add up: a CTRL_MON group's counters include those of its MON groups, so these are left out."""
    every = set(groups)
    if len(every) == 1:
        return list(every)
    return sorted(group for group in every if not group.mon or group.parent not in every)


def per_place(sample: Sample, resource: str) -> dict[int, dict[str, Sum]]:
    """Id of a cache or package -> event -> the sum over the domain's groups."""
    parts = sample.parts.values()
    places = sorted({place for part in parts for place in part.places if place.resource == resource})
    return {
        place.id: {
            event.name: add([one for part in parts if place in part.places for one in part.values(place, event.name)])
            for event in told(sample.events)
            if event.resource == resource
        }
        for place in places
    }


def totals(sample: Sample) -> dict[str, Sum]:
    """Event -> the sum over the domain's groups and over caches or packages."""
    if sample.reason:
        return {event.name: Sum(Value(None, sample.reason)) for event in told(sample.events)}
    return {event.name: _total(sample, event) for event in told(sample.events)}


def _total(sample: Sample, event: Event) -> Sum:
    if event not in sample.events:
        return Sum(Value(None, UNSUPPORTED))
    return add([value for part in sample.parts.values() for value in _values(part, event)])


def _values(part: Part, event: Event) -> list[Value]:
    """The values of a group. Of one that shows no place at all it is unknown what it counted."""
    places = [place for place in part.places if place.resource == event.resource]
    return [one for place in places for one in part.values(place, event.name)] or [_nothing(part)]


class Rates(t.NamedTuple):
    """An event's unit per second between two samples, `seconds` apart: for each place, and in all. Of counters only."""

    seconds: float
    places: t.Mapping[Place, t.Mapping[str, Sum]]
    totals: t.Mapping[str, Sum]

    def of(self, resource: str) -> dict[int, t.Mapping[str, Sum]]:
        """Id of a cache or package -> event -> its rate."""
        return {place.id: sums for place, sums in self.places.items() if place.resource == resource}


def rates(first: Sample, second: Sample) -> Rates:
    """The rates between two samples of one domain. An event has one only where both values are of the same counter."""
    seconds = second.seconds - first.seconds
    if second.reason or first.reason:
        nothing = {event.name: Sum(Value(None, second.reason or first.reason)) for event in second.counters}
        return Rates(seconds, {}, nothing)
    groups = sorted({*first.parts, *second.parts})
    found = {
        event: {
            (group, place): _rates(first, second, group, place, event)
            for group in groups
            for place in _places(first, second, group, event)
        }
        for event in second.counters
    }
    places: dict[Place, dict[str, Sum]] = {}
    for event, values in found.items():
        for place in sorted({place for _group, place in values}):
            sums = places.setdefault(place, {})
            sums[event.name] = add([one for (_group, where), of in values.items() if where == place for one in of])
    total = {
        event.name: add([*(one for of in values.values() for one in of), *_vanished(first, second, groups, event)])
        for event, values in found.items()
    }
    return Rates(seconds, places, total)


def _places(first: Sample, second: Sample, group: Group, event: Event) -> list[Place]:
    """The places of an event that a group showed in either sample."""
    parts = [sample.parts[group] for sample in (first, second) if group in sample.parts]
    return sorted({place for part in parts for place in part.places if place.resource == event.resource})


def _vanished(first: Sample, second: Sample, groups: t.Iterable[Group], event: Event) -> list[Value]:
    """Of each group that showed no place of an event, why."""
    return [_nothing(second.parts.get(group)) for group in groups if not _places(first, second, group, event)]


def _rates(first: Sample, second: Sample, group: Group, place: Place, event: Event) -> list[Value]:
    """What one group counted per second in one place; where that is only a part, also that a part is not known."""
    rate = _rate(first, second, group, place, event)
    parts = [sample.parts[group] for sample in (first, second) if group in sample.parts]
    partial = rate.number is not None and any(part.lacks(place, event.name) for part in parts)
    return [Value(None, UNASSIGNED), rate] if partial else [rate]


def _rate(first: Sample, second: Sample, group: Group, place: Place, event: Event) -> Value:
    """None where a value is missing, where it is not the same counter any more, or where the counter went backwards, as
    it does when the kernel resets it.
    """
    before, after = _value(first, group, place, event), _value(second, group, place, event)
    if after.number is None or before.number is None:
        return Value(None, after.reason or before.reason)
    seconds, counted = second.seconds - first.seconds, difference(after.number, before.number)
    counter = second.counter(group, place, event.name)
    was, now = (sample.parts[group].counting(place, event.name) for sample in (first, second))
    same = counter == first.counter(group, place, event.name) and counter[0] is not None
    if not same or not adds_up(was, now, place.resource == L3) or counted < 0 or seconds <= 0:
        return Value(None, RESET)
    return Value(counted / seconds)


def adds_up(before: t.AbstractSet[str], after: t.AbstractSet[str], begins_at_zero: bool) -> bool:
    """Whether what a CTRL_MON group has counted more is what was counted between two moments.

    `before`, `after`: the generations of the groups in its sum.
    What a MON group below it had counted goes out of the sum with that group, or with its counter. One that is new is
    harmless where the kernel resets its counter, and that is what it does not do with the telemetry of packages.
    """
    return before <= after if begins_at_zero else before == after


def _value(sample: Sample, group: Group, place: Place, event: Event) -> Value:
    part = sample.parts.get(group)
    return part.values(place, event.name)[-1] if part and place in part.places else _nothing(part)


def _nothing(part: Part | None) -> Value:
    """The value in a place that a group did not show."""
    return Value(None, part.reason if part else GONE)


def named(sums: t.Mapping[str, Sum]) -> dict[str, Sum]:
    """Rates by the names that they are told under, and what is made of them. `sums`: event -> its rate.

    stalls_llc_miss_fraction: in how many of the cycles in which a core works it waits for memory.
    """
    found = {f"{event}_per_second": one for event, one in sums.items()}
    if STALLS in sums and CYCLES in sums:
        found[f"{STALLS}_fraction"] = _fraction(sums[STALLS].value, sums[CYCLES].value)
    return found


def _fraction(part: Value, whole: Value) -> Sum:
    """Unknown where one of them is, or where there was nothing to be a part of."""
    if part.number is None or whole.number is None:
        return Sum(Value(None, part.reason or whole.reason))
    if not whole.number:
        return Sum(Value(None, IDLE))
    return Sum(Value(float(part.number) / float(whole.number)))
