# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The most that a socket was seen to move, which stands for a ceiling that nobody configured."""

from __future__ import annotations

import json
import multiprocessing

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.ceilings import ceilings
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.situation import Ceiling
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish import store


@pytest.fixture(name="path")
def path_fixture(tmp_path):
    return tmp_path / "run/highest.json"


def seen(moved, path, configured=None, keep=True):
    return ceilings({"package 0": moved}, configured, str(path), keep)


def test_what_is_seen_for_the_first_time_is_no_ceiling_for_itself(path):
    assert seen(5.0, path) == {}
    assert seen(3.0, path) == {"package 0": Ceiling(5.0, "observed")}


def test_the_highest_sum_stays(path):
    for moved in (5.0, 9.0, 3.0):
        seen(moved, path)
    assert json.loads(path.read_text()) == {"bytes_per_second": {"package 0": 9.0}}


def test_a_configured_ceiling_wins_and_nothing_is_noted(path):
    assert seen(5.0, path, configured=7.0) == {"package 0": Ceiling(7.0, "configured")}
    assert not path.exists()


def test_nothing_is_noted_where_it_is_not_to_be_kept(path):
    seen(5.0, path, keep=False)
    assert not path.exists()


def test_another_socket_is_not_forgotten(path):
    ceilings({"package 1": 4.0}, None, str(path), keep=True)
    seen(5.0, path)
    assert json.loads(path.read_text())["bytes_per_second"] == {"package 0": 5.0, "package 1": 4.0}


def _see_many(path, socket):
    for moved in range(100):
        ceilings({f"package {socket}": float(moved)}, None, str(path), keep=True)


def test_runs_at_once_do_not_forget_what_the_other_has_seen(path):
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=_see_many, args=(path, socket)) for socket in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    assert json.loads(path.read_text())["bytes_per_second"] == {"package 0": 99.0, "package 1": 99.0}


def test_while_another_run_holds_the_lock_nothing_is_noted_and_nothing_fails(path, monkeypatch):
    seen(5.0, path)
    monkeypatch.setattr(store, "_PATIENCE", 0.0)
    with store.locked(str(path.parent)):
        assert seen(9.0, path) == {"package 0": Ceiling(5.0, "observed")}
    assert seen(3.0, path) == {"package 0": Ceiling(5.0, "observed")}


@pytest.mark.parametrize("text", ["", "[]", '{"bytes_per_second": [1]}', '{"bytes_per_second": {"package 0": null}}'])
def test_a_file_that_cannot_be_understood_is_written_anew(path, text):
    path.parent.mkdir()
    path.write_text(text)
    assert seen(5.0, path) == {}
    assert json.loads(path.read_text()) == {"bytes_per_second": {"package 0": 5.0}}


def test_where_nothing_can_be_kept_nothing_fails(path):
    path.parent.write_text("no directory")
    assert seen(5.0, path) == {}


def test_where_nothing_ever_moved_that_is_no_ceiling(path):
    seen(0.0, path)
    assert seen(0.0, path) == {}
    assert seen(5.0, path) == {}
    assert seen(5.0, path) == {"package 0": Ceiling(5.0, "observed")}
