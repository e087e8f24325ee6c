# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured in the last turn of a domain that takes turns, as plain data. It is never what is now."""

from __future__ import annotations

import datetime as dt
import typing as t

from ..decide.samples import named
from ..kernel.events import GONE, L3, OCCUPANCY, PACKAGE, Sum, Value, add, plain

if t.TYPE_CHECKING:
    from ..decide.windows import Measured, Turned
    from ..kernel.events import Place


def describe_sampled(turned: Turned, wall: float, details: bool = True) -> dict[str, t.Any] | None:
    """What was measured, and when; None where nothing was. `wall`: the Unix time at which it was looked at."""
    if not turned.notes.measured:
        return None
    measured = turned.notes.measured
    sums = measured_sums(turned)
    began = wall - (turned.now - min(one.began for one in measured.values()))
    described = {
        "from": dt.datetime.fromtimestamp(began, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **window(turned),
        "cmt": plain(sums[OCCUPANCY].value.number) if OCCUPANCY in sums else None,
        **{name: plain(one.value.number) for name, one in sums.items()},
        "partial": {name: plain(one.known) for name, one in sums.items() if one.known is not None},
    }
    places = {"caches": _places(measured, L3), "packages": _places(measured, PACKAGE)}
    return {**described, **(places if details else {})}


def window(turned: Turned) -> dict[str, float]:
    """How long was measured, in seconds; how long ago that ended; and in which part of the time since a turn before.

    Where the parts of it were measured at different times: the time in which all of them were, the oldest, the least.
    """
    every = list(turned.notes.measured.values())
    return {
        "seconds": round(max(one.ended for one in every) - min(one.began for one in every), 3),
        "age": round(max(0.0, turned.now - min(one.ended for one in every)), 3),
        "coverage": round(min(one.coverage for one in every), 4),
    }


def measured_sums(turned: Turned) -> dict[str, Sum]:
    """By the names that they are told under, the sums over caches or packages."""
    measured = turned.notes.measured
    rates: dict[str, Sum] = {}
    gauges: dict[str, Sum] = {}
    for event, resource in sorted({(event, place.resource) for event, place in measured}):
        # A place of which nothing is known is a part of the sum all the same
        known = {place for _event, place in measured}
        places = sorted(place for place in known.union(turned.notes.places) if place.resource == resource)
        one = add([_value(measured, event, place) for place in places])
        (gauges if event == OCCUPANCY else rates)[event] = one
    return {**gauges, **named(rates)}


def _value(measured: t.Mapping[tuple[str, Place], Measured], event: str, place: Place) -> Value:
    one = measured.get((event, place))
    return Value(_plain(event, one.number)) if one else Value(None, GONE)


def _plain(event: str, number: float) -> float:
    """The occupancy is a whole number of bytes, as the kernel has it."""
    return int(number) if event == OCCUPANCY else number


def _places(measured: t.Mapping[tuple[str, Place], Measured], resource: str) -> list[dict[str, t.Any]]:
    places = sorted({place for _event, place in measured if place.resource == resource})
    return [
        {
            "id": place.id,
            **{
                event if event == OCCUPANCY else f"{event}_per_second": _plain(event, one.number)
                for (event, where), one in sorted(measured.items())
                if where == place
            },
        }
        for place in places
    ]
