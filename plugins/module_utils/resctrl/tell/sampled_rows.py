# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line in the table of a domain that waits for its turn: what was measured in the last one, and when."""

from __future__ import annotations

import typing as t

from ..kernel.events import COUNTER, ENERGY, L3, OCCUPANCY, TABLE
from .sampled import measured_sums, window
from .table import NUMBERS, Row

if t.TYPE_CHECKING:
    from ..decide.windows import Turned
    from ..kernel.events import Sum

_NAMES = {event.name: f"{event.name}_per_second" if event.kind == COUNTER else event.name for event in TABLE}


def row_of_turn(name: str, turned: Turned) -> Row:
    """The line of a domain that is not counted now because it is not its turn."""
    notes = turned.notes
    if not notes.measured:
        return Row(name, "waiting", None, {}, note="waiting for its first turn")
    sums = measured_sums(turned)
    shown = {column: sums.get(_NAMES[event]) for column, event in NUMBERS.items()}
    numbers = {column: one.number if one else None for column, one in shown.items()}
    partial = {column for column, event in NUMBERS.items() if _is_part(sums.get(_NAMES[event]))}
    caches = {
        place.id: measured.number
        for (event, place), measured in notes.measured.items()
        if event == OCCUPANCY and place.resource == L3
    }
    found = window(turned)
    return Row(
        name,
        "waiting",
        numbers["cache"],
        caches,
        numbers["total"],
        numbers["local"],
        frozenset(partial),
        f"measured {_time(found['age'])} ago, for {_time(found['seconds'])}",
        numbers["watts"],
        any(event == ENERGY for event, _place in notes.measured),
        sampled=True,
    )


def _is_part(one: Sum | None) -> bool:
    return one is not None and one.known is not None


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
