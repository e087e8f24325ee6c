# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of a host: which wish a domain falls under, and what is refused, with a sentence."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import Wish, Wishes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish.policy import (
    Policy,
    Rule,
    parse_policy,
    parse_switches,
)

WEB = Domain("web-1", "00000000-0000-4000-8000-00000000000a", True)
DB = Domain("db-1", "00000000-0000-4000-8000-00000000000b", True)


def enabled(policy, domain):
    wish = policy.wish_for(domain)
    return wish and wish.enabled


def test_where_nothing_is_declared_everything_is_left_as_it_is():
    assert Policy().wishes([WEB, DB]) == Wishes({}, ration=True)


def test_a_managers_number_is_as_good_as_a_name():
    policy = Policy(None, (Rule("*", False), Rule("100", True)))
    assert enabled(policy, DB._replace(number="100")) is True
    assert enabled(policy, DB) is False


def test_the_default_is_for_whom_no_rule_is():
    policy = Policy(True, (Rule("db-*", False),))
    assert (enabled(policy, WEB), enabled(policy, DB)) == (True, False)


@pytest.mark.parametrize("name", [DB.name, DB.uuid, DB.uuid.upper(), DB.uuid.replace("-", "")])
def test_a_name_or_uuid_wins_over_patterns_wherever_it_stands(name):
    assert enabled(Policy(None, (Rule("db-*", False), Rule(name, True))), DB) is True


def test_a_rule_for_a_uuid_is_not_for_another_domain_of_that_name():
    policy = Policy(None, (Rule(DB.uuid, True),))
    assert (enabled(policy, DB), enabled(policy, WEB._replace(name=DB.uuid))) == (True, None)
    # One without a UUID of its own has its name only
    assert enabled(policy, WEB._replace(name=DB.uuid, uuid_made=True)) is True


def test_the_first_pattern_wins():
    assert enabled(Policy(None, (Rule("*-1", True), Rule("db-*", False))), DB) is True


def test_unmanaged_domains_are_left_as_they_are():
    assert Policy(True, (Rule("db-*", None),)).wishes([DB]).of == {}


def test_a_switch_wins_over_everything_declared():
    policy = Policy(True, (Rule(DB.name, False, 7),), switches={DB.uuid: True})
    assert policy.wishes([DB]).of == {DB.uuid: Wish(True, priority=7)}


def test_a_policy_rations_and_keeps_its_reserve_and_its_scope():
    wishes = Policy(True, reserve=4, whole_process=True).wishes([DB])
    assert wishes == Wishes({DB.uuid: Wish(True, whole_process=True)}, reserve=4, ration=True)
    assert wishes.whole == {DB.uuid}


# -- the document ------------------------------------------------------------------------------------------------------


def test_an_empty_declaration_declares_nothing():
    assert parse_policy({}) == Policy()


