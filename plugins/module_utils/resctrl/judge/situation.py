# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has what of a host's caches and of its memory bandwidth, out of what was counted between two moments. Pure.

A sum of which only a part is known stands for that part, and is said to be partial.
"""

from __future__ import annotations

import types
import typing as t

from ..decide.samples import named, per_place, rates
from ..kernel.configured import changed, in_words
from ..kernel.events import BANDWIDTH, L3, OCCUPANCY, PACKAGE, STALLS, UNAVAILABLE

if t.TYPE_CHECKING:
    from ..decide.samples import Sample
    from ..kernel.events import Sum
    from ..kernel.topology import Cache
    from ..observe.sampling import Statistics
    from .usage import Cpu

TOTAL = BANDWIDTH[0]
# Where a ceiling comes from
CONFIGURED = "configured"
OBSERVED = "observed"


class Holding(t.NamedTuple):
    """What a domain, or the whole host, has of one L3 cache: bytes in it, bytes moved through it each second.

    `partial`: the names of those of which only a part is known, or nothing though it should be.
    """

    held: float | None = None
    moved: float | None = None
    partial: frozenset[str] = frozenset()


class Subject(t.NamedTuple):
    """A running domain. `places`: L3 cache id -> how many of its vCPUs are there (fractions, where they may move).

    `vcpus`: their ids.  `counted` and `uncounted`: how many of them are counted, and are not.
    `forced_by`: see DomainStatus.
    `stalls`: package -> the share of its cycles that misses of the L3 cache cost; empty without telemetry.
    `unnamed`: it is counted, and which of its threads are vCPUs is not known, so that no share of these is.
    `waits`: it takes turns to be counted, and it is not its turn.  `waits_for_counters`: only its bandwidth does.
    `identity`: what a later process or other groups of this domain do not have; "" where it is not known.
    """

    name: str
    uuid: str
    holdings: t.Mapping[int, Holding]
    places: t.Mapping[int, float]
    counted: int
    uncounted: int
    vcpus: tuple[int, ...] = ()
    forced_by: str | None = None
    cpu: Cpu | None = None
    stalls: t.Mapping[int, float] = types.MappingProxyType({})
    identity: str = ""
    waits: bool = False
    waits_for_counters: bool = False
    unnamed: bool = False

    @property
    def monitored(self) -> bool:
        """Whether something counts it."""
        return bool(self.counted) or self.unnamed


class Ceiling(t.NamedTuple):
    """The most bytes that a socket moves in a second, and where that number comes from."""

    bytes_per_second: float
    source: str


class Socket(t.NamedTuple):
    """L3 caches that share a way to memory. `package` is None where it is not known: then it is one cache."""

    package: int | None
    caches: tuple[int, ...]

    @property
    def key(self) -> str:
        """Its name: `package 0`, or `cache 8`."""
        return f"cache {self.caches[0]}" if self.package is None else f"package {self.package}"


class Situation(t.NamedTuple):
    """A host between two moments, `interval` seconds apart, of which the first was at `since` (UTC).

    `caches`: those that are counted.  `whole`: L3 cache id -> what everything on the host has of it, see everything().
    `ceilings`: by the socket's key.  `configured`: the events that count something else than their names say.
    `at`: the first moment as Unix time.
    """

    since: str
    interval: float
    caches: t.Mapping[int, Cache]
    subjects: t.Sequence[Subject]
    whole: t.Mapping[int, Holding]
    ceilings: t.Mapping[str, Ceiling] = types.MappingProxyType({})
    configured: t.Sequence[str] = ()
    at: float = 0.0

    @property
    def seconds(self) -> str:
        """How long it was looked at, in words."""
        return f"{self.interval:.3g} second{'' if self.interval == 1 else 's'}"

    @property
    def sockets(self) -> list[Socket]:
        """The host's sockets."""
        packages = sorted({one.package for one in self.caches.values() if one.package is not None})
        known = [Socket(one, tuple(sorted(c for c, k in self.caches.items() if k.package == one))) for one in packages]
        return known + [Socket(None, (one,)) for one, cache in sorted(self.caches.items()) if cache.package is None]

    def fullness(self, cache: int) -> float | None:
        """The occupied share of an L3 cache."""
        size, held = self.caches[cache].size, self.occupied(cache)
        return None if not size or held is None else min(1.0, held / size)

    def occupied(self, cache: int) -> float | None:
        """The bytes that are occupied in a cache; those of the domains, where that of the whole host is not known."""
        held = self.whole.get(cache, Holding()).held
        return held if held is not None else add(one.holdings.get(cache, Holding()).held for one in self.subjects)

    def moved(self, caches: t.Iterable[int]) -> float | None:
        """The bytes that everything moves through some caches each second; None where one of them does not tell."""
        numbers = [self.whole.get(cache, Holding()).moved for cache in caches]
        return None if None in numbers else add(numbers)

    def fair_share(self, subject: Subject, caches: t.Iterable[int]) -> float:
        """The share that a domain has of the running vCPUs on some caches."""
        ids = list(caches)
        everybody = sum(one.places.get(cache, 0.0) for one in self.subjects for cache in ids)
        return sum(subject.places.get(cache, 0.0) for cache in ids) / everybody if everybody else 0.0


