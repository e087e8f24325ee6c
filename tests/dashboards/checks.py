# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dashboard has to keep to, as sentences about what it does not: the rules of Grafana's dashboard-linter, and
what can be told from the answers of a Prometheus.
"""

from __future__ import annotations

import math
import re
import typing as t

Json = dict[str, t.Any]
Answers = t.Sequence[tuple[dict[str, str], t.Sequence[float]]]

# What the variables stand for when a query is run
CHOSEN = {"job": "node", "instance": ".+", "domain": ".+", "__rate_interval": "1m"}
# The parts of a dashboard that Grafana replaces
_VARIABLE = re.compile(r"\$(\w+)")
_BINARY = re.compile(r"\) / (?:on \([^)]*\) )?(?:group_left \(\) )?\(*")


def panels(board: Json) -> list[Json]:
    """The panels of a dashboard."""
    return t.cast("list[Json]", board["panels"])


def expressions(panel: Json) -> list[str]:
    """The expressions of a panel."""
    return [target["expr"] for target in panel["targets"]]


def runnable(expression: str, **chosen: str) -> str:
    """An expression as Grafana sends it to Prometheus."""
    return _VARIABLE.sub(lambda found: {**CHOSEN, **chosen}[found[1]], expression)


# -- what the file alone tells -----------------------------------------------------------------------------------------


def faults(board: Json) -> list[str]:
    """What is wrong with a dashboard, by the rules of dashboard-linter."""
    return [*_of_board(board), *(f"{panel['title']}: {fault}" for panel in panels(board) for fault in _of_panel(panel))]


def _of_board(board: Json) -> t.Iterator[str]:
    variables = {one["name"]: one for one in board["templating"]["list"]}
    source = variables.pop("datasource", {})
    if (source.get("type"), source.get("query"), source.get("label")) != ("datasource", "prometheus", "Data source"):
        yield "the data source is no variable"
    for name in ("job", "instance"):
        if name not in variables:
            yield f"{name} is no variable"
    for name, one in variables.items():
        yield from (f"variable {name} {fault}" for fault in _of_variable(name, one))
    if board.get("editable", True):
        yield "it can be edited, and loses that with the next import"


def _of_variable(name: str, one: Json) -> t.Iterator[str]:
    if one["datasource"]["uid"] != "$datasource":
        yield "is of another data source"
    if not re.fullmatch(rf"label_values\(\w+(\{{.*\}})?, {name}\)", one["query"]):
        yield "has not the values of its label"
    if one.get("multi") and one.get("allValue") != ".+":
        yield "matches what has no such label"
    if one["refresh"] != 2:
        yield "does not follow the time range"
    if one["label"] != name.capitalize():
        yield "has no label"


def _of_panel(panel: Json) -> t.Iterator[str]:
    if not panel["title"] or not panel.get("description"):
        yield "there is no title, or no description"
    if panel["datasource"]["uid"] != "$datasource":
        yield "it is of another data source"
    units = {unit_of(expression) for expression in expressions(panel)}
    if {panel["fieldConfig"]["defaults"].get("unit")} != units:
        yield f"the unit is not {' or '.join(sorted(units))}"
    if any("legendFormat" not in target for target in panel["targets"]) or not panel["targets"]:
        yield "a query has no legend"
    for expression in expressions(panel):
        yield from _of_expression(expression)


def _of_expression(expression: str) -> t.Iterator[str]:
    for selector in re.findall(r"\w+\{([^}]*)\}", expression):
        if not selector.startswith('job=~"$job", instance=~"$instance"'):
            yield f"{{{selector}}} is of all jobs and instances"
    if set(re.findall(r"\[([^]]*)\]", expression)) - {"$__rate_interval"}:
        yield "a rate is not over $__rate_interval"
    for before, counter in re.findall(r"(\w+\(|)(\w+_total)\{", expression):
        if before not in ("rate(", "increase("):
            yield f"{counter} is a counter, of which only the growth tells something"


def unit_of(expression: str) -> str:
    """The unit that an expression has in Grafana's words, by the names of its series."""
    parts = _BINARY.split(expression)
    kinds = [_kind(part) for part in parts]
    if len(parts) == 1:
        return kinds[0]
    if len(parts) == 2 and kinds[0] == kinds[1]:
        return "percentunit"
    # A quotient of shares
    return "none"


def _kind(part: str) -> str:
    grows = "rate(" in part
    for base, still, growing in (("bytes", "bytes", "Bps"), ("joules", "joule", "watt"), ("seconds", "s", "none")):
        if f"_{base}" in part:
            return growing if grows else still
    return "none" if "_info{" in part and "count(" not in part else "short"


# -- what Prometheus tells ---------------------------------------------------------------------------------------------


def answered(target: Json, answers: Answers) -> t.Iterator[str]:
    """What is wrong with a query, by its answers."""
    if all(math.isnan(value) for _labels, values in answers for value in values):
        yield "there are no values"
    for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
        if any(label not in labels for labels, _values in answers):
            yield f"there is no label {label}"
    legends = [legend(target, labels) for labels, _values in answers]
    if len(set(legends)) < len(legends):
        yield "two series have the same legend"


def legend(target: Json, labels: t.Mapping[str, str]) -> str:
    """The legend of a series."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"])
