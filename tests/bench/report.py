# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, turn by turn, as tables and sentences of a page."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Costs:
    """What programs cost with so many groups or domains: name -> costs, turn by turn."""

    number: int
    costs: dict[str, list[float]]

    def ratios(self, name: str, base: str) -> list[float]:
        """What one took as ratios to another in the same turn."""
        return [one / other for one, other in zip(self.costs[name], self.costs[base], strict=True)]

    def median(self, name: str) -> float:
        """What one took."""
        return statistics.median(self.costs[name])

    def more(self, _name: str) -> list[str]:
        """What else a table tells of a program."""
        return []


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the middle half."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def rows(measured: Iterable[Costs], digits: int, *bases: str, names: Sequence[str] = ()) -> Iterable[list[str]]:
    """A row for each program, or for these: what it costs, and the ratios to the bases that were measured."""
    for one in measured:
        for name in names or one.costs:
            if name in one.costs:
                ratios = [spread(one.ratios(name, base)) if base in one.costs else "-" for base in bases]
                yield [str(one.number), name, spread(one.costs[name], digits), *ratios, *one.more(name)]


def reached(measured: Iterable[Costs], name: str, base: str, aim: float) -> str:
    """With how many groups or domains a program costs no more than so many times what another does."""
    ratios = {one.number: one.ratios(name, base) for one in measured if name in one.costs and base in one.costs}
    return verdict((number, of, aim) for number, of in ratios.items()) if ratios else "it was not measured"


def verdict(ratios: Iterable[tuple[int, Sequence[float], float]]) -> str:
    """With how many groups or domains the median of the ratios is no more than the aim for so many."""
    medians = [(number, statistics.median(of), aim) for number, of, aim in ratios]
    return ", ".join(
        f"with {number} it is {'reached' if median <= aim else 'not reached'} ({median:.2f})"
        for number, median, aim in medians
    )


def ratios_of(measured: Iterable[Costs], name: str, base: str) -> str:
    """What a program costs as a ratio to another, with each number of groups or domains."""
    ratios = ((one.number, statistics.median(one.ratios(name, base))) for one in measured)
    return ", ".join(f"{ratio:.2f} with {number}" for number, ratio in ratios)


def growth(measured: Sequence[Costs], names: Iterable[str]) -> str:
    """What each further domain costs, in milliseconds."""
    first, last = measured[0], measured[-1]
    further = max(last.number - first.number, 1)
    words = (f"{name} {(last.median(name) - first.median(name)) / further:.2f}" for name in names)
    return f"From {first.number} to {last.number} domains, each costs so many milliseconds more: {', '.join(words)}."
