# SPDX-License-Identifier: GPL-3.0-or-later
"""What was counted for a domain, as plain data: the fact `resctrl_stats`."""

from __future__ import annotations

import typing as t

from ..decide.samples import Rates, per_cache, rates, totals
from ..kernel.events import BANDWIDTH, EVENTS, OCCUPANCY, Sum
from .domains import describe_vcpus

if t.TYPE_CHECKING:
    from ..decide.snapshot import Snapshot
    from ..kernel.filesystem import Resctrl
    from ..observe.sampling import Statistics

_RATE = "_per_second"


def describe_statistics(
    one: Statistics, resctrl: Resctrl, snapshot: Snapshot, details: bool = True
) -> dict[str, t.Any]:
    """One value of the fact `resctrl_stats.domains`; without `details` no single caches and groups."""
    status, sums = one.status, totals(one.sample)
    described: dict[str, t.Any] = {
        "uuid": status.domain.uuid,
        "active": status.domain.active,
        "status": status.text,
        # The RFC's number: 0 for a domain that is shut off
        "cmt": sums[OCCUPANCY].value.number if status.domain.active else 0,
        **_values(sums),
        "reason": next(iter(_reasons(sums).values()), None),
        "reasons": _reasons(sums),
        "partial": _partial(sums),
        "vcpus": describe_vcpus(status),
        "rates": describe_rates(rates(one.before, one.sample), details) if one.before else None,
    }
    if details:
        described["caches"] = [
            {"id": cache, **_values(values), "reasons": _reasons(values), "partial": _partial(values)}
            for cache, values in per_cache(one.sample).items()
        ]
        described["packages"] = []
        described["groups"] = [
            {"path": resctrl.path(group), "owner": snapshot.owner(group), "generation": generation}
            for group, generation in one.sample.generations.items()
        ]
    return described


def describe_rates(found: Rates, details: bool = True) -> dict[str, t.Any]:
    """The rates between two samples: in all, and for each cache."""
    described: dict[str, t.Any] = {
        "seconds": round(found.seconds, 6),
        **_values(found.totals, BANDWIDTH, _RATE),
        "reasons": _reasons(found.totals, BANDWIDTH, _RATE),
        "partial": _partial(found.totals, BANDWIDTH, _RATE),
    }
    if details:
        described["caches"] = [
            {
                "id": cache,
                **_values(sums, BANDWIDTH, _RATE),
                "reasons": _reasons(sums, BANDWIDTH, _RATE),
                "partial": _partial(sums, BANDWIDTH, _RATE),
            }
            for cache, sums in found.caches.items()
        ]
        described["packages"] = []
    return described


def _values(sums: t.Mapping[str, Sum], events: t.Sequence[str] = EVENTS, suffix: str = "") -> dict[str, float | None]:
    return {event + suffix: sums[event].value.number for event in events}


def _reasons(sums: t.Mapping[str, Sum], events: t.Sequence[str] = EVENTS, suffix: str = "") -> dict[str, str]:
    """The name of each value that is not known, with the reason."""
    return {event + suffix: sums[event].value.reason or "" for event in events if sums[event].value.number is None}


def _partial(sums: t.Mapping[str, Sum], events: t.Sequence[str] = EVENTS, suffix: str = "") -> dict[str, float]:
    """The name of each sum of which only a part is known, with that part."""
    parts = {event + suffix: sums[event].known for event in events}
    return {name: part for name, part in parts.items() if part is not None}