def add(numbers: t.Iterable[float | None]) -> float | None:
    """The sum of those that are known; None where none is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def subject_of(
    name: str, one: Statistics, places: t.Mapping[int, float], cpu: Cpu | None, process: str = ""
) -> Subject:
    """A running domain as one of the situation's subjects, by a name that no other has. It was sampled twice.

    `process`: what no later process has, "" if that is not known.
    """
    status, second = one.status, one.sample
    first = one.before or second
    counted = [vcpu for vcpus in status.counted.values() for vcpu in vcpus]
    return Subject(
        name,
        status.domain.uuid,
        holdings(first, second),
        places,
        len(counted),
        len(status.uncounted),
        tuple(sorted([*counted, *status.uncounted])),
        status.forced_by,
        cpu,
        stalls(first, second),
        _identity(process, second, len(counted)),
        waits=one.turned is not None and one.turned.notes.waits,
        waits_for_counters=one.turned is not None and one.turned.notes.waits_for_counters,
        unnamed=bool(status.groups) and not counted and not status.uncounted,
    )


def _identity(process: str, sample: Sample, counted: int) -> str:
    """What changes when a domain is started anew, when its groups are, or when more or fewer of its vCPUs are counted.

    "" where it is not counted, or where that cannot be told.
    """
    generations = [sample.generations.get(group) for group in sorted(sample.parts)]
    if not process or not generations or None in generations:
        return ""
    return " ".join([process, str(counted), *map(str, generations)])


def holdings(first: Sample, second: Sample) -> dict[int, Holding]:
    """L3 cache id -> what the groups of a domain have of it at the second moment."""
    return {cache: holding for cache, (holding, _held, _speed) in _holdings(first, second).items()}


def everything(first: Sample, second: Sample) -> dict[int, Holding]:
    """L3 cache id -> what everything on a host has of it, by the samples of the whole host.

    What is held, or moved, is None where something lacks: shares of a part would be wrong. Only a group of which the
    hardware has never counted anything in a cache (unavailable, AMD) lacks nothing, since nothing of it has run there.
    """
    return {
        cache: holding._replace(
            held=holding.held if _is_whole(held) else None, moved=holding.moved if _is_whole(speed) else None
        )
        for cache, (holding, held, speed) in _holdings(first, second).items()
    }


def _is_whole(of: Sum | None) -> bool:
    return of is not None and of.value.reason in (None, UNAVAILABLE)


def _holdings(first: Sample, second: Sample) -> dict[int, tuple[Holding, Sum, Sum | None]]:
    """Each with the sum of what is held, and of what is moved each second."""
    speeds, events = rates(first, second).of(L3), {event.name for event in second.events}
    found = {}
    for cache, sums in per_place(second, L3).items():
        speed = speeds.get(cache, {}).get(TOTAL)
        found[cache] = _holding(sums[OCCUPANCY], speed, events), sums[OCCUPANCY], speed
    return found


def stalls(first: Sample, second: Sample) -> dict[int, float]:
    """Package -> the share of a domain's cycles that misses of the L3 cache cost, where the CPU counts that."""
    shares = {
        package: named(sums).get(f"{STALLS}_fraction") for package, sums in rates(first, second).of(PACKAGE).items()
    }
    numbers = {package: share.number for package, share in shares.items() if share}
    return {package: number for package, number in numbers.items() if number is not None}


def unusual(sample: Sample) -> list[str]:
    """The events of memory bandwidth that count something else than usual, with what they count."""
    caches = per_place(sample, L3)
    return [f"{event} counts {in_words(kinds)}" for event, kinds in changed(sample.configured, caches).items()]


def _holding(occupancy: Sum, speed: Sum | None, events: t.Container[str]) -> Holding:
    sums = {"occupancy": (OCCUPANCY, occupancy), "bandwidth": (TOTAL, speed)}
    # What the hardware cannot count is said of the host, not of each domain
    partial = {
        name for name, (event, one) in sums.items() if event in events and (one is None or one.value.number is None)
    }
    return Holding(occupancy.number, speed and speed.number, frozenset(partial))
