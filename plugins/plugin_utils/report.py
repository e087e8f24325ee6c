# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the analyses of a fleet's hosts found, as one page that needs nothing else.

What is drawn is worked out here; playbooks/templates/report.html.j2 says how it looks, and escapes every text.
"""

from __future__ import annotations

import math
import os
import typing as t

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..module_utils.resctrl.tell.table import human
from ..module_utils.resctrl.tell.text import printable
from .shares import share

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TEMPLATES = os.path.join(_ROOT, "playbooks", "templates")

_Fact = t.Mapping[str, t.Any]
_NOTHING = "nothing_stands_out"
_NOT_MEASURED = "not_measured"
# A domain's own trouble is no pressure on others
_OWN = ("throttled", "waits_for_cpu", "memory_pressure")
_LABELS = {
    "throttled": "held back by its own CPU limit",
    "waits_for_cpu": "waits for a CPU",
    "memory_pressure": "lacks memory",
    "streams": "streams",
    "large_working_set": "looks like a large working set",
    "holds_more_than_share": "holds more than its share",
    "moves_more_than_share": "moves more than its share",
    "not_accounted_for": "not accounted for",
    "victim": "probably a victim",
    "holds_more_than_before": "holds more than before",
    "moves_more_than_before": "moves more than before",
}
# The order of suspects: the surer first
_CONFIDENCE = {"high": 0, "medium": 1, "low": 2}
# How many domains of a host have a colour of their own; the template has as many
_COLOURS = 12
_OTHERS = "others"
# What the limits of a fleet's hosts have in common is said once, and the window is in the head of the page
_EVERYWHERE = ("host", "devices", "warm_up")
_WINDOW = "window"


def page(stats: t.Mapping[str, _Fact], failed: t.Mapping[str, str], title: str) -> str:
    """The page. `stats`: host -> the fact resctrl_stats of an analysis; `failed`: host -> why there is none."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(human=human, percent=percent, name=printable, number=number)
    return environment.get_template("report.html.j2").render(view_of(stats, failed, title))


def view_of(stats: t.Mapping[str, _Fact], failed: t.Mapping[str, str], title: str) -> dict[str, t.Any]:
    """What the page shows."""
    hosts = sorted((_host(name, fact) for name, fact in stats.items()), key=_rank)
    for place, host in enumerate(hosts):
        host["id"] = f"host-{place + 1}"
        host["suspects"] = [{**one, "id": host["id"]} for one in host["suspects"]]
    suspects = [one for host in hosts for one in host["suspects"]]
    facts = list(stats.values())
    return {
        "title": title,
        "hosts": hosts,
        "measured": sum(1 for host in hosts if not host["unmeasured"]),
        "unmeasured": [host for host in hosts if host["unmeasured"]],
        "failed": sorted(failed.items()),
        "suspects": sorted(suspects, key=_surest),
        "unsure": sum(host["unsure"] for host in hosts),
        "advice": [one for host in hosts for one in host["advice"]],
        "since": min((fact["host"]["since"] for fact in facts if fact["host"]["caches"]), default=None),
        "seconds": max((fact["host"]["seconds"] for fact in facts if fact["host"]["caches"]), default=None),
        "domains": sum(host["running"] for host in hosts),
        "monitored": sum(host["monitored"] for host in hosts),
        "limits": list(dict.fromkeys(text for fact in facts for text in _limits(fact, everywhere=True))),
        "colours": _COLOURS,
    }


def _rank(host: t.Mapping[str, t.Any]) -> tuple[t.Any, ...]:
    """Hosts in the order of their pressure: who stands out, then scarce bandwidth, then full caches."""
    return (-len(host["standing_out"]), -(host["used"] or 0.0), -(host["fullness"] or 0.0), host["name"])


def _surest(one: t.Mapping[str, t.Any]) -> tuple[t.Any, ...]:
    return (one["own"], _CONFIDENCE[one["confidence"]], -(one["share"] or 0.0), one["host"], one["domain"])


