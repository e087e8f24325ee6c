# SPDX-License-Identifier: GPL-3.0-or-later
"""The events that the kernel counts for a group, and how a value of one is read. Pure; the one list of events."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from decimal import Decimal

# What counts, as its directories in mon_data (mon_L3_00) and in info (L3_MON) are named: L3 caches, and CPU packages
L3, PACKAGE = "L3", "PERF_PKG"
# A counter grows, and has a rate; a gauge is what it is now
COUNTER, GAUGE = "counter", "gauge"
# Instead of a cache's id, for what is the same on all of them
ALL_CACHES = -1


class Place(t.NamedTuple):
    """Where something is counted: a resource, and the id of one of its caches or packages."""

    resource: str
    id: int


class Event(t.NamedTuple):
    """An event by the kernel's name. `unit` and `kind` (COUNTER, GAUGE) are None where they are not known."""

    name: str
    resource: str
    unit: str | None = None
    kind: str | None = None
    is_decimal: bool = False


# Those of packages, in the kernel's order, are from arch/x86/kernel/cpu/resctrl/intel_aet.c (7.0 and later)
TABLE = (
    Event("llc_occupancy", L3, "bytes", GAUGE),
    Event("mbm_total_bytes", L3, "bytes", COUNTER),
    Event("mbm_local_bytes", L3, "bytes", COUNTER),
    Event("core_energy", PACKAGE, "joules", COUNTER, is_decimal=True),
    Event("activity", PACKAGE, "farads", COUNTER, is_decimal=True),
    Event("stalls_llc_hit", PACKAGE, "cycles", COUNTER),
    Event("c1_res", PACKAGE, "ticks", COUNTER),
    Event("unhalted_core_cycles", PACKAGE, "cycles", COUNTER),
    Event("stalls_llc_miss", PACKAGE, "cycles", COUNTER),
    Event("c6_res", PACKAGE, "ticks", COUNTER),
    Event("unhalted_ref_cycles", PACKAGE, "cycles", COUNTER),
    Event("uops_retired", PACKAGE, "uops", COUNTER),
)
_BY_NAME = {(event.resource, event.name): event for event in TABLE}

L3_EVENTS = tuple(event for event in TABLE if event.resource == L3)
OCCUPANCY = "llc_occupancy"
BANDWIDTH = tuple(event.name for event in L3_EVENTS if event.kind == COUNTER)
EVENTS = tuple(event.name for event in L3_EVENTS)
ENERGY = "core_energy"
# The cycles in which a core waits for memory, and all of those in which it works
STALLS, CYCLES = "stalls_llc_miss", "unhalted_core_cycles"


def event_of(name: str, resource: str) -> Event:
    """An event by the kernel's name. Of one that is not in the table no more is known than its name."""
    return _BY_NAME.get((resource, name), Event(name, resource))


def told(there: t.Sequence[Event]) -> tuple[Event, ...]:
    """The events of which a domain has a value, or null: those of caches anyway, and whatever else the host has."""
    return (*L3_EVENTS, *(event for event in there if event not in L3_EVENTS))


# Why a value is missing
NOT_ENABLED = "disabled"
UNSUPPORTED = "unsupported"
GONE = "gone"
ERROR = "error"
UNASSIGNED = "unassigned"
UNAVAILABLE = "unavailable"
# Why a rate is missing though both values are there
RESET = "reset"
# Why a fraction of the cycles is missing: there was none
IDLE = "idle"
WARMING = "warming"
WAITING = "waiting"
_WORDS = {"Unavailable": UNAVAILABLE, "Unassigned": UNASSIGNED, "Error": ERROR}

# Fractions of the kernel's are decimal, so that none of its digits is lost before sums and differences are made
Number = t.Union[int, float, "Decimal"]


class Value(t.NamedTuple):
    """A number, or None and why not: disabled, unavailable, unassigned, error, unsupported, gone.

    A rate may also be None because of a reset, and a fraction of the cycles because its cores were idle. Where domains
    take turns a value is also None because the domain waits, and an occupancy because its turn has only begun.
    """

    number: Number | None = None
    reason: str | None = None


Values = t.Dict[str, Value]


def parse_value(text: str) -> Value:
    """A file of mon_data: a number, or the kernel's word for why there is none (the read itself succeeds then).

    Which numbers are integers is not told by the event: only what has a point is a fraction (fs/resctrl/ctrlmondata.c).
    """
    word = text.strip()
    # isdecimal() would also take other scripts' digits
    if word.isdigit() and word.isascii():
        return Value(int(word))
    if re.fullmatch(r"[0-9]+\.[0-9]+", word):
        # Not above: few hosts have such events
        from decimal import Decimal

        return Value(Decimal(word))
    return Value(None, _WORDS.get(word, ERROR))


def plain(number: Number | None) -> float | None:
    """A number as JSON has it. A float keeps 15 digits, so 6 decimal places of up to a thousand million joules."""
    return number if number is None or isinstance(number, (int, float)) else float(number)


def difference(after: Number, before: Number) -> float:
    """after - before. It is exact before it becomes a float."""
    exact: t.Any = after
    return float(exact - before)


class Sum(t.NamedTuple):
    """A sum of values. Where a part is unknown so is `value`, and `known` is the sum of the parts that are known.

    `known` is None where no part is known, or all are.
    """

    value: Value
    known: Number | None = None

    @property
    def number(self) -> float | None:
        """The sum, or its known part."""
        return plain(self.known if self.value.number is None else self.value.number)


# A part that lacks only for one of these reasons lacks wherever it is counted; the last may mean that it moved nothing
_MILDER = {UNASSIGNED: 1, UNAVAILABLE: 2}


def add(values: t.Sequence[Value]) -> Sum:
    """The sum. A sum of which a part is unknown is unknown, for the first unknown part's reason; of nothing: gone.

    That hardware counts something nowhere (unassigned, unavailable) is the reason only where there is no other.
    """
    numbers: list[t.Any] = [value.number for value in values if value.number is not None]
    unknown = [value for value in values if value.number is None]
    if unknown:
        first = min(unknown, key=lambda value: _MILDER.get(value.reason or "", 0))
        return Sum(first, sum(numbers) if numbers else None)
    return Sum(Value(sum(numbers)) if values else Value(None, GONE))
