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


# How things stand that are not done yet: when the policy is enforced, or when all that enforces it is removed
PLANS = ("policy", "removal")


def condition_of(domain: t.Mapping[str, t.Any], planned: str | None = None) -> str:
    """How a domain stands, by what a module returned for it; one of _CONDITIONS, or "unknown".

    With `planned` (one of PLANS), how it will stand.
    """
    if domain.get("failed") and domain["status"] is None:
        # libvirt knows no such domain: it is none that fails to be monitored
        return "unknown"
    if not domain["active"]:
        return "off"
    if domain.get("starting"):
        return "starting"
    return _of_running(domain, domain.get("declared") or {}, planned)


def _of_running(domain: t.Mapping[str, t.Any], declared: t.Mapping[str, t.Any], planned: str | None) -> str:
    if domain["forced_by"]:
        return "forced"
    if planned == "removal" or (planned and domain["enabled"] and _wanted(declared) == "disabled"):
        return "disabled"
    if domain["enabled"] or (planned and declared.get("condition") == "pending"):
        return "enabled"
    return _why_not(domain, declared)


def _why_not(domain: t.Mapping[str, t.Any], declared: t.Mapping[str, t.Any]) -> str:
    condition = declared.get("condition")
    # What is pending waits for nothing but the next run of the agent
    if condition in ("waiting", "pending") or domain.get("code") == "rmids_exhausted":
        return "waiting"
    if condition == "failing" or domain.get("failed"):
        return "failing"
    return "disabled"


def _wanted(declared: t.Mapping[str, t.Any]) -> str | None:
    """What holds for a domain: its switch, or else what the policy declares."""
    return declared.get("switch") or declared.get("state")


def summary_of(
    results: t.Mapping[str, t.Mapping[str, t.Any]], name_domains: bool = False, planned: str | None = None
) -> list[str]:
    """The lines of a table with a line for each host, and below it what there is to say about hosts that did not fail.

    `results`: host -> what a module returned there. One that has a `msg`, or nothing, has failed and says so itself.
    With `name_domains` there is a line for each domain below that of its host. For `planned` see condition_of().
    Raises ValueError for another one.
    """
    if planned not in (None, *PLANS):
        raise ValueError(f"planned is {planned!r}: give {' or '.join(PLANS)}, or leave it out")
    # A query has a `host`, and changes nothing
    changes = any("domains" in one and "host" not in one for one in results.values())
    titles = ["host", "state", *_CONDITIONS, *(["changed"] if changes else []), "RMIDs free"]
    rows: list[list[str]] = []
    notes: list[str] = []
    for host, result in sorted(results.items()):
        # Not by name: of two managers on a host each may have a domain of one name
        conditions = [(one["name"], condition_of(one, planned)) for one in result.get("domains", [])]
        rows.append(_row(host, result, [condition for _name, condition in conditions], changes))
        if name_domains:
            rows += [[f"  {name}", condition, *([""] * (len(titles) - 2))] for name, condition in conditions]
        if "msg" not in result:
            notes += [f"{host}: {_one_line(note)}" for note in _notes(result, planned)]
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


def _notes(result: t.Mapping[str, t.Any], planned: str | None) -> list[str]:
    """What there is to say about a host: problems and warnings, and which domains are not as declared, and why."""
    problems = list(result.get("host", {}).get("problems", []))
    told = [one for one in result.get("warnings", []) if one not in problems]
    domains = [] if planned == "removal" else result.get("domains", [])
    return [*problems, *told, *(note for one in domains for note in _of_domain(one, problems, planned))]


def _of_domain(domain: t.Mapping[str, t.Any], problems: t.Container[str], planned: str | None) -> list[str]:
    declared = domain.get("declared") or {}
    found = []
    if declared.get("condition") == "pending" and not planned:
        found.append(f"{domain['name']} is not monitored yet: the next run of the host's agent will monitor it")
    if declared.get("why") and declared["why"] not in problems:
        found.append(f"{domain['name']} is {declared['condition']}: {declared['why']}")
    # Where nothing is declared for a domain, its switch wins over nothing, and it does not over libvirt.
    if (
        not domain["forced_by"]
        and declared.get("switch")
        and declared["state"] != "unmanaged"
        and declared["switch"] != declared["state"]
    ):
        found.append(
            f"{domain['name']} is declared {declared['state']}, but was persistently {declared['switch']}, which wins"
        )
    return found


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
