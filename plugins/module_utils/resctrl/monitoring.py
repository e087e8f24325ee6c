# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RFC on a host: observe, plan, apply, verify. What a domain's status is, and how it is made what is wished."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from . import domains, errors, planning, preflight
from .domains import Domain, Selected
from .filesystem import Resctrl
from .groups import OURS, ROOT, Group
from .planning import Operation, Plan, Wish
from .snapshot import DomainStatus, Running, Snapshot, status_of
from .threads import Processes

# How long a run tries: RMIDs come out of limbo once a second at best, and a domain may start threads while we look.
_PATIENCE = 10.0
_LIMBO_PAUSE = 0.5
_PAUSE = 0.02


class Host:
    """One hypervisor: its domains (a function that lists them), their processes, its resctrl."""

    def __init__(self, list_domains: t.Callable[[], list[Domain]], processes: Processes, resctrl: Resctrl) -> None:
        self.domains = list_domains
        self.processes = processes
        self.resctrl = resctrl

    @classmethod
    def of_libvirt(cls, uri: str, resctrl_path: str) -> Host:
        """This host, as libvirt at `uri` knows it."""
        return cls(lambda: domains.list_domains(uri), Processes(domains.state_directory(uri)), Resctrl(resctrl_path))

    def observe(self, running: t.Sequence[Running], active: t.Container[str], whole_process: bool = False) -> Snapshot:
        """A snapshot for `running`; `active` holds the UUIDs of all running domains of libvirt's.

        Reads the tasks file of each group of ours once. Where other groups' threads are is only asked for threads that
        are not in ours: of the kernel, thread by thread, where it tells, else each other tasks file is read once too.
        """
        groups = self.resctrl.groups()
        members = {group: self.resctrl.tasks(group) for group in groups if group.owner == OURS}
        location = {tid: group for group, tids in members.items() for tid in tids}
        scope = {
            tid: one.process.pid
            for one in running
            for tid in (one.process.threads if whole_process else one.process.vcpus.values())
        }
        others = [group for group in groups if group.owner != OURS]
        location.update(self._locate({tid: pid for tid, pid in scope.items() if tid not in location}, others))
        threads = {one.domain.uuid: one.process.threads for one in running}
        stale = {group for group, tids in members.items() if not self._counts(group, tids, threads, active)}
        return Snapshot(
            tuple(running), location, frozenset(groups), members, frozenset(stale), self.resctrl.num_rmids()
        )

    def _locate(self, wanted: t.Mapping[int, int], others: t.Sequence[Group]) -> dict[int, Group]:
        """The groups among `others` that threads (tid -> pid) are in; a thread in none of them is left out."""
        if not wanted or not others:
            return {}
        if self.resctrl.tells_groups():
            told = {tid: self.resctrl.group_of(pid, tid) for tid, pid in wanted.items()}
            return {tid: group for tid, group in told.items() if group and group != ROOT}
        # A CTRL_MON group's tasks file lists those of its MON groups too: MON groups last
        ordered = sorted(others, key=lambda group: bool(group.mon))
        return {tid: group for group in ordered for tid in self.resctrl.tasks(group) if tid in wanted}

    def _counts(
        self,
        group: Group,
        tids: frozenset[int],
        threads: t.Mapping[str, frozenset[int]],
        active: t.Container[str],
    ) -> bool:
        """Whether a group of ours still counts a live domain. One that this libvirt does not know may be another's."""
        if group.uuid in threads:
            return bool(tids & threads[group.uuid])
        if group.uuid in active:
            return bool(tids)
        return any(self.processes.runs(tid, group.uuid) for tid in tids)

    def perform(self, step: Operation) -> None:
        """Carry out one operation. A thread is checked against its process at the last moment. Raises ResctrlError."""
        if step.kind == planning.CREATE:
            self.resctrl.create(step.group)
        elif step.kind == planning.REMOVE:
            self.resctrl.remove(step.group)
        elif self.processes.runs(step.pid, step.uuid) and step.tid in self.processes.threads(step.pid):
            self.resctrl.assign(step.group, step.tid)
        else:
            raise errors.Moved(
                f"Thread {step.tid} has ended", hint="Its domain stopped or lost a vCPU meanwhile: run again"
            )


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one entry of the list of domains: what was done (`msg`), and what went wrong (`error`)."""

    asked: str
    status: DomainStatus | None
    changed: bool = False
    error: errors.ResctrlError | None = None
    msg: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A whole run: a result per domain in the order asked, the snapshots before and after (in check mode: the predicted
    one), the stale groups removed, and warnings.
    """

    results: list[Result]
    before: Snapshot
    after: Snapshot
    pruned: list[Group] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything on the host was (in check mode: would be) changed."""
        return bool(self.pruned) or any(result.changed for result in self.results)


def query(host: Host, names: t.Sequence[str] | None) -> Outcome:
    """The status of domains (None: of all, the shut-off ones included), changing nothing.

    A host that cannot monitor is no error here: nothing is monitored there.
    Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable.
    """
    preflight.check_root()
    known = host.domains()
    selected = domains.select(names, known) if names is not None else [Selected(one.name, one) for one in known]
    active = {one.uuid for one in known if one.active}
    running, gone = _find(host, selected)
    snapshot = host.observe(running, active)
    return Outcome([_told(_result(one, snapshot, gone, ())) for one in selected], snapshot, snapshot)


def _told(result: Result) -> Result:
    """A query's result: a domain that stopped while we looked is no failure; its status is that of a stopped one."""
    if isinstance(result.error, errors.DomainGone):
        return dataclasses.replace(result, error=None, msg=str(result.error))
    return result


