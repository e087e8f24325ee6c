# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's values as a table for a reader. Pure: makes lines, and prints none."""

from __future__ import annotations

import typing as t

from ..decide.samples import per_place, rates, totals
from ..kernel.events import BANDWIDTH, ENERGY, L3, NOT_ENABLED, OCCUPANCY, UNASSIGNED, UNAVAILABLE
from .text import columns, cut, pad, printable

if t.TYPE_CHECKING:
    from ..kernel.events import Sum
    from ..observe.sampling import Statistics

TOTAL, LOCAL = BANDWIDTH
# What a table can be sorted by, each with what is printed above its column
SORTS = {"name": "DOMAIN", "cache": "CACHE", "total": "TOTAL/s", "local": "LOCAL/s", "watts": "WATTS"}
# The columns of numbers, each with its event
NUMBERS = {"cache": OCCUPANCY, "total": TOTAL, "local": LOCAL, "watts": ENERGY}
_BAR = 8
_NAME = (10, 24)  # the least and the most columns of a domain's name
_BESIDE_NAME = 36  # the columns of status and numbers, with the blanks between them
_WATTS = 7  # those of a column that only hosts with telemetry have
# Why a part of everything may be unknown that is then unknown of the domains in it, too
_COMPARABLE = (None, UNASSIGNED, UNAVAILABLE)
_UNITS = ("B", "K", "M", "G", "T", "P")

_Number = t.Optional[float]


class Row(t.NamedTuple):
    """A line of the table: bytes, bytes per second, and watts; what is not known is None.

    `caches`: L3 cache id -> the bytes there.  `partial`: the columns of which a part is not known, or all of it.
    `has_watts`: whether the host counts energy at all.
    `sampled`: the columns with what was measured in the domain's last turn, and is not what is now.
    """

    name: str
    status: str
    cache: _Number
    caches: t.Mapping[int, _Number]
    total: _Number = None
    local: _Number = None
    partial: frozenset[str] = frozenset()
    note: str = ""
    watts: _Number = None
    has_watts: bool = False
    sampled: frozenset[str] = frozenset()

    def number(self, column: str) -> _Number:
        """The value of a column of numbers."""
        return {"cache": self.cache, "total": self.total, "local": self.local, "watts": self.watts}[column]

    def now(self) -> Row:
        """The line with what is now only, as sums are made of it."""
        if not self.sampled:
            return self
        old: dict[str, t.Any] = dict.fromkeys(self.sampled)
        caches = {} if "cache" in old else self.caches
        return self._replace(**old, caches=caches, partial=self.partial - self.sampled)


class Table(t.NamedTuple):
    """The lines of a table: its head, a line for each domain, and what stands below them."""

    head: str
    body: list[str]
    foot: list[str]

    @property
    def lines(self) -> list[str]:
        """All of them."""
        return [self.head, *self.body, *self.foot]


def row_of(one: Statistics) -> Row:
    """The line of a domain. A sum of which only a part is known shows that part."""
    shown = _sums(one)
    numbers = {event: value.number for event, value in shown.items()}
    lacking = {event for event, value in shown.items() if value.value.reason not in (None, NOT_ENABLED)}
    status = one.status
    return Row(
        status.domain.name,
        status.forced_by or status.text,
        numbers[OCCUPANCY],
        {cache: values[OCCUPANCY].number for cache, values in per_place(one.sample, L3).items()},
        numbers.get(TOTAL),
        numbers.get(LOCAL),
        frozenset(column for column, event in NUMBERS.items() if event in lacking),
        _note(one, {shown[event].value.reason or "" for event in lacking if event in NUMBERS.values()}),
        numbers.get(ENERGY),
        any(event.name == ENERGY for event in one.sample.events),
    )


def _sums(one: Statistics) -> dict[str, Sum]:
    """What is shown in columns, by event."""
    shown = {OCCUPANCY: totals(one.sample)[OCCUPANCY]}
    if one.before:
        shown.update(rates(one.before, one.sample).totals)
    return shown


def _note(one: Statistics, reasons: t.Iterable[str]) -> str:
    """What is to be known beside the numbers."""
    status = one.status
    notes = []
    if status.starting:
        notes.append("starting")
    elif status.groups and status.uncounted:
        notes.append(f"not counted: vCPU {', '.join(map(str, status.uncounted))}")
    return "; ".join([*notes, *sorted(reasons)])


def rest_of(whole: Statistics, rows: t.Sequence[Row]) -> Row:
    """The line of what no domain's group counts: the host itself, domains that are not monitored, the kernel.

    `whole` counts everything. Two values read one after the other may differ a little, so nothing is less than 0. Where
    a part of everything is unknown that may be known of the domains in it, so is the rest.
    """
    everything, sums = row_of(whole), _sums(whole)
    rows = [row.now() for row in rows]

    def left(number: _Number, parts: t.Iterable[_Number], event: str = OCCUPANCY) -> _Number:
        comparable = event in sums and sums[event].value.reason in _COMPARABLE
        return None if number is None or not comparable else max(0, number - sum(part or 0 for part in parts))

    return Row(
        "(the rest)",
        "",
        left(everything.cache, [row.cache for row in rows]),
        {cache: left(number, [row.caches.get(cache) for row in rows]) for cache, number in everything.caches.items()},
        left(everything.total, [row.total for row in rows], TOTAL),
        left(everything.local, [row.local for row in rows], LOCAL),
        everything.partial.union(*(row.partial for row in rows)),
        watts=left(everything.watts, [row.watts for row in rows], ENERGY),
        has_watts=everything.has_watts,
    )


