# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has which share of which cache, in one list for a whole fleet. Pure."""

from __future__ import annotations

import typing as t


def share(stats: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """A row for each monitored domain on each L3 cache of each host, in that order.

    `stats`: host -> the fact resctrl_stats of an analysis. What is not known is None.
    Raises ValueError for a host of which no analysis was asked.
    """
    return [
        {
            "host": host,
            "cache": cache["id"],
            "domain": one["name"],
            "uuid": fact["domains"][one["name"]]["uuid"],
            "llc_occupancy": one["llc_occupancy"],
            "share": one["share"],
            "vcpu_share": one["vcpu_share"],
            "mbm_total_bytes_per_second": one["mbm_total_bytes_per_second"],
            "bandwidth_share": _part(one["mbm_total_bytes_per_second"], cache["bytes_per_second"]),
            "partial": one["partial"],
        }
        for host, fact in stats.items()
        for cache in _caches(host, fact)
        for one in cache["domains"]
    ]


def _caches(host: str, fact: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    if "host" not in fact:
        raise ValueError(f"the fact of {host} has no analysis: set analysis=true for resctrl_stats")
    caches: list[dict[str, t.Any]] = fact["host"]["caches"]
    return caches


def _part(number: float | None, whole: float | None) -> float | None:
    return None if number is None or not whole else min(1.0, number / whole)
