# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out single steps of a plan, each checked at the last moment, and saying what was done."""

from __future__ import annotations

import collections
import typing as t

from .. import errors
from ..decide.planning import ASSIGN, COUNT, CREATE, REMOVE, UNCOUNT, Operation
from ..decide.status import named
from ..kernel.groups import LEAVING, group_for

if t.TYPE_CHECKING:
    from ..decide.snapshot import Snapshot
    from ..observe.host import Host
    from ..vms.domain import Process


def perform(host: Host, step: Operation) -> None:
    """Carry out one operation. Raises RmidsExhausted, RmidsInLimbo, CountersExhausted, Moved, Refused, Unreadable."""
    if step.kind == CREATE:
        host.resctrl.changes.create(step.group)
    elif step.kind == REMOVE:
        host.resctrl.changes.remove(step.group)
    elif step.kind == COUNT:
        host.resctrl.changes.count(step.group, step.event, step.cache)
    elif step.kind == UNCOUNT:
        host.resctrl.changes.uncount(step.group, step.event, step.cache)
    elif _is_still_right(host, step):
        host.resctrl.changes.assign(step.group, step.tid)
    else:
        raise errors.Moved(
            f"Thread {step.tid} has ended", hint="Its domain stopped or lost a vCPU meanwhile: run again"
        )


def _is_still_right(host: Host, step: Operation) -> bool:
    """Whether a number still means the thread that it was planned for.

    A thread of the domain is looked for in its process, a stranger's that has to leave in the group of ours.
    """
    if step.pid:
        processes = host.source.processes
        return processes.runs(step.pid, step.uuid) and step.tid in processes.threads(step.pid)
    return step.tid in host.resctrl.tasks(group_for(step.uuid, step.group))


def said_of(steps: t.Iterable[Operation], after: Snapshot) -> dict[str, str]:
    """UUID -> what was done for the domain, for a reader; only of those for which something was."""
    by_domain: dict[str, list[Operation]] = collections.defaultdict(list)
    for step in steps:
        by_domain[step.uuid].append(step)
    return {uuid: _said(done, after.process_of(uuid)) for uuid, done in by_domain.items()}


def _said(steps: t.Sequence[Operation], process: Process | None) -> str:
    entered = [step.tid for step in steps if step.kind == ASSIGN and not _leaves(step)]
    left = len({step.tid for step in steps if step.kind == ASSIGN and _leaves(step)})
    sentences = []
    if entered:
        created = any(step.kind == CREATE and not _leaves(step) for step in steps)
        sentences.append(f"{'Now counted' if created else 'Repaired, now counted too'}: {_threads(entered, process)}")
    if left:
        sentences.append(f"No longer counted: {_others(left)}")
    sentences += _of_counters(steps)
    if not sentences:
        removed = sorted({step.group.path for step in steps if step.kind == REMOVE})
        sentences.append(f"Removed {', '.join(removed)}" if removed else "Made its group")
    return "; ".join(sentences)


def _of_counters(steps: t.Iterable[Operation]) -> list[str]:
    """Where the domain has got bandwidth counters, and where it has lost some."""
    words = {COUNT: "Memory bandwidth is counted", UNCOUNT: "Memory bandwidth is no longer counted"}
    sentences = []
    for kind, said in words.items():
        caches = sorted({step.cache for step in steps if step.kind == kind})
        if caches:
            sentences.append(f"{said} on L3 cache {', '.join(map(str, caches))}")
    return sentences


def _leaves(step: Operation) -> bool:
    return step.group.mon.endswith(LEAVING)


def _threads(tids: t.Iterable[int], process: Process | None) -> str:
    vcpus = {tid: vcpu for vcpu, tid in process.vcpus.items()} if process else {}
    moved = set(tids)
    counted = sorted(vcpus[tid] for tid in moved if tid in vcpus)
    others = len(moved - vcpus.keys())
    parts = [named(counted)] if counted else []
    parts += [_others(others)] if others else []
    return " and ".join(parts)


def _others(number: int) -> str:
    return f"{number} other thread{'s' if number > 1 else ''}"
