# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping what is declared on a host so: what its agent does whenever a domain starts, stops or changes."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .. import errors
from ..vms.domain import Selected
from ..wish.files import load
from ..wish.place import DIRECTORY, TURNS
from ..wish.store import forget, locked, note_json, read_json
from .enforcement import Enforcement

if t.TYPE_CHECKING:
    from ..decide.outcome import Outcome
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group
    from ..observe.host import Host
    from .news import Report

# A domain that starts changes some times in a row. These changes are acted on at once
_LOOKS_AT_ONCE = 3
# A storm of changes (block jobs and guest agents rewrite the status files many times a second) costs one look a second
_LOOK_EVERY = 1.0
# The last look is followed by this many seconds without a change: else each change of a storm would start a run
_QUIET = 1.0
# How soon a change is noticed
_NOTICE = 0.02
# A run ends after this many looks: what changes meanwhile starts another
_MOST_LOOKS = 60
# So many looks, one a second, wait for a domain that is starting: not every manager writes a file when it is up
_LOOKS_AT_A_START = 10
# So many seconds a run may need that has begun, see act/turns.py
_LONGEST_RUN = 30.0

# How the agent's last run ended; gone after a reboot
LAST_RUN = "/run/kvmops-resctrl/enforced.json"


def keep_up(
    look: t.Callable[[], Outcome],
    changed_at: t.Callable[[], int],
    clock: t.Callable[[], float] = time.time,
    sleep: t.Callable[[float], None] = time.sleep,
) -> list[Outcome]:
    """Look, and look again after each change until there is quiet, and while a domain is starting. The first look is at
    once.

    `changed_at` is the time of the last change in nanoseconds, of the same clock. If that is long ago, there is quiet.
    """
    outcomes: list[Outcome] = []
    while True:
        began, seen = clock(), changed_at()
        outcomes.append(look())
        if len(outcomes) >= _MOST_LOOKS:
            return outcomes
        if len(outcomes) >= _LOOKS_AT_ONCE:
            sleep(_rest(began, clock()))
        while changed_at() == seen:
            # Whoever sets the clock back need not be waited for
            if not 0 <= clock() - seen / 1e9 < _QUIET:
                if not outcomes[-1].starting or len(outcomes) >= _LOOKS_AT_A_START:
                    return outcomes
                sleep(_rest(began, clock()))
                break
            sleep(_NOTICE)


def _rest(began: float, now: float) -> float:
    """How long to wait for the next look, if the last one began then."""
    return min(max(0.0, began + _LOOK_EVERY - now), _LOOK_EVERY)


def enforce_policy(host: Host, directory: str = DIRECTORY, *, check: bool = False) -> Outcome:
    """Make everything so that is declared or switched on this host, once.

    Raises PolicyDamaged, NotRoot, LockTimeout, Unreadable.
    """
    policy = load(directory)
    known = host.source.domains()
    wishes = policy.wishes(one for one in known if one.active)
    selected = [Selected(one.name, one, by_name=False) for one in known if one.uuid in wishes.of]
    if policy.turns is None:
        if not check:
            forget(TURNS)  # what was measured in turns is not told for ever after these were switched off
        return Enforcement(host, known, selected, wishes).outcome(check)
    # Not above: few hosts have it, and this runs once a minute
    from .turns import keeping

    with keeping(host.resctrl, policy.turns, check=check) as keeper:
        wishes = wishes._replace(turns=keeper.queue())
        outcome = Enforcement(host, known, selected, wishes, turns=keeper).outcome(check)
        return outcome._replace(warnings=[*keeper.warnings, *outcome.warnings], turns=keeper.noted.of)


class LastRun(t.NamedTuple):
    """How the last enforcement of the policy ended: when it began (Unix time), and how many domains were left."""

    began: float
    failed: bool
    waiting: int
    failures: int


def note_run(began: float, report: Report | None, path: str = LAST_RUN) -> None:
    """Note how a run ended; None: nothing could be done at all. To note it is worth no failure."""
    run = LastRun(began, True, 0, 0)
    if report:
        run = LastRun(began, report.failed, len(report.waiting), len(report.errors))
    with contextlib.suppress(OSError):
        note_json(path, run._asdict())


def last_run(path: str = LAST_RUN) -> LastRun | None:
    """How the last run ended; None where there was none, or nothing is known of it."""
    try:
        return read_json(path, _parse_run)
    except errors.PolicyDamaged:
        return None


def _parse_run(content: t.Any) -> LastRun:  # noqa: ANN401  # what a file holds
    began, failed, waiting, failures = (content[field] for field in LastRun._fields)
    return LastRun(float(began), bool(failed), int(waiting), int(failures))


def clear(resctrl: Resctrl) -> tuple[list[Group], list[errors.ResctrlError]]:
    """Remove every group of ours, whatever it counts; those that were removed, and why others could not be.

    Needs no libvirt: it ends all monitoring of ours on a host that is given up.
    Raises LockTimeout, NotMounted, Unreadable.
    """
    removed: list[Group] = []
    refusals: list[errors.ResctrlError] = []
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            # A run that takes turns notes them when it ends
            held.enter_context(locked(os.path.dirname(TURNS), _LONGEST_RUN))
        held.enter_context(resctrl.changes.locked())
        for group in [one for one in resctrl.groups() if one.uuid]:
            try:
                resctrl.changes.remove(group)
                removed.append(group)
            except errors.ResctrlError as exc:
                refusals.append(exc)
        forget(TURNS)
    return removed, refusals
