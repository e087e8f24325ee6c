# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More domains than RMIDs: who is monitored, and who has to wait. Pure, like the plan that it is made for."""

from __future__ import annotations

import collections
import typing as t

from .. import errors
from .places import full, waits
from .wanted import wanted_groups

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from .snapshot import Running, Snapshot
    from .turns import Queue
    from .wish import Wishes

_Need = t.Tuple["Running", t.Collection["Group"]]


Order = t.Tuple[int, t.Tuple[float, ...], str]


def ration(snapshot: Snapshot, wishes: Wishes) -> tuple[Wishes, dict[str, errors.ResctrlError], t.Mapping[str, Order]]:
    """The wishes that the RMIDs suffice for, for each domain that has to wait the error that says so, and who is first.

    The highest priority first; among equals those that are monitored already, then by name. Where turns are taken, a
    queue decides among equals. A domain that has to wait is treated as one to be disabled, so that its RMID goes to one
    that comes before it.
    """
    needs, room = _needs(snapshot, wishes)
    order = _order(needs, snapshot, wishes)
    shares = _Shares(snapshot, wishes, room)
    for need in sorted(needs, key=lambda one: order[one[0].domain.uuid]):
        shares.give(need, stays=order[need[0].domain.uuid][1][0] == 0)
    denied = shares.denied()
    refused = {uuid: wishes.of[uuid]._replace(enabled=False) for uuid in denied}
    return wishes._replace(of={**wishes.of, **refused}), denied, order


class _Room(t.NamedTuple):
    """What is not given out: so many RMIDs; and the groups that there will be, which fill CTRL_MON groups."""

    rmids: int
    groups: tuple[Group, ...]

    def fits(self, wanted: t.Collection[Group], snapshot: Snapshot, kept: int) -> tuple[bool, str | None]:
        """Whether there is room for groups, `kept` RMIDs aside; and the CTRL_MON group that is full, if one is."""
        ctrl = full(wanted, self.groups, snapshot)
        # One that libvirt counts wholly needs none, even where the reserve is not there
        return ctrl is None and len(wanted) <= max(self.rmids - kept, 0), ctrl

    def less(self, wanted: t.Collection[Group]) -> _Room:
        """What is left when these are given out."""
        return _Room(self.rmids - len(wanted), (*self.groups, *wanted))


def _needs(snapshot: Snapshot, wishes: Wishes) -> tuple[list[_Need], _Room]:
    """The groups that each domain needs, and the room that there is for them."""
    needs: list[_Need] = []
    # Of a domain that is wished for, but not seen, the group stays as it is
    planned = {one.domain.uuid for one in snapshot.running if one.domain.uuid in wishes.of}
    others = [group for group in snapshot.groups - snapshot.stale if group.uuid not in planned]
    for running in snapshot.running:
        uuid = running.domain.uuid
        if wishes.enables(uuid):
            try:
                needs.append((running, wanted_groups(running, snapshot, wishes.of[uuid])))
            except errors.ResctrlError:
                # It will fail by itself, and keep what it has
                others += snapshot.ours(uuid) - snapshot.stale
    return needs, _Room(snapshot.num_rmids - 1 - len(others) - wishes.reserve, tuple(others))


def _order(needs: t.Sequence[_Need], snapshot: Snapshot, wishes: Wishes) -> dict[str, Order]:
    """By UUID: the priority, a place among equals, and the name."""
    if wishes.turns:
        from .turns import ranks

        holders = {one.domain.uuid: bool(snapshot.ours(one.domain.uuid)) for one, _wanted in needs}
        places = ranks(holders, wishes.turns.groups, wishes.turns, wishes.turns.in_limbo)
    else:
        places = {one.domain.uuid: (int(not snapshot.ours(one.domain.uuid)), 0.0) for one, _wanted in needs}
    return {
        one.domain.uuid: (-wishes.of[one.domain.uuid].priority, places[one.domain.uuid], one.domain.name)
        for one, _wanted in needs
    }


# Where domains of one priority wait: in a CTRL_MON group that is full, or because there are no RMIDs at all (None)
_Line = t.Tuple[int, t.Optional[str]]


