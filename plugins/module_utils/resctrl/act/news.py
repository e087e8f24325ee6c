# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of an enforcement of the policy, and what of it is news."""

from __future__ import annotations

import contextlib
import typing as t

from .. import errors
from ..wish.store import note_json, read_json

if t.TYPE_CHECKING:
    from ..decide.outcome import Outcome, Result
    from ..kernel.filesystem import Resctrl

# Which lasting troubles were reported; gone after a reboot
MEMORY = "/run/kvmops-resctrl/said.json"
SLOW = "/run/kvmops-resctrl/slow.json"
_TURNS = "domains take turns"


class Report(t.NamedTuple):
    """What came of keeping up, a sentence each: what was done, who waits for an RMID (by UUID), what else there is to
    know, and what is not as declared.

    `last`: the last look.  `failed`: there was an error, be it news or not.
    `turns`: what was done for domains that take turns, and who of them waits; first, how many there are.
    """

    done: list[str]
    waiting: dict[str, str]
    warnings: list[str]
    errors: list[str]
    last: Outcome
    failed: bool
    turns: t.Sequence[str] = ()

    @property
    def starting(self) -> list[str]:
        """The domains that are to be monitored as soon as they have started."""
        results = self.last.results
        return [one.name for one in results if one.status and one.status.domain.uuid in self.last.starting]

    @property
    def idle(self) -> bool:
        """Whether everything is as declared, and was."""
        return not (self.done or self.waiting or self.errors or self.starting or self.turns)


def report_on(outcomes: t.Sequence[Outcome], resctrl: Resctrl) -> Report:
    """What to say of a series of looks: everything that was done, and what the last one left."""
    last = outcomes[-1]
    turning, troubles = _apart([result for result in last.results if result.error], last)
    # To have to wait for an RMID is no error: the policy says who does
    waiting = [one for one in troubles if isinstance(one.error, errors.RmidsExhausted)]
    failures = [one for one in troubles if one not in waiting]
    done: list[str] = []
    turns: list[str] = []
    if last.turns:
        # Not above, as for keeping()
        from ..decide.windows import taken

        turns = taken(last.turns.values())
    for outcome in outcomes:
        turned, others = _apart([one for one in outcome.results if one.changed and one.msg], last)
        turns += [f"{one.name}: {_turn_in_words(one, last)}" for one in turned]
        done += [f"{one.name}: {one.msg}" for one in others]
        done += [f"Removed {resctrl.path(group)}: its domain is gone" for group in outcome.pruned]
    return Report(
        done,
        {one.status.domain.uuid: f"{one.name}: {one.error}" for one in waiting if one.status},
        list(last.warnings),
        [f"{one.name}: {one.error}" for one in failures],
        last,
        bool(failures),
        (*turns, *(f"{one.name}: {_wait_in_words(one)}" for one in turning)),
    )


def _apart(results: t.Sequence[Result], last: Outcome) -> tuple[list[Result], list[Result]]:
    """Those of domains that take turns, and the others: what is not for want of an RMID, too."""
    scarce = (type(None), errors.RmidsExhausted, errors.RmidsInLimbo)
    takers = [one for one in results if one.status and one.status.domain.uuid in last.turns]
    turning = [one for one in takers if isinstance(one.error, scarce)]
    return turning, [one for one in results if one not in turning]


def _turn_in_words(result: Result, last: Outcome) -> str:
    """What was done for a domain that takes turns."""
    notes = last.turns.get(result.status.domain.uuid) if result.status else None
    return "Its turn is over" if notes and notes.waits else result.msg


def _wait_in_words(result: Result) -> str:
    """What a domain waits for. That it takes turns, and with how many, is said already."""
    error = result.error
    return error.hint if isinstance(error, errors.WaitsForTurn) and error.hint else str(error)


def news(report: Report, path: str = MEMORY) -> Report:
    """The report without what the last one said too: a trouble that lasts is reported once.

    Of a domain that waits the sentence may change, as when it becomes the next: that it waits is no news then. That
    domains take turns is said when it begins, and nothing of each turn.
    Where nothing can be kept everything is news.
    """
    turns = report.turns[:1]
    lasting = [*map(_waits, report.waiting), *report.warnings, *report.errors, *([_TURNS] if turns else [])]
    before = _said_before(path)
    if sorted(before) != sorted(lasting):
        try:
            note_json(path, {"said": lasting})
        except OSError:
            return report
    return report._replace(
        turns=() if _TURNS in before else turns,
        waiting={uuid: line for uuid, line in report.waiting.items() if _waits(uuid) not in before},
        warnings=[line for line in report.warnings if line not in before],
        errors=[line for line in report.errors if line not in before],
    )


def is_news(trouble: str, lasts: bool, path: str) -> bool:
    """Whether a trouble of the command's own has begun since the last run. Where nothing can be kept it is news."""
    before = _said_before(path)
    if (trouble in before) != lasts:
        with contextlib.suppress(OSError):
            note_json(path, {"said": [trouble] if lasts else []})
    return lasts and trouble not in before


def _waits(uuid: str) -> str:
    return f"{uuid} waits for an RMID"


def _said_before(path: str) -> list[str]:
    try:
        return read_json(path, _strings) or []
    except errors.PolicyDamaged:
        return []


def _strings(content: t.Any) -> list[str]:  # noqa: ANN401  # what a file holds
    said = content.get("said") if isinstance(content, dict) else None
    if not isinstance(said, list):
        raise ValueError("it has no list")
    return [str(line) for line in said]
