# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines with columns. Pure."""

from __future__ import annotations

import typing as t


def lines_of(titles: t.Sequence[str], rows: t.Sequence[t.Sequence[str]], left: t.Container[str]) -> list[str]:
    """A line of titles, and a line for each row, in columns as wide as they have to be.

    Cells of the columns in `left` (by title) begin at the left, those of others end at the right.
    """
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows)]

    def line(cells: t.Sequence[str]) -> str:
        placed = [
            cell.ljust(width) if title in left else cell.rjust(width)
            for title, cell, width in zip(titles, cells, widths)
        ]
        return "  ".join(placed).rstrip()

    return [line(titles), *(line(row) for row in rows)]
