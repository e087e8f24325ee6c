# SPDX-License-Identifier: GPL-3.0-or-later
"""What was counted for a domain, as plain data: the fact `resctrl_stats`."""

from __future__ import annotations

import time
import typing as t

from ..decide.samples import Rates, named, per_place, rates, totals
from ..kernel.configured import changed, in_words
from ..kernel.events import L3, OCCUPANCY, PACKAGE, Sum, plain
from .domains import describe_vcpus

if t.TYPE_CHECKING:
    from ..decide.snapshot import Snapshot
    from ..kernel.filesystem import Resctrl
    from ..observe.sampling import Statistics


def describe_statistics(
    one: Statistics, resctrl: Resctrl, snapshot: Snapshot, details: bool = True
) -> dict[str, t.Any]:
    """One value of the fact `resctrl_stats.domains`; without `details` no single caches and groups."""
    status, sums = one.status, totals(one.sample)
    caches = per_place(one.sample, L3)
    configured = changed(one.sample.configured, caches)
    described: dict[str, t.Any] = {
        "uuid": status.domain.uuid,
        "active": status.domain.active,
        "status": status.text,
        # The RFC's number: 0 for a domain that is shut off
        "cmt": plain(sums[OCCUPANCY].value.number) if status.domain.active else 0,
        **_values(sums),
        "reason": next(iter(_reasons(sums).values()), None),
        "reasons": _reasons(sums),
        "partial": _partial(sums),
        "configured": {event: in_words(kinds) for event, kinds in configured.items()},
        "vcpus": describe_vcpus(status),
        "rates": describe_rates(rates(one.before, one.sample), details) if one.before else None,
        "sampled": _sampled(one, details),
    }
    if details:
        described["caches"] = [
            {
                **_place(cache, values),
                "configured": {event: list(kinds[cache]) for event, kinds in configured.items() if cache in kinds},
            }
            for cache, values in caches.items()
        ]
        described["packages"] = [_place(package, sums) for package, sums in per_place(one.sample, PACKAGE).items()]
        described["groups"] = [
            {"path": resctrl.path(group), "owner": snapshot.owner(group), "generation": generation}
            for group, generation in one.sample.generations.items()
        ]
    return described


def _sampled(one: Statistics, details: bool) -> dict[str, t.Any] | None:
    """What was measured in the last turn of a domain that takes turns."""
    if one.turned is None:
        return None
    # Not above: few hosts have it, and what is imported is compiled on every run
    from .sampled import describe_sampled

    return describe_sampled(one.turned, time.time(), details)


def describe_rates(found: Rates, details: bool = True) -> dict[str, t.Any]:
    """The rates between two samples: in all, for each cache, and for each package."""
    sums = named(found.totals)
    described: dict[str, t.Any] = {
        "seconds": round(found.seconds, 6),
        **_values(sums),
        "reasons": _reasons(sums),
        "partial": _partial(sums),
    }
    if details:
        described["caches"] = [_place(cache, named(sums)) for cache, sums in found.of(L3).items()]
        described["packages"] = [_place(package, named(sums)) for package, sums in found.of(PACKAGE).items()]
    return described


def _place(number: int, sums: t.Mapping[str, Sum]) -> dict[str, t.Any]:
    """The values of one cache or package."""
    return {"id": number, **_values(sums), "reasons": _reasons(sums), "partial": _partial(sums)}


def _values(sums: t.Mapping[str, Sum]) -> dict[str, float | None]:
    return {name: plain(one.value.number) for name, one in sums.items()}


def _reasons(sums: t.Mapping[str, Sum]) -> dict[str, str]:
    """The name of each value that is not known, with the reason."""
    return {name: one.value.reason or "" for name, one in sums.items() if one.value.number is None}


def _partial(sums: t.Mapping[str, Sum]) -> dict[str, float | None]:
    """The name of each sum of which only a part is known, with that part."""
    return {name: plain(one.known) for name, one in sums.items() if one.known is not None}
