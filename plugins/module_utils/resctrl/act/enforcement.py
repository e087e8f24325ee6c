# SPDX-License-Identifier: GPL-3.0-or-later
"""The RFC's switch: look, plan, apply, and look again until what is wished is so."""

from __future__ import annotations

import time
import typing as t

from .. import errors
from ..decide.outcome import Outcome, Result, result_of
from ..decide.planning import CREATE, REMOVE, Operation, Plan, plan
from ..decide.snapshot import Snapshot
from ..decide.wish import Wish, Wishes
from ..errors import ResctrlError
from ..kernel.preflight import missing_monitoring
from ..vms.domain import select, unmatched
from .absences import absences, starting
from .warn import warnings_of

if t.TYPE_CHECKING:
    from ..observe.host import Host
    from ..vms.domain import Domain, Selected
    from .turns import Keeper

# How long a run tries: RMIDs come out of limbo once a second at best, and a domain may start threads while we look.
_PATIENCE = 10.0
_LONG_PAUSE = 0.5
_PAUSE = 0.02


def enforce(
    host: Host,
    names: t.Sequence[str],
    wish: Wish,
    *,
    reserve: int = 0,
    prune: bool = True,
    ignore_inactive: bool = False,
    check: bool = False,
) -> Outcome:
    """Make the wish true for the domains named, or in check mode say what that would take.

    Never raises for one domain's sake: its result carries the error, and the others get all that can be done.
    Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable, LockTimeout, Unreadable.
    """
    known = host.source.domains()
    selected = select(names, known)
    wishes = Wishes({one.domain.uuid: wish for one in selected if one.domain}, reserve, prune)
    outcome = Enforcement(host, known, selected, wishes, ignore_inactive=ignore_inactive).outcome(check)
    return outcome._replace(warnings=[*unmatched(names, known), *outcome.warnings])


