# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters to values: what the groups of a domain have counted, and rates from two samples."""

from __future__ import annotations

import time
import typing as t

from .counters import (
    BANDWIDTH,
    EVENTS,
    GONE,
    NOT_ENABLED,
    OCCUPANCY,
    UNSUPPORTED,
    Value,
    Values,
    cache_directories,
    generation,
    read_counter,
)

if t.TYPE_CHECKING:
    from .filesystem import Group, Resctrl
    from .snapshot import DomainStatus


class Sample(t.NamedTuple):
    """What a set of groups showed: event -> value, per L3 cache id and in all; and the generation of each group.

    `seconds` is when it was read, on the monotonic clock: only differences of it mean something.
    """

    caches: t.Mapping[int, Values]
    totals: Values
    generations: t.Mapping[Group, int | None]
    seconds: float


def add(values: t.Sequence[Value]) -> Value:
    """The sum. A sum of which a part is unknown is unknown, for the first part's reason; none at all: gone."""
    for value in values:
        if value.number is None:
            return value
    return Value(sum(value.number or 0 for value in values)) if values else Value(None, GONE)


def outermost(groups: t.Iterable[Group]) -> list[Group]:
    """The groups to add up: a CTRL_MON group's counters include those of its MON groups, so these are left out."""
    every = set(groups)
    return sorted(group for group in every if not group.mon or group.parent not in every)


def sample(resctrl: Resctrl, groups: t.Sequence[Group], features: t.Sequence[str]) -> Sample:
    """Read the counters of a domain's groups and add them up, counting nothing twice. Never raises for a value."""
    counting = outermost(groups)
    seconds = time.monotonic()
    parts = [_read_group(resctrl, group, features) for group in counting]
    ids = sorted({cache for part in parts for cache in part})
    caches = {
        cache: {event: add([part[cache][event] for part in parts if cache in part]) for event in EVENTS}
        for cache in ids
    }
    # A group that shows no cache at all has vanished: what it counted is unknown, and so is every sum with it
    missing = [Value(None, GONE) for part in parts if not part]
    totals = {event: _total(event, features, [caches[cache][event] for cache in ids] + missing) for event in EVENTS}
    return Sample(caches, totals, {group: generation(resctrl, group) for group in groups}, seconds)


def _total(event: str, features: t.Sequence[str], values: t.Sequence[Value]) -> Value:
    return add(values) if event in features else Value(None, UNSUPPORTED)


def _read_group(resctrl: Resctrl, group: Group, features: t.Sequence[str]) -> dict[int, Values]:
    directories = cache_directories(resctrl, group)
    return {cache: {event: _read(path, event, features) for event in EVENTS} for cache, path in directories.items()}


def _read(directory: str, event: str, features: t.Sequence[str]) -> Value:
    return read_counter(directory, event) if event in features else Value(None, UNSUPPORTED)


def unknown(reason: str) -> Values:
    """Every event without a value, for one reason."""
    return {event: Value(None, reason) for event in EVENTS}


def rate(event: str, first: Sample, second: Sample) -> float | None:
    """Bytes per second between two samples of one domain.

    None where a value is missing, where a group is not the same one any more (another generation), or where a counter
    went backwards, as it does when the kernel resets it (a cache domain came back, another event configuration).
    """
    before, after = first.totals[event].number, second.totals[event].number
    seconds = second.seconds - first.seconds
    if before is None or after is None or first.generations != second.generations or seconds <= 0:
        return None
    if first.caches.keys() != second.caches.keys() or after < before:
        return None
    return (after - before) / seconds


class Statistics(t.NamedTuple):
    """What was counted for a domain: its status, the last sample, and with two samples the rates.

    `rates`: `seconds` between the samples, and `EVENT_per_second` for each bandwidth event (bytes per second, or None).
    """

    status: DomainStatus
    sample: Sample
    rates: t.Mapping[str, float | None] | None = None


def statistics(resctrl: Resctrl, statuses: t.Sequence[DomainStatus], interval: float | None) -> list[Statistics]:
    """Sample each domain, once or, `interval` seconds apart, twice. In the order of `statuses`."""
    features = resctrl.features()
    first = [_sample_domain(resctrl, status, features) for status in statuses]
    if interval is None:
        return [Statistics(status, one) for status, one in zip(statuses, first)]
    time.sleep(interval)
    second = [_sample_domain(resctrl, status, features) for status in statuses]
    return [Statistics(status, now, _rates(then, now)) for status, then, now in zip(statuses, first, second)]


def _sample_domain(resctrl: Resctrl, status: DomainStatus, features: t.Sequence[str]) -> Sample:
    if status.groups:
        return sample(resctrl, status.groups, features)
    return Sample({}, unknown(_why_nothing_counts(status, features)), {}, time.monotonic())


def _why_nothing_counts(status: DomainStatus, features: t.Sequence[str]) -> str:
    # Forced, but without a group: libvirt's is in the XML, but another program removed it
    if status.gone or status.forced_by:
        return GONE
    return NOT_ENABLED if features or not status.domain.active else UNSUPPORTED


def _rates(first: Sample, second: Sample) -> dict[str, float | None]:
    rates: dict[str, float | None] = {"seconds": round(second.seconds - first.seconds, 6)}
    rates.update({f"{event}_per_second": rate(event, first, second) for event in BANDWIDTH})
    return rates


def describe_statistics(one: Statistics, resctrl: Resctrl) -> dict[str, t.Any]:
    """One value of the fact `resctrl_stats.domains`."""
    status, sample = one.status, one.sample
    cmt = sample.totals[OCCUPANCY].number if status.domain.active else 0
    reasons = _reasons(sample.totals)
    return {
        "uuid": status.domain.uuid,
        "active": status.domain.active,
        "status": status.text,
        "cmt": cmt,
        **_numbers(sample.totals),
        "reason": next(iter(reasons.values()), None),
        "caches": [
            {"id": cache, **_numbers(values), "reasons": _reasons(values)} for cache, values in sample.caches.items()
        ],
        "groups": [
            {"path": resctrl.path(group), "owner": group.owner, "generation": number}
            for group, number in sample.generations.items()
        ],
        "vcpus": {
            "counted": sorted(vcpu for vcpus in status.counted.values() for vcpu in vcpus),
            "uncounted": list(status.uncounted),
        },
        "rates": dict(one.rates) if one.rates is not None else None,
    }


def _numbers(values: t.Mapping[str, Value]) -> dict[str, int | None]:
    return {event: values[event].number for event in EVENTS}


def _reasons(values: t.Mapping[str, Value]) -> dict[str, str]:
    return {event: values[event].reason or "" for event in EVENTS if values[event].number is None}
