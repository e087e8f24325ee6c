# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of playbooks and roles say when they fail."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[3]
FILES = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml"), *ROOT.glob("roles/*/[th]*/*.yml")]


def tasks_of(content):
    """All tasks in a playbook or in a list of tasks, those of blocks included."""
    for one in content if isinstance(content, list) else []:
        yield one
        for key in ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from tasks_of(one.get(key))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_task_fails_by_an_expression_since_that_would_be_its_message(path):
    tasks = tasks_of(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert [task["name"] for task in tasks if task.get("failed_when", False) is not False] == []


PLAYBOOKS = [path for path in ROOT.glob("playbooks/*.yml") if not path.name.endswith(".meta.yml")]


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_play_over_hosts_runs_in_step_whatever_the_configuration_says(path):
    plays = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {play.get("strategy") for play in plays} == {"ansible.builtin.linear"}


@pytest.mark.parametrize("name", ["__resctrl_results", "__resctrl_failed", "__resctrl_reasons"])
def test_report_and_values_tell_reasons_in_one_way(name):
    report, values = (
        yaml.safe_load((ROOT / f"playbooks/{one}.yml").read_text(encoding="utf-8")) for one in ("report", "values")
    )
    assert report[1]["vars"][name] == values[1]["vars"][name]
