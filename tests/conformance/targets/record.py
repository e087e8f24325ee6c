# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each rule at each target, as JSON that stays the same if nothing has changed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from .rules import Rule

PASSED, FAILED = "passed", "failed"


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

    rules: dict[str, Rule] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file."""
        rules = [_without_blanks(asdict(self.rules[number])) for number in sorted(self.rules)]
        runs = [_grouped(run) for run in sorted(self.runs, key=lambda run: run.target)]
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"rules": [\n' + ",\n".join(json.dumps(rule) for rule in rules))
            file.write('\n],\n"runs": [\n' + ",\n".join(json.dumps(run, indent=1) for run in runs) + "\n]}\n")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Add what a file says. Raises ValueError if it knows a rule as something else."""
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        for fields in content["rules"]:
            rule = Rule(**{**fields, "needs": tuple(fields.get("needs", ()))})
            if self.rules.setdefault(rule.number, rule) != rule:
                raise ValueError(f"{path}: rule {rule.number} is another one than in the files before")
        self.runs += [_ungrouped(run) for run in content["runs"]]


def load(path: str | os.PathLike[str]) -> Record:
    """The record in a file."""
    record = Record()
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


def _without_blanks(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


def _grouped(run: Run) -> dict[str, Any]:
    """With the rules of an outcome in one string."""
    outcomes: dict[str, list[str]] = {}
    for number, outcome in sorted(run.outcomes.items()):
        outcomes.setdefault(outcome, []).append(number)
    return {**asdict(run), "outcomes": {outcome: " ".join(outcomes[outcome]) for outcome in sorted(outcomes)}}


def _ungrouped(fields: dict[str, Any]) -> Run:
    outcomes = {number: outcome for outcome, numbers in fields["outcomes"].items() for number in numbers.split()}
    return Run(**{**fields, "outcomes": outcomes})
