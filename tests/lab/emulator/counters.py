# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counters, a model: CPU time becomes bandwidth and cache occupancy.

Hardware counts lines and transfers; here a thread moves ``BANDWIDTH`` bytes in a second of CPU time, of which three
quarters are local, and fills the cache at ``FILL`` bytes in a second, up to the share that its capacity mask gives.
What does not fit is taken from everybody in proportion. What an RMID without threads owns is halved every ``HALF_LIFE``
seconds. A thread is taken to wander over the domains, so that each domain has another value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .profiles import LLC, LOCAL, TOTAL

BANDWIDTH = 1_000_000_000
LOCAL_SHARE = 0.75
FILL = 256 << 20
HALF_LIFE = 0.5


@dataclass
class Cell:
    """One RMID in one domain, in bytes; the bases are what had been counted at the last reset."""

    occupancy: float = 0.0
    total: float = 0.0
    base_total: int = 0
    base_local: int = 0
    touched: bool = False


class Counters:
    """All RMIDs in all domains; values are multiples of ``unit`` bytes, as the hardware's are."""

    def __init__(self, nodes: Sequence[int], size: int, unit: int) -> None:
        self._nodes = nodes
        self._size = size
        self._unit = unit
        weights = range(len(nodes), 0, -1)
        self._weights = dict(zip(nodes, (w / sum(weights) for w in weights), strict=True))
        self._cells: dict[int, dict[int, Cell]] = {}

    def cell(self, rmid: int, node: int) -> Cell:
        """The registers of an RMID in a domain."""
        row = self._cells.get(rmid)
        if row is None:
            row = self._cells[rmid] = {n: Cell() for n in self._nodes}
        return row[node]

    def charge(self, rmid: int, seconds: float, shares: dict[int, float]) -> None:
        """Count CPU time; ``shares`` are the parts of the cache, by domain, that the group may fill.

        Nothing is counted in a domain that has no share: it is offline, or the group's threads do not run there.
        """
        for node, weight in self._weights.items():
            if node not in shares:
                continue
            cell = self.cell(rmid, node)
            cell.touched = True
            cell.total += BANDWIDTH * seconds * weight
            limit = shares[node] * self._size
            if cell.occupancy < limit:
                cell.occupancy = min(cell.occupancy + FILL * seconds * weight, limit)
                self._evict(node)

    def _evict(self, node: int) -> None:
        cells = [row[node] for row in self._cells.values()]
        used = sum(cell.occupancy for cell in cells)
        if used > self._size:
            for cell in cells:
                cell.occupancy *= self._size / used

    def fade(self, rmid: int, seconds: float) -> None:
        """Let others overwrite what an RMID without threads owns."""
        factor = 0.5 ** (seconds / HALF_LIFE)
        for cell in self._cells.get(rmid, {}).values():
            cell.occupancy *= factor

    def reset(self, rmid: int) -> None:
        """Bandwidth counts from now on; the occupancy is whatever the former owner has left."""
        for node in self._nodes:
            self.set(rmid, node, TOTAL, 0)
            self.set(rmid, node, LOCAL, 0)
            self.cell(rmid, node).touched = False

    def set(self, rmid: int, node: int, event: str, value: int) -> None:
        """Make a counter continue from a value."""
        cell = self.cell(rmid, node)
        if event == LLC:
            cell.occupancy = float(min(value, self._size))
        elif event == TOTAL:
            cell.base_total = self._scaled(cell.total) - value
        else:
            cell.base_local = self._scaled(cell.total * LOCAL_SHARE) - value

    def get(self, rmid: int, node: int, event: str) -> int:
        """Bytes occupied now, or moved since the last reset."""
        cell = self.cell(rmid, node)
        if event == LLC:
            return self._scaled(cell.occupancy)
        if event == TOTAL:
            return self._scaled(cell.total) - cell.base_total
        return self._scaled(cell.total * LOCAL_SHARE) - cell.base_local

    def forget(self, node: int) -> None:
        """Let a domain begin anew for all RMIDs."""
        for row in self._cells.values():
            row[node] = Cell()

    def _scaled(self, amount: float) -> int:
        return int(amount) // self._unit * self._unit