def _host(name: str, fact: _Fact) -> dict[str, t.Any]:
    """What is shown of a host."""
    running = {key: one for key, one in fact["domains"].items() if one["active"]}
    rows = share({name: fact})
    colours = _colours(rows)
    found = [_finding(name, one, fact["host"]["since"]) for one in fact["findings"] if one["kind"] in _LABELS]
    return {
        "name": name,
        "running": len(running),
        "monitored": sum(1 for one in running.values() if one["vcpus"]["counted"] or not one.get("reason")),
        "used": max((one["used"] for one in fact["host"]["sockets"] if one["used"] is not None), default=None),
        "observed": any(one["ceiling_source"] == "observed" for one in fact["host"]["sockets"]),
        "fullness": max(
            (one["fullness"] for one in fact["host"]["caches"] if one["fullness"] is not None), default=None
        ),
        "moved": _sum(one["bytes_per_second"] for one in fact["host"]["sockets"]),
        "standing_out": sorted({one["domain"] or "(the host)" for one in found if not one["own"]}),
        "troubled": sorted({one["domain"] for one in found if one["own"]}),
        "findings": fact["findings"],
        "unmeasured": next((one["msg"] for one in fact["findings"] if one["kind"] == _NOT_MEASURED), ""),
        "unsure": any(one["kind"] == _NOTHING and one["confidence"] == "low" for one in fact["findings"]),
        "suspects": found,
        "advice": [{"host": name, **one} for one in fact["advice"]],
        "caches": [
            _cache(cache, [row for row in rows if row["cache"] == cache["id"]], colours)
            for cache in fact["host"]["caches"]
        ],
        "sockets": fact["host"]["sockets"],
        "scatter": _scatter(rows, colours, _named(fact)),
        "limits": _limits(fact, everywhere=False),
        "sampled": _sampled(running),
    }


