# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a host's policy: damaged ones, and ones that are written by two."""

from __future__ import annotations

import json
import multiprocessing
import os

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish import store
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish.files import load, switch
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish.policy import Policy, Rule

WEB = "00000000-0000-4000-8000-000000000001"
DB = "00000000-0000-4000-8000-000000000002"


def test_where_nothing_was_ever_declared_there_is_no_policy(tmp_path):
    assert load(str(tmp_path)) == Policy()
    assert load(str(tmp_path / "missing")) == Policy()


def test_a_declaration_and_the_switches_are_read_from_their_files(tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps({"default": "enabled", "domains": [{"name": "web-*"}]}))
    switch({DB: False}, str(tmp_path))
    assert load(str(tmp_path)) == Policy(True, (Rule("web-*", True),), switches={DB: False})


@pytest.mark.parametrize("file", ["policy.json", "switches.json"])
@pytest.mark.parametrize("content", ["", "{", "[]x", '["a"]', '{"default": "on"}', "\udcff"])
def test_a_damaged_file_is_reported_with_its_path(tmp_path, file, content):
    (tmp_path / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(errors.PolicyDamaged, match=rf"Cannot understand .*{file}.*Nothing was changed"):
        load(str(tmp_path))


def test_a_damaged_table_is_not_overwritten(tmp_path):
    (tmp_path / "switches.json").write_text("{")
    with pytest.raises(errors.PolicyDamaged):
        switch({WEB: True}, str(tmp_path))
    assert (tmp_path / "switches.json").read_text() == "{"


def test_a_switch_says_what_was_noted_before_it_changed_that(tmp_path):
    directory = str(tmp_path / "new")
    assert switch({WEB: True}, directory, check=True) == {WEB: None}
    assert switch({WEB: True}, directory) == {WEB: None}
    assert switch({WEB: True}, directory, check=True) == {}
    assert switch({WEB: True}, directory) == {}
    assert switch({WEB: False, DB: False}, directory) == {WEB: True, DB: None}


def test_to_switch_nothing_leaves_nothing(tmp_path):
    assert switch({}, str(tmp_path / "new")) == {}
    assert not (tmp_path / "new").exists()


def test_the_table_is_roots_alone_and_nothing_is_left_beside_it(tmp_path):
    switch({WEB: True}, str(tmp_path))
    assert os.stat(str(tmp_path / "switches.json")).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(str(tmp_path))) == [".lock", "switches.json"]


def test_where_nothing_can_be_written_the_switch_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Refused, match="Cannot note the switch"):
        switch({WEB: True}, str(tmp_path / "file"))


def test_a_lock_that_is_held_for_too_long_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_PATIENCE", 0.05)
    with store.locked(str(tmp_path)), pytest.raises(errors.LockTimeout, match=r"held the lock .*\.lock"):
        switch({WEB: True}, str(tmp_path))


def _switch_many(directory, numbers):
    for number in numbers:
        switch({f"00000000-0000-4000-8000-{number:012d}": True}, directory)


def test_two_writers_never_lose_each_others_change(tmp_path):
    context = multiprocessing.get_context("fork")
    parts = [range(part * 20, part * 20 + 20) for part in range(2)]
    writers = [context.Process(target=_switch_many, args=(str(tmp_path), part)) for part in parts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(load(str(tmp_path)).switches) == 40
