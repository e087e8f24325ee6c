# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a whole host twice, to say which domains stand out, and what explains that one is slow."""

from __future__ import annotations

import datetime as dt
import time
import typing as t

from ..judge.advice import Advice, Allocations, advice, owned
from ..judge.findings import Finding, by_domain, findings
from ..judge.history import grown
from ..judge.situation import Situation, Subject, everything, subject_of, unusual
from ..judge.usage import between
from ..kernel.allocation import rules, schemata
from ..kernel.groups import ROOT
from ..kernel.topology import Cache, caches
from ..observe.sampling import Statistics, sample_again, sample_all, whole_host
from ..observe.usage import places, usages
from ..vms.domain import keys
from . import histories
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
    what may be allocated otherwise. `warnings`: about files of ours."""

    statistics: list[Statistics]
    cpu: t.Mapping[str, Cpu]
    situation: Situation
    findings: list[Finding]
    advice: list[Advice]
    warnings: list[str]


def analyse(
    host: Host,
    outcome: Outcome,
    interval: float,
    ceiling: float | None = None,
    *,
    keep: bool = True,
    memory: str = MEMORY,
    looks: str = histories.MEMORY,
) -> Analysis:
    """Look at all domains of a host, `interval` seconds apart. `outcome`: of a query of all of them.

    `ceiling`: the bytes per second that a socket can move, if that is known; else the highest sum seen stands for it,
    and with `keep` is noted in the file `memory`. What domains had at earlier looks is in the file `looks`; with `keep`
    this one is noted there, too. Raises Unreadable, NotRoot.
    """
    snapshot, processes = outcome.after, host.source.processes
    statuses = [*outcome.statuses, whole_host(snapshot.groups)]
    began = dt.datetime.now(dt.timezone.utc)
    first_usage, first = usages(snapshot, processes), sample_all(host.resctrl, statuses)
    time.sleep(interval)
    second_usage, second = usages(snapshot, processes), sample_again(host.resctrl, statuses)
    counted = with_turns([Statistics(status, now, then) for status, then, now in zip(statuses, first, second)])
    cpu = {uuid: between(usage, second_usage[uuid]) for uuid, usage in first_usage.items()}
    whole, topology = everything(first[-1], second[-1]), caches()
    there = {cache: topology.get(cache, Cache()) for cache in whole}
    situation = Situation(
        began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        second[-1].seconds - first[-1].seconds,
        there,
        _subjects(snapshot, counted[:-1], places(snapshot, processes, there), cpu),
        whole,
        configured=unusual(second[-1]),
        at=began.timestamp(),
    )
    moved = {socket.key: situation.moved(socket.caches) for socket in situation.sockets}
    known = {key: number for key, number in moved.items() if number is not None}
    situation = situation._replace(ceilings=ceilings(known, ceiling, memory, keep))
    before, warnings = histories.read(looks, keep)
    found = findings(situation, before)
    if keep:
        histories.note(looks, lambda known: grown(known, situation, by_domain(found)))
    own = {one.status.domain.uuid: owned(one.status, one.sample) for one in counted if one.status.domain.uuid in cpu}
    allocations = _allocations(host.resctrl, snapshot)
    return Analysis(counted[:-1], cpu, situation, found, advice(situation, found, allocations, own), warnings)


def _subjects(
    snapshot: Snapshot,
    counted: t.Sequence[Statistics],
    where: t.Mapping[str, t.Mapping[int, float]],
    cpu: t.Mapping[str, Cpu],
) -> list[Subject]:
    """The running domains. `where`: UUID -> on which caches their vCPUs are."""
    processes = {one.domain.uuid: str(one.process.pid) for one in snapshot.running}
    found = []
    for name, one in zip(keys([one.status.domain for one in counted]), counted):
        uuid = one.status.domain.uuid
        if uuid in where:
            found.append(subject_of(name, one, where[uuid], cpu.get(uuid), processes[uuid]))
    return found


def _allocations(resctrl: Resctrl, snapshot: Snapshot) -> Allocations:
    """What may be allocated, and what groups may use of the L3 caches."""
    controls = [ROOT, *sorted(group for group in snapshot.groups if not group.mon)]
    return Allocations(rules(resctrl), {group: schemata(resctrl, group).get("L3", {}) for group in controls})
