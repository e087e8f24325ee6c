# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's values as a table for a reader, or as CSV. Pure: makes lines, and prints none."""

from __future__ import annotations

import csv
import io
import typing as t

from ..decide.samples import per_cache, rates, totals
from ..kernel.events import BANDWIDTH, OCCUPANCY, Sum

if t.TYPE_CHECKING:
    from ..observe.sampling import Statistics

TOTAL, LOCAL = BANDWIDTH
# What a table can be sorted by, each with what is printed above its column
SORTS = {"name": "DOMAIN", "cache": "CACHE", "total": "TOTAL/s", "local": "LOCAL/s"}
_BAR = 8
_NAME = (10, 24)  # the least and the most characters of a domain's name
_UNITS = ("B", "K", "M", "G", "T", "P")


class Row(t.NamedTuple):
    """A line of the table: bytes, and bytes per second. What is not known is None; `partial` tells known parts."""

    name: str
    status: str
    occupancy: float | None
    caches: t.Mapping[int, float | None]
    total: float | None = None
    local: float | None = None
    partial: bool = False
    note: str = ""


def row_of(one: Statistics) -> Row:
    """The line of a domain. A sum of which only a part is known shows that part, marked."""
    sums = totals(one.sample)
    shown = {OCCUPANCY: sums[OCCUPANCY]}
    if one.before:
        shown.update(rates(one.before, one.sample).totals)
    numbers = {event: _known(value) for event, value in shown.items()}
    status = one.status
    return Row(
        status.domain.name,
        status.text.replace("Enabled (forced by ", "").rstrip(")") if status.forced_by else status.text,
        numbers[OCCUPANCY],
        {cache: _known(values[OCCUPANCY]) for cache, values in per_cache(one.sample).items()},
        numbers.get(TOTAL),
        numbers.get(LOCAL),
        any(value.known is not None for value in shown.values()),
        _note(one, sums),
    )


def _known(value: Sum) -> float | None:
    return value.known if value.value.number is None else value.value.number


def _note(one: Statistics, sums: t.Mapping[str, Sum]) -> str:
    """What is to be known beside the numbers."""
    status = one.status
    notes = []
    if status.starting:
        notes.append("starting")
    elif status.groups and status.uncounted:
        notes.append(f"not counted: vCPU {', '.join(map(str, status.uncounted))}")
    reasons = {value.value.reason for value in sums.values() if value.value.reason} - {"disabled"}
    return "; ".join([*notes, *sorted(reasons)])


def rest_of(whole: Statistics, rows: t.Sequence[Row]) -> Row:
    """The line of what no domain's group counts: the host itself, domains that are not monitored, the kernel.

    `whole` counts everything. Two values read one after the other may differ a little, so nothing is less than 0.
    """
    everything = row_of(whole)

    def left(number: float | None, parts: t.Sequence[float | None]) -> float | None:
        return None if number is None else max(0, number - sum(part or 0 for part in parts))

    caches = everything.caches.items()
    return everything._replace(
        name="(the rest)",
        status="",
        occupancy=left(everything.occupancy, [row.occupancy for row in rows]),
        caches={cache: left(size, [row.caches.get(cache) for row in rows]) for cache, size in caches},
        total=left(everything.total, [row.total for row in rows]),
        local=left(everything.local, [row.local for row in rows]),
        note="",
    )


def sort_rows(rows: t.Iterable[Row], by: str) -> list[Row]:
    """By name, or the largest first; what is not known last."""
    key = {"cache": "occupancy"}.get(by, by)
    if key == "name":
        return sorted(rows, key=lambda row: row.name)
    return sorted(rows, key=lambda row: (-(getattr(row, key) if getattr(row, key) is not None else -1), row.name))


def human(number: float | None) -> str:
    """Bytes in five characters or less, in units of 1024; "-" where they are not known."""
    if number is None:
        return "-"
    value, unit = float(number), 0
    while round(value) >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}{_UNITS[unit]}" if unit and value < 10 else f"{value:.0f}{_UNITS[unit]}"


