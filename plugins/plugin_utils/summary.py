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


def condition_of(domain: t.Mapping[str, t.Any], planned: bool = False) -> str:
    """How a domain stands, by what a module returned for it; one of _CONDITIONS.

    With `planned`, how it will stand when what is declared is enforced.
    """
    if domain.get("failed") and domain["status"] is None:
        # libvirt knows no such domain
        return "failing"
    if not domain["active"]:
        return "off"
    if domain.get("starting"):
        return "starting"
    declared = domain.get("declared") or {}
    if domain["enabled"]:
        ends = planned and _wanted(declared) == "disabled" and not domain["forced_by"]
        return "disabled" if ends else "forced" if domain["forced_by"] else "enabled"
    if planned and declared.get("condition") == "pending":
        return "enabled"
    return _why_not(domain, declared)


def _why_not(domain: t.Mapping[str, t.Any], declared: t.Mapping[str, t.Any]) -> str:
    condition = declared.get("condition")
    if condition == "waiting" or domain.get("code") == "rmids_exhausted":
        return "waiting"
    if condition == "failing" or domain.get("failed"):
        return "failing"
    return "disabled"


def _wanted(declared: t.Mapping[str, t.Any]) -> str | None:
    """What holds for a domain: its switch, or else what the policy declares."""
    return declared.get("switch") or declared.get("state")


def summary_of(
    results: t.Mapping[str, t.Mapping[str, t.Any]], name_domains: bool = False, planned: bool = False
) -> list[str]:
    """The lines of a table with a line for each host, and below it what there is to say about hosts that did not fail.

    `results`: host -> what a module returned there. One that has a `msg`, or nothing, has failed and says so itself.
    With `name_domains` there is a line for each domain below that of its host. For `planned` see condition_of().
    """
    # A query has a `host`, and changes nothing
    changes = any("domains" in one and "host" not in one for one in results.values())
    titles = ["host", "state", *_CONDITIONS, *(["changed"] if changes else []), "RMIDs free"]
    rows: list[list[str]] = []
    notes: list[str] = []
    for host, result in sorted(results.items()):
        conditions = {one["name"]: condition_of(one, planned) for one in result.get("domains", [])}
        rows.append(_row(host, result, list(conditions.values()), changes))
        if name_domains:
            rows += [[f"  {name}", condition, *([""] * (len(titles) - 2))] for name, condition in conditions.items()]
        if "msg" not in result:
            notes += [f"{host}: {_one_line(note)}" for note in _notes(result)]
    return lines_of(titles, rows, {"host", "state"}) + notes


def _row(host: str, result: t.Mapping[str, t.Any], conditions: t.Sequence[str], changes: bool) -> list[str]:
    known = "domains" in result
    answered = (known or "host" in result) and "msg" not in result
    state = "unreachable" if result.get("unreachable") else "ok" if answered else "failed"
    counts = [str(conditions.count(one)) if known else "-" for one in _CONDITIONS]
    changed = ["-" if not known else "yes" if result.get("changed") else "no"]
    rmids = result.get("rmids") or result.get("host", {}).get("rmids") or {}
    free = f"{rmids['free']} of {rmids['total']}" if rmids.get("total") else "-"
    return [host, state, *counts, *(changed if changes else []), free]


def _notes(result: t.Mapping[str, t.Any]) -> list[str]:
    """What there is to say about a host: problems and warnings, and which domains are not as declared, and why."""
    problems = list(result.get("host", {}).get("problems", []))
    told = [one for one in result.get("warnings", []) if one not in problems]
    return [*problems, *told, *(note for one in result.get("domains", []) for note in _of_domain(one, problems))]


def _of_domain(domain: t.Mapping[str, t.Any], problems: t.Container[str]) -> list[str]:
    declared = domain.get("declared") or {}
    found = []
    if declared.get("why") and declared["why"] not in problems:
        found.append(f"{domain['name']} is {declared['condition']}: {declared['why']}")
    if declared.get("switch") and declared["switch"] != declared["state"]:
        found.append(
            f"{domain['name']} is declared {declared['state']}, but was switched {declared['switch']} persistently, "
            "which wins"
        )
    return found


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
