# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain had at earlier looks: whether it has far more now, and since when something is so. Pure.

A look says nothing of the time between it and the next one.
"""

from __future__ import annotations

import types
import typing as t

from .situation import Holding, Situation, Socket, Subject, add

# Far above: so many times the most that it had at each of so many looks before, or more
TIMES = 2.0
LEAST = 3
# A look is kept for so many seconds, but no more of them than that of a domain, and none that is nearer to the last one
AGE = 7 * 86400.0
MOST = 12
APART = 300.0


class Look(t.NamedTuple):
    """What a domain had at a moment (Unix time).

    `moved`: the socket's key -> bytes per second.  `held`: a cache's key -> bytes.  `partial`: whether only a part of
    that was known.  `found`: the kinds of what was found, each with where.
    """

    at: float
    moved: t.Mapping[str, float] = types.MappingProxyType({})
    held: t.Mapping[str, float] = types.MappingProxyType({})
    partial: bool = False
    found: frozenset[str] = frozenset()


class History(t.NamedTuple):
    """The looks at a domain, the oldest first, as long as it was the same process in the same groups (`identity`)."""

    identity: str
    looks: tuple[Look, ...] = ()


class Rise(t.NamedTuple):
    """From `before`, the most at each of `looks` looks from `first` on, to `now`, and at no look from `since` on to
    less than TIMES that. `partial`: whether only a part was known at one of them."""

    now: float
    before: float
    looks: int
    first: float
    since: float
    partial: bool

    @property
    def earlier(self) -> dict[str, float]:
        """What a finding says of the looks before."""
        return {"before": self.before, "looks": float(self.looks)}


def key_of(cache: int) -> str:
    """How a look names a cache."""
    return Socket(None, (cache,)).key


def look_at(situation: Situation, subject: Subject) -> Look:
    """What a domain has now."""
    held = {key_of(cache): one.held for cache, one in subject.holdings.items()}
    moved = {
        socket.key: add(subject.holdings.get(one, Holding()).moved for one in socket.caches)
        for socket in situation.sockets
    }
    return Look(
        situation.at,
        {key: number for key, number in moved.items() if number is not None},
        {key: number for key, number in held.items() if number is not None},
        any(one.partial for one in subject.holdings.values()),
    )


def looks_of(histories: t.Mapping[str, History], subject: Subject, now: float) -> tuple[Look, ...]:
    """The earlier looks at a domain. One that was started anew, or whose groups were made anew, has none.

    Nor do looks count that are too old, or younger than now, because the clock was set back.
    """
    history = histories.get(subject.uuid)
    if history is None or not subject.identity or history.identity != subject.identity:
        return ()
    return tuple(look for look in history.looks if now - AGE <= look.at < now)


def rise(looks: t.Sequence[Look], now: Look, what: str, key: str) -> Rise | None:
    """Since when a domain has far more of something than before, the last time that it rose; None if it did not.

    `what`: moved or held. Who only went from one cache or socket to another has no more than before: what it has in all
    places must have risen, too.
    """
    there: list[tuple[Look, t.Mapping[str, float]]] = [(look, getattr(look, what)) for look in (*looks, now)]
    known = [(look, of) for look, of in there if key in of]
    if not known or known[-1][0] is not now:
        return None
    here, everywhere = [of[key] for _look, of in known], [sum(of.values()) for _look, of in known]
    for first in range(len(known) - 1, LEAST - 1, -1):
        if _far_above(here, first) and _far_above(everywhere, first):
            partial = any(look.partial for look, _of in known)
            return Rise(here[-1], max(here[:first]), first, known[0][0].at, known[first][0].at, partial)
    return None


def _far_above(numbers: t.Sequence[float], first: int) -> bool:
    """Whether each number from the place `first` on is far above all those before it."""
    return min(numbers[first:]) > 0 and min(numbers[first:]) >= TIMES * max(numbers[:first])


def since(looks: t.Sequence[Look], found: str) -> float | None:
    """From which look on something was found at each look up to the last one; None if not at that."""
    earliest = None
    for look in reversed(looks):
        if found not in look.found:
            break
        earliest = look.at
    return earliest


def grown(
    histories: t.Mapping[str, History], situation: Situation, found: t.Mapping[str, frozenset[str]]
) -> dict[str, History]:
    """The histories of domains, with this look at those that are there now. `found`: UUID -> what was found.

    Other looks may have been kept while this one lasted. Of a domain that is not seen now, its history is kept for as
    long as a look counts: it may have ended, or be known to another source only. Of a domain that nothing tells apart
    from a later one, none is kept.
    """
    here = {subject.uuid for subject in situation.subjects}
    kept = {uuid: one for uuid, one in histories.items() if uuid not in here and _counts(one, situation.at)}
    for subject in situation.subjects:
        looks = looks_of(histories, subject, situation.at + situation.interval)
        mine = found.get(subject.uuid, frozenset())
        if any(_are_near(one, situation.at) for one in looks):
            # What was not found at every look was not found all the time
            looks = tuple(
                one._replace(found=one.found & mine) if _are_near(one, situation.at) else one for one in looks
            )
        else:
            looks = (*looks, look_at(situation, subject)._replace(found=mine))
            looks = tuple(sorted(looks, key=lambda one: one.at))[-MOST:]
        if subject.identity:
            kept[subject.uuid] = History(subject.identity, looks)
    return kept


def _counts(history: History, now: float) -> bool:
    return bool(history.looks) and abs(now - history.looks[-1].at) <= AGE


def _are_near(look: Look, at: float) -> bool:
    return abs(at - look.at) < APART