def enforce(
    host: Host, names: t.Sequence[str], wish: Wish, terms: Terms, *, ignore_inactive: bool, check: bool
) -> Outcome:
    """Make the wish true for the domains named, or in check mode say what that would take.

    Never raises for one domain's sake: its result carries the error, and the others get all that can be done.
    Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable, LockTimeout.
    """
    preflight.check_root()
    known = host.domains()
    selected = domains.select(names, known)
    wishes = {one.domain.uuid: wish for one in selected if one.domain}
    run = _Run(host, known, selected, wishes, terms)
    if not ignore_inactive:
        inactive = [one.domain.uuid for one in selected if one.domain and not one.domain.active]
        run.failures.update({uuid: not_running() for uuid in inactive})
    return run.outcome(check)


@dataclasses.dataclass(frozen=True)
class Terms:
    """On what terms wishes are enforced on a host.

    `reserve`: RMIDs left untouched for others.  `prune`: remove stale groups of ours.
    `priorities`: by UUID. With them, RMIDs that do not suffice for all go to the first in line; without them (None)
    nothing is done then.
    """

    reserve: int = 0
    prune: bool = True
    priorities: t.Mapping[str, int] | None = None


class _Run:
    """One enforcement: what failed for good (by UUID), what was done, and the first snapshot."""

    def __init__(
        self,
        host: Host,
        known: t.Sequence[Domain],
        selected: t.Sequence[Selected],
        wishes: t.Mapping[str, Wish],
        terms: Terms,
    ) -> None:
        self.host, self.selected, self.wishes, self.terms = host, selected, wishes, terms
        self.active = {one.uuid for one in known if one.active}
        self.failures: dict[str, errors.ResctrlError] = {}
        self.done: list[Operation] = []
        self.before = Snapshot()

    def outcome(self, check: bool) -> Outcome:
        """Enforce, or in check mode predict, and say what came of it."""
        missing = preflight.missing_monitoring(self.host.resctrl)
        if missing:
            after = self._without_monitoring(missing)
        else:
            after = self._predict() if check else self._converge()
        results = [_result(one, after, self.failures, self.done) for one in self.selected]
        removed = [step.group for step in self.done if step.kind == planning.REMOVE]
        pruned = [group for group in removed if group.uuid not in self.wishes or group in self.before.stale]
        return Outcome(results, self.before, after, pruned, self._warnings(results, missing))

    def _without_monitoring(self, missing: errors.MonitoringMissing) -> Snapshot:
        """Nothing can be enabled on this host, and nothing is: `disabled` is true of it as it is."""
        running, gone = _find(self.host, self.selected)
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
        self.before, planned = snapshot, _ = self._look()
        deadline = time.monotonic() + _PATIENCE
        while planned.operations:
            with self.host.resctrl.locked():
                _, planned = self._look()
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
        running, gone = _find(self.host, self.selected)
        for uuid, exc in gone.items():
            self.failures.setdefault(uuid, exc)
        whole_process = any(wish.whole_process for wish in self.wishes.values())
        snapshot = self.host.observe(running, self.active, whole_process)
        able = tuple(one for one in running if one.domain.uuid not in self.failures)
        planned = self._plan(dataclasses.replace(snapshot, running=able))
        steps = tuple(step for step in planned.operations if step.uuid not in self.failures)
        return snapshot, Plan(steps, planned.failures)

    def _plan(self, snapshot: Snapshot) -> Plan:
        terms = self.terms
        if terms.priorities is None:
            return planning.plan(snapshot, self.wishes, reserve=terms.reserve, prune=terms.prune)
        granted, denied = planning.ration(snapshot, self.wishes, terms.priorities, terms.reserve)
        planned = planning.plan(snapshot, granted, reserve=terms.reserve, prune=terms.prune)
        return Plan(planned.operations, {**denied, **planned.failures})

    def _apply(self, steps: t.Iterable[Operation]) -> dict[str, errors.ResctrlError]:
        """Carry the steps out. A domain's first error ends its steps; returned are errors that may pass by time."""
        stopped: dict[str, errors.ResctrlError] = {}
        for step in steps:
            if step.uuid in stopped:
                continue
            try:
                self.host.perform(step)
            except errors.ResctrlError as exc:
                stopped[step.uuid] = exc
            else:
                self.done.append(step)
        passing = (errors.RmidsInLimbo, errors.Moved)
        lasting = {uuid: exc for uuid, exc in stopped.items() if not isinstance(exc, passing)}
        self.failures.update(lasting)
        return {uuid: exc for uuid, exc in stopped.items() if uuid not in lasting}

    def _give_up(self, planned: Plan, passing: t.Mapping[str, errors.ResctrlError]) -> None:
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