class Enforcement:
    """Makes the wish of each selected domain true; `known` are all domains of the host.

    A domain that is asked for by its name has to run, unless inactive ones are to be ignored, and is waited for while
    it starts. One that a pattern or a policy stands for need not.
    """

    def __init__(
        self,
        host: Host,
        known: t.Sequence[Domain],
        selected: t.Sequence[Selected],
        wishes: Wishes,
        *,
        ignore_inactive: bool = False,
        turns: Keeper | None = None,
    ) -> None:
        self.host, self.known, self.selected, self.wishes = host, known, selected, wishes
        # Where domains take turns, what is noted of these
        self.turns = turns
        # Those of which it is a failure that they do not run, by UUID
        self.needed = frozenset(
            one.domain.uuid for one in selected if one.domain and one.by_name and not ignore_inactive
        )
        # For each domain for which the kernel refused a step, why: it would refuse it again
        self.refused: dict[str, ResctrlError] = {}
        self.done: list[Operation] = []
        # No more RMIDs than that can be had, and no bandwidth counter on these caches: the kernel has said so
        self.most_rmids: int | None = None
        self.full_caches: set[int] = set()
        # On Arm: no more MON groups in a CTRL_MON group than that
        self.full: dict[str, int] = {}
        self.before = Snapshot()

    def outcome(self, check: bool = False) -> Outcome:
        """Enforce, or in check mode predict, and say what came of it. Raises LockTimeout, Unreadable."""
        missing = missing_monitoring(self.host.resctrl)
        if missing:
            self.before = after = self._snapshot()
            enabled = [one.domain.uuid for one in after.running if self.wishes.enables(one.domain.uuid)]
            failures: t.Mapping[str, ResctrlError] = dict.fromkeys(enabled, missing)
        else:
            after, failures = self._predict() if check else self._converge()
            if self.turns and not check:
                self.turns.settle(after, self.wishes, failures)
                self.wishes = self.wishes._replace(turns=self.turns.queue())
        failures = {**failures, **self.refused, **absences(self.host, self.known, self.needed, self.wishes, after)}
        results = self._results(after, failures)
        removed = {step.group for step in self.done if step.kind == REMOVE}
        pruned = sorted(group for group in removed if group.uuid not in self.wishes.of or group in self.before.stale)
        warnings = warnings_of(self.host, results, self.wishes, after, missing)
        # Of a domain that was not asked for only a stale group can have been refused
        left = [exc for uuid, exc in self.refused.items() if uuid not in self.wishes.of]
        warnings += [f"A stale group was left: {exc}" for exc in left]
        soon = [uuid for uuid in starting(after) if self.wishes.enables(uuid)]
        return Outcome(results, self.before, after, pruned, warnings, self.known, starting=soon)

    def _results(self, after: Snapshot, failures: t.Mapping[str, ResctrlError]) -> list[Result]:
        active = {one.uuid for one in self.known if one.active}
        done = _said_of([step for step in self.done if step.uuid in active], after)
        said = {**starting(after), **done}
        results = []
        for one in self.selected:
            result = result_of(one, after, said)
            if one.domain:
                uuid = one.domain.uuid
                result = result._replace(changed=uuid in done, error=failures.get(uuid))
            results.append(result)
        return results

    def _predict(self) -> tuple[Snapshot, t.Mapping[str, ResctrlError]]:
        """What _converge would lead to, without doing it. Who is waited for there is waited for here."""
        from ..decide.simulation import simulate

        deadline = time.monotonic() + _PATIENCE
        self.before, planned = self._look()
        while self._awaited(self.before) and time.monotonic() < deadline:
            time.sleep(_LONG_PAUSE)
            self.before, planned = self._look()
        self.done = list(planned.operations)
        return simulate(self.before, planned.operations), planned.failures

    def _converge(self) -> tuple[Snapshot, dict[str, ResctrlError]]:
        """Plan and apply until nothing is left to do; the last look verifies. Returns what it saw, and the failures.

        The first look is without the lock: where nothing is to be done, nobody is held up, and nothing is written.
        """
        deadline = time.monotonic() + _PATIENCE
        snapshot, planned = self._look()
        self.before = snapshot
        while planned.operations or self._awaited(snapshot):
            try:
                passing = self._round(planned)
                snapshot, planned = self._look()
            except ResctrlError as exc:
                if not self.done:
                    raise
                # What was done before is to be told all the same
                return snapshot, {**planned.failures, **{step.uuid: exc for step in planned.operations}}
            if time.monotonic() >= deadline:
                from .refusals import unsettled

                return snapshot, {**planned.failures, **unsettled(planned, passing, _PATIENCE)}
            if passing:
                limbo = any(isinstance(exc, errors.RmidsInLimbo) for exc in passing.values())
                time.sleep(_LONG_PAUSE if limbo else _PAUSE)
        return snapshot, dict(planned.failures)

    def _round(self, planned: Plan) -> dict[str, ResctrlError]:
        """Carry out what is planned now, or wait if nothing is; returned are errors that may pass by time."""
        if not planned.operations:
            time.sleep(_LONG_PAUSE)
            return {}
        with self.host.resctrl.changes.locked():
            return self._apply(*self._look())

    def _awaited(self, snapshot: Snapshot) -> set[str]:
        """Domains asked for by name that are starting."""
        return {uuid for uuid in starting(snapshot).keys() & self.needed if self.wishes.enables(uuid)}

    def _snapshot(self) -> Snapshot:
        return self.host.look(
            self.selected, self.known, self.wishes.whole, self.most_rmids, self.full_caches, full=dict(self.full)
        )

    def _look(self) -> tuple[Snapshot, Plan]:
        """What there is, and what is to be done for those for whom the kernel has not refused it."""
        snapshot = self._snapshot()
        able = tuple(one for one in snapshot.running if one.domain.uuid not in self.refused)
        planned = plan(snapshot._replace(running=able), self.wishes)
        steps = tuple(step for step in planned.operations if step.uuid not in self.refused)
        return snapshot, Plan(steps, planned.failures)

    def _apply(self, snapshot: Snapshot, planned: Plan) -> dict[str, ResctrlError]:
        """Carry a plan out. A domain's first error ends its steps; returned are errors that may pass by time."""
        from .steps import perform

        stopped: dict[str, ResctrlError] = {}
        done: list[Operation] = []
        if self.turns:
            self.turns.leaving(planned.operations, snapshot)
            self.wishes = self.wishes._replace(turns=self.turns.queue())
        for step in planned.operations:
            if step.uuid in stopped:
                continue
            try:
                perform(self.host, step)
            except errors.RmidsExhausted as exc:
                # The numbers said that there is one
                waits = self._passing(step, exc)
                if waits is None:
                    # Another plan is needed, with no more than there are
                    self._give_back(step, [*self.done, *done])
                    return {}
                stopped[step.uuid] = waits
            except errors.CountersExhausted:
                # So did these. A domain without a counter is monitored all the same
                self.full_caches.add(step.cache)
            except ResctrlError as exc:
                stopped[step.uuid] = exc
            else:
                done.append(step)
                if self.turns and step.kind == CREATE:
                    self.turns.made(step.group)
        self.done += done
        return self._left(stopped)

    def _left(self, stopped: t.Mapping[str, ResctrlError]) -> dict[str, ResctrlError]:
        """Those of the errors that may pass by time. For a domain with another one nothing is tried any more."""
        by_time = (errors.RmidsInLimbo, errors.Moved)
        refused = {uuid: exc for uuid, exc in stopped.items() if not isinstance(exc, by_time)}
        if refused:
            self._take_back([step for step in self.done if step.uuid in refused])
            self.refused.update(refused)
        return {uuid: exc for uuid, exc in stopped.items() if uuid not in refused}

    def _passing(self, step: Operation, refusal: errors.RmidsExhausted) -> errors.RmidsInLimbo | None:
        if not self.host.resctrl.is_arm:
            return None
        from .refusals import held_in, passing

        seen = max(self.full.get(step.group.ctrl, 0), held_in(step.group.ctrl, self.before.groups))
        return passing(self.host.resctrl, step.group, refusal, seen)

    def _give_back(self, refused: Operation, done: list[Operation]) -> None:
        """Remove the groups that this run has made, and from now on plan with the RMIDs that the kernel has given."""
        resctrl = self.host.resctrl
        held = resctrl.groups()
        if resctrl.is_arm:
            from .refusals import held_in

            self.full[refused.group.ctrl] = held_in(refused.group.ctrl, held)
        else:
            self.most_rmids = len(held) + 1
        self.done = done
        self._take_back(done)

    def _take_back(self, steps: t.Sequence[Operation]) -> None:
        """Remove the groups that were made by these steps, which are not done any more then."""
        from .refusals import take_back

        made = {step.group for step in steps if step.kind == CREATE}
        take_back(self.host.resctrl, made)
        self.done = [step for step in self.done if step.group not in made]


def _said_of(steps: t.Sequence[Operation], after: Snapshot) -> dict[str, str]:
    """UUID -> what was done for the domain."""
    if not steps:
        # Mostly nothing is to be done, and what is imported is compiled on every run
        return {}
    from .steps import said_of

    return said_of(steps, after)
