# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns: where there are more domains than RMIDs or bandwidth counters, each is counted for a while. Pure.

Those of equal priority stand in one queue. Who has been counted for a whole window leaves when somebody has waited for
one, and the one that has not been counted for longest comes next. All times are seconds on the monotonic clock.
"""

from __future__ import annotations

import types
import typing as t

# The agent's timer is not exact: a window may be that part shorter
_EARLY = 0.1


class Turns(t.NamedTuple):
    """How turns are taken, as the policy declares it.

    `window`: how long a turn lasts, in seconds.  `warm_up`: for how long from its beginning what is read of a cache's
    occupancy is not believed, in seconds.  `keep`: groups that are kept for domains with a priority above 0.
    """

    window: int = 60
    warm_up: int = 10
    keep: int = 0


class Turn(t.NamedTuple):
    """Where a domain stands. `began`: when it began to be counted, None: it is not.  `unseen`: since when it has had no
    whole turn.  `before`: when the turns before that had ended, in the mean, of which the later ones count more.
    """

    began: float | None = None
    unseen: float = 0.0
    before: float = 0.0


class Queue(t.NamedTuple):
    """What decides whose turn it is, beside the priorities.

    `groups`: UUID -> the domain's turn with a group.  `counters`: (UUID, L3 cache id) -> that with a bandwidth counter.
    `in_limbo`: how many groups the kernel refused the last time because RMIDs were in limbo.
    """

    settings: Turns
    now: float
    groups: t.Mapping[str, Turn] = types.MappingProxyType({})
    counters: t.Mapping[tuple[str, int], Turn] = types.MappingProxyType({})
    in_limbo: int = 0

    def shares(self, cache: int) -> bool:
        """Whether turns are taken with the bandwidth counters of an L3 cache: somebody has one who makes room."""
        return any(where == cache and turn.began is not None for (_uuid, where), turn in self.counters.items())

    def comes_to(self, uuid: str, cache: int) -> bool:
        """Whether a domain will be given a bandwidth counter there."""
        return (uuid, cache) in self.counters and self.shares(cache)

    def is_over(self, turn: Turn | None) -> bool:
        """Whether a turn has lasted a whole window. One of which nothing is known has only begun."""
        return self._has_lasted(turn, 1)

    def is_overdue(self, turn: Turn | None) -> bool:
        """Whether it has lasted two windows."""
        return self._has_lasted(turn, 2)

    def _has_lasted(self, turn: Turn | None, windows: int) -> bool:
        began = self.now if turn is None or turn.began is None else turn.began
        return self._are_over(windows, began)

    def has_waited(self, turn: Turn | None) -> bool:
        """Whether a domain that waits has done so for a whole window, or has just come.

        Who has just made room must not end the turn of another that is over too: each look would go on with that.
        """
        return turn is None or self._are_over(1, turn.unseen)

    def _are_over(self, windows: int, since: float) -> bool:
        return self.now - since >= windows * self.settings.window * (1 - _EARLY)


_Place = t.Tuple[float, ...]
_STAYS: _Place = (0, 0.0)
_WAITS, _DONE, _LAST = 1, 2, 3
_Who = t.TypeVar("_Who")


def ranks(
    holders: t.Mapping[_Who, bool], turns: t.Mapping[_Who, Turn], queue: Queue, in_limbo: int = 0
) -> dict[_Who, tuple[float, ...]]:
    """The place of each in the queue.

    Who holds something and is not done, then who has waited, then who is done, and at last who has only begun to wait.

    Of those that wait the one that has been unseen for longest is first, and of some whose turns ended together the one
    whose turns before ended earlier; of those that are done the one that began last.
    `holders`: who holds something now, and who does not.
    `in_limbo`: what was given up lately and cannot be had yet. Until it can, no more than half is given up, or all
    could end there. Where half is nothing, one is given up after two windows: what never leaves limbo must not end all
    turns.
    """
    places = {one: _place(turns.get(one), holds, queue) for one, holds in holders.items()}
    if in_limbo:
        done = sorted((one for one, place in places.items() if place[0] == _DONE), key=lambda one: places[one])
        most = max(0, (sum(holders.values()) + in_limbo) // 2 - in_limbo)
        if not most and done and queue.is_overdue(turns.get(done[-1])):
            most = 1
        places.update(dict.fromkeys(done[: len(done) - most], _STAYS))
    return places


def _place(turn: Turn | None, holds: bool, queue: Queue) -> _Place:
    if not holds:
        place = _WAITS if queue.has_waited(turn) else _LAST
        return (place, turn.unseen, turn.before) if turn else (place, queue.now)
    if not queue.is_over(turn):
        return _STAYS
    return (_DONE, -turn.began if turn and turn.began is not None else 0.0)


def ended(turn: Turn, queue: Queue) -> Turn:
    """What a turn becomes when it ends. One that was cut short counts for nothing: that domain comes first again."""
    if not queue.is_over(turn):
        return turn._replace(began=None)
    return Turn(None, queue.now, (turn.before + turn.unseen) / 2)


def wait(place: int, began: t.Sequence[float], queue: Queue) -> float:
    """In how many seconds it is the turn of the domain at a place of those that wait (0: the next).

    `began`: when the turns of those that are counted began, at least one. Each makes room for one when it ends.
    """
    window = queue.settings.window
    ends = sorted(max(0.0, one + window - queue.now) for one in began)
    return ends[place % len(ends)] + place // len(ends) * window


def in_words(seconds: float) -> str:
    """A time to wait, for a sentence."""
    if seconds < 1:
        return "next"
    if seconds < 100:
        return f"in about {seconds:.0f} second{'' if round(seconds) == 1 else 's'}"
    return f"in about {seconds / 60:.0f} minutes"
