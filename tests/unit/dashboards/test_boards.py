# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards in docs/dashboards: they are those of tests/dashboards/boards.py, keep to Grafana's schema and to the
rules of its dashboard-linter, and these checks notice what is wrong.
"""

from __future__ import annotations

import json
import pathlib

import pytest
from boards import BOARDS, written
from checks import faults, panels, unit_of
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = pathlib.Path(__file__).parents[3]

every_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


def of_the_schema(content):
    """What the models of Grafana's schema know of a dashboard."""
    register_default_plugins()
    return json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))


@every_board
def test_the_file_is_what_the_generator_writes(board):
    assert (ROOT / f"docs/dashboards/{board.name}.json").read_text() == written(board)


@every_board
def test_a_dashboard_says_nothing_that_the_schema_of_grafana_does_not_know(board):
    content = json.loads(written(board))
    assert of_the_schema(content) == content


def test_what_the_schema_does_not_know_would_be_noticed():
    content = json.loads(written(BOARDS[0]))
    panels(content)[0]["descripton"] = panels(content)[0].pop("description")
    assert of_the_schema(content) != content


@every_board
def test_a_dashboard_keeps_to_the_rules_of_the_linter(board):
    assert faults(json.loads(written(board))) == []


@every_board
def test_the_image_has_every_panel(board):
    image = (ROOT / f"docs/dashboards/{board.name}.svg").read_text()
    assert [panel.title for panel in board.panels if f">{panel.title}</text>" not in image] == []
    assert "<script" not in image


@every_board
def test_no_two_panels_have_the_same_title(board):
    titles = [panel.title for panel in board.panels]
    assert len(set(titles)) == len(titles)


def changed_board(content):
    content["editable"] = True


def changed_source(content):
    panels(content)[0]["datasource"]["uid"] = "prometheus"


def changed_title(content):
    panels(content)[0]["title"] = ""


def changed_description(content):
    del panels(content)[0]["description"]


def changed_unit(content):
    panels(content)[4]["fieldConfig"]["defaults"]["unit"] = "bytes"


def changed_legend(content):
    del panels(content)[4]["targets"][0]["legendFormat"]


def changed_interval(content):
    replaced(content, "$__rate_interval", "5m")


def changed_job(content):
    replaced(content, 'job=~"$job", ', "")


def changed_counter(content):
    replaced(content, "rate(", "avg_over_time(")


def changed_variable(content):
    content["templating"]["list"] = [one for one in content["templating"]["list"] if one["name"] != "job"]


def replaced(content, old, new):
    target = panels(content)[4]["targets"][0]
    target["expr"] = target["expr"].replace(old, new)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed_board, "can be edited"),
        (changed_source, "another data source"),
        (changed_title, "no title"),
        (changed_description, "no description"),
        (changed_unit, "the unit is not Bps"),
        (changed_legend, "no legend"),
        (changed_interval, "not over $__rate_interval"),
        (changed_job, "of all jobs"),
        (changed_counter, "is a counter"),
        (changed_variable, "job is no variable"),
    ],
)
def test_a_mistake_that_is_put_in_on_purpose_is_noticed(change, sentence):
    content = json.loads(written(BOARDS[0]))
    change(content)
    assert [fault for fault in faults(content) if sentence in fault]


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        ("sum(a_bytes{})", "bytes"),
        ("sum(rate(a_bytes_total{}[5m]))", "Bps"),
        ("rate(a_joules_total{}[5m])", "watt"),
        ("sum(a_bytes{}) / on (x) group_left () sum(b_bytes{})", "percentunit"),
        ("time() - a_timestamp_seconds{}", "s"),
        ("count(a_info{})", "short"),
        ("(sum(a_bytes{}) / sum(b_bytes{})) / on (x, y) (sum(a{}) / sum(b{}))", "none"),
    ],
)
def test_the_unit_follows_from_the_names_of_the_series(expression, unit):
    assert unit_of(expression) == unit