def bar(part: float | None, whole: int | None) -> str:
    """A share as a bar such as [###     ]; blanks where it is not known."""
    if part is None or not whole:
        return " " * (_BAR + 2)
    filled = min(_BAR, round(_BAR * part / whole))
    return f"[{'#' * filled}{' ' * (_BAR - filled)}]"


def table(
    rows: t.Sequence[Row], rest: Row | None, sizes: t.Mapping[int, int], width: int = 80, by: str = "cache"
) -> list[str]:
    """The lines of a table, none longer than `width`: domains, their sum, and the rest of the host.

    `sizes`: L3 cache id -> bytes. There is a bar for each cache, as long as there is room for it.
    """
    caches = sorted({cache for row in [*rows, *([rest] if rest else [])] for cache in row.caches})
    name = max([_NAME[0], *(min(_NAME[1], len(_printable(row.name))) for row in rows)])
    fixed = name + 1 + 10 + 1 + 6 + 9 + 9
    bars = caches[: max(0, (width - fixed) // (_BAR + 3))]
    heads = [f"{title}{'*' if sort == by else ''}" for sort, title in SORTS.items()]
    titles = [f"L3 {cache} {human(sizes.get(cache))}"[: _BAR + 2] for cache in bars]
    lines = [_line(name, [heads[0], "STATUS", heads[1], *titles, heads[2], heads[3], ""], width)]
    lines += [_line(name, _cells(row, bars, sizes), width) for row in sort_rows(rows, by)]
    total = _sum(rows)
    lines += [_line(name, _cells(row, bars, sizes), width) for row in (total, rest) if row]
    if any(row.partial for row in rows):
        lines.append("~ a part of it is not known"[:width])
    return lines


def _cells(row: Row, bars: t.Sequence[int], sizes: t.Mapping[int, int]) -> list[str]:
    numbers = [human(row.occupancy), human(row.total), human(row.local)]
    if row.partial:
        numbers = [f"~{number}" if number != "-" else number for number in numbers]
    shares = [bar(row.caches.get(cache), sizes.get(cache)) for cache in bars]
    return [_printable(row.name), row.status[:10], numbers[0], *shares, *numbers[1:], row.note]


def _line(name: int, cells: t.Sequence[str], width: int) -> str:
    first, status, occupancy, *shares, total, local, note = cells
    middle = "".join(f" {share:<{_BAR + 2}}" for share in shares)
    line = f"{first[:name]:<{name}} {status:<10} {occupancy:>6}{middle} {total:>8} {local:>8}  {note}"
    return line[:width].rstrip()


def _sum(rows: t.Sequence[Row]) -> Row:
    """The line of all monitored domains together."""

    def add(numbers: t.Iterable[float | None]) -> float | None:
        known = [number for number in numbers if number is not None]
        return sum(known) if known else None

    caches = sorted({cache for row in rows for cache in row.caches})
    return Row(
        "(sum)",
        "",
        add(row.occupancy for row in rows),
        {cache: add(row.caches.get(cache) for row in rows) for cache in caches},
        add(row.total for row in rows),
        add(row.local for row in rows),
        any(row.partial for row in rows),
    )


def _printable(name: str) -> str:
    """A name without what would move the cursor or change the screen."""
    return "".join(character if character.isprintable() else "?" for character in name)


def comma_separated(described: t.Mapping[str, t.Mapping[str, t.Any]]) -> str:
    """The values of all domains as CSV, a line each with one above; what is not known is empty.

    `described` has for each domain's name what describe_statistics() says of it.
    """
    columns = ("status", "cmt", OCCUPANCY, *BANDWIDTH)
    speeds = tuple(f"{event}_per_second" for event in BANDWIDTH)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["domain", "uuid", *columns, *speeds, "seconds", "reason"])
    for name, values in described.items():
        speed = values["rates"] or {}
        row = [name, values["uuid"], *(values[column] for column in columns)]
        row += [speed.get(column) for column in (*speeds, "seconds")]
        writer.writerow([*row, values["reason"]])
    return text.getvalue()
