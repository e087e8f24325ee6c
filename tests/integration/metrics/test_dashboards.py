# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every query of the dashboards, answered by a real Prometheus that has an hour of a made-up fleet."""

from __future__ import annotations

import json
import math
import re

import example
import pytest
from asking import ask, with_the_hour
from boards import BOARDS, VM, written
from checks import answered, panels

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell import metrics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.exposition import Family

PANELS = [
    pytest.param(board.name, panel, id=f"{board.name}: {panel['title']}")
    for board in BOARDS
    for panel in panels(json.loads(written(board)))
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A Prometheus that has the hour."""
    with with_the_hour(tmp_path_factory.mktemp("prometheus")) as prometheus:
        yield prometheus


def faults_of(prometheus, name, panel):
    return [fault for target in panel["targets"] for fault in answered(target, ask(prometheus, name, target))]


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_every_query_has_values_and_every_series_a_legend_of_its_own(prometheus, name, panel):
    assert faults_of(prometheus, name, panel) == []


def test_a_share_is_never_negative_nor_above_one_and_a_rate_is_plausible(prometheus):
    limits = {"percentunit": 1, "Bps": 40e9, "watt": 100, "s": 3600, "bytes": 2 * example.CACHE}
    for name, panel in (one.values for one in PANELS):
        limit = limits.get(panel["fieldConfig"]["defaults"]["unit"], 1000)
        for target in panel["targets"]:
            for labels, values in ask(prometheus, name, target):
                known = [value for value in values if not math.isnan(value)]
                assert all(0 <= value <= limit for value in known), (name, panel["title"], labels)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("by (instance)", "by (domain)", "there is no label instance"),
        ("_bytes_total", "_byte_total", "there are no values"),
        ('scope="total"', 'scope="all"', "there are no values"),
    ],
)
def test_a_mistake_that_is_put_in_on_purpose_is_noticed(prometheus, old, new, fault):
    name, panel = next(one.values for one in PANELS if one.values[1]["title"] == "Memory traffic of hosts")
    (target,) = panel["targets"]
    broken = {**panel, "targets": [{**target, "expr": target["expr"].replace(old, new)}]}
    assert fault in faults_of(prometheus, name, broken)


def test_what_migrates_is_seen_on_both_hosts_one_after_the_other(prometheus):
    panel = next(one.values[1] for one in PANELS if one.values[1]["title"] == "Status")
    (target,) = panel["targets"]
    answers = ask(prometheus, VM.name, target)
    seen = {labels["instance"]: [not math.isnan(value) for value in values] for labels, values in answers}
    assert seen == {"kvm1": [True] * 30 + [False] * 31, "kvm2": [False] * 30 + [True] * 31}


def test_the_made_up_fleet_has_no_series_that_the_command_has_not():
    told = {value.name for value in vars(metrics).values() if isinstance(value, Family)}
    told |= {f"libvirt_domain_{name}_total" for name, _words in metrics._TELEMETRY.values()}
    told |= {f"libvirt_domain_{name}_total" for name in ("stalls_llc_miss", "unhalted_core_cycles")}
    made_up = set(re.findall(r"^(\w+)\{", example.exposition(), flags=re.MULTILINE))
    assert made_up - told == set()
