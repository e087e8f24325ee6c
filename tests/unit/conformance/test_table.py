# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of the conformance tests, and the table that is made from them."""

from __future__ import annotations

import copy
import pathlib

import pytest
from targets.explanations import BY_NEED, BY_RULE
from targets.record import FAILED, PASSED, Record, Run, changes, load, save
from targets.rules import FACTS, Rule, rules_of_tests
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
    before = record(old="6.7 and later", emulated=FAILED)
    before.runs[1].outcomes["900"] = "cmt"
    for run in before.runs:
        run.facts = ["mon"] if run.outcomes["900"] == "cmt" else ["cmt", "mon"]
    save(before.runs, tmp_path / "record.json")
    after = load(tmp_path / "record.json", before.rules)
    assert sorted(after.runs, key=repr) == sorted(before.runs, key=repr)


def test_a_record_has_a_code_for_each_rule_and_ten_of_them_on_a_line(tmp_path):
    outcomes = {"008": PASSED, "010": FAILED, "012": "cmt", "031": PASSED}
    save([Run("kernel plain", "6.1", ["cmt", "mon"], outcomes)], tmp_path / "record.json")
    text = (tmp_path / "record.json").read_text()
    assert '"facts": "cmt mon"' in text
    assert [line.strip(' ",') for line in text.splitlines() if line.startswith("  ")] == [
        "000 ........P.",
        "010 F.-.......",
        "030 .P........",
    ]


@pytest.mark.parametrize(
    ("outcome", "rule", "says"),
    [
        (PASSED, Rule("900", "mount", "the rule", needs=("cmt",)), "rule 900 has changed, and now does not apply to"),
        (PASSED, Rule("900", "mount", "the rule", since="6.7"), "rule 900 has changed, and now does not apply to"),
        ("cmt", Rule("900", "mount", "the rule"), "rule 900 has changed, and now applies to"),
        (PASSED, Rule("901", "mount", "another"), "there is no rule 900 any more"),
    ],
)
def test_a_record_that_is_older_than_a_change_of_the_rules_is_refused(tmp_path, outcome, rule, says):
    save([Run("kernel plain", "6.1", ["mon"], {"900": outcome})], tmp_path / "record.json")
    with pytest.raises(ValueError, match=f"record.json: {says}.*make the record anew"):
        load(tmp_path / "record.json", {rule.number: rule})


def test_a_rule_that_is_newer_than_a_record_and_does_not_apply_there_needs_no_new_record(tmp_path):
    save([Run("kernel plain", "6.1", ["mon"], {"900": PASSED})], tmp_path / "record.json")
    rules = [
        Rule("900", "mount", "the rule"),
        Rule("901", "mount", "of other hardware", needs=("mpam",)),
        Rule("902", "mount", "of other kernels", since="7.3"),
        Rule("903", "mount", "to be tried there"),
    ]
    run = load(tmp_path / "record.json", {rule.number: rule for rule in rules}).runs[0]
    assert run.outcomes == {"900": PASSED, "901": "mpam", "902": "7.3 and later"}


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


MODULE = """
import pytest
rule = pytest.mark.rule
pytestmark = rule(since="6.7", needs="mon")

@rule(until="7.2", needs="cmt mon")
def test_900_some_words(fs):
    '''the rule

    More of it.
    '''

def test_901_other_words(fs):
    '''the other rule'''
"""


def test_a_rule_is_what_its_test_and_the_module_say(tmp_path):
    (tmp_path / "test_tree.py").write_text(MODULE)
    assert rules_of_tests(tmp_path) == {
        "900": Rule("900", "tree", "the rule", since="6.7", until="7.2", needs=("mon", "cmt")),
        "901": Rule("901", "tree", "the other rule", since="6.7", needs=("mon",)),
    }


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("def test_900_again(fs): 'the same number'", "two rules have the number 900"),
        ("def test_words(fs): 'no number'", "test_words: a test here is called test_NNN_WORDS"),
        ("def test_902_words(fs): pass", "test_902_words: a test here is called test_NNN_WORDS and its docstring"),
    ],
)
def test_a_test_that_names_no_rule_of_its_own_is_refused(tmp_path, more, says):
    (tmp_path / "test_info.py").write_text(more)
    (tmp_path / "test_tree.py").write_text(MODULE)
    with pytest.raises(ValueError, match=says):
        rules_of_tests(tmp_path)


def recorded():
    known = Record(rules_of_tests())
    for path in sorted((CONFORMANCE / "recorded").glob("*.json")):
        known.load(path)
    return known


def test_the_documented_table_is_that_of_the_records():
    assert (CONFORMANCE.parents[1] / "docs" / "conformance.md").read_text(encoding="utf-8") == page(recorded())
