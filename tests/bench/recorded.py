# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/performance.md says of real kernels, from what tests/bench/observation/run has recorded."""

from __future__ import annotations

import json
import pathlib
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RECORDED = pathlib.Path(__file__).resolve().parent / "observation/recorded.json"
LOOP, LIBRARY = "C loop", "library"
RESCTRL, PLAIN = "resctrl", "plain files"
_SCOPES = {"vcpus": "vCPUs and main thread", "domain": "every thread"}
# Threads of a stand-in that are no vCPUs: two, and the main thread
_OTHERS = {"vcpus": 1, "domain": 3}

# Instructions of a look in which the clock ticks often enough to tell the kernel's share
_LONG = 20_000_000

# kernel -> {"reading": [...], "location": [...]}, see tests/bench/observation/measure.py
Kernels = t.Mapping[str, t.Any]


def read() -> dict[str, t.Any]:
    """What was recorded."""
    if not RECORDED.exists():
        return {"command": "", "visits": [], "kernels": {}}
    found: dict[str, t.Any] = json.loads(RECORDED.read_text())
    return found


def sections() -> dict[str, str]:
    """What is put into performance.md.in."""
    found = read()
    kernels = found["kernels"]
    return {
        "guests_command": found["command"],
        "guests_reading": reading(kernels),
        "guests_kernels_part": kernels_part(kernels),
        "guests_location": location(kernels),
        "guests_visits": visits(found),
        "guests_repeated": repeated(kernels),
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _all(cost: Mapping[str, int]) -> int:
    return sum(cost.values())


# -- reading


def reading(kernels: Kernels) -> str:
    """What a value takes each reader."""
    head = ("Linux", "groups", "files", "reader", "user", "system", "kernel's workers", "all", "to the C loop")
    return _table(head, _of_readings(kernels))


def _of_readings(kernels: Kernels) -> Iterable[list[str]]:
    for kernel, measured in kernels.items():
        for one in measured["reading"]:
            for place, readers in one["costs"].items():
                base = _all(readers[LOOP])
                for reader, cost in readers.items():
                    numbers = [str(cost[part]) for part in ("user", "system", "workers")]
                    ratio = f"{_all(cost) / base:.2f}"
                    yield [kernel, str(one["groups"]), place, reader, *numbers, str(_all(cost)), ratio]


def kernels_part(kernels: Kernels) -> str:
    """What a value takes more where it is the kernel's than where it is a plain file's."""
    sentences = []
    for kernel, measured in kernels.items():
        for one in measured["reading"]:
            costs = one["costs"]
            more = {reader: _all(costs[RESCTRL][reader]) - _all(costs[PLAIN][reader]) for reader in (LOOP, LIBRARY)}
            ratio = {place: _all(readers[LIBRARY]) / _all(readers[LOOP]) for place, readers in costs.items()}
            sentences.append(
                f"Linux {kernel}, {one['groups']} groups: {more[LOOP]} instructions where the C loop reads, "
                f"{more[LIBRARY]} where the library does, which with that takes {ratio[RESCTRL]:.2f} times what the C "
                f"loop takes, instead of {ratio[PLAIN]:.2f} times."
            )
    return " ".join(sentences)


# -- threads


def location(kernels: Kernels) -> str:
    """What it takes to find the threads in question."""
    head = (
        "Linux",
        "domains",
        "in question, of each",
        "threads of the system",
        "asked thread by thread",
        "all `tasks` listed",
        "files of the two",
        "chosen",
    )
    rows = [_of_location(kernel, one) for kernel, measured in kernels.items() for one in measured["location"]]
    return _table(head, rows)


def _of_location(kernel: str, one: Mapping[str, t.Any]) -> list[str]:
    ways = one["ways"]
    each = one["vcpus"] + _OTHERS[one["scope"]]
    cells = [kernel, str(one["domains"]), f"{each} ({_SCOPES[one['scope']]})", str(one["threads"])]
    for way in ("asked", "listed"):
        number = ways[way]["instructions"]
        share = f", of which the kernel {ways[way]['system']:.0%}" if number >= _LONG else ""
        cells.append(f"{number / 1e6:.1f}{share}")
    files = [f"{sum(ways[way][kind] for kind in ('tasks', 'cpu_resctrl_groups'))}" for way in ("asked", "listed")]
    chosen = "asked" if ways["chosen"]["cpu_resctrl_groups"] else "listed"
    return [*cells, " and ".join(files), chosen]


def visits(found: Mapping[str, t.Any]) -> str:
    """How long a visit and a file take on a processor."""
    return "; ".join(
        f"with {one['threads']} threads {one['visit']:.0f} ns for each that is visited and {one['file'] / 1000:.1f} µs "
        f"for a file, which is {one['file'] / one['visit']:.0f} visits"
        for one in found["visits"]
    )


def repeated(kernels: Kernels) -> str:
    """What a run of resctrl-mon metrics opened more than once, on the first of the hosts."""
    sentences = []
    for kernel, measured in kernels.items():
        one = measured["location"][0]
        files = [
            f"`{path}` {times} times" + (f" ({number} of these)" if number > 1 else "")
            for path, (number, times) in one["repeated"].items()
        ]
        sentences.append(
            f"Linux {kernel}, {one['domains']} domains: {one['opened']} files of resctrl, of /proc and of libvirt were "
            f"opened. More than once: {', '.join(files) or 'none'}."
        )
    return " ".join(sentences)
