# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a whole host twice, to say which domains stand out, and what explains that one is slow."""

from __future__ import annotations

import datetime as dt
import time
import typing as t

from ..judge.advice import Advice, Allocations, advice, owned
from ..judge.findings import Finding, findings
from ..judge.situation import Situation, holdings, subject_of, unusual
from ..judge.usage import between
from ..kernel.allocation import rules, schemata
from ..kernel.groups import ROOT
from ..kernel.topology import Cache, caches
from ..observe.sampling import Statistics, sample_all, whole_host
from ..observe.usage import places, usages
from ..vms.domain import keys
from .ceilings import MEMORY, ceilings
from .sampled import with_turns

if t.TYPE_CHECKING:
    from ..decide.outcome import Outcome
    from ..decide.snapshot import Snapshot
    from ..judge.usage import Cpu
    from ..kernel.filesystem import Resctrl
    from ..observe.host import Host


class Analysis(t.NamedTuple):
    """What came of it: the statistics of each domain, what it had of the CPUs (by UUID), what stands out, and
    what may be allocated otherwise."""

    statistics: list[Statistics]
    cpu: t.Mapping[str, Cpu]
    situation: Situation
    findings: list[Finding]
    advice: list[Advice]


def analyse(
    host: Host,
    outcome: Outcome,
    interval: float,
    ceiling: float | None = None,
    *,
    keep: bool = True,
    memory: str = MEMORY,
) -> Analysis:
    """Look at all domains of a host, `interval` seconds apart. `outcome`: of a query of all of them.

    `ceiling`: the bytes per second that a socket can move, if that is known; else the highest sum seen stands for it,
    and with `keep` is noted in the file `memory`. Raises Unreadable.
    """
    snapshot, processes = outcome.after, host.source.processes
    statuses = [*outcome.statuses, whole_host(snapshot.groups)]
    since = dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    first_usage, first = usages(snapshot, processes), sample_all(host.resctrl, statuses)
    time.sleep(interval)
    second_usage, second = usages(snapshot, processes), sample_all(host.resctrl, statuses)
    counted = with_turns([Statistics(status, now, then) for status, then, now in zip(statuses, first, second)])
    cpu = {uuid: between(usage, second_usage[uuid]) for uuid, usage in first_usage.items()}
    whole, topology = holdings(first[-1], second[-1]), caches()
    there = {cache: topology.get(cache, Cache()) for cache in whole}
    where = places(snapshot, processes, there)
    names = keys([one.status.domain for one in counted[:-1]])
    subjects = [
        subject_of(name, one, where[one.status.domain.uuid], cpu.get(one.status.domain.uuid))
        for name, one in zip(names, counted)
        if one.status.domain.uuid in where
    ]
    situation = Situation(
        since, second[-1].seconds - first[-1].seconds, there, subjects, whole, configured=unusual(second[-1])
    )
    moved = {socket.key: situation.moved(socket.caches) for socket in situation.sockets}
    known = {key: number for key, number in moved.items() if number is not None}
    situation = situation._replace(ceilings=ceilings(known, ceiling, memory, keep))
    found = findings(situation)
    own = {one.status.domain.uuid: owned(one.status, one.sample) for one in counted if one.status.domain.uuid in where}
    return Analysis(
        counted[:-1], cpu, situation, found, advice(situation, found, _allocations(host.resctrl, snapshot), own)
    )


def _allocations(resctrl: Resctrl, snapshot: Snapshot) -> Allocations:
    """What may be allocated, and what groups may use of the L3 caches."""
    controls = [ROOT, *sorted(group for group in snapshot.groups if not group.mon)]
    return Allocations(rules(resctrl), {group: schemata(resctrl, group).get("L3", {}) for group in controls})
