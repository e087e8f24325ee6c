# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line in the table of a domain that takes turns: what was measured in the last one, and when."""

from __future__ import annotations

import typing as t

from ..kernel.events import COUNTER, OCCUPANCY, TABLE, WAITING
from .sampled import measured_sums, window
from .table import NUMBERS, Row, row_of

if t.TYPE_CHECKING:
    from ..decide.windows import Turned
    from ..observe.sampling import Statistics

_NAMES = {event.name: f"{event.name}_per_second" if event.kind == COUNTER else event.name for event in TABLE}


def row_of_turn(one: Statistics, turned: Turned) -> Row:
    """The line of a domain that takes turns: what is counted now, and elsewhere what was measured in its last turn."""
    notes = turned.notes
    row = row_of(one)
    if notes.waits:
        row = Row(row.name, WAITING, None, {}, note="waiting for its first turn", has_watts=row.has_watts)
    sums = measured_sums(turned)
    shown = {
        column: sums[_NAMES[event]]
        for column, event in NUMBERS.items()
        if row.number(column) is None and _NAMES[event] in sums
    }
    if not shown:
        return row
    numbers: dict[str, t.Any] = {column: one.number for column, one in shown.items()}
    if "cache" in shown:
        numbers["caches"] = {
            place.id: measured.number for (event, place), measured in notes.measured.items() if event == OCCUPANCY
        }
    found = window(turned)
    said = f"measured {_time(found['age'])} ago, for {_time(found['seconds'])}"
    return row._replace(
        **numbers,
        partial=row.partial.difference(shown).union(name for name, one in shown.items() if one.known is not None),
        note=said if notes.waits or not row.note else f"{row.note}; {said}",
        has_watts=row.has_watts or "watts" in shown,
        sampled=frozenset(shown),
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
