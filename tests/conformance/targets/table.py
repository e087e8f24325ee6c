# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of which rule holds where, as Markdown. What differs between targets must have an explanation."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .explanations import BY_NEED, BY_RULE
from .record import FAILED, PASSED, Record, Run
from .rules import FACTS, Rule, rules_of_tests, version

HEAD = """\
<!-- Copyright (c) 2026 the kvmops.resctrl authors -->
<!-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt) -->
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Made by tests/conformance/table: do not edit -->

# Conformance with Linux's resctrl

Each rule below is a test in `tests/conformance` and says what the kernel's resctrl does. The same tests run on real
kernels, in guests whose processor is a model of RDT ([tests/kernel](\
https://github.com/kvmops/ansible-collection-resctrl/blob/main/tests/kernel/README.md\
)), and on the emulator
with which the collection is tested (`tests/lab/emulator`). So the emulator is what it claims to be, and what the
collection relies on is seen on real kernels. There is no guest with a kernel 5.10: what is said of it is from reading
its source.

## Make it again

In a checkout, on Debian 12, as root:

    make conformance                            # the rules on the emulator, all profiles
    make test-kernel                            # in guests with each kernel; fails if something comes out otherwise
    make test-kernel KERNELS=6.12               # the same, with one kernel

This page is made from records of such runs, in `tests/conformance/recorded`. After a change of rules all are made anew:

    make deps kernel-vm
    export PATH=$PWD/.work/venv/bin:$PATH
    tests/conformance/record --all-hardware     # all guests
    pytest tests/conformance --conformance-record tests/conformance/recorded/emulator.json
    tests/conformance/table tests/conformance/recorded/*.json >docs/conformance.md

## Try it on real hardware

Python 3.11 and pytest are enough:

    pytest tests/conformance --resctrl /sys/fs/resctrl          # this machine's kernel (root; mainline or Debian)
    pytest tests/conformance --resctrl /sys/fs/resctrl --destructive    # also unmounts resctrl and switches CPUs off

The tests refuse to start if there are groups that they did not make. They make groups and threads of their own, and set
`max_threshold_occupancy` for moments. Rules that need something that the machine does not have, or counters that only a
guest's model lets a test set, are left out. `--conformance-record FILE` and `--hardware NAME` make a record for
`tests/conformance/table`.

## The tables

| cell | meaning |
|---|---|
| ✓ | passed |
| ✗ | failed |
| · | the rule is not of this kernel |
| - | the target does not have what it takes; the note says why |
| a number | passed at so many other targets (the last table): at all that have what it takes |
"""

MARKS = {PASSED: "✓", FAILED: "✗"}
TRIED_ELSEWHERE = "Tried on other hardware."
OTHER = {"kernel": "emulator", "emulator": "guest"}


class Unexplained(Exception):
    """The records are incomplete, or something differs for no known reason; the text says what."""


@dataclass(frozen=True)
class Column:
    """A run, or several side by side, under one heading."""

    heading: str
    runs: tuple[Run, ...]
    several: bool = False

    def cell(self, rule: Rule) -> str:
        """What became of a rule; of several runs the number of those that passed, where all to which it applies did."""
        outcomes = [run.outcomes[rule.number] for run in self.runs]
        if not self.several:
            return MARKS.get(outcomes[0]) or ("·" if outcomes[0] == rule.kernels else "-")
        tried = [outcome for outcome in outcomes if outcome in MARKS]
        passed = tried.count(PASSED)
        return f"{passed}" if passed == len(tried) else f"{passed} of {len(tried)}"


def _columns(record: Record) -> list[Column]:
    """A column for each kernel and each era of the emulator, and two for what other hardware there is."""
    columns = []
    for kind, main in (("kernel", "kernel plain"), ("emulator", "emulator intel-")):
        runs = sorted((run for run in record.runs if run.target.startswith(kind)), key=lambda run: version(run.release))
        mains = [run for run in runs if run.target.startswith(main)]
        others = tuple(run for run in runs if run not in mains)
        columns += [Column(f"{kind} {'.'.join(map(str, version(run.release)))}", (run,)) for run in mains]
        columns += [Column(f"{kind}, other hardware", others, several=True)] if others else []
    return columns


def _check(record: Record) -> None:
    """Raises Unexplained if the records do not belong together, or tell of a failure that nobody knows."""
    for rule in record.rules.values():
        for run in record.runs:
            if rule.number not in run.outcomes:
                raise Unexplained(f"rule {rule.number} is unknown to the run of {run.target} {run.release}")
            if run.outcomes[rule.number] == FAILED and rule.number not in BY_RULE:
                raise Unexplained(f"rule {rule.number} failed at {run.target} {run.release}, and nobody knows why")
    for number in BY_RULE:
        if number not in record.rules:
            raise Unexplained(f"there is an explanation for rule {number}, but no such rule")


