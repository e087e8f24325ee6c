# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the groups of domains have counted, once or twice."""

from __future__ import annotations

import time
import typing as t

from ..decide.samples import Part, Sample, outermost
from ..decide.status import DomainStatus
from ..errors import Unreadable
from ..kernel.counters import Reader
from ..kernel.events import ERROR, GONE, NOT_ENABLED, UNSUPPORTED
from ..kernel.groups import ROOT
from ..kernel.info import ASSIGNABLE, assign_mode, configurations, events
from ..vms.domain import Domain

if t.TYPE_CHECKING:
    from ..decide.windows import Turned
    from ..kernel.assignments import Counters
    from ..kernel.events import Event
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group


class Statistics(t.NamedTuple):
    """What was counted for a domain: its status, the last sample, and with two samples the one before.

    `turned`: what was measured of a domain that takes turns; None of one that does not.
    """

    status: DomainStatus
    sample: Sample
    before: Sample | None = None
    turned: Turned | None = None


def statistics(resctrl: Resctrl, statuses: t.Sequence[DomainStatus], interval: float | None) -> list[Statistics]:
    """Sample each domain, once or, `interval` seconds apart, twice. In the order of `statuses`.

    Raises Unreadable if it cannot be told which events there are; never for a value.
    """
    first = sample_all(resctrl, statuses)
    if interval is None:
        return [Statistics(status, one) for status, one in zip(statuses, first)]
    time.sleep(interval)
    second = sample_again(resctrl, statuses)
    return [Statistics(status, now, then) for status, then, now in zip(statuses, first, second)]


def whole_host(groups: t.Iterable[Group]) -> DomainStatus:
    """What stands for everything that runs on a host, to be sampled like a domain. `groups`: all but the root."""
    controls = [ROOT, *(group for group in groups if not group.mon)]
    return DomainStatus(Domain("", "", True), enabled=True, groups=tuple(sorted(controls)))


def sample_all(resctrl: Resctrl, statuses: t.Sequence[DomainStatus]) -> list[Sample]:
    """One sample of each domain. Raises Unreadable, see statistics()."""
    # What is the same for all domains
    there = events(resctrl)
    with Reader(resctrl, there) as reader:
        empty = Sample({}, {}, there, 0.0, "", reader.generations(), configurations(resctrl))
        counters = _counters(resctrl)
        samples = [_sample(status, empty, reader, counters) for status in statuses]
    # What was read while resctrl was mounted anew is of the one mount or of the other
    return samples if resctrl.generation_of_mount() == reader.mount else [_of_no_generation(one) for one in samples]


def sample_again(resctrl: Resctrl, statuses: t.Sequence[DomainStatus]) -> list[Sample]:
    """A later sample of each domain, and of the CTRL_MON groups that the whole host has by then.

    One that is new has no first sample, so that there is no rate of the whole host.
    Raises Unreadable, see statistics().
    """
    return sample_all(resctrl, [one if one.domain.uuid else _whole_host_by_now(resctrl, one) for one in statuses])


def _whole_host_by_now(resctrl: Resctrl, before: DomainStatus) -> DomainStatus:
    try:
        return whole_host(resctrl.groups())
    except Unreadable:
        # It is not known either what the root's numbers are sums of, see _sum()
        return before


def _counters(resctrl: Resctrl) -> Counters | None:
    """Which bandwidth counters groups have; None where they need none."""
    if assign_mode(resctrl) != ASSIGNABLE:
        return None
    # Not above: few hosts assign counters
    from ..kernel.assignments import Counters

    return Counters(resctrl)


def _sample(status: DomainStatus, empty: Sample, reader: Reader, counters: Counters | None) -> Sample:
    """Read the counters of a domain's groups. A group's generation is looked up after its counters."""
    seconds = time.monotonic()
    if not status.groups:
        return empty._replace(seconds=seconds, reason=_why_nothing_counts(status, empty.events))
    parts = {group: _part(group, reader, counters) for group in outermost(status.groups)}
    generations = {group: part.generation for group, part in parts.items()}
    if len(parts) < len(status.groups):
        inner = sorted(set(status.groups).difference(parts))
        generations.update((group, reader.generation(group)) for group in inner)
    return Sample(parts, generations, empty.events, seconds, "", empty.places, empty.configured)


def _part(group: Group, reader: Reader, counters: Counters | None) -> Part:
    if not group.mon:
        return _sum(group, reader, counters)
    part = _read(group, reader)
    if counters:
        counters.see(group, part.places)
    return part


def _sum(group: Group, reader: Reader, counters: Counters | None) -> Part:
    """What a CTRL_MON group shows, with what that is a sum of."""
    before = _below(group, reader)
    part = _read(group, reader)
    below = _below(group, reader)
    if below is None or below != before:
        # It is not known what the numbers are sums of
        return part._replace(generation=None)
    there = {group: part.generation, **below} if part.generation else below
    return part._replace(summed={name: counters.of(one) if counters else None for one, name in there.items()})


def _read(group: Group, reader: Reader) -> Part:
    try:
        values, reason = reader.read(group), GONE
    except OSError:
        values, reason = {}, ERROR
    return Part(values, reader.generation(group), reason)


def _below(group: Group, reader: Reader) -> dict[Group, str] | None:
    """The groups that are in the sum of a CTRL_MON group; None where that cannot be told."""
    try:
        return reader.below(group)
    except OSError:
        return None


def _of_no_generation(sample: Sample) -> Sample:
    parts = {group: part._replace(generation=None) for group, part in sample.parts.items()}
    return sample._replace(parts=parts, generations=dict.fromkeys(sample.generations))


def _why_nothing_counts(status: DomainStatus, there: t.Sequence[Event]) -> str:
    if status.unseen:
        return ERROR
    if status.gone:
        return GONE
    return NOT_ENABLED if there or not status.domain.active else UNSUPPORTED
