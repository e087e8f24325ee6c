# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in which earlier looks are kept."""

from __future__ import annotations

import stat

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act import histories
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.histories import note, read
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.history import History, Look
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish import store

SEEN = {
    "uuid": History(
        "7 group",
        (
            Look(1.5, {"package 0": 2.0}, {"cache 0": 3.0, "cache 1": 0.0}, False, frozenset({"streams 0 0"})),
            Look(301.5, {}, {}, True),
        ),
    ),
    "new": History("8 group"),
}


@pytest.fixture(name="path")
def path_fixture(tmp_path):
    return tmp_path / "run/usage.json"


def test_what_was_noted_is_read(path):
    assert read(str(path), keep=True) == ({}, [])
    note(str(path), lambda _known: SEEN)
    assert read(str(path), keep=True) == (SEEN, [])


def test_nobody_else_may_read_it_and_nothing_else_is_left(path):
    note(str(path), lambda _known: SEEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {one.name for one in path.parent.iterdir()} == {"usage.json", ".lock"}


def test_what_another_run_has_noted_meanwhile_is_not_lost(path):
    """Each of two that look at the host at once knows nothing of what the other one is about to note."""
    both = [read(str(path), keep=True), read(str(path), keep=True)]
    assert both == [({}, [])] * 2
    for one in SEEN.items():
        note(str(path), lambda known, one=one: {**known, **dict([one])})
    assert read(str(path), keep=True) == (SEEN, [])


DAMAGED = [
    "",
    "{",
    "[]",
    '{"u": {}}',
    '{"u": {"identity": "", "looks": [[1, {}, {}]]}}',
    '{"u": {"identity": "", "looks": [["x", {}, {}, 0, []]]}}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_one_is_set_aside_and_that_is_said(path, text):
    path.parent.mkdir()
    path.write_text(text)
    found, (warning,) = read(str(path), keep=True)
    assert found == {}
    assert warning.startswith(f"Cannot understand {path}: ")
    assert warning.endswith(f"It was set aside as {path}.damaged, and the history of all domains begins anew")
    assert path.with_name("usage.json.damaged").read_text() == text
    assert read(str(path), keep=True) == ({}, [])


def test_what_another_run_has_written_anew_is_not_set_aside(path, monkeypatch):
    path.parent.mkdir()
    path.write_text("[]")
    locked = store.locked

    def after_another_run(directory):
        monkeypatch.setattr(histories, "locked", locked)
        assert read(str(path), keep=True)[1]
        note(str(path), lambda _known: SEEN)
        return locked(directory)

    monkeypatch.setattr(histories, "locked", after_another_run)
    assert read(str(path), keep=True)[0] == {}
    assert read(str(path), keep=True) == (SEEN, [])


def test_in_check_mode_a_damaged_one_stays(path):
    path.parent.mkdir()
    path.write_text("[]")
    _found, (warning,) = read(str(path), keep=False)
    assert warning.endswith("No domain has a history")
    assert path.read_text() == "[]"


def test_where_nothing_can_be_kept_nothing_fails(path):
    path.parent.write_text("no directory")
    note(str(path), lambda _known: SEEN)
    assert not path.parent.is_dir()


def test_while_another_run_holds_the_lock_nothing_is_noted(path, monkeypatch):
    note(str(path), lambda known: known)
    monkeypatch.setattr(store, "_PATIENCE", 0.0)
    with store.locked(str(path.parent)):
        note(str(path), lambda _known: SEEN)
    assert read(str(path), keep=True) == ({}, [])