def _sampled(running: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """What was measured of the domains that take turns, and were not counted, or their bandwidth; the largest first."""
    waiting = {name: one.get("sampled") or {} for name, one in running.items() if _waits(one)}
    rows = [{"domain": name, **sampled} for name, sampled in waiting.items()]
    return sorted(rows, key=lambda row: (-(row.get("mbm_total_bytes_per_second") or 0.0), row["domain"]))


def _waits(domain: t.Mapping[str, t.Any]) -> bool:
    """Whether a domain waits for its turn, be it with a group or with a bandwidth counter only."""
    reasons = (domain.get("rates") or {}).get("reasons") or {}
    return domain.get("reason") == "waiting" or (bool(domain.get("sampled")) and "unassigned" in reasons.values())


def _limits(fact: _Fact, *, everywhere: bool) -> list[str]:
    """What is not counted: on any host, or on this one."""
    limits = [one for one in fact["host"]["not_counted"] if one["what"] != _WINDOW]
    return [one["msg"] for one in limits if (one["what"] in _EVERYWHERE) == everywhere]


def _finding(host: str, one: t.Mapping[str, t.Any], began: str) -> dict[str, t.Any]:
    where = f"package {one['package']}" if one["cache"] is None else f"L3 cache {one['cache']}"
    return {
        **one,
        "host": host,
        "earlier": one["since"] if one["since"] != began else "",
        "domain": one["domain"] or "",
        "label": _LABELS[one["kind"]],
        "own": one["kind"] in _OWN,
        "where": where if one["cache"] is not None or one["package"] is not None else "",
        "share": one["numbers"].get("share"),
        "fair_share": one["numbers"].get("fair_share"),
    }


def _named(fact: _Fact) -> set[tuple[str, int]]:
    """The domains that a finding is about, each with the caches there: they have their names in the scatter."""
    return {
        (one["domain"], cache["id"])
        for one in fact["findings"]
        for cache in fact["host"]["caches"]
        if one["domain"]
        and (one["cache"] == cache["id"] or (one["cache"] is None and one["package"] == cache["package"]))
    }


def _colours(rows: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """Domain -> the name of its colour, by what each holds in all; those that hold least share one."""
    held: dict[str, float] = {}
    for row in rows:
        held[row["domain"]] = held.get(row["domain"], 0.0) + (row["llc_occupancy"] or 0.0)
    ordered = sorted(held, key=lambda name: (-held[name], name))
    return {name: f"c{place}" if place < _COLOURS else _OTHERS for place, name in enumerate(ordered)}


def _cache(
    cache: t.Mapping[str, t.Any], rows: list[dict[str, t.Any]], colours: t.Mapping[str, str]
) -> dict[str, t.Any]:
    """The picture of a cache: who holds how much of it, as segments, then the rest of the host, then what is free.

    The domains without a colour of their own are one segment: they could not be told apart there.
    """
    rows.sort(key=lambda row: (-(row["llc_occupancy"] or 0.0), row["domain"]))
    accounted = sum(row["llc_occupancy"] or 0.0 for row in rows)
    rest = None if cache["occupied"] is None else max(0.0, cache["occupied"] - accounted)
    speed = _sum(row["mbm_total_bytes_per_second"] for row in rows) or 0.0
    moved = cache["bytes_per_second"]
    rest_moved = None if moved is None else max(0.0, moved - speed)
    most = max(1.0, rest_moved or 0.0, *(row["mbm_total_bytes_per_second"] or 0.0 for row in rows))
    return {
        **cache,
        "rows": [
            {
                **row,
                "colour": colours[row["domain"]],
                "speed": (row["mbm_total_bytes_per_second"] or 0.0) / most,
            }
            for row in rows
        ],
        "others": _others([row for row in rows if row["share"] and colours[row["domain"]] == _OTHERS]),
        "rest": rest,
        "rest_share": rest / cache["size"] if rest is not None and cache["size"] else None,
        "rest_bytes_per_second": rest_moved,
        "rest_speed": (rest_moved or 0.0) / most,
    }


def _others(rows: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any] | None:
    """What the domains hold together that have no colour of their own; None where there are none."""
    if not rows:
        return None
    return {
        "count": len(rows),
        "llc_occupancy": sum(row["llc_occupancy"] for row in rows),
        "share": sum(row["share"] for row in rows),
    }


def _sum(numbers: t.Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


# -- the scatter: the share of a cache from left to right; upwards bytes per second, on a logarithmic scale

# The lines of the scale, in the units that human() has
_STEPS = [(step * 1024.0**unit, f"{step}{name}/s") for unit, name in enumerate("BKMGTP") for step in (1, 10, 100)]
# So many of them are enough: whoever moves less lies on the ground
_LINES = 6

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 640, 260, 56, 616, 36


def _scatter(
    rows: t.Sequence[t.Mapping[str, t.Any]], colours: t.Mapping[str, str], named: t.Container[tuple[str, int]]
) -> dict[str, t.Any] | None:
    """Where each domain is drawn; None where nothing is known of any."""
    shown = [row for row in rows if row["share"] is not None and row["mbm_total_bytes_per_second"] is not None]
    if not shown:
        return None
    most = max(row["mbm_total_bytes_per_second"] for row in shown)
    top = next((place for place, (speed, _text) in enumerate(_STEPS) if speed >= most), len(_STEPS) - 1)
    lines = _STEPS[max(0, top + 1 - _LINES) : max(top + 1, _LINES)]
    low, high = math.log(lines[0][0]), math.log(lines[-1][0])

    def upwards(speed: float) -> float:
        height = min(1.0, (math.log(max(speed, lines[0][0])) - low) / (high - low))
        return round((HEIGHT - BOTTOM) * (1 - height) + 8 * height, 1)

    def across(part: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * min(1.0, part), 1)

    return {
        "points": [
            {
                **row,
                "x": across(row["share"]),
                "y": upwards(row["mbm_total_bytes_per_second"]),
                "colour": colours[row["domain"]],
                "named": (row["domain"], row["cache"]) in named,
                "right": row["share"] > 0.8,  # there is no room for its name on that side
            }
            for row in shown
        ],
        "across": [(across(part / 100), f"{part}%") for part in (0, 25, 50, 75, 100)],
        "upwards": [(upwards(speed), text) for speed, text in lines],
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": RIGHT,
        "ground": HEIGHT - BOTTOM,
    }


def percent(part: float | None) -> str:
    """A share in percent; a dash where it is not known. A part that is read after the whole may seem more."""
    if part is None:
        return "-"
    if part > 1:
        return "all"
    return f"{100 * part:.1f}%" if 0 < part < 0.1 else f"{100 * part:.0f}%"


def number(value: float | None) -> str:
    """A number as it is, for sorting; what is not known comes last."""
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")
