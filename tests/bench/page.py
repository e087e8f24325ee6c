# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures, and writes docs/performance.md from that and from performance.md.in. Needs root."""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "lab"))

import agent  # noqa: E402  # beside this file
import cost  # noqa: E402
import reading  # noqa: E402
import recorded  # noqa: E402
from places import standins  # noqa: E402

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = ROOT / "docs/performance.md"
_TEMPLATE = HERE / "performance.md.in"


def main() -> None:
    """Measure everything, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--turns", type=int, default=11, help="in which all take their turn (%(default)s)")
    add("--groups", type=int, nargs="*", default=(10, 100, 1000), help="that are read (10 100 1000)")
    add("--domains", type=int, nargs="*", default=(20, 200, 500, 1000), help="of a host (20 200 500 1000)")
    add("--modules", type=int, nargs="*", default=(1, 100, 500), help="domains of which modules are asked (1 100 500)")
    add("--output", type=pathlib.Path, default=PAGE, help="the page (docs/performance.md)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        readers = reading.Readers(pathlib.Path(directory))
        readings = [reading.measure(groups, options.turns, readers) for groups in options.groups]
    crowds = [agent.measure(domains, options.turns) for domains in options.domains]
    modules = [_modules(domains, options.turns) for domains in options.modules]
    text = string.Template(_TEMPLATE.read_text()).substitute(
        command=shlex.join(["make", "bench"] if len(sys.argv) == 1 else ["tests/bench/run", *sys.argv[1:]]),
        machine=_machine(),
        turns=options.turns,
        reading=_table(("groups", "reader", "microseconds for each value", "to the C loop"), _of_readings(readings)),
        growth=_growth(readings),
        system_calls=", ".join(f"{one.system_calls:.2f} of {one.groups} groups" for one in readings),
        crowds=_table(("domains", "command", "milliseconds", "to `virsh list`", "to the scrape"), _of_crowds(crowds)),
        crowds_growth=_growth_of_crowds(crowds),
        memory=", ".join(f"{one.memory:.1f} MiB with {one.domains}" for one in crowds),
        status_file=f"{crowds[0].bytes_of_a_status_file / 1024:.0f}" if crowds else "-",
        modules=_table(("domains", "module", "milliseconds", "own part, to ping"), _of_modules(modules)),
        missing=_missing(readers.has_go),
        **recorded.sections(),
    )
    options.output.write_text(text)


def _modules(domains: int, turns: int) -> cost.Measured:
    with standins(domains) as place:
        return cost.measure(place, None, turns)


def _machine() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text().split("\n")
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    python = subprocess.run([reading.PYTHON, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return (
        f"{os.cpu_count()} CPUs of a virtual machine ({model}), Linux {platform.release()}, {python}, "
        f"load average {os.getloadavg()[0]:.1f} at the end"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the middle half."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _of_readings(readings: Iterable[reading.Reading]) -> Iterable[list[str]]:
    for one in readings:
        for name, costs in one.costs.items():
            yield [str(one.groups), name, _spread(costs), _spread(one.ratios(name, reading.LOOP))]


def _growth(readings: Sequence[reading.Reading]) -> str:
    """What reading a hundred times as many groups takes."""
    first, last = readings[0], readings[-1]
    each = {name: statistics.median(last.costs[name]) / statistics.median(first.costs[name]) for name in first.costs}
    words = ", ".join(f"{name} {ratio:.2f}" for name, ratio in each.items())
    return f"From {first.groups} to {last.groups} groups a value takes so many times as long: {words}."


def _growth_of_crowds(crowds: Sequence[agent.Cost]) -> str:
    """What each further domain costs."""
    first, last = crowds[0], crowds[-1]
    domains = last.domains - first.domains
    each = {
        name: (statistics.median(last.costs[name]) - statistics.median(first.costs[name])) / max(domains, 1)
        for name in first.costs
        if name != agent.PYTHON_ALONE
    }
    words = ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in each.items())
    return f"From {first.domains} to {last.domains} domains, each costs so many milliseconds more: {words}."


def _of_crowds(crowds: Iterable[agent.Cost]) -> Iterable[list[str]]:
    for one in crowds:
        for name, costs in one.costs.items():
            scrape = _spread(one.ratios(name, agent.SCRAPE)) if agent.SCRAPE in one.costs else "-"
            yield [str(one.domains), name, _spread(costs, 0), _spread(one.ratios(name, agent.LIST)), scrape]


def _of_modules(modules: Iterable[cost.Measured]) -> Iterable[list[str]]:
    for one in modules:
        for name in (cost.PING, cost.VIRSH, cost.VIRT, *cost.FILES):
            domains = one.place.partition(" ")[0]
            yield [domains, name, _spread([c.cpu for c in one.costs[name]], 0), _spread(one.ratios(name, cost.PING))]


def _missing(has_go: bool) -> str:
    """Peers that were not measured, and why."""
    found = []
    if not has_go:
        found.append("goresctrl's reader: Debian's package of it, or its go, is not installed.")
    if not shutil.which("prometheus-libvirt-exporter"):
        found.append("prometheus-libvirt-exporter is not installed.")
    return "".join(f"- {one}\n" for one in found)


if __name__ == "__main__":
    main()
