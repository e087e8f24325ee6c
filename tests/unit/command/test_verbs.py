# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verbs say beside what the library tells."""

from __future__ import annotations

import argparse

import pytest
from command import place, verbs
from resctrl.act import switch as switching
from resctrl.decide.outcome import Outcome, Result
from resctrl.decide.snapshot import Snapshot
from resctrl.decide.status import DomainStatus
from resctrl.errors import AllocationOnly, DomainNotRunning, NotMounted, PolicyDamaged
from resctrl.vms.domain import Domain
from resctrl.wish.policy import Policy, Rule

VM1 = Domain("vm1", "00000000-0000-4000-8000-000000000001", True)
RESULT = Result("vm1", DomainStatus(VM1))


@pytest.mark.parametrize(
    ("asked", "results", "named"),
    [
        (None, [RESULT], True),
        ("vm1", [RESULT], False),
        (VM1.uuid, [RESULT], False),
        ("vm*", [RESULT], True),
        ("100", [RESULT, RESULT], True),
        ("vm[1]", [Result("vm[1]", DomainStatus(VM1._replace(name="vm[1]")))], False),
    ],
)
def test_a_status_has_the_name_of_its_domain_unless_that_alone_was_asked_for(asked, results, named):
    assert verbs._are_named(results, asked) == named


def test_one_that_is_shut_off_is_named_with_what_to_do(monkeypatch, capsys):
    off = DomainNotRunning("Requested operation is not valid: domain is not running")
    outcome = Outcome([RESULT._replace(error=off)], Snapshot(), Snapshot())
    monkeypatch.setattr(switching, "switch", lambda *_names, **_options: switching.Switched(outcome, {}, []))
    monkeypatch.setattr(verbs, "host_of", lambda _options: None)
    assert verbs.disable(argparse.Namespace(domain="vm1", persistent=False)) == 1
    assert capsys.readouterr().err == (
        "error: Domain 'vm1': Requested operation is not valid: domain is not running. Start it first, or use "
        "--persistent, which holds whenever it runs\n"
    )


def test_where_resctrl_is_only_not_mounted_there_are_no_values_and_that_is_a_failure(monkeypatch):
    monkeypatch.setattr(place, "missing_monitoring", lambda _resctrl: NotMounted("resctrl is not mounted"))
    with pytest.raises(NotMounted):
        place.check_counting(None)


@pytest.mark.parametrize(("missing", "said"), [(None, []), (AllocationOnly("No monitoring"), ["No monitoring"])])
def test_where_nothing_can_be_done_about_it_it_is_only_said(monkeypatch, missing, said):
    monkeypatch.setattr(place, "missing_monitoring", lambda _resctrl: missing)
    assert place.check_counting(None) == said


@pytest.mark.parametrize(
    ("policy", "enforced", "warned"),
    [
        (Policy(True), True, True),
        (Policy(None, (Rule("vm*", True),)), True, True),
        (Policy(False, switches={VM1.uuid: True}), True, True),
        (Policy(True), False, False),
        (Policy(False, (Rule("vm*", None),)), True, False),
    ],
)
def test_clear_tells_that_the_policy_will_monitor_again(monkeypatch, policy, enforced, warned):
    monkeypatch.setattr(verbs, "is_enforced", lambda: enforced)
    monkeypatch.setattr(verbs, "load", lambda: policy)
    assert bool(verbs._of_the_policy()) == warned


def test_a_policy_that_cannot_be_understood_monitors_nothing_again(monkeypatch):
    def refuse():
        raise PolicyDamaged("Cannot understand it")

    monkeypatch.setattr(verbs, "is_enforced", lambda: True)
    monkeypatch.setattr(verbs, "load", refuse)
    assert verbs._of_the_policy() == []
