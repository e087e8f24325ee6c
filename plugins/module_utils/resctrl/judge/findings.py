# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands out on a host: at first what a domain's own trouble explains, then who has more than its share. Pure.

Occupancy and bandwidth tell who has how much. They tell neither harm nor its cause: a domain is called a victim only
where the CPU has counted what misses of the cache cost it (telemetry of packages).
"""

from __future__ import annotations

import types
import typing as t

from .against import (
    doubts_of,
    doubts_of_bandwidth,
    doubts_of_cache,
    doubts_of_rest,
    doubts_of_rise,
    doubts_of_time,
    doubts_of_victim,
)
from .history import History, key_of, look_at, looks_of, rise, since
from .situation import Holding, Situation, Socket, Subject, add

if t.TYPE_CHECKING:
    from .history import Look

# The domain's own trouble
THROTTLED = "throttled"
WAITS_FOR_CPU = "waits_for_cpu"
MEMORY_PRESSURE = "memory_pressure"
# More than its share
STREAMS = "streams"
LARGE_WORKING_SET = "large_working_set"
HOLDS_MORE = "holds_more_than_share"
MOVES_MORE = "moves_more_than_share"
UNACCOUNTED = "not_accounted_for"
VICTIM = "victim"
# More than before
RISE_HELD = "holds_more_than_before"
RISE_MOVED = "moves_more_than_before"
NOTHING = "nothing_stands_out"
# Nothing counts what of caches and bandwidth is in use
NOT_MEASURED = "not_measured"
KINDS = (
    *(THROTTLED, WAITS_FOR_CPU, MEMORY_PRESSURE),
    *(STREAMS, LARGE_WORKING_SET, HOLDS_MORE, MOVES_MORE, UNACCOUNTED, VICTIM),
    *(RISE_HELD, RISE_MOVED, NOTHING, NOT_MEASURED),
)

# From this share of a cache on it is nearly full: what one gets, another loses
NEARLY_FULL = 0.9
# From this share of the ceiling on memory bandwidth is scarce
NEARLY_ALL = 0.8
# Much more than its share: so many times that of the running vCPUs, and at least so much of the whole
MUCH_MORE = 1.5
AT_LEAST = 0.2
# Who replaces what it holds so often in a second does not use it again
STREAMING = 10.0
# The shares of time that are worth a look
HELD_BACK = 0.05
WAITING = 0.1
STALLED = 0.1
# The share of cycles that misses of the L3 cache cost
STALLS = 0.2
# Bytes per second: who moves less has not risen to anything that a socket would notice
NOTICED = 1e8


class Finding(t.NamedTuple):
    """What stands out. `domain` and `uuid` are "" where it is no domain's. `cache` or `package` say where, if anywhere.

    `numbers`: what it rests on; shares are of 1.  `against`: what speaks against it, a sentence each.
    `others`: names of domains that it mentions.  `since`: the first of the looks at each of which it was so, in Unix
    time; None where that is this one.
    """

    kind: str
    domain: str = ""
    uuid: str = ""
    cache: int | None = None
    package: int | None = None
    numbers: t.Mapping[str, float | None] = types.MappingProxyType({})
    against: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    since: float | None = None

    @property
    def name(self) -> str:
        """What tells it from others about the same domain: its kind, and where."""
        return f"{self.kind} {self.package} {self.cache}"

    @property
    def confidence(self) -> str:
        """High where nothing speaks against it, medium where one thing does, low where several do."""
        return ("high", "medium")[len(self.against)] if len(self.against) < 2 else "low"


def findings(situation: Situation, histories: t.Mapping[str, History] = types.MappingProxyType({})) -> list[Finding]:
    """What stands out, a domain's own trouble first. Never empty: that nothing stands out is a finding, too, and so is
    that a host was not measured.

    `histories`: UUID -> what was seen of the domain before.
    """
    own = [one for subject in situation.subjects for one in _own_trouble(situation, subject)]
    caches = [one for cache in situation.caches for one in _of_cache(situation, cache)]
    sockets = [one for socket in situation.sockets for one in _of_socket(situation, socket)]
    blamed = caches + sockets
    victims = [one for subject in situation.subjects for one in _victims(situation, subject, blamed)]
    looks = {subject.uuid: looks_of(histories, subject, situation.at) for subject in situation.subjects}
    risen = [one for subject in situation.subjects for one in _rises(situation, subject, looks[subject.uuid])]
    found = [
        one if one.since or not one.uuid else one._replace(since=since(looks[one.uuid], one.name))
        for one in [*own, *victims, *blamed, *risen]
    ]
    if not situation.caches:
        return [*found, Finding(NOT_MEASURED)]
    return found or [Finding(NOTHING, against=doubts_of(situation))]


def by_domain(found: t.Iterable[Finding]) -> dict[str, frozenset[str]]:
    """UUID -> the names of what was found."""
    names: dict[str, set[str]] = {}
    for one in found:
        if one.uuid:
            names.setdefault(one.uuid, set()).add(one.name)
    return {uuid: frozenset(those) for uuid, those in names.items()}


# -- a domain's own trouble


def _own_trouble(situation: Situation, subject: Subject) -> t.Iterator[Finding]:
    """What explains that a domain is slow without any neighbour."""
    cpu = subject.cpu
    if cpu is None:
        return
    stalled = None if cpu.memory_stall is None or cpu.interval <= 0 else cpu.memory_stall / cpu.interval
    found = (
        (THROTTLED, cpu.share(cpu.throttled), HELD_BACK, cpu.throttled),
        (WAITS_FOR_CPU, cpu.waiting, WAITING, cpu.run_delay),
        (MEMORY_PRESSURE, stalled, STALLED, cpu.memory_stall),
    )
    for kind, share, least, seconds in found:
        if share is not None and share >= least:
            numbers = {"share": share, "seconds": seconds, "interval": cpu.interval, "vcpus": float(cpu.vcpus)}
            yield Finding(kind, subject.name, subject.uuid, numbers=numbers, against=doubts_of_time(situation))


# -- caches


def _of_cache(situation: Situation, cache: int) -> t.Iterator[Finding]:
    """Who holds much more than its share of a nearly full cache."""
    size, fullness = situation.caches[cache].size, situation.fullness(cache)
    if not size or fullness is None or fullness < NEARLY_FULL:
        return
    package = situation.caches[cache].package
    for subject in (one for one in situation.subjects if not one.unnamed):
        held = subject.holdings.get(cache, Holding()).held
        fair = situation.fair_share(subject, [cache])
        if held is not None and held / size >= max(AT_LEAST, MUCH_MORE * fair):
            kind, numbers = _how(situation, subject, cache, fair)
            numbers.update(held=held, share=held / size, fair_share=fair, size=float(size), fullness=fullness)
            against = doubts_of_cache(situation, subject, cache, quiet=kind == LARGE_WORKING_SET)
            yield Finding(kind, subject.name, subject.uuid, cache, package, numbers, against)
    held = situation.whole.get(cache, Holding()).held
    if held is not None:
        rest = max(0.0, held - (add(one.holdings.get(cache, Holding()).held for one in situation.subjects) or 0.0))
        fair = _uncounted_share(situation, [cache])
        if rest / size >= max(AT_LEAST, MUCH_MORE * fair):
            numbers = {"held": rest, "share": rest / size, "fair_share": fair, "size": size, "fullness": fullness}
            yield Finding(UNACCOUNTED, "", "", cache, package, numbers, doubts_of_rest(situation, cache))


def _how(situation: Situation, subject: Subject, cache: int, fair: float) -> tuple[str, dict[str, float | None]]:
    """Whether a domain that holds much streams through the cache, or works with what it holds."""
    holding, everything = subject.holdings[cache], situation.moved([cache])
    if holding.moved is None or not holding.held:
        return HOLDS_MORE, {"bytes_per_second": holding.moved}
    replaced = holding.moved / holding.held
    share = holding.moved / everything if everything else None
    streams = replaced >= STREAMING and (share is None or share >= MUCH_MORE * fair)
    numbers = {"bytes_per_second": holding.moved, "bandwidth_share": share, "replaced_per_second": replaced}
    return STREAMS if streams else LARGE_WORKING_SET, numbers


def _uncounted_share(situation: Situation, caches: t.Sequence[int]) -> float:
    """The share that vCPUs have which are not counted, of all running ones on some caches."""
    shares = [
        situation.fair_share(one, caches) * one.uncounted / (one.counted + one.uncounted)
        for one in situation.subjects
        if one.uncounted
    ]
    return sum(shares)


# -- memory bandwidth


def _of_socket(situation: Situation, socket: Socket) -> t.Iterator[Finding]:
    """Who moves much more than its share where memory bandwidth is scarce."""
    everything, ceiling = situation.moved(socket.caches), situation.ceilings.get(socket.key)
    if not everything or ceiling is None or everything < NEARLY_ALL * ceiling.bytes_per_second:
        return
    common = {
        "socket_bytes_per_second": everything,
        "ceiling": ceiling.bytes_per_second,
        "used": everything / ceiling.bytes_per_second,
    }
    cache = socket.caches[0] if socket.package is None else None
    accounted = 0.0
    for subject in situation.subjects:
        moved = add(subject.holdings.get(one, Holding()).moved for one in socket.caches)
        accounted += moved or 0.0
        fair = situation.fair_share(subject, socket.caches)
        if not subject.unnamed and moved is not None and moved / everything >= max(AT_LEAST, MUCH_MORE * fair):
            numbers = {**common, "bytes_per_second": moved, "share": moved / everything, "fair_share": fair}
            against = doubts_of_bandwidth(situation, subject, socket)
            yield Finding(MOVES_MORE, subject.name, subject.uuid, cache, socket.package, numbers, against)
    rest, fair = max(0.0, everything - accounted), _uncounted_share(situation, socket.caches)
    if rest / everything >= max(AT_LEAST, MUCH_MORE * fair):
        numbers = {**common, "bytes_per_second": rest, "share": rest / everything, "fair_share": fair}
        yield Finding(UNACCOUNTED, "", "", cache, socket.package, numbers, doubts_of_rest(situation, None, socket))


# -- victims


def _victims(situation: Situation, subject: Subject, blamed: t.Sequence[Finding]) -> t.Iterator[Finding]:
    """A domain that loses many cycles to misses of a cache on whose socket another one has more than its share."""
    for package, share in sorted(subject.stalls.items()):
        others = {one.domain for one in blamed if one.package == package and one.domain not in ("", subject.name)}
        if share >= STALLS and others:
            numbers = {"share": share, "interval": situation.interval}
            against = doubts_of_victim(situation, subject)
            yield Finding(VICTIM, subject.name, subject.uuid, None, package, numbers, against, tuple(sorted(others)))


# -- its own history


def _rises(situation: Situation, subject: Subject, looks: t.Sequence[Look]) -> t.Iterator[Finding]:
    """Where a domain has far more than at earlier looks, and much of what there is."""
    now = look_at(situation, subject)
    for socket in situation.sockets:
        found, everything = rise(looks, now, "moved", socket.key), situation.moved(socket.caches)
        if found and everything and found.now >= max(NOTICED, AT_LEAST * everything):
            numbers = {"bytes_per_second": found.now, "share": found.now / everything, **found.earlier}
            ceiling = situation.ceilings.get(socket.key)
            scarce = ceiling is not None and everything >= NEARLY_ALL * ceiling.bytes_per_second
            against = doubts_of_rise(situation, found, moves=True, scarce=scarce)
            cache = socket.caches[0] if socket.package is None else None
            where = (cache, socket.package)
            yield Finding(RISE_MOVED, subject.name, subject.uuid, *where, numbers, against, since=found.since)
    for cache, known in situation.caches.items():
        found = rise(looks, now, "held", key_of(cache))
        if found and known.size and found.now >= AT_LEAST * known.size:
            numbers = {"held": found.now, "size": known.size, "share": found.now / known.size, **found.earlier}
            scarce = (situation.fullness(cache) or 0.0) >= NEARLY_FULL
            against = doubts_of_rise(situation, found, moves=False, scarce=scarce)
            where = (cache, known.package)
            yield Finding(RISE_HELD, subject.name, subject.uuid, *where, numbers, against, since=found.since)