def _find(host: Host, selected: t.Sequence[Selected]) -> tuple[list[Running], dict[str, errors.ResctrlError]]:
    """The processes of the selected running domains, and for those without one the reason (by UUID)."""
    running: list[Running] = []
    gone: dict[str, errors.ResctrlError] = {}
    for domain in (one.domain for one in selected):
        if domain is None or not domain.active:
            continue
        try:
            running.append(Running(domain, host.processes.find(domain)))
        except errors.DomainGone as exc:
            gone[domain.uuid] = exc
    return running, gone


def _result(
    one: Selected,
    snapshot: Snapshot,
    failures: t.Mapping[str, errors.ResctrlError],
    done: t.Sequence[Operation],
) -> Result:
    domain = one.domain
    if domain is None:
        return Result(one.asked, None, error=not_found(one.asked))
    running = next((each for each in snapshot.running if each.domain.uuid == domain.uuid), None)
    status = status_of(running, snapshot) if running else DomainStatus(domain, gone=domain.active)
    steps = [step for step in done if step.uuid == domain.uuid] if domain.active else []
    return Result(one.asked, status, bool(steps), failures.get(domain.uuid), _said(steps, running))


def not_found(name: str) -> errors.DomainNotFound:
    """libvirt's own sentence."""
    return errors.DomainNotFound(f"Domain not found: no domain with matching name '{name}'")


def not_running() -> errors.DomainNotRunning:
    """The RFC's sentence, which is libvirt's VIR_ERR_OPERATION_INVALID."""
    return errors.DomainNotRunning("Requested operation is not valid: domain is not running")


def _said(steps: t.Sequence[Operation], running: Running | None) -> str:
    """What was done for a domain, for a reader; "" where nothing was."""
    moved = [step.tid for step in steps if step.kind == planning.ASSIGN]
    if not moved:
        removed = sorted({step.group.path for step in steps if step.kind == planning.REMOVE})
        return f"Removed {', '.join(removed)}" if removed else ""
    vcpus = {tid: vcpu for vcpu, tid in running.process.vcpus.items()} if running else {}
    counted = sorted({vcpus[tid] for tid in moved if tid in vcpus})
    others = len({tid for tid in moved if tid not in vcpus})
    parts = [f"vCPU {', '.join(str(vcpu) for vcpu in counted)}"] if counted else []
    parts += [f"{others} other thread{'s' if others > 1 else ''}"] if others else []
    created = any(step.kind == planning.CREATE for step in steps)
    return f"{'Now counted' if created else 'Repaired, now counted too'}: {' and '.join(parts)}"
