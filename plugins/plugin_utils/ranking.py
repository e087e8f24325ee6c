# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The domains of a fleet in one list, ordered by what they occupy, move or use. Pure."""

from __future__ import annotations

import csv
import io
import typing as t

# What can be ordered by -> the key in a row
ORDERS = {
    "cache": "llc_occupancy",
    "total": "mbm_total_bytes_per_second",
    "local": "mbm_local_bytes_per_second",
    "energy": "core_energy_per_second",
}


# The keys of a row
COLUMNS = ("host", "domain", "uuid", "status", *ORDERS.values(), "seconds", "partial", "reason")


def rank(stats: t.Mapping[str, t.Mapping[str, t.Any]], by: str = "total") -> list[dict[str, t.Any]]:
    """A row for each domain that runs, the largest value first, unknown values last.

    `stats`: host -> the fact resctrl_stats. A sum of which only a part is known counts as that part, and the row says
    so (`partial`). Raises ValueError for an unknown order.
    """
    if by not in ORDERS:
        raise ValueError(f"cannot order by {by!r}: give {', '.join(ORDERS)}")
    rows = [
        _row(host, name, values)
        for host, fact in stats.items()
        for name, values in fact["domains"].items()
        if values["active"]
    ]
    key = ORDERS[by]
    return sorted(rows, key=lambda row: (-(row[key] if row[key] is not None else -1), row["host"], row["domain"]))


def comma_separated(rows: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """The rows as a CSV document. A value that is not known is empty, and names in a list stand between blanks.

    The columns are the keys of the first row, those of a ranking where there is none.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "partial": " ".join(row["partial"])})
    return text.getvalue()


def _row(host: str, name: str, values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    rates = values.get("rates") or {"partial": {}, "reasons": {}}
    parts = {**values["partial"], **rates["partial"]}
    numbers = {key: _first(values.get(key), rates.get(key), parts.get(key)) for key in ORDERS.values()}
    reasons = {**values["reasons"], **rates["reasons"]}
    return {
        "host": host,
        "domain": name,
        "uuid": values["uuid"],
        "status": values["status"],
        **numbers,
        "seconds": rates.get("seconds"),
        "partial": sorted(key for key in ORDERS.values() if key in parts),
        "reason": next((reasons[key] for key in ORDERS.values() if key in reasons), None),
    }


def _first(*numbers: float | None) -> float | None:
    return next((number for number in numbers if number is not None), None)
