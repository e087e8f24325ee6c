# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in which a host keeps whose turn it is, and what was measured in the turns before."""

from __future__ import annotations

import os
import types
import typing as t
from decimal import Decimal

from .. import errors
from ..decide.baselines import Reading
from ..decide.turns import Queue, Turn, Turns
from ..decide.windows import Measured, Notes, Start, Turned
from ..kernel.events import Place
from ..wish.store import read_json, write_json
from .sampled import DIRECTORY, FILE

if t.TYPE_CHECKING:
    from ..decide.baselines import Key


class Noted(t.NamedTuple):
    """What is noted of a host: of each domain that takes turns (by UUID), how turns were taken the last time, and how
    many groups the kernel refused then because RMIDs were in limbo.
    """

    of: t.Mapping[str, Notes] = types.MappingProxyType({})
    settings: Turns = Turns()
    in_limbo: int = 0

    def turned(self, notes: Notes, now: float) -> Turned:
        """Where one of the domains stands, at a time on the monotonic clock."""
        return Turned(notes, self.settings, now)

    def queue(self, settings: Turns, now: float) -> Queue:
        """Who stands where, at a time on the monotonic clock, if turns are taken like that from now on."""
        groups = {uuid: notes.group for uuid, notes in self.of.items() if notes.group}
        counters = {(uuid, cache): turn for uuid, notes in self.of.items() for cache, turn in notes.counters.items()}
        return Queue(settings, now, groups, counters, self.in_limbo)


def read(directory: str = DIRECTORY) -> Noted:
    """What is noted; where nothing is, or it cannot be understood, nothing. Raises NotRoot."""
    try:
        return read_json(os.path.join(directory, FILE), _parse) or Noted()
    except errors.PolicyDamaged:
        return Noted()


def load(directory: str, now: float) -> tuple[Noted, list[str]]:
    """The same for who goes on with it, and what is wrong with it: what cannot be understood is set aside.

    `now`: on the monotonic clock. Raises NotRoot, OSError.
    """
    path = os.path.join(directory, FILE)
    try:
        noted = read_json(path, _parse) or Noted()
        problem = f"{path} is of another boot" if _is_of_another_boot(noted, now) else ""
    except errors.PolicyDamaged as exc:
        problem = exc.message
    if not problem:
        return noted, []
    os.replace(path, f"{path}.damaged")
    return Noted(), [f"{problem}. It was set aside as {path}.damaged, and all turns begin anew"]


def _is_of_another_boot(noted: Noted, now: float) -> bool:
    every = noted.of.values()
    turns = [turn for notes in every for turn in (notes.group, *notes.counters.values()) if turn]
    return any(max(turn.began or 0.0, turn.unseen) > now for turn in turns)


def save(noted: Noted, directory: str) -> None:
    """Replace the file; only root may read it. Raises OSError."""
    content = {"turns": noted.settings._asdict(), "in_limbo": noted.in_limbo, "domains": _plain(noted.of)}
    write_json(os.path.join(directory, FILE), content)


def _plain(of: t.Mapping[str, Notes]) -> dict[str, t.Any]:
    return {
        uuid: {
            "group": notes.group,
            "counters": [[cache, *turn] for cache, turn in notes.counters.items()],
            "unclean": notes.unclean,
            "starts": [
                [
                    event,
                    *place,
                    start.began,
                    [[path, str(one.value), one.identity, *sorted(one.summed)] for path, one in start.groups.items()],
                ]
                for (event, place), start in notes.starts.items()
            ],
            "measured": [[event, *place, *one] for (event, place), one in notes.measured.items()],
            "made": notes.made,
            "places": [[*place] for place in notes.places],
        }
        for uuid, notes in of.items()
    }


def _parse(content: t.Any) -> Noted:  # noqa: ANN401  # what a file holds
    of = {str(uuid): _notes(fields) for uuid, fields in content["domains"].items()}
    settings = Turns(**{field: int(content["turns"][field]) for field in Turns._fields})
    return Noted(of, settings, int(content["in_limbo"]))


def _notes(fields: t.Any) -> Notes:  # noqa: ANN401  # what a file holds
    starts: dict[Key, Start] = {}
    for event, resource, number, began, groups in fields["starts"]:
        readings = {
            str(path): Reading(Decimal(value), str(identity), frozenset(map(str, summed)))
            for path, value, identity, *summed in groups
        }
        starts[str(event), Place(str(resource), int(number))] = Start(float(began), readings)
    measured: dict[Key, Measured] = {}
    for event, resource, number, since, began, ended, value in fields["measured"]:
        key = str(event), Place(str(resource), int(number))
        measured[key] = Measured(float(since), float(began), float(ended), float(value))
    counters = {int(cache): _turn(turn) for cache, *turn in fields["counters"]}
    group = None if fields["group"] is None else _turn(fields["group"])
    made = None if fields["made"] is None else float(fields["made"])
    places = tuple(Place(str(resource), int(number)) for resource, number in fields["places"])
    return Notes(group, counters, bool(fields["unclean"]), starts, measured, made, places)


def _turn(fields: t.Any) -> Turn:  # noqa: ANN401  # what a file holds
    began, unseen, before = fields
    return Turn(None if began is None else float(began), float(unseen), float(before))
