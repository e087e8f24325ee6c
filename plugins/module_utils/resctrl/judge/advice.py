# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator may want to allocate otherwise, with the XML for libvirt. Nobody but the operator does it. Pure."""

from __future__ import annotations

import math
import types
import typing as t

from ..kernel.events import L3, OCCUPANCY, plain
from .findings import HOLDS_MORE, MOVES_MORE, STREAMS

if t.TYPE_CHECKING:
    from ..decide.samples import Part, Sample
    from ..decide.status import DomainStatus
    from ..kernel.allocation import Rules
    from ..kernel.groups import Group
    from .findings import Finding
    from .situation import Situation, Subject

NOT_FILLED = "allocation_not_filled"
ALWAYS_FULL = "allocation_full"
CAP_CACHE = "cap_cache"
CAP_BANDWIDTH = "cap_bandwidth"

# The shares of an allocation below which it is not filled, and from which on it is full
_LITTLE = 0.5
_FULL = 0.95
# What an allocation that is not filled is offered beyond what is held now
_HEADROOM = 1.25
# The percentage that a domain is offered which moves most bytes
_HALF = 50

# libvirt: "Identical vcpus in cachetunes found"
_ONE = "It takes the place of this cache's line in the <cachetune> of these vCPUs, of which libvirt takes only one."


class Allocations(t.NamedTuple):
    """The host's rules, and what each CTRL_MON group, the root included, may use: group -> L3 cache id -> mask."""

    rules: Rules
    masks: t.Mapping[Group, t.Mapping[int, int]] = types.MappingProxyType({})

    def free(self, cache: int) -> int:
        """How many bits of a cache no group may use: only these libvirt gives to a domain."""
        used = 0
        for masks in self.masks.values():
            used |= masks.get(cache, 0)
        return bin(self.rules.mask & ~used).count("1")


class Advice(t.NamedTuple):
    """What may be allocated otherwise. `numbers` are bytes, shares of 1, and percentages.  `xml`: for <cputune>."""

    kind: str
    domain: str
    uuid: str
    cache: int | None
    package: int | None
    numbers: t.Mapping[str, float]
    xml: str
    against: tuple[str, ...]


class Own(t.NamedTuple):
    """A CTRL_MON group of a domain's own: the ids of its vCPUs there, and what it holds: L3 cache id -> bytes."""

    group: Group
    vcpus: tuple[int, ...]
    held: t.Mapping[int, float]


def owned(status: DomainStatus, sample: Sample) -> list[Own]:
    """The CTRL_MON groups that libvirt has made for a domain, with what is known of them."""
    return [
        Own(group, _vcpus(status, group), _held(part))
        for group, part in sample.parts.items()
        if group.ctrl and not group.mon
    ]


def _vcpus(status: DomainStatus, group: Group) -> tuple[int, ...]:
    """The vCPUs of an allocation: those that a MON group in it counts, too."""
    return tuple(sorted(vcpu for one, vcpus in status.counted.items() if one.ctrl == group.ctrl for vcpu in vcpus))


def _held(part: Part) -> dict[int, float]:
    held = {place.id: plain(values[OCCUPANCY].number) for place, values in part.places.items() if place.resource == L3}
    return {cache: number for cache, number in held.items() if number is not None}


def advice(
    situation: Situation, found: t.Iterable[Finding], allocations: Allocations, own: t.Mapping[str, t.Sequence[Own]]
) -> list[Advice]:
    """What may be allocated otherwise. `own`: a domain's UUID -> the groups of its own."""
    subjects = {one.uuid: one for one in situation.subjects}
    given = [
        one
        for uuid, groups in own.items()
        for group in groups
        for cache in group.held
        # It may have gone off before the whole host was read
        if cache in situation.caches
        for one in _of_allocation(situation, subjects[uuid], allocations, group, cache)
    ]
    return [*given, *(one for each in found for one in _cap(situation, subjects.get(each.uuid), allocations, each))]


