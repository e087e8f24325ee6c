# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of domains that take turns: what was measured in the window of each, and when that was. Pure.

All times are seconds on the monotonic clock.
"""

from __future__ import annotations

import types
import typing as t

from ..kernel.events import BANDWIDTH, L3, OCCUPANCY, WARMING, Place, Value
from .baselines import readings
from .samples import per_place
from .turns import Queue, Turn, Turns, ended

if t.TYPE_CHECKING:
    from .baselines import Key, Reading
    from .samples import Part, Sample

_NOTHING: t.Mapping[t.Any, t.Any] = types.MappingProxyType({})


class Start(t.NamedTuple):
    """When a counter began to be measured, and what each group of the domain (by path) showed then."""

    began: float
    groups: t.Mapping[str, Reading]


class Measured(t.NamedTuple):
    """What was measured from `began` to `ended`: the rate of a counter in its unit per second, or the occupancy at the
    end in bytes. `since`: when it had been measured before, or the domain was first known.
    """

    since: float
    began: float
    ended: float
    number: float

    @property
    def seconds(self) -> float:
        """How long it was measured."""
        return self.ended - self.began

    @property
    def coverage(self) -> float:
        """Share of the time since it had been measured before in which it was."""
        return min(1.0, self.seconds / (self.ended - self.since)) if self.ended > self.since else 1.0


class Notes(t.NamedTuple):
    """What is noted of a domain.

    `group`: its turn with a group; None: it needs no turns.  `counters`: L3 cache id -> with a bandwidth counter there.
    `unclean`: when its turn began the caches held lines of those that had its RMIDs before.
    `places`: where it was counted in its last turn, be anything known there or not.
    `starts`, `measured`: by event and where it is counted.  `made`: when the last of its groups was made, if in a turn.
    """

    group: Turn | None = None
    counters: t.Mapping[int, Turn] = _NOTHING
    unclean: bool = False
    starts: t.Mapping[Key, Start] = _NOTHING
    measured: t.Mapping[Key, Measured] = _NOTHING
    made: float | None = None
    places: tuple[Place, ...] = ()

    def is_warm(self, now: float, settings: Turns) -> bool:
        """Whether the occupancy of the caches is to be believed: the RMIDs have been its own for long enough."""
        if self.group is None:
            return True
        if self.group.began is None:
            # Its turn has begun in this moment, and is not noted yet
            return False
        return not self.unclean and now - max(self.group.began, self.made or 0.0) >= settings.warm_up

    def shares(self, event: str, place: Place) -> bool:
        """Whether an event is counted in its turns only."""
        return self.group is not None or (event in BANDWIDTH and place.resource == L3 and place.id in self.counters)

    def only_shared(self) -> Notes:
        """Without what was measured of something that is counted all the time now: it would only grow old."""
        return self._replace(
            starts={key: one for key, one in self.starts.items() if self.shares(*key)},
            measured={key: one for key, one in self.measured.items() if self.shares(*key)},
        )

    @property
    def waits(self) -> bool:
        """Whether it is not counted because it is not its turn."""
        return self.group is not None and self.group.began is None

    @property
    def waits_for_counters(self) -> bool:
        """Whether it is counted, but without bandwidth on some cache because it is not its turn."""
        return not self.waits and any(turn.began is None for turn in self.counters.values())


class Turned(t.NamedTuple):
    """What is noted of a domain, how turns are taken, and when that was looked at."""

    notes: Notes
    settings: Turns
    now: float


def taken(every: t.Collection[Notes]) -> list[str]:
    """How many domains take turns, a sentence for groups and one for bandwidth counters."""
    groups, sharers = [notes for notes in every if notes.group], sum(bool(notes.counters) for notes in every)
    counted = sum(not notes.waits for notes in groups)
    lines = [f"{len(groups)} domains take turns with {counted} group{'' if counted == 1 else 's'}"] if groups else []
    return lines + ([f"{sharers} domains take turns with the bandwidth counters"] if sharers else [])


def begin(notes: Notes, sample: Sample) -> Notes:
    """Measure from now on what is counted in turns and not measured yet, or begins anew."""
    starts = dict(notes.starts)
    for key, now in readings(sample).items():
        if notes.shares(*key) and (key not in starts or counted(starts[key].groups, now) is None):
            starts[key] = Start(sample.seconds, now)
    return notes._replace(starts=starts)


def counted(before: t.Mapping[str, Reading], now: t.Mapping[str, Reading]) -> float | None:
    """What was counted between two readings of the same counters; None: they are not the same any more."""
    if before.keys() != now.keys():
        return None
    pairs = [(before[group], now[group]) for group in now]
    if any(then[1:] != one[1:] or one.value < then.value for then, one in pairs):
        return None
    return float(sum(one.value - then.value for then, one in pairs))


def end_turn(notes: Notes, sample: Sample, queue: Queue) -> Notes:
    """A domain's turn with a group ends: what was measured in it is noted."""
    if notes.group is None or notes.group.began is None:
        return notes
    began = notes.group.began
    # What was measured of bandwidth in a part of this turn is kept, and nothing of earlier ones
    measured = {key: one for key, one in notes.measured.items() if one.began >= began}
    measured.update(_rates(notes, sample, notes.group.unseen))
    if notes.is_warm(sample.seconds, queue.settings):
        for cache, sums in per_place(sample, L3).items():
            number = sums[OCCUPANCY].value.number
            if number is not None:
                measured[OCCUPANCY, Place(L3, cache)] = Measured(
                    notes.group.unseen, notes.group.began, sample.seconds, float(number)
                )
    counters = {cache: ended(turn, queue) if turn.began is not None else turn for cache, turn in notes.counters.items()}
    return Notes(ended(notes.group, queue), counters, measured=measured, places=_places(sample))


def end_bandwidth(notes: Notes, sample: Sample, cache: int, queue: Queue) -> Notes:
    """A domain's turn with a bandwidth counter on an L3 cache ends: what was measured in it is noted."""
    keys = {(event, Place(L3, cache)) for event in BANDWIDTH}
    turn = notes.counters.get(cache)
    found = {} if turn is None else _rates(notes, sample, turn.unseen)
    return notes._replace(
        counters={**notes.counters, cache: ended(turn, queue)} if turn else notes.counters,
        starts={key: start for key, start in notes.starts.items() if key not in keys},
        measured={**notes.measured, **{key: one for key, one in found.items() if key in keys}},
        places=_places(sample),
    )


def _places(sample: Sample) -> tuple[Place, ...]:
    return tuple(sorted({place for part in sample.parts.values() for place in part.places}))


def _rates(notes: Notes, sample: Sample, since: float) -> dict[Key, Measured]:
    found = {}
    for key, now in readings(sample).items():
        start = notes.starts.get(key)
        number = counted(start.groups, now) if start else None
        if start and number is not None and sample.seconds > start.began:
            found[key] = Measured(since, start.began, sample.seconds, number / (sample.seconds - start.began))
    return found


def without_occupancy(sample: Sample) -> Sample:
    """A sample with no word of what a domain occupies, since its RMIDs have not been its own for long enough."""
    return sample._replace(parts={group: _without_occupancy(part) for group, part in sample.parts.items()})


def _without_occupancy(part: Part) -> Part:
    places = {
        place: {**values, OCCUPANCY: Value(None, WARMING)} if OCCUPANCY in values else values
        for place, values in part.places.items()
    }
    return part._replace(places=places)