class _Shares:
    """Gives the RMIDs out, to one domain after the other."""

    def __init__(self, snapshot: Snapshot, wishes: Wishes, room: _Room) -> None:
        self.snapshot, self.wishes, self.room = snapshot, wishes, room
        self.kept = wishes.turns.settings.keep if wishes.turns else 0
        # What there was when a priority came to its turn
        self.at_first: dict[int, _Room] = {}
        self.waiting: dict[_Line, list[Running]] = collections.defaultdict(list)
        # Those for which a turn will come
        self.queued: set[str] = set()
        # Those that would fit if nothing were kept for others
        self.kept_out: set[str] = set()
        self.began: dict[_Line, list[float]] = collections.defaultdict(list)

    def give(self, need: _Need, stays: bool) -> None:
        """Give a domain what it needs, if that is left. `stays`: it is counted, and its turn is not over."""
        running, wanted = need
        wish = self.wishes.of[running.domain.uuid]
        first = self.at_first.setdefault(wish.priority, self.room)
        kept = self.kept if wish.priority <= 0 else 0
        fits, ctrl = self.room.fits(wanted, self.snapshot, kept)
        lines = [(wish.priority, one) for one in (None, *sorted({group.ctrl for group in wanted}))]
        # Who comes later among equals must not pass one that needs more, or that would wait for ever
        ahead = next((line for line in lines if self._is_awaited(line)), None) if wanted and not stays else None
        if fits and ahead is None:
            self.room = self.room.less(wanted)
            self.kept -= min(self.kept, len(wanted)) if wish.priority > 0 else 0
            for line in lines if wanted else ():
                self.began[line].append(self._began(running))
            return
        self.waiting[ahead or (wish.priority, ctrl)].append(running)
        if self.wishes.turns and first.fits(wanted, self.snapshot, kept)[0]:
            self.queued.add(running.domain.uuid)
        elif kept and first.fits(wanted, self.snapshot, 0)[0]:
            self.kept_out.add(running.domain.uuid)

    def _is_awaited(self, line: _Line) -> bool:
        return any(one.domain.uuid in self.queued for one in self.waiting.get(line, ()))

    def _began(self, running: Running) -> float:
        queue = self.wishes.turns
        turn = queue.groups.get(running.domain.uuid) if queue and self.snapshot.ours(running.domain.uuid) else None
        began = turn.began if turn else None
        return began if began is not None else (queue.now if queue else 0.0)

    def denied(self) -> dict[str, errors.ResctrlError]:
        """For each domain that has to wait, why and for what."""
        denied: dict[str, errors.ResctrlError] = {}
        queues: set[str | None] = set()
        for (priority, ctrl), line in self.waiting.items():
            began, place = self.began[priority, ctrl], 0
            for running in line:
                uuid = running.domain.uuid
                if self.wishes.turns and uuid in self.queued and began:
                    denied[uuid] = _takes_turns(running, len(line), place, began, self.wishes.turns)
                    place += 1
                elif self.wishes.turns and uuid in self.kept_out:
                    denied[uuid] = _kept_for_others(running, self.wishes.turns)
                else:
                    denied[uuid] = self._waits(running, ctrl, first=ctrl not in queues)
                    queues.add(ctrl)
        return denied

    def _waits(self, running: Running, ctrl: str | None, first: bool) -> errors.RmidsExhausted:
        turn = "It is the next to be monitored when one is free" if first else "It is monitored when one is free for it"
        if ctrl is not None:
            return waits(running, ctrl, self.snapshot, turn)
        reserve = self.wishes.reserve
        reserved = f", {reserve} of them reserved," if reserve else ""
        lower = "lower the reserve, " if reserve else ""
        return errors.RmidsExhausted(
            f"Out of RMIDs: of {self.snapshot.rmids_in_words}{reserved} none is left for domain "
            f"'{running.domain.name}'",
            hint=f"{turn}: give it a higher priority, disable another, {lower}or remove groups that nobody needs",
        )


def _kept_for_others(running: Running, queue: Queue) -> errors.RmidsExhausted:
    keep = queue.settings.keep
    return errors.RmidsExhausted(
        f"Out of RMIDs: what is left of them is kept for domains with a priority (turns.keep is {keep}), and domain "
        f"'{running.domain.name}' has none",
        hint="Lower turns.keep, or give it a priority",
    )


def _takes_turns(
    running: Running, waiting: int, place: int, began: t.Sequence[float], queue: Queue
) -> errors.WaitsForTurn:
    from .turns import in_words, wait

    return errors.WaitsForTurn(
        f"Domain '{running.domain.name}' is not counted now: {waiting + len(began)} domains take turns with "
        f"{len(began)} group{'s' if len(began) > 1 else ''}",
        hint=f"Its turn comes {in_words(wait(place, began, queue))}; to count it always, give it a higher priority",
    )