def test_everything_that_can_be_declared():
    declared = {
        "default": "disabled",
        "reserve_rmids": 4,
        "scope": "domain",
        "domains": [{"name": "web-*", "priority": 10}, {"name": "db-*", "state": "unmanaged"}],
    }
    assert parse_policy(declared) == Policy(False, (Rule("web-*", True, 10), Rule("db-*", None, 0)), 4, True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "the policy is not a mapping: []"),
        (
            {"defualt": 1},
            "the policy has unknown keys: defualt (known are default, domains, reserve_rmids, scope, turns)",
        ),
        ({"default": "on"}, "default is 'on': it can be enabled, disabled, unmanaged"),
        ({"default": True}, "default is True: it can be enabled, disabled, unmanaged"),
        ({"scope": "all"}, "scope is 'all': it can be vcpus, domain"),
        ({"scope": ["vcpus"]}, "scope is ['vcpus']: it can be vcpus, domain"),
        ({"reserve_rmids": -1}, "reserve_rmids is -1: it cannot be less than 0"),
        ({"reserve_rmids": "4"}, "reserve_rmids is '4': it has to be a whole number"),
        ({"reserve_rmids": True}, "reserve_rmids is True: it has to be a whole number"),
        ({"reserve_rmids": 1.5}, "reserve_rmids is 1.5: it has to be a whole number"),
        ({"turns": 60}, "turns is not a mapping: 60"),
        ({"turns": {"windw": 1}}, "turns has unknown keys: windw (known are keep, warm_up, window)"),
        ({"turns": {"window": "60"}}, "turns.window is '60': it has to be a whole number"),
        ({"turns": {"keep": -1}}, "turns.keep is -1: it cannot be less than 0"),
        (
            {"turns": {"window": 10}},
            "turns: a window of 10 seconds with a warm_up of 10 leaves nothing to be measured: warm_up has to be less "
            "than window",
        ),
        ({"domains": {"name": "a"}}, "domains is not a list"),
        ({"domains": ["a"]}, "a rule is not a mapping: 'a'"),
        ({"domains": [{}]}, "a rule has no name: {}"),
        ({"domains": [{"name": ""}]}, "a rule has no name: {'name': ''}"),
        ({"domains": [{"name": 7}]}, "the name of a rule is 7, and has to be a text: write it in quotation marks"),
        (
            {"domains": [{"name": "a", "sate": "disabled"}]},
            "a rule has unknown keys: sate (known are bandwidth, name, priority, state)",
        ),
        (
            {"domains": [{"name": "a", "state": "off"}]},
            "state of 'a' is 'off': it can be enabled, disabled, unmanaged",
        ),
        (
            {"domains": [{"name": "a"}, {"name": "b"}, {"name": "a", "state": "disabled"}]},
            "rules 1 and 3 are both for 'a': the first of them holds, so take the other out",
        ),
        (
            {"domains": [{"name": "web-*"}, {"name": "web-*"}]},
            "rules 1 and 2 are both for 'web-*': the first of them holds, so take the other out",
        ),
        (
            {"domains": [{"name": DB.uuid}, {"name": DB.uuid.upper()}]},
            f"rules 1 and 2 are both for '{DB.uuid.upper()}': the first of them holds, so take the other out",
        ),
        (
            {"domains": [{"name": "web-[12"}]},
            "rule 'web-[12' has a [ that is not closed: close it with ], or give the UUID of a domain of that name",
        ),
        (
            {"domains": [{"name": "[!]a"}]},
            "rule '[!]a' has a [ that is not closed: close it with ], or give the UUID of a domain of that name",
        ),
        ({"domains": [{"name": "a", "priority": "high"}]}, "priority of 'a' is 'high': it has to be a whole number"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_sentence(content, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_policy(content)


@pytest.mark.parametrize("name", ["web-[12]", "[]]", "[!]]", "[[]", "a]", "[a][b]"])
def test_a_pattern_of_which_each_bracket_is_closed_is_one(name):
    assert parse_policy({"domains": [{"name": name}]}).rules == (Rule(name, True),)


def test_a_switch_is_of_a_uuid_in_any_spelling():
    assert parse_switches({DB.uuid.upper(): "enabled", WEB.uuid: "disabled"}) == {DB.uuid: True, WEB.uuid: False}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (["a"], "the switches are not a mapping"),
        ({"a": "unmanaged"}, "the switch of a is 'unmanaged': it can be enabled, disabled"),
        ({"a": True}, "the switch of a is True: it can be enabled, disabled"),
    ],
)
def test_what_is_no_table_of_switches_is_refused_with_a_sentence(content, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_switches(content)


KEYS = st.sampled_from(["default", "domains", "reserve_rmids", "scope", "name", "state", "priority"]) | st.text()
WORDS = st.sampled_from(["enabled", "disabled", "unmanaged", "vcpus", "domain"]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(JSON)
def test_any_json_is_a_policy_or_refused(content):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_policy(content), Policy)
    with contextlib.suppress(ValueError):
        assert all(isinstance(on, bool) for on in parse_switches(content).values())


@pytest.mark.parametrize(
    ("content", "turns"),
    [
        ({}, None),
        ({"turns": None}, None),
        ({"turns": {}}, (60, 10, 0)),
        ({"turns": {"window": 90, "keep": 4}}, (90, 10, 4)),
    ],
)
def test_turns_are_off_unless_declared_and_what_is_not_said_of_them_is_the_default(content, turns):
    assert parse_policy(content).turns == turns
