# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's values as CSV. Pure."""

from __future__ import annotations

import csv
import io
import typing as t

from ..decide.samples import named
from ..kernel.events import COUNTER, Event, Sum, Value, told


def comma_separated(described: t.Mapping[str, t.Mapping[str, t.Any]], there: t.Sequence[Event] = ()) -> str:
    """The values of all domains as CSV, a line each with one above; what is not known is empty.

    `described` has for each domain's name what describe_statistics() says of it. `there`: the events that the host has.
    """
    events = told(there)
    columns = ("status", "cmt", *(event.name for event in events))
    speeds = [*named({event.name: Sum(Value()) for event in events if event.kind == COUNTER}), "seconds"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["domain", "uuid", *columns, *speeds, "reason"])
    for name, values in described.items():
        speed = values["rates"] or {}
        row = [name, values["uuid"], *(values[column] for column in columns)]
        writer.writerow([*row, *(speed.get(column) for column in speeds), values["reason"]])
    return text.getvalue()
