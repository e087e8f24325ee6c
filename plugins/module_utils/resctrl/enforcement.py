# SPDX-License-Identifier: GPL-3.0-or-later
"""The RFC's switch: look, plan, apply, and look again until what is wished is so."""

from __future__ import annotations

import collections
import dataclasses
import time
import typing as t

from . import domains, errors, planning
from .errors import ResctrlError
from .filesystem import missing_monitoring
from .monitoring import Host, Outcome, Result, result_of
from .planning import Operation, Plan, Wish
from .snapshot import Snapshot, status_of

if t.TYPE_CHECKING:
    from .domains import Domain, Process, Selected
    from .filesystem import Resctrl

# How long a run tries: RMIDs come out of limbo once a second at best, and a domain may start threads while we look.
_PATIENCE = 10.0
_LIMBO_PAUSE = 0.5
_PAUSE = 0.02


# Snapshot, and wishes by UUID -> Plan
Planner = t.Callable[[Snapshot, t.Mapping[str, Wish]], Plan]


def enforce(
    host: Host,
    names: t.Sequence[str],
    wish: Wish,
    planner: Planner = planning.plan,
    *,
    ignore_inactive: bool,
    check: bool = False,
) -> Outcome:
    """Make the wish true for the domains named, or in check mode say what that would take.

    Never raises for one domain's sake: its result carries the error, and the others get all that can be done.
    Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable, LockTimeout.
    """
    known = host.domains()
    selected = domains.select(names, known)
    found = [one.domain for one in selected if one.domain]
    run = Enforcement(host, known, selected, {domain.uuid: wish for domain in found}, planner)
    if not ignore_inactive:
        # The RFC's sentence, which is libvirt's VIR_ERR_OPERATION_INVALID
        error = errors.DomainNotRunning("Requested operation is not valid: domain is not running")
        run.failures.update({domain.uuid: error for domain in found if not domain.active})
    return run.outcome(check)


class Enforcement:
    """Makes the wish of each selected domain (by UUID) true; `known` are all domains of the host.

    It notes what failed for good (by UUID), what was done, and the first snapshot.
    """

    def __init__(
        self,
        host: Host,
        known: t.Sequence[Domain],
        selected: t.Sequence[Selected],
        wishes: t.Mapping[str, Wish],
        planner: Planner,
    ) -> None:
        self.host, self.selected, self.wishes, self.planner = host, selected, wishes, planner
        self.active = {one.uuid for one in known if one.active}
        self.failures: dict[str, ResctrlError] = {}
        # Those of them for which the kernel refused a step: it would refuse it again
        self.refused: set[str] = set()
        self.done: list[Operation] = []
        self.before = Snapshot()

    def outcome(self, check: bool = False) -> Outcome:
        """Enforce, or in check mode predict, and say what came of it. Raises LockTimeout."""
        missing = missing_monitoring(self.host.resctrl)
        if missing:
            after = self._without_monitoring(missing)
        else:
            after = self._predict() if check else self._converge()
        results = self._results(after)
        removed = [step.group for step in self.done if step.kind == planning.REMOVE]
        pruned = [group for group in removed if group.uuid not in self.wishes or group in self.before.stale]
        return Outcome(results, self.before, after, pruned, self._warnings(results, missing))

    def _results(self, after: Snapshot) -> list[Result]:
        steps: dict[str, list[Operation]] = collections.defaultdict(list)
        for step in self.done:
            if step.uuid in self.active:
                steps[step.uuid].append(step)
        said = {uuid: _said(done, after.process_of(uuid)) for uuid, done in steps.items()}
        results = []
        for one in self.selected:
            result = result_of(one, after, said)
            if one.domain:
                uuid = one.domain.uuid
                result = result._replace(changed=uuid in said, error=self.failures.get(uuid))
            results.append(result)
        return results

    def _without_monitoring(self, missing: errors.MonitoringMissing) -> Snapshot:
        """Nothing can be enabled on this host, and nothing is: `disabled` is true of it as it is."""
        running, gone = self.host.find(self.selected)
        self.failures.update(gone)
        self.before = self.host.observe(running, self.active)
        self.failures.update({one.domain.uuid: missing for one in running if self._enables(one.domain.uuid)})
        return self.before

    def _enables(self, uuid: str) -> bool:
        return uuid in self.wishes and self.wishes[uuid].enabled

    def _predict(self) -> Snapshot:
        """What _converge would lead to, without doing it."""
        self.before, planned = self._look()
        self.failures.update(planned.failures)
        self.done = list(planned.operations)
        return planning.simulate(self.before, planned.operations)

    def _converge(self) -> Snapshot:
        """Plan and apply until nothing is left to do; the last look verifies. Returns what it saw.

        The first look is without the lock: where nothing is to be done, nobody is held up, and nothing is written.
        """
        self.before, planned = self._look()
        snapshot = self.before
        deadline = time.monotonic() + _PATIENCE
        while planned.operations:
            with self.host.resctrl.locked():
                planned = self._look()[1]
                passing = self._apply(planned.operations)
            snapshot, planned = self._look()
            if time.monotonic() >= deadline:
                self._give_up(planned, passing)
                break
            if passing:
                limbo = any(isinstance(exc, errors.RmidsInLimbo) for exc in passing.values())
                time.sleep(_LIMBO_PAUSE if limbo else _PAUSE)
        self.failures.update(planned.failures)
        return snapshot

    def _look(self) -> tuple[Snapshot, Plan]:
        running, gone = self.host.find(self.selected)
        for uuid, exc in gone.items():
            self.failures.setdefault(uuid, exc)
        whole_process = any(wish.whole_process for wish in self.wishes.values())
        snapshot = self.host.observe(running, self.active, whole_process)
        able = tuple(one for one in running if one.domain.uuid not in self.failures)
        planned = self.planner(dataclasses.replace(snapshot, running=able), self.wishes)
        steps = tuple(step for step in planned.operations if step.uuid not in self.refused)
        return snapshot, Plan(steps, planned.failures)

    def _apply(self, steps: t.Iterable[Operation]) -> dict[str, ResctrlError]:
        """Carry the steps out. A domain's first error ends its steps; returned are errors that may pass by time."""
        stopped: dict[str, ResctrlError] = {}
        for step in steps:
            if step.uuid in stopped:
                continue
            try:
                _perform(self.host, step)
            except ResctrlError as exc:
                stopped[step.uuid] = exc
            else:
                self.done.append(step)
        passing = (errors.RmidsInLimbo, errors.Moved)
        lasting = {uuid: exc for uuid, exc in stopped.items() if not isinstance(exc, passing)}
        self.failures.update(lasting)
        self.refused.update(lasting)
        return {uuid: exc for uuid, exc in stopped.items() if uuid not in lasting}

    def _give_up(self, planned: Plan, passing: t.Mapping[str, ResctrlError]) -> None:
        for step in planned.operations:
            not_settled = errors.NotSettled(
                f"The threads to be counted kept changing for {_PATIENCE:g} seconds", hint="Run again"
            )
            self.failures.setdefault(step.uuid, passing.get(step.uuid, not_settled))

    def _warnings(self, results: t.Sequence[Result], missing: errors.MonitoringMissing | None) -> list[str]:
        disables = not any(wish.enabled for wish in self.wishes.values())
        warnings = [f"Nothing is monitored on this host: {missing}"] if missing and disables else []
        for status in (result.status for result in results if not result.error):
            if status and status.forced_by and not self._enables(status.domain.uuid):
                warnings.append(
                    f"Monitoring of domain '{status.domain.name}' cannot be switched off while it runs: "
                    f"it is forced by {status.forced_by} in its XML"
                )
        others = [exc for uuid, exc in self.failures.items() if uuid not in self.wishes]
        return warnings + [f"A stale group was left: {exc}" for exc in others]


