# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a finding, and what no finding can be about because nothing counts it. Sentences. Pure."""

from __future__ import annotations

import typing as t

from .situation import OBSERVED, Holding

if t.TYPE_CHECKING:
    from .history import Rise
    from .situation import Situation, Socket, Subject

# A shorter look may have met a moment that is not like others
LONG_ENOUGH = 10.0
# So many names are all said in a sentence; of more, the first ones
_MANY, _SOME = 12, 10
_WHOLE = "It is known only if no group goes away meanwhile, and each has a bandwidth counter."
# What many VMs do once in that time, such as a backup
_DAY = 86400.0


class Uncounted(t.NamedTuple):
    """What is not counted. `domains`: names, where it is about certain ones."""

    what: str
    sentence: str
    domains: tuple[str, ...] = ()


def uncounted(situation: Situation) -> list[Uncounted]:
    """What the numbers of a host leave out; what no hardware counts comes last."""
    subjects = situation.subjects
    without = tuple(one.name for one in subjects if not one.monitored and not one.waits)
    waiting = tuple(one.name for one in subjects if one.waits)
    sharing = tuple(one.name for one in subjects if one.waits_for_counters)
    partly = tuple(one.name for one in subjects if one.counted and one.uncounted)
    partial = tuple(one.name for one in subjects if _is_partial(one))
    unnamed = tuple(one.name for one in subjects if one.unnamed)
    found = [
        Uncounted("domains", f"These VMs are not monitored: {_listed(without)}.", without),
        Uncounted("turns", f"It was not the turn of these VMs to be counted: {_listed(waiting)}.", waiting),
        Uncounted("turns", f"It was not the turn of these VMs to have bandwidth counted: {_listed(sharing)}.", sharing),
        Uncounted("vcpus", f"Some vCPUs of these VMs are not counted: {_listed(partly)}.", partly),
        Uncounted("vcpus", f"Which threads of these VMs are vCPUs is not known: {_listed(unnamed)}.", unnamed),
        Uncounted("partial", f"Of these VMs only a part is known: {_listed(partial)}.", partial),
    ]
    found = [one for one in found if one.domains]
    lacking = [cache for cache, one in situation.whole.items() if "bandwidth" in one.partial and one.moved is None]
    if lacking:
        said = f"How much everything moves through L3 cache {_listed(lacking)} is not known. {_WHOLE}"
        found.append(Uncounted("bandwidth", said))
    untold = [cache for cache, one in situation.whole.items() if "occupancy" in one.partial and one.held is None]
    if untold:
        said = f"How full L3 cache {_listed(untold)} is was added up from the VMs that are monitored."
        found.append(Uncounted("occupancy", said))
    if situation.configured:
        said = f"These events were configured to count something else than usual: {'; '.join(situation.configured)}."
        found.append(Uncounted("configuration", said))
    return [
        *found,
        Uncounted("host", "The host itself, QEMU's own threads and everything else are told only as what is left."),
        Uncounted("devices", "What devices move by DMA, passed-through ones too, is not counted."),
        Uncounted("warm_up", "A group that was just made may show what the former owner of its RMID left in a cache."),
        Uncounted("window", f"Nothing is known of the time outside of these {situation.seconds}."),
    ]


def _is_partial(subject: Subject) -> bool:
    """Whether only a part of it is known, and not only because its bandwidth waits for a turn."""
    known = {"bandwidth"} if subject.waits_for_counters else set()
    return any(held.partial - known for held in subject.holdings.values())


def doubts_of_time(situation: Situation) -> tuple[str, ...]:
    """What speaks against anything that was seen for a short time."""
    if situation.interval >= LONG_ENOUGH:
        return ()
    return (f"It was seen for {situation.seconds} only: measure for {LONG_ENOUGH:g} or more.",)


def doubts_of(situation: Situation) -> tuple[str, ...]:
    """What speaks against that nothing stands out: what could not be judged."""
    sizes = [cache for cache in situation.caches if situation.fullness(cache) is None]
    untold = [socket.key for socket in situation.sockets if situation.moved(socket.caches) is None]
    ceilings = [one.key for one in situation.sockets if one.key not in situation.ceilings and one.key not in untold]
    without = [one.name for one in situation.subjects if not one.monitored]
    found = [
        *doubts_of_time(situation),
        *([f"How full L3 cache {_listed(sizes)} is could not be told."] if sizes else []),
        *([f"How much {_listed(untold)} moves could not be told."] if untold else []),
        *([f"No ceiling of the memory bandwidth is known for {_listed(ceilings)}."] if ceilings else []),
        *([f"Nothing is known of {_listed(without)}, which no group counts."] if without else []),
        *_doubts_of_shares(situation),
    ]
    return tuple(found)


