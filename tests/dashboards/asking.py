# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the queries of the dashboards on a real Prometheus that has the hour of example.py."""

from __future__ import annotations

import typing as t

import example
from boards import HOST, VM
from checks import runnable
from readers import Prometheus

if t.TYPE_CHECKING:
    import pathlib

    from checks import Answers, Json

# What somebody has chosen who looks at a dashboard
CHOICES = {HOST.name: {"instance": "kvm1"}, VM.name: {"domain": "web-1"}}
STEP = 60
POINTS = example.SPAN // STEP + 1


def with_the_hour(directory: pathlib.Path) -> Prometheus:
    """A Prometheus that has the hour; to be started."""
    # A series ends with its last value, as it does where Prometheus sees it vanish. Values that were laid down do not
    # say that they were the last.
    prometheus = Prometheus(directory, {}, lookback="10s")
    prometheus.backfill(example.exposition())
    return prometheus


def ask(prometheus: Prometheus, board: str, target: Json) -> Answers:
    """The answers to a query over the hour, or at its end."""
    expression = runnable(target["expr"], **CHOICES.get(board, {}))
    if target.get("instant"):
        return [(labels, [value]) for labels, value in prometheus.query(expression, time=str(example.END))]
    return prometheus.query_range(expression, example.END - example.SPAN, example.END, STEP)
