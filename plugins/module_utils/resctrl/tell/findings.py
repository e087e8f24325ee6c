# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands out on a host, in sentences and as plain data: the facts that an analysis adds."""

from __future__ import annotations

import datetime as dt
import typing as t

from ..judge import advice
from ..judge import findings as kinds
from ..judge.against import uncounted
from ..judge.situation import OBSERVED, Holding
from ..kernel.preflight import missing_monitoring
from ..vms.domain import keys
from .statistics import describe_statistics
from .table import human

if t.TYPE_CHECKING:
    from ..act.analysis import Analysis
    from ..decide.snapshot import Snapshot
    from ..judge.advice import Advice
    from ..judge.findings import Finding
    from ..judge.situation import Situation, Socket, Subject
    from ..judge.usage import Cpu
    from ..kernel.filesystem import Resctrl

_SENTENCES = {
    kinds.THROTTLED: "Its own CPU limit held {domain} back for {share} of the time of its vCPUs. Look at the limit "
    "before you look at its neighbours.",
    kinds.WAITS_FOR_CPU: "The vCPUs of {domain} were ready to run, but waited for a CPU for {share} of the time. "
    "Look at who shares its CPUs before you look at the cache.",
    kinds.MEMORY_PRESSURE: "Threads of {domain} waited for memory for {share} of the time. Look at the memory of VM "
    "and host before you look at the cache.",
    kinds.STREAMS: "{domain} streams through {place}: it holds {held} of {size} ({share}) with {fair_share} of the "
    "running vCPUs there, and moves {bytes_per_second}/s, which replaces what it holds {replaced_per_second:.0f} "
    "times a second.",
    kinds.LARGE_WORKING_SET: "{domain} looks like a large working set: it holds {held} of the {size} of {place} "
    "({share}) with {fair_share} of the running vCPUs there, but moves only {bytes_per_second}/s.",
    kinds.HOLDS_MORE: "{domain} holds {held} of the {size} of {place} ({share}) with {fair_share} of the running "
    "vCPUs there. Whether it streams cannot be told, since its bandwidth is not known.",
    kinds.MOVES_MORE: "{domain} moves {bytes_per_second}/s, which is {share} of what {place} moves, with {fair_share} "
    "of the running vCPUs there, while {place} is at {limit}.",
    kinds.VICTIM: "{domain} is probably a victim: misses of the L3 cache cost it {share} of its cycles on {place}, "
    "where {others} has more than its share.",
    kinds.RISE_HELD: "{domain} holds {held} of the {size} of {place} ({share}), and at {looks:.0f} looks "
    "before that it never held more than {before}.",
    kinds.RISE_MOVED: "{domain} moves {bytes_per_second}/s, which is {share} of what {place} moves, and at "
    "{looks:.0f} looks before that it never moved more than {before}/s.",
    kinds.NOTHING: "Nothing stands out.",
    kinds.NOT_MEASURED: "Neither caches nor memory bandwidth were measured on this host{because}.",
}
_ADVICE = {
    advice.NOT_FILLED: "The <cachetune> of {domain} allows {allowed} of {place}, of which it holds {held}: a smaller "
    "one would leave the rest to others.",
    advice.ALWAYS_FULL: "The <cachetune> of {domain} allows {allowed} of {place}, and all of it is in use: it may do "
    "with more.",
    advice.CAP_CACHE: "A <cachetune> would keep {domain} to {allowed} of {place}, which is its share by vCPUs.",
    advice.CAP_BANDWIDTH: "A <memorytune> would let {domain} move less on {place}, here {percent:.0f}%.",
}
_UNACCOUNTED_HOLDS = (
    "No monitored VM accounts for {held} of the {size} of {place} ({share}): it is the host itself{or_uncounted}."
)
_UNACCOUNTED_MOVES = (
    "No monitored VM accounts for {bytes_per_second}/s of what {place} moves ({share}), while it is at "
    "{limit}: it is the host itself{or_uncounted}."
)
_SHARES = ("share", "fair_share", "fullness", "used", "bandwidth_share")
_BYTES = ("held", "size", "bytes_per_second", "ceiling", "socket_bytes_per_second", "before")


def sentence(one: Finding, situation: Situation, missing: object = None) -> str:
    """What stands out, in words. `missing`: why nothing was measured, if so."""
    text = _SENTENCES.get(one.kind) or (_UNACCOUNTED_HOLDS if "held" in one.numbers else _UNACCOUNTED_MOVES)
    numbers: dict[str, t.Any] = dict(one.numbers)
    numbers.update({name: _percent(numbers.get(name)) for name in _SHARES if name in numbers})
    numbers.update({name: human(numbers.get(name)) for name in _BYTES if name in numbers})
    more = " or a VM that is not counted" if one.numbers.get("fair_share") else ""
    return text.format(
        **{**numbers, "domain": one.domain, "place": _place(one), "others": _or(one.others), "or_uncounted": more},
        limit=_limit(one, situation),
        because=f": {missing}" if missing else "",
    )


def _place(one: Finding | Advice) -> str:
    return f"package {one.package}" if one.cache is None else f"L3 cache {one.cache}"