def _note(rule: Rule, record: Record, columns: Sequence[Column]) -> str:
    """Why the columns differ, empty if they do so by the kernels only. Raises Unexplained."""
    notes: dict[str, None] = {}
    for run in (column.runs[0] for column in columns if not column.several):
        outcome = run.outcomes[rule.number]
        if outcome not in (PASSED, rule.kernels):
            note = BY_RULE.get(rule.number) or _lacking(rule, record, run.target.split()[0], outcome)
            notes[note] = None
    if len(notes) > 1:
        notes.pop(TRIED_ELSEWHERE, None)
    return " ".join(notes)


def _lacking(rule: Rule, record: Record, kind: str, need: str) -> str:
    """The note for a need that these columns do not meet. Raises Unexplained."""
    if any(run.outcomes[rule.number] == PASSED for run in record.runs if run.target.startswith(kind)):
        return TRIED_ELSEWHERE
    if need not in BY_NEED:
        raise Unexplained(f"rule {rule.number} needs {need!r}, which no {kind} has, and nobody knows why")
    return BY_NEED[need]


def _title(rule: Rule) -> str:
    return rule.title.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


def _rows(record: Record, columns: Sequence[Column], subject: str) -> Iterator[str]:
    yield f"| rule | | kernels | {' | '.join(column.heading for column in columns)} | note |"
    yield "|---|---|---|" + "---|" * len(columns) + "---|"
    for number, rule in sorted(record.rules.items()):
        if rule.subject == subject:
            cells = " | ".join(column.cell(rule) for column in columns)
            yield f"| {number} | {_title(rule)} | {rule.kernels or 'all'} | {cells} | {_note(rule, record, columns)} |"


def _differences(record: Record, columns: Sequence[Column]) -> Iterator[str]:
    """In short what kernels do and no emulator does, and the other way round."""
    yield "## Where the emulator differs from the kernels"
    yield from _passed_only("kernel", record, columns)
    yield "## What no guest could show"
    yield from _passed_only("emulator", record, columns)


def _passed_only(kind: str, record: Record, columns: Sequence[Column]) -> Iterator[str]:
    yield from ("", "| rule | | why |", "|---|---|---|")
    for number, rule in sorted(record.rules.items()):
        if {run.target.split()[0] for run in record.runs if run.outcomes[number] == PASSED} == {kind}:
            why = _note(rule, record, columns) or f"There is no {OTHER[kind]} with a kernel {rule.kernels}."
            yield f"| {number} | {_title(rule)} | {why} |"
    yield ""


def _targets(record: Record) -> Iterator[str]:
    yield "| target | kernel | passed | failed | other kernels | lacking | has |"
    yield "|---|---|---|---|---|---|---|"
    by_kind = sorted(record.runs, key=lambda run: (run.target[0] == "e", run.target, version(run.release)))
    for run in by_kind:
        values = list(run.outcomes.items())
        other = sum(outcome == record.rules[number].kernels for number, outcome in values)
        counts = [sum(outcome == mark for _number, outcome in values) for mark in (PASSED, FAILED)]
        facts = ", ".join(fact for fact in FACTS if fact in run.facts)
        lacking = len(values) - sum(counts) - other
        yield f"| {run.target} | {run.release} | {counts[0]} | {counts[1]} | {other} | {lacking} | {facts} |"


def page(record: Record) -> str:
    """The page. Raises Unexplained."""
    _check(record)
    columns = _columns(record)
    lines = [HEAD, *_differences(record, columns)]
    for subject in dict.fromkeys(rule.subject for _number, rule in sorted(record.rules.items())):
        lines += [f"## {subject}", "", *_rows(record, columns, subject), ""]
    lines += ["## Targets", "", "What a target has, in the words that the tests use:", ""]
    lines += [f"- `{fact}`: {meaning}" for fact, meaning in FACTS.items()]
    lines += ["", *_targets(record)]
    return "\n".join(lines) + "\n"


def main(files: Sequence[str]) -> int:
    """Print the page made from these records; the exit status is 1 if something has no explanation."""
    try:
        record = Record(rules_of_tests())
        for path in files:
            record.load(path)
        print(page(record), end="")
    except (Unexplained, ValueError) as error:
        print(f"table: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
