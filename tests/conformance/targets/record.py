# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each rule at each target, as JSON that stays the same if nothing has changed.

A record has a line of codes for ten rules: `040 PPPP-PPFPP` says that 044 does not apply to the target and that 047
failed. What the rules are, and so why one does not apply, the tests say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .rules import Rule, version

PASSED, FAILED = "passed", "failed"
_CODES = {PASSED: "P", FAILED: "F"}
_WORDS = {code: outcome for outcome, code in _CODES.items()}
_NOT_APPLICABLE, _UNKNOWN = "-", "."


@dataclass
class Run:
    """The rules at one target. ``outcomes``: by rule, "passed", "failed", or the obstacle to trying it."""

    target: str
    release: str
    facts: list[str]
    outcomes: dict[str, str] = field(default_factory=dict)


@dataclass
class Record:
    """All of it: the rules by number, and the runs."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Add the runs of a file. Raises ValueError if it is older than a change of the rules."""
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        try:
            self.runs += [_decoded(fields, self.rules) for fields in content["runs"]]
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def save(runs: Sequence[Run], path: str | os.PathLike[str]) -> None:
    """Write the file."""
    encoded = [_encoded(run) for run in sorted(runs, key=lambda run: run.target)]
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"runs": [\n' + ",\n".join(json.dumps(run, indent=1) for run in encoded) + "\n]}\n")


def load(path: str | os.PathLike[str], rules: Mapping[str, Rule]) -> Record:
    """The record in a file. Raises ValueError if it is older than a change of the rules."""
    record = Record(rules)
    record.load(path)
    return record


def changes(before: Record, after: Record) -> list[str]:
    """What became of rules at a target otherwise than before, in words. The records are of one run each."""
    (old,), (new,) = before.runs, after.runs
    found = []
    for number in sorted({*old.outcomes, *new.outcomes}):
        then, now = (run.outcomes.get(number, "unknown") for run in (old, new))
        if then != now:
            found.append(f"rule {number} was {then!r} when recorded and is {now!r}")
    return found


def _encoded(run: Run) -> dict[str, Any]:
    codes = {int(number): _CODES.get(outcome, _NOT_APPLICABLE) for number, outcome in run.outcomes.items()}
    tens = sorted({number // 10 * 10 for number in codes})
    lines = [f"{ten:03} " + "".join(codes.get(ten + one, _UNKNOWN) for one in range(10)) for ten in tens]
    return {"target": run.target, "release": run.release, "facts": " ".join(run.facts), "outcomes": lines}


def _decoded(fields: Mapping[str, Any], rules: Mapping[str, Rule]) -> Run:
    run = Run(fields["target"], fields["release"], fields["facts"].split())
    for line in fields["outcomes"]:
        ten, codes = line.split()
        for one, code in enumerate(codes):
            number = f"{int(ten) + one:03}"
            if code != _UNKNOWN:
                run.outcomes[number] = _outcome(number, code, run, rules)
    # A rule that is newer than the record, and does not apply to its target, would have come out so
    for newer in rules.keys() - run.outcomes.keys():
        if obstacle := rules[newer].obstacle(version(run.release), run.facts):
            run.outcomes[newer] = obstacle
    return run


def _outcome(number: str, code: str, run: Run, rules: Mapping[str, Rule]) -> str:
    """What a code stands for. Raises ValueError if the rule, as it is now, cannot have come out so."""
    if number not in rules:
        raise ValueError(f"there is no rule {number} any more: make the record anew")
    obstacle = rules[number].obstacle(version(run.release), run.facts)
    if (code == _NOT_APPLICABLE) != bool(obstacle):
        raise ValueError(f"rule {number} has changed, and now {_applies(obstacle)} {run.target}: make the record anew")
    return obstacle or _WORDS[code]


def _applies(obstacle: str) -> str:
    return "does not apply to" if obstacle else "applies to"
