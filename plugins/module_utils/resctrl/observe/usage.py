# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what domains had of the CPUs, and on which caches their vCPUs may run. Only an analysis asks for it."""

from __future__ import annotations

import time
import typing as t

from ..judge.usage import Usage
from ..kernel.groups import parse_cpus
from ..vms.cgroups import Cgroups

if t.TYPE_CHECKING:
    from ..decide.snapshot import Snapshot
    from ..kernel.topology import Cache
    from ..vms.domain import Process
    from ..vms.processes import Processes


def usages(snapshot: Snapshot, processes: Processes) -> dict[str, Usage]:
    """What the vCPUs of each running domain had used up to now, by the domain's UUID."""
    cgroups = Cgroups(processes.proc)
    return {one.domain.uuid: _usage(one.process, processes, cgroups) for one in snapshot.running}


def _usage(process: Process, processes: Processes, cgroups: Cgroups) -> Usage:
    tids, at = list(process.vcpus.values()), time.monotonic()
    told = {tid: processes.scheduled(process.pid, tid) for tid in tids}
    known = {tid: times for tid, times in told.items() if times}
    return Usage(
        at,
        {tid: times[0] for tid, times in known.items()},
        {tid: times[1] for tid, times in known.items()},
        cgroups.throttled(process.pid, tids),
        cgroups.stalled(process.pid, tids),
    )


def places(snapshot: Snapshot, processes: Processes, caches: t.Mapping[int, Cache]) -> dict[str, dict[int, float]]:
    """How many vCPUs of each running domain are on each L3 cache, by UUID.

    A vCPU that may run on the CPUs of several caches is divided among them. One of which that is not known, on a host
    whose caches do not tell their CPUs, is on all of them alike.
    """
    return {
        one.domain.uuid: _place([parse_cpus(text) for text in _allowed(one.process, processes)], caches)
        for one in snapshot.running
    }


def _allowed(process: Process, processes: Processes) -> list[str]:
    return [processes.allowed_cpus(process.pid, tid) for tid in process.vcpus.values()]


def _place(vcpus: t.Iterable[frozenset[int]], caches: t.Mapping[int, Cache]) -> dict[int, float]:
    found = dict.fromkeys(caches, 0.0)
    for allowed in vcpus:
        counts = {cache: len(allowed & one.cpus) for cache, one in caches.items()}
        if not all(one.cpus for one in caches.values()) or not any(counts.values()):
            counts = dict.fromkeys(caches, 1)
        for cache, count in counts.items():
            found[cache] += count / sum(counts.values())
    return found