def sum_of(rows: t.Sequence[Row]) -> Row:
    """The line of all domains together that are counted now."""
    rows = [row.now() for row in rows]

    def add(numbers: t.Iterable[_Number]) -> _Number:
        known = [number for number in numbers if number is not None]
        return sum(known) if known else None

    caches = sorted({cache for row in rows for cache in row.caches})
    return Row(
        "(sum)",
        "",
        add(row.cache for row in rows),
        {cache: add(row.caches.get(cache) for row in rows) for cache in caches},
        add(row.total for row in rows),
        add(row.local for row in rows),
        frozenset().union(*(row.partial for row in rows)),
        watts=add(row.watts for row in rows),
        has_watts=any(row.has_watts for row in rows),
    )


def sort_rows(rows: t.Iterable[Row], by: str) -> list[Row]:
    """By name, or the largest first; what is not known last."""

    def size(row: Row) -> float:
        number = None if by == "name" else row.number(by)
        return -1 if number is None else number

    # Of equal ones the order stays, also in reverse
    return sorted(sorted(rows, key=lambda row: row.name), key=size, reverse=True)


def human(number: float | None) -> str:
    """Bytes in five characters or less, in units of 1024; "-" where they are not known."""
    if number is None:
        return "-"
    value, unit = float(number), 0
    while round(value) >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}{_UNITS[unit]}" if unit and value < 10 else f"{value:.0f}{_UNITS[unit]}"


def share_bar(part: float | None, whole: int | None) -> str:
    """A share as a bar such as [###     ]; blanks where it is not known."""
    if part is None or not whole:
        return " " * (_BAR + 2)
    filled = min(_BAR, round(_BAR * part / whole))
    return f"[{'#' * filled}{' ' * (_BAR - filled)}]"


def table(
    rows: t.Sequence[Row], rest: Row | None, sizes: t.Mapping[int, int], width: int = 80, by: str = "cache"
) -> Table:
    """The table, no line of it longer than `width` columns: domains, their sum, and the rest of the host.

    `sizes`: L3 cache id -> bytes. There is a bar for each cache, as long as there is room for it.
    """
    foot = [sum_of(rows), *([rest] if rest else [])]
    caches = sorted({cache for row in [*rows, *foot] for cache in row.caches})
    name = min(max([_NAME[0], *(columns(printable(row.name)) for row in rows)]), _NAME[1])
    has_watts = any(row.has_watts for row in [*rows, *foot])
    beside = _BESIDE_NAME + (_WATTS + 1 if has_watts else 0)
    bars = caches[: max(0, (width - name - beside) // (_BAR + 3))]
    heads = [f"{title}{'*' if sort == by else ''}" for sort, title in SORTS.items() if has_watts or sort != "watts"]
    titles = [f"L3 {cache} {human(sizes.get(cache))}"[: _BAR + 2] for cache in bars]
    widths = [-name, -10, 6, *[-(_BAR + 2)] * len(bars), 8, 8, _WATTS]

    def line(row: Row) -> str:
        return _line(_padded(widths, _cells(row, bars, sizes, has_watts)), row.note, width)

    head = _line(_padded(widths, [heads[0], "STATUS", heads[1], *titles, *heads[2:]]), "", width)
    body = [line(row) for row in sort_rows(rows, by)]
    lines = [line(row) for row in foot]
    if any(_is_part(row, column) for row in [*rows, *foot] for column in NUMBERS):
        lines.append(cut("~ incomplete: part of it is unknown", width))
    if any(row.sampled for row in rows):
        lines.append(cut("^ measured in the domain's last turn; not current, and not in the sum", width))
    return Table(head, body, lines)


def _is_part(row: Row, column: str) -> bool:
    return column in row.partial and row.number(column) is not None


def _cells(row: Row, bars: t.Sequence[int], sizes: t.Mapping[int, int], has_watts: bool) -> list[str]:
    shares = [share_bar(row.caches.get(one), sizes.get(one)) for one in bars]
    speeds = [_number(row, column) for column in ("total", "local", *(["watts"] if has_watts else []))]
    return [printable(row.name), row.status, _number(row, "cache"), *shares, *speeds]


def _number(row: Row, column: str) -> str:
    number = row.number(column)
    shown = human(number) if column != "watts" else "-" if number is None else f"{number:.1f}"
    old = "^" if column in row.sampled and number is not None else ""
    return f"{old}{'~' if _is_part(row, column) else ''}{shown}"


def _padded(widths: t.Sequence[int], cells: t.Sequence[str]) -> list[str]:
    """Cells of these widths; one that is less than 0 has its text on the left."""
    return [cell.rjust(width) if width > 0 else pad(cell, -width) for width, cell in zip(widths, cells)]


def _line(cells: t.Sequence[str], note: str, width: int) -> str:
    """A line. Cells for which there is no room are left out: a part of a number would be another number."""
    line = cut(cells[0], width)
    for cell in cells[1:]:
        if columns(line) + 1 + columns(cell) > width:
            return line.rstrip()
        line += f" {cell}"
    return cut(f"{line}  {printable(note)}".rstrip(), width)
