# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of a host: which wish a domain falls under, and files that are damaged or written by two."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domains import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.planning import Wish
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.policy import Policy, Rule, load
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.switches import switch

WEB = Domain("web-1", "00000000-0000-4000-8000-000000000001", True)
DB = Domain("db-1", "00000000-0000-4000-8000-000000000002", True)


def enabled(policy, domain):
    wish = policy.wishes([domain])[0].get(domain.uuid)
    return wish and wish.enabled


def test_where_nothing_is_declared_everything_is_left_as_it_is(tmp_path):
    assert load(str(tmp_path)) == Policy()
    assert load(str(tmp_path / "missing")).wishes([WEB, DB]) == ({}, {})


def test_the_default_is_for_whom_no_rule_speaks_of():
    policy = Policy(True, (Rule("db-*", False),))
    assert (enabled(policy, WEB), enabled(policy, DB)) == (True, False)


@pytest.mark.parametrize("name", [DB.name, DB.uuid])
def test_a_name_or_uuid_wins_over_patterns_wherever_it_stands(name):
    assert enabled(Policy(None, (Rule("db-*", False), Rule(name, True))), DB) is True


def test_the_first_pattern_wins():
    assert enabled(Policy(None, (Rule("*-1", True), Rule("db-*", False))), DB) is True


def test_unmanaged_domains_are_left_as_they_are():
    assert Policy(True, (Rule("db-*", None),)).wishes([DB]) == ({}, {})


def test_a_switch_wins_over_everything_declared():
    policy = Policy(True, (Rule(DB.name, False, 7),), switches={DB.uuid: True})
    assert policy.wishes([DB]) == ({DB.uuid: Wish(True)}, {DB.uuid: 7})


def test_a_declaration_is_read_from_its_file(tmp_path):
    declared = {
        "default": "disabled",
        "reserve_rmids": 4,
        "scope": "domain",
        "domains": [{"name": "web-*", "priority": 10}, {"name": "db-*", "state": "unmanaged"}],
    }
    (tmp_path / "policy.json").write_text(json.dumps(declared))
    switch({DB.uuid: False}, str(tmp_path))
    rules = (Rule("web-*", True, 10), Rule("db-*", None, 0))
    assert load(str(tmp_path)) == Policy(False, rules, 4, True, {DB.uuid: False})


@pytest.mark.parametrize("file", ["policy.json", "switches.json"])
@pytest.mark.parametrize(
    "content", ["", "{", "[]x", '["a"]', '{"default": "on"}', '{"domains": [{}]}', '{"defualt": 1}']
)
def test_a_damaged_file_is_reported_with_its_path(tmp_path, file, content):
    (tmp_path / file).write_text(content)
    with pytest.raises(errors.PolicyDamaged, match=rf"Cannot understand .*{file}.*Nothing was changed"):
        load(str(tmp_path))


def test_a_damaged_table_is_not_overwritten(tmp_path):
    (tmp_path / "switches.json").write_text("{")
    with pytest.raises(errors.PolicyDamaged):
        switch({WEB.uuid: True}, str(tmp_path))
    assert (tmp_path / "switches.json").read_text() == "{"


def test_a_switch_says_whether_it_changed_anything(tmp_path):
    directory = str(tmp_path / "new")
    assert switch({WEB.uuid: True}, directory, check=True) is True
    assert switch({WEB.uuid: True}, directory) is True
    assert switch({WEB.uuid: True}, directory, check=True) is False
    assert switch({WEB.uuid: True}, directory) is False
    assert switch({WEB.uuid: False}, directory) is True


def test_the_table_is_roots_alone_and_nothing_is_left_beside_it(tmp_path):
    switch({WEB.uuid: True}, str(tmp_path))
    assert os.stat(str(tmp_path / "switches.json")).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(str(tmp_path))) == [".lock", "switches.json"]


def _switch_many(directory, numbers):
    for number in numbers:
        switch({f"00000000-0000-4000-8000-{number:012d}": True}, directory)


def test_two_writers_never_lose_each_others_change(tmp_path):
    context = multiprocessing.get_context("fork")
    halves = [range(half * 20, half * 20 + 20) for half in range(4)]
    writers = [context.Process(target=_switch_many, args=(str(tmp_path), half)) for half in halves]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert len(load(str(tmp_path)).switches) == 80


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_is_a_policy_or_damaged(tmp_path_factory, content):
    directory = tmp_path_factory.mktemp("policy")
    (directory / "policy.json").write_text(json.dumps(content))
    with contextlib.suppress(errors.PolicyDamaged):
        assert isinstance(load(str(directory)), Policy)
