# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried in which guests, and when a run of them fails."""

from __future__ import annotations

import pytest
from targets import guests
from targets.record import FAILED, PASSED, Run, save
from targets.rules import Rule


@pytest.fixture(name="outcome")
def outcome_fixture(tmp_path, monkeypatch):
    """Sets what comes of rule 900, which needs `cmt`, in guests. None is started, and it was recorded as passed."""

    def save_run(directory, kernel, hardware, outcome):
        facts = [] if outcome == "cmt" else ["cmt"]
        run = Run(f"kernel {hardware}", kernel, facts, {"900": outcome})
        save([run], directory / guests.file_name(kernel, hardware))

    def come(outcome, problem=""):
        def record(kernel, hardware, directory):
            save_run(directory, kernel, hardware, outcome)
            return problem

        monkeypatch.setattr(guests, "record", record)

    monkeypatch.setattr(guests, "RECORDED", tmp_path)
    monkeypatch.setattr(guests, "rules_of_tests", lambda: {"900": Rule("900", "mount", "the rule", needs=("cmt",))})
    save_run(tmp_path, "6.12", "plain", PASSED)
    return come


CHECK = ["--check", "--kernel", "6.12"]


def test_a_run_that_comes_out_as_recorded_passes_and_writes_nothing(outcome, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    outcome(PASSED)
    assert guests.main(CHECK) == 0
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ((FAILED, "pytest's status is 1"), "pytest's status is 1"),
        ((FAILED,), "rule 900 was 'passed' when recorded and is 'failed'"),
        (("cmt",), "rule 900 was 'passed' when recorded and is 'cmt'"),
    ],
)
def test_any_other_fails(outcome, capsys, result, says):
    outcome(*result)
    assert guests.main(CHECK) == 1
    assert f"rules, kernel 6.12 plain: {says} (" in capsys.readouterr().out


def test_so_does_one_that_was_never_recorded(outcome, capsys):
    outcome(PASSED)
    assert guests.main(["--check", "--kernel", "6.1"]) == 1
    assert "there is no " in capsys.readouterr().out


def test_so_does_one_whose_rule_has_changed_since_it_was_recorded(outcome, monkeypatch, capsys):
    outcome(PASSED)
    monkeypatch.setattr(guests, "rules_of_tests", lambda: {"900": Rule("900", "mount", "the rule", since="7.3")})
    assert guests.main(CHECK) == 1
    assert "rule 900 has changed, and now does not apply to kernel plain" in capsys.readouterr().out


def test_one_guest_that_does_not_start_does_not_keep_the_others_from_being_tried(monkeypatch, capsys):
    def check(kernel, _hardware):
        if kernel == "6.1":
            raise guests.GuestError("The guest does not answer")
        return ""

    monkeypatch.setattr(guests, "check", check)
    monkeypatch.setenv("KVMOPS_KERNELS", "6.1 7.3")
    assert guests.main(["--check"]) == 1
    lines = [line.partition(" (")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["rules, kernel 6.1 plain: The guest does not answer", "rules, kernel 7.3 plain: passed"]


def test_kernels_are_tried_on_the_hardware_that_they_know():
    assert guests.machines(["6.1", "6.12", "7.3"], ["plain", "snc", "amd-abmc"]) == [
        ("6.1", "plain"),
        ("6.12", "plain"),
        ("6.12", "snc"),
        ("7.3", "plain"),
        ("7.3", "snc"),
        ("7.3", "amd-abmc"),
    ]
