# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent's journal gets: each trouble once, and a domain's waiting for an RMID once, whatever its turn."""

from __future__ import annotations

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.news import Report, news
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.outcome import Outcome
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Snapshot

NOTHING = Report([], {}, [], [], Outcome([], Snapshot(), Snapshot()), failed=False)


def test_a_trouble_that_lasts_is_news_once_and_again_when_it_comes_back(tmp_path):
    path = str(tmp_path / "run/said.json")
    trouble = NOTHING._replace(warnings=["a warning"], errors=["an error"], failed=True)
    assert news(trouble, path) == trouble
    assert news(trouble, path) == trouble._replace(warnings=[], errors=[])
    assert news(NOTHING, path) == NOTHING
    assert news(trouble, path) == trouble


def test_that_a_domain_waits_is_news_once_though_its_turn_changes(tmp_path):
    path = str(tmp_path / "said.json")
    assert news(NOTHING._replace(waiting={"vm4": "vm4: the next", "vm5": "vm5: later"}), path).waiting.keys() == {
        "vm4",
        "vm5",
    }
    got_one = NOTHING._replace(done=["vm4: Now counted: vCPU 0, 1"], waiting={"vm5": "vm5: the next"})
    assert news(got_one, path) == got_one._replace(waiting={})


def test_where_nothing_can_be_kept_everything_is_news(tmp_path):
    (tmp_path / "file").write_text("")
    waits = NOTHING._replace(waiting={"vm4": "vm4: the next"})
    for _run in range(2):
        assert news(waits, str(tmp_path / "file/said.json")) == waits


def test_what_cannot_be_understood_is_written_anew(tmp_path):
    (tmp_path / "said.json").write_text('{"said": 1}')
    waits = NOTHING._replace(waiting={"vm4": "vm4: the next"})
    assert [news(waits, str(tmp_path / "said.json")).waiting for _run in range(2)] == [waits.waiting, {}]