def _of_allocation(
    situation: Situation, subject: Subject, allocations: Allocations, own: Own, cache: int
) -> t.Iterator[Advice]:
    """Whether an allocation is not filled, or is full."""
    rules, held = allocations.rules, own.held[cache]
    size, mask = situation.caches[cache].size, allocations.masks.get(own.group, {}).get(cache, 0)
    # One that may use all of the cache has no part of its own
    if not size or not mask or mask == rules.mask:
        return
    allowed = size * _bits(mask) / _bits(rules.mask)
    numbers = {"held": held, "allowed": allowed, "share": held / allowed}
    if held < _LITTLE * allowed:
        bits = _bits_for(held * _HEADROOM, size, rules)
        once = f"It was looked at for {situation.seconds}: look again when the VM is busy."
        if bits < _bits(mask):
            xml = _cachetune(own.vcpus, cache, bits, size, rules)
            yield Advice(NOT_FILLED, subject.name, subject.uuid, cache, None, numbers, xml, (once, _ONE))
    elif held >= _FULL * allowed:
        more = max(1, rules.least)
        xml = _cachetune(own.vcpus, cache, _bits(mask) + more, size, rules)
        doubts = ("A VM that streams fills whatever it is given.", _ONE, *_room(allocations, cache, more))
        yield Advice(ALWAYS_FULL, subject.name, subject.uuid, cache, None, numbers, xml, doubts)


def _cap(
    situation: Situation, subject: Subject | None, allocations: Allocations, finding: Finding
) -> t.Iterator[Advice]:
    """What would keep a domain that has more than its share to its share."""
    if subject is None or subject.forced_by in ("cachetune", "memorytune"):
        return
    rules, cache, fair = allocations.rules, finding.cache, finding.numbers.get("fair_share") or 0.0
    restart = "It holds from the next start of the VM on, and may make the VM slower."
    if finding.kind in (STREAMS, HOLDS_MORE) and cache is not None and rules.mask:
        size = situation.caches[cache].size or 0
        bits = _bits_for(fair * size, size, rules)
        numbers = {"allowed": size * bits / _bits(rules.mask), "fair_share": fair}
        xml = _cachetune(subject.vcpus, cache, bits, size, rules)
        doubts = (restart, *_room(allocations, cache, bits))
        yield Advice(CAP_CACHE, subject.name, subject.uuid, cache, finding.package, numbers, xml, doubts)
    if finding.kind == MOVES_MORE and rules.bandwidth and finding.package is not None:
        least, step = rules.bandwidth
        percent = max(least, _HALF // step * step)
        caches = [one for one in situation.caches if situation.caches[one].package == finding.package]
        xml = _memorytune(subject.vcpus, caches, percent)
        numbers = {"percent": float(percent)}
        doubts = (restart, "A percentage slows the cores' requests down, and is no bandwidth that is guaranteed.")
        yield Advice(CAP_BANDWIDTH, subject.name, subject.uuid, None, finding.package, numbers, xml, doubts)


def _bits(mask: int) -> int:
    return bin(mask).count("1")


def _bits_for(wanted: float, size: int, rules: Rules) -> int:
    """How many bits of the mask hold so many bytes, and no fewer than the hardware wants."""
    whole = _bits(rules.mask)
    return min(whole, max(rules.least, math.ceil(wanted / size * whole))) if size else rules.least


def _room(allocations: Allocations, cache: int, bits: int) -> tuple[str, ...]:
    """Whether libvirt could give so many bits: it takes only those that no other group may use, the root included."""
    free = allocations.free(cache)
    if free >= bits:
        return ()
    return (
        f"libvirt will refuse it as long as other groups may use the cache: {free} of the {bits} bits that it takes "
        "are free. Take some from the default group first (its line L3 in schemata).",
    )


def _cachetune(vcpus: t.Iterable[int], cache: int, bits: int, size: int, rules: Rules) -> str:
    kib = size * bits // _bits(rules.mask) // 1024
    return (
        f"<cachetune vcpus='{ranges(vcpus)}'>\n"
        f"  <cache id='{cache}' level='3' type='both' size='{kib}' unit='KiB'/>\n"
        "</cachetune>"
    )


def _memorytune(vcpus: t.Iterable[int], caches: t.Iterable[int], percent: int) -> str:
    nodes = "".join(f"  <node id='{cache}' bandwidth='{percent}'/>\n" for cache in caches)
    return f"<memorytune vcpus='{ranges(vcpus)}'>\n{nodes}</memorytune>"


def ranges(numbers: t.Iterable[int]) -> str:
    """Numbers as a list of ranges, such as 0-3,8."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
