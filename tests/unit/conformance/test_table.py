# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of the conformance tests, and the table that is made from them."""

from __future__ import annotations

import ast
import copy
import pathlib

import pytest
from targets.explanations import BY_NEED, BY_RULE
from targets.record import FAILED, PASSED, Record, Run, changes
from targets.rules import FACTS, Rule
from targets.table import Unexplained, page

CONFORMANCE = pathlib.Path(__file__).resolve().parents[2] / "conformance"
NUMBERS = sorted(BY_RULE)


def record(**outcomes):
    """Two kernels and an emulator: rule 900 as given for each, and all rules with an explanation, which passed."""
    rules = {number: Rule(number, "mount", f"rule {number}") for number in NUMBERS}
    rules["900"] = Rule("900", "mount", "the rule", since="6.7", needs=("cmt",))
    kernel, emulator = "kernel plain", "emulator intel-7.3"
    targets = {"old": (kernel, "6.1.0"), "new": (kernel, "7.3.1"), "emulated": (emulator, "7.3")}
    runs = [
        Run(target, release, ["mon"], {**dict.fromkeys(NUMBERS, PASSED), "900": outcomes.get(name, PASSED)})
        for name, (target, release) in targets.items()
    ]
    return Record(rules, runs)


def row(text, number="900"):
    return next(line for line in text.splitlines() if line.startswith(f"| {number} |"))


def test_a_difference_by_the_kernel_needs_no_explanation():
    assert row(page(record(old="6.7 and later"))) == "| 900 | the rule | 6.7 and later | · | ✓ | ✓ |  |"


@pytest.mark.parametrize(
    ("outcomes", "says"),
    [
        ({"emulated": "cmt"}, "rule 900 needs 'cmt', which no emulator has"),
        ({"new": FAILED}, "rule 900 failed at kernel plain 7.3.1"),
    ],
)
def test_any_other_difference_does(outcomes, says):
    with pytest.raises(Unexplained, match=says):
        page(record(**outcomes))


def test_what_was_tried_on_other_hardware_is_explained_by_that():
    known = record(emulated="cmt")
    known.runs.append(Run("emulator no-mbm", "6.1", [], {**dict.fromkeys(NUMBERS, PASSED), "900": PASSED}))
    assert row(page(known)) == "| 900 | the rule | 6.7 and later | ✓ | ✓ | - | 1 | Tried on other hardware. |"


def test_a_run_that_does_not_know_a_rule_is_too_old():
    known = record()
    del known.runs[0].outcomes["900"]
    with pytest.raises(Unexplained, match="rule 900 is unknown to the run of kernel plain 6"):
        page(known)


def test_a_record_is_read_as_it_was_written(tmp_path):
    before, after = record(old="6.7 and later"), Record()
    before.save(tmp_path / "record.json")
    after.load(tmp_path / "record.json")
    assert after.rules == before.rules
    assert sorted(after.runs, key=repr) == sorted(before.runs, key=repr)


@pytest.mark.parametrize(
    ("kernel", "facts", "obstacle"),
    [
        ((6, 6), {"cmt"}, "6.7 to 7.2"),
        ((6, 7), {"cmt"}, ""),
        ((7, 2), {"cmt"}, ""),
        ((7, 3), {"cmt"}, "6.7 to 7.2"),
        ((6, 12), set(), "cmt"),
        ((6, 12), {"cmt", "alloc"}, "no-alloc"),
    ],
)
def test_when_a_rule_applies(kernel, facts, obstacle):
    rule = Rule("900", "mount", "the rule", since="6.7", until="7.2", needs=("cmt", "no-alloc"))
    assert rule.obstacle(kernel, facts) == obstacle


def test_needs_are_facts():
    assert Rule("900", "mount", "the rule", needs=tuple(f"no-{fact}" for fact in FACTS))
    with pytest.raises(ValueError, match="unknown need 'luck'"):
        Rule("900", "mount", "the rule", needs=("luck",))


@pytest.mark.parametrize(
    ("kernel", "emulated", "section", "why"),
    [
        (PASSED, "cmt", "Where the emulator differs", "why not"),
        ("cmt", PASSED, "What no guest could show", "why not"),
        ("6.7 and later", PASSED, "What no guest could show", "There is no guest with a kernel 6.7 and later."),
    ],
)
def test_what_only_one_kind_can_do_is_listed_with_the_reason(monkeypatch, kernel, emulated, section, why):
    monkeypatch.setitem(BY_NEED, "cmt", "why not")
    text = page(record(old=kernel, new=kernel, emulated=emulated))
    assert f"| 900 | the rule | {why} |" in text.partition(f"## {section}")[2].partition("\n## ")[0]


def test_what_has_become_another_than_recorded_is_said():
    before = Record(runs=[Run("kernel plain", "6.1.1", [], {"900": PASSED, "901": PASSED})])
    after = copy.deepcopy(before)
    after.runs[0].release = "6.1.2"
    assert changes(before, after) == []
    after.runs[0].outcomes = {"900": "cmt", "902": PASSED}
    assert changes(before, after) == [
        "rule 900 was 'passed' when recorded and is 'cmt'",
        "rule 901 was 'passed' when recorded and is 'unknown'",
        "rule 902 was 'unknown' when recorded and is 'passed'",
    ]


def recorded():
    known = Record()
    for path in sorted((CONFORMANCE / "recorded").glob("*.json")):
        known.load(path)
    return known


def test_the_records_know_the_rules_of_the_tests():
    functions = [
        node
        for path in CONFORMANCE.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    titles = {function.name.split("_")[1]: ast.get_docstring(function).splitlines()[0] for function in functions}
    assert {number: rule.title for number, rule in recorded().rules.items()} == titles


def test_the_documented_table_is_that_of_the_records():
    assert (CONFORMANCE.parents[1] / "docs" / "conformance.md").read_text(encoding="utf-8") == page(recorded())