def _doubts_of_shares(situation: Situation) -> list[str]:
    """What speaks against any share of the running vCPUs."""
    unnamed = [one.name for one in situation.subjects if one.unnamed]
    said = f"Shares of the vCPUs leave out {_listed(unnamed)}, of which the vCPUs are not known."
    return [said] if unnamed else []


def doubts_of_cache(situation: Situation, subject: Subject, cache: int, *, quiet: bool) -> tuple[str, ...]:
    """What speaks against that a domain holds more than its share of a cache, and is `quiet` there."""
    found = [*doubts_of_time(situation), *_doubts_of_shares(situation), *_partial(subject, [cache])]
    if subject.forced_by in ("cachetune", "memorytune"):
        found.append("libvirt may have allocated a part of the cache to it: it takes nothing of that from others.")
    moved = situation.moved([cache])
    if quiet and moved is not None and moved < (situation.caches[cache].size or 0):
        found.append("Little is moved through this cache at all: it may hold what nobody has needed since.")
    if situation.whole.get(cache, Holding()).held is None:
        found.append("How full the cache is was added up from the VMs that are monitored.")
    return tuple(found)


def doubts_of_bandwidth(situation: Situation, subject: Subject | None, socket: Socket | None) -> tuple[str, ...]:
    """What speaks against that a domain moves more than its share of a socket's memory bandwidth."""
    found = [*doubts_of_time(situation), *_doubts_of_shares(situation)]
    found += _partial(subject, socket.caches) if subject and socket else []
    ceiling = situation.ceilings.get(socket.key) if socket else None
    if ceiling and ceiling.source == OBSERVED:
        found.append("The ceiling is only the most that was ever seen here: the memory may be able to do more.")
    if situation.configured and socket:
        found.append("The bandwidth events count something else than usual.")
    return tuple(found)


def doubts_of_rest(situation: Situation, cache: int | None, socket: Socket | None = None) -> tuple[str, ...]:
    """What speaks against that it is the host itself."""
    without = [one.name for one in situation.subjects if one.uncounted]
    caches = [cache] if cache is not None else list(socket.caches if socket else ())
    partial = [one.name for one in situation.subjects if _partial(one, caches)]
    return (
        *doubts_of_bandwidth(situation, None, socket),
        *([f"Not all vCPUs of {_listed(without)} are counted: what they do is a part of it."] if without else []),
        *([f"Some of it is what is not known of {_listed(partial)}."] if partial else []),
    )


def doubts_of_victim(situation: Situation, subject: Subject) -> tuple[str, ...]:
    """What speaks against that a domain is a victim of its neighbours."""
    found = [
        *doubts_of_time(situation),
        "It may miss the cache just as often when it is alone: compare with its own history.",
    ]
    if subject.cpu and (subject.cpu.throttled or 0.0) > 0.0:
        found.append("Its own CPU limit held it back, too.")
    return tuple(found)


def doubts_of_rise(situation: Situation, rise: Rise, *, moves: bool, scarce: bool) -> tuple[str, ...]:
    """What speaks against that it matters that a domain has more than before. `moves`: of bandwidth, else of a cache.

    `scarce`: whether there is little left for others.
    """
    found = [*doubts_of_time(situation)]
    if situation.at - rise.first < _DAY:
        reach = _duration(situation.at - rise.first)
        found.append(f"The {rise.looks} looks before reach back {reach} only: it may do this every day.")
    if rise.partial:
        found.append("Only a part of what it had was known, now or then.")
    if moves and situation.configured:
        found.append("The bandwidth events count something else than usual.")
    if not scarce:
        what = "the memory bandwidth is not known to be near its ceiling" if moves else "the cache is not full"
        found.append(f"Others may well have enough: {what}.")
    return tuple(found)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} hours"


def _partial(subject: Subject, caches: t.Iterable[int]) -> list[str]:
    names = sorted({name for cache in caches for name in subject.holdings.get(cache, Holding()).partial})
    return [f"Only a part of its {' and '.join(names)} is known."] if names else []


def _listed(names: t.Iterable[object]) -> str:
    """Names for a sentence: all of them, or the first ones and how many more there are."""
    words = [str(name) for name in names]
    if len(words) <= _MANY:
        return ", ".join(words)
    return f"{', '.join(words[:_SOME])} and {len(words) - _SOME} more"