def _limit(one: Finding, situation: Situation) -> str:
    """How much of the ceiling of a socket is used, and what that is.

    What is moved now may be more than ever before.
    """
    key = next((socket.key for socket in situation.sockets if (socket.package, one.cache) == (one.package, None)), "")
    ceiling = situation.ceilings.get(key or f"cache {one.cache}")
    observed = ceiling is not None and ceiling.source == OBSERVED
    used = one.numbers.get("used") or 0.0
    part = "more than" if used > 1 else f"{_percent(used)} of"
    what = "the most that was ever seen there" if observed else "its ceiling"
    return f"{part} {what}, {human(one.numbers.get('ceiling'))}/s"


def _percent(share: float | None) -> str:
    """A share of a whole. Both are read one after the other, so that a part may seem to be more."""
    return "-" if share is None else "all" if share > 1 else f"{100 * share:.0f}%"


def _or(names: t.Sequence[str]) -> str:
    return " or ".join(names)


def describe_analysis(found: Analysis, resctrl: Resctrl, snapshot: Snapshot, details: bool = True) -> dict[str, t.Any]:
    """The fact `resctrl_stats` of a host that was looked at as a whole, without its timestamp."""
    domains = {}
    for key, one in zip(keys([one.status.domain for one in found.statistics]), found.statistics):
        cpu = found.cpu.get(one.status.domain.uuid)
        described = describe_statistics(one, resctrl, snapshot, details)
        domains[key] = {**described, "cpu": describe_cpu(cpu) if cpu else None}
    return {
        "domains": domains,
        "findings": describe_findings(found.findings, found.situation, missing_monitoring(resctrl)),
        "advice": describe_advice(found.advice),
        "host": describe_situation(found.situation),
    }


def describe_advice(found: t.Iterable[Advice]) -> list[dict[str, t.Any]]:
    """The fact `resctrl_stats.advice`."""
    return [
        {
            "domain": one.domain,
            "uuid": one.uuid,
            "kind": one.kind,
            "cache": one.cache,
            "package": one.package,
            "numbers": {name: _rounded(number) for name, number in one.numbers.items()},
            "msg": _ADVICE[one.kind].format(
                domain=one.domain,
                place=_place(one),
                **{name: human(one.numbers.get(name)) for name in ("held", "allowed")},
                percent=one.numbers.get("percent", 0.0),
            ),
            "xml": one.xml,
            "against": list(one.against),
        }
        for one in found
    ]


def describe_findings(
    found: t.Sequence[Finding], situation: Situation, missing: object = None
) -> list[dict[str, t.Any]]:
    """The fact `resctrl_stats.findings`. `missing`: why nothing was measured, if so."""
    return [
        {
            "domain": one.domain or None,
            "uuid": one.uuid or None,
            "kind": one.kind,
            "cache": one.cache,
            "package": one.package,
            "since": _moment(one.since) if one.since else situation.since,
            "numbers": {name: _rounded(number) for name, number in one.numbers.items()},
            "confidence": one.confidence,
            "msg": sentence(one, situation, missing),
            "against": list(one.against),
        }
        for one in found
    ]


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe_cpu(cpu: Cpu) -> dict[str, t.Any]:
    """The fact `resctrl_stats.domains.*.cpu`."""
    names = ("seconds", "run_delay", "throttled", "memory_stall")
    return {
        "interval": _rounded(cpu.interval),
        **{name: _rounded(getattr(cpu, name)) for name in names},
        "reasons": cpu.reasons,
    }


def describe_situation(situation: Situation) -> dict[str, t.Any]:
    """The fact `resctrl_stats.host`: caches and sockets with who has what of them, and what is not counted."""
    return {
        "since": situation.since,
        "seconds": _rounded(situation.interval),
        "caches": [_cache(situation, cache) for cache in situation.caches],
        "sockets": [_socket(situation, socket) for socket in situation.sockets],
        "not_counted": [
            {"what": one.what, "domains": list(one.domains), "msg": one.sentence} for one in uncounted(situation)
        ],
    }


def _cache(situation: Situation, cache: int) -> dict[str, t.Any]:
    whole = situation.whole.get(cache, Holding())
    return {
        "id": cache,
        "package": situation.caches[cache].package,
        "size": situation.caches[cache].size,
        # Not what the domains have, where that of the whole host is not known: it would pass for everything
        "occupied": whole.held,
        "fullness": None if whole.held is None else _rounded(situation.fullness(cache)),
        "bytes_per_second": _rounded(whole.moved),
        "domains": [_holder(situation, one, cache) for one in situation.subjects if one.monitored],
    }


def _holder(situation: Situation, subject: Subject, cache: int) -> dict[str, t.Any]:
    holding, size = subject.holdings.get(cache, Holding()), situation.caches[cache].size
    return {
        "name": subject.name,
        "llc_occupancy": holding.held,
        "share": _rounded(holding.held / size) if size and holding.held is not None else None,
        "vcpu_share": None if subject.unnamed else _rounded(situation.fair_share(subject, [cache])),
        "mbm_total_bytes_per_second": _rounded(holding.moved),
        "partial": sorted(holding.partial),
    }


def _socket(situation: Situation, socket: Socket) -> dict[str, t.Any]:
    moved, ceiling = situation.moved(socket.caches), situation.ceilings.get(socket.key)
    return {
        "package": socket.package,
        "caches": list(socket.caches),
        "bytes_per_second": _rounded(moved),
        "ceiling": ceiling.bytes_per_second if ceiling else None,
        "ceiling_source": ceiling.source if ceiling else None,
        "used": _rounded(moved / ceiling.bytes_per_second) if ceiling and moved is not None else None,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)
