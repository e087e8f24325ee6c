# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a playbook on each host of a fleet, as a table. Pure."""

from __future__ import annotations

import re
import typing as t

from .columns import lines_of

# What the domains of a host are counted by, in the order of the columns
_CONDITIONS = ("enabled", "forced", "waiting", "failing", "starting", "disabled", "off")


def condition_of(domain: t.Mapping[str, t.Any]) -> str:
    """How a domain stands, by what a module returned for it; one of _CONDITIONS."""
    if domain["enabled"]:
        return "forced" if domain["forced_by"] else "enabled"
    if not domain["active"]:
        return "off"
    if domain.get("starting"):
        return "starting"
    declared = (domain.get("declared") or {}).get("condition")
    if declared == "waiting" or domain.get("code") == "rmids_exhausted":
        return "waiting"
    if declared == "failing" or domain.get("failed"):
        return "failing"
    return "disabled"


def summary_of(results: t.Mapping[str, t.Mapping[str, t.Any]], name_domains: bool = False) -> list[str]:
    """The lines of a table with a line for each host, and below it what there is to say about hosts that did not fail.

    `results`: host -> what a module returned there. One that has a `msg` has failed, and says so itself.
    With `name_domains` there is a line for each domain below that of its host.
    """
    changes = any("changed" in one and "host" not in one for one in results.values())
    titles = ["host", "state", *_CONDITIONS, *(["changed"] if changes else []), "RMIDs free"]
    rows: list[list[str]] = []
    notes: list[str] = []
    for host, result in sorted(results.items()):
        rows.append(_row(host, result, changes))
        if name_domains:
            rows += [_row_of_domain(one, len(titles)) for one in result.get("domains", [])]
        if "msg" not in result:
            notes += [f"{host}: {_one_line(note)}" for note in _notes(result)]
    return lines_of(titles, rows, {"host", "state"}) + notes


def _row(host: str, result: t.Mapping[str, t.Any], changes: bool) -> list[str]:
    state = "unreachable" if result.get("unreachable") else "failed" if "msg" in result else "ok"
    domains = result.get("domains")
    conditions = [condition_of(one) for one in domains or []]
    counts = [str(conditions.count(one)) if domains is not None else "-" for one in _CONDITIONS]
    changed = ["-" if domains is None else "yes" if result.get("changed") else "no"]
    rmids = result.get("rmids") or result.get("host", {}).get("rmids") or {}
    free = f"{rmids['free']} of {rmids['total']}" if rmids.get("total") else "-"
    return [host, state, *counts, *(changed if changes else []), free]


def _row_of_domain(domain: t.Mapping[str, t.Any], columns: int) -> list[str]:
    return [f"  {domain['name']}", condition_of(domain), *([""] * (columns - 2))]


def _notes(result: t.Mapping[str, t.Any]) -> list[str]:
    """What there is to say about a host: problems and warnings, and which domains are not as declared, and why."""
    problems = list(result.get("host", {}).get("problems", []))
    told = [one for one in result.get("warnings", []) if one not in problems]
    waiting = []
    for domain in result.get("domains", []):
        declared = domain.get("declared") or {}
        if declared.get("why"):
            waiting.append(f"{domain['name']} is {declared['condition']}: {declared['why']}")
        elif declared.get("switch") and declared["switch"] != declared["state"]:
            waiting.append(
                f"{domain['name']} is declared {declared['state']}, and was switched {declared['switch']} persistently"
            )
    return [*problems, *told, *waiting]


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
