# SPDX-License-Identifier: GPL-3.0-or-later
"""The events that the kernel counts for a group, and how a value of one is read. Pure; the one list of events."""

from __future__ import annotations

import typing as t


class Event(t.NamedTuple):
    """An event by the kernel's name. A counter grows, and has a rate; a gauge is what it is now."""

    name: str
    unit: str
    is_counter: bool


# What is counted for each L3 cache: the bytes in the cache now, and the bytes moved since the group was made
L3_EVENTS = (
    Event("llc_occupancy", "bytes", is_counter=False),
    Event("mbm_total_bytes", "bytes", is_counter=True),
    Event("mbm_local_bytes", "bytes", is_counter=True),
)

OCCUPANCY = "llc_occupancy"
BANDWIDTH = tuple(event.name for event in L3_EVENTS if event.is_counter)
EVENTS = tuple(event.name for event in L3_EVENTS)

# Why a value is missing
NOT_ENABLED = "disabled"
UNSUPPORTED = "unsupported"
GONE = "gone"
ERROR = "error"
UNASSIGNED = "unassigned"
# Why a rate is missing though both values are there
RESET = "reset"
_WORDS = {"Unavailable": "unavailable", "Unassigned": UNASSIGNED, "Error": ERROR}


class Value(t.NamedTuple):
    """A number, or None and why not (disabled, unavailable, unassigned, error, unsupported, gone; a rate: reset)."""

    number: float | None = None
    reason: str | None = None


Values = t.Dict[str, Value]


def parse_value(text: str) -> Value:
    """A file of mon_data: a number, or the kernel's word for why there is none (the read itself succeeds then)."""
    word = text.strip()
    # isdecimal() would also take other scripts' digits
    if word.isdigit() and word.isascii():
        return Value(int(word))
    return Value(None, _WORDS.get(word, ERROR))


class Sum(t.NamedTuple):
    """A sum of values. Where a part is unknown so is `value`, and `known` is the sum of the parts that are known.

    `known` is None where no part is known, or all are.
    """

    value: Value
    known: float | None = None


def add(values: t.Sequence[Value]) -> Sum:
    """The sum. A sum of which a part is unknown is unknown, for the first unknown part's reason; of nothing: gone."""
    numbers = [value.number for value in values if value.number is not None]
    unknown = next((value for value in values if value.number is None), None)
    if unknown is not None:
        return Sum(unknown, sum(numbers) if numbers else None)
    return Sum(Value(sum(numbers)) if values else Value(None, GONE))


def unknown(reason: str) -> Values:
    """Every event without a value, for one reason."""
    return {event: Value(None, reason) for event in EVENTS}