def _perform(host: Host, step: Operation) -> None:
    """Carry out one operation. A thread is checked against its process at the last moment. Raises ResctrlError."""
    if step.kind == planning.CREATE:
        host.resctrl.create(step.group)
    elif step.kind == planning.REMOVE:
        host.resctrl.remove(step.group)
    elif host.processes.runs(step.pid, step.uuid) and step.tid in host.processes.threads(step.pid):
        host.resctrl.assign(step.group, step.tid)
    else:
        raise errors.Moved(
            f"Thread {step.tid} has ended", hint="Its domain stopped or lost a vCPU meanwhile: run again"
        )


def _said(steps: t.Sequence[Operation], process: Process | None) -> str:
    """What was done for a domain, for a reader; "" where nothing was."""
    moved = [step.tid for step in steps if step.kind == planning.ASSIGN]
    if not moved:
        removed = sorted({step.group.path for step in steps if step.kind == planning.REMOVE})
        return f"Removed {', '.join(removed)}" if removed else ""
    vcpus = {tid: vcpu for vcpu, tid in process.vcpus.items()} if process else {}
    counted = sorted({vcpus[tid] for tid in moved if tid in vcpus})
    others = len({tid for tid in moved if tid not in vcpus})
    parts = [_named(counted)] if counted else []
    parts += [f"{others} other thread{'s' if others > 1 else ''}"] if others else []
    created = any(step.kind == planning.CREATE for step in steps)
    return f"{'Now counted' if created else 'Repaired, now counted too'}: {' and '.join(parts)}"


def render(outcome: Outcome, snapshot: Snapshot, resctrl: Resctrl) -> str:
    """One side of diff mode: each domain's status with the groups that count it, then the stale groups of ours."""
    lines = []
    for domain in (result.status.domain for result in outcome.results if result.status):
        status = status_of(domain, snapshot)
        lines.append(f"{domain.name}: {status.text}")
        lines += [f"  {resctrl.path(group)}: {_named(status.counted.get(group, ()))}" for group in status.groups]
    lines += [f"{resctrl.path(group)}: stale" for group in sorted(snapshot.stale & set(outcome.pruned))]
    return "".join(f"{line}\n" for line in lines)


def _named(vcpus: t.Sequence[int]) -> str:
    return f"vCPU {', '.join(map(str, vcpus))}" if vcpus else "other threads"
