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
import enabling  # noqa: E402
import intel  # noqa: E402
import reading  # noqa: E402
import real  # noqa: E402
import recorded  # noqa: E402
from places import standins  # noqa: E402
from report import Costs, growth, ratios_of, reached, rows, spread, table, verdict  # noqa: E402
from starting import ALONE, IMPORTS, PYTHON, PYTHONS  # noqa: E402

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = ROOT / "docs/performance.md"
_TEMPLATE = HERE / "performance.md.in"
_PACKAGES = ("golang-github-intel-goresctrl-dev", "intel-cmt-cat", "libvirt-daemon", "prometheus-libvirt-exporter")
_MILLISECONDS = ("domains", "command", "milliseconds")


def main() -> None:
    """Measure everything, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--turns", type=int, default=11, help="in which all take their turn (%(default)s)")
    add("--groups", type=int, nargs="*", default=(10, 100, 1000), help="that are read (10 100 1000)")
    add("--enabled", type=int, nargs="*", default=(10, 100), help="domains that are enabled (10 100)")
    add("--domains", type=int, nargs="*", default=(20, 200, 500, 1000), help="of a host (20 200 500 1000)")
    add("--real", type=int, nargs="*", default=(5, 20), help="real domains (5 20)")
    add("--modules", type=int, nargs="*", default=(1, 100, 500), help="domains of which modules are asked (1 100 500)")
    add("--output", type=pathlib.Path, default=PAGE, help="the page (docs/performance.md)")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        # No host has what tests set there, such as PYTHONDONTWRITEBYTECODE
        del os.environ[name]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        readers = reading.Readers(pathlib.Path(directory))
        readings = [reading.measure(groups, options.turns, readers) for groups in options.groups]
    first = [enabling.measure(domains, options.turns) for domains in options.enabled]
    crowds = [agent.measure(domains, options.turns) for domains in options.domains]
    reals = real.measure(options.real, options.turns)
    modules = [_modules(domains, options.turns) for domains in options.modules]
    options.output.write_text(
        string.Template(_TEMPLATE.read_text()).substitute(
            command=shlex.join(["make", "bench"] if len(sys.argv) == 1 else ["tests/bench/run", *sys.argv[1:]]),
            machine=_machine(load),
            turns=options.turns,
            missing=_missing(readers.has_go, reals),
            **_of_readings(readings),
            **_of_enabling(first),
            **_of_crowds(crowds),
            **_of_reals(reals),
            **recorded.sections(),
            modules=table(("domains", "module", "milliseconds", "own part, to ping"), _of_modules(modules)),
            modules_aim=verdict(
                (number, one.ratios("resctrl_mon", cost.PING), cost.BUDGETS[number])
                for number, one in zip(options.modules, modules, strict=True)
                if number in cost.BUDGETS
            ),
        )
    )


def _modules(domains: int, turns: int) -> cost.Measured:
    with standins(domains) as place:
        return cost.measure(place, None, turns)


def _machine(load: float) -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text().split("\n")
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    python = subprocess.run([PYTHON, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return (
        f"{os.cpu_count()} CPUs of a virtual machine ({model}), Linux {platform.release()}, {python}, "
        f"load average {load:.1f} at the beginning. Debian's packages: {', '.join(_versions())}"
    )


def _versions() -> list[str]:
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", *_PACKAGES]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.split("\n")[:-1]


def _of_readings(readings: Sequence[reading.Reading]) -> dict[str, str]:
    head = ("groups", "reader", "microseconds a value", "to the C loop", "to pqos", "system calls a value")
    first, last = readings[0], readings[-1]
    growths = ", ".join(f"{name} {last.median(name) / first.median(name):.2f}" for name in first.costs)
    return {
        "reading": table(head, rows(readings, 2, reading.LOOP, reading.PQOS)),
        "reading_growth": f"From {first.number} to {last.number} groups a value takes so many times as long: {growths}",
        "reading_aim": reached(readings, reading.LIBRARY, reading.LOOP, 1.6),
        "reading_floor": ratios_of(readings, reading.PYTHON_LOOP, reading.LOOP),
    }


def _of_enabling(measured: Sequence[enabling.Enabling]) -> dict[str, str]:
    firsts = [enabling.LOOP, enabling.ENFORCE, enabling.MODULE]
    agains = [enabling.LIST, enabling.PING, enabling.AGAIN, enabling.MODULE_AGAIN]
    jobs = [reading.PQOS, reading.BINDING, enabling.JOB]

    def of(names: Sequence[str], base: str, to: str) -> str:
        return table((*_MILLISECONDS, to, "operations on resctrl"), rows(measured, 0, base, names=names))

    return {
        "enabling": of(firsts, enabling.LOOP, "to the shell loop"),
        "enabling_aim": reached(measured, enabling.ENFORCE, enabling.LOOP, 1.5),
        "enabling_growth": growth(measured, firsts),
        "again": of(agains, enabling.LIST, "to virsh list"),
        "again_aim": reached(measured, enabling.AGAIN, enabling.LIST, 1),
        "again_module_aim": reached(measured, enabling.MODULE_AGAIN, enabling.LIST, 1),
        "jobs": of(jobs, reading.PQOS, "to pqos"),
        "jobs_growth": growth(measured, [name for name in jobs if name in measured[0].costs]),
    }


def _of_crowds(crowds: Sequence[agent.Crowded]) -> dict[str, str]:
    start = crowds[0].start
    names = [name for name in crowds[0].costs if name not in (ALONE, PYTHONS, IMPORTS)]
    return {
        "crowds": table((*_MILLISECONDS, "to virsh list", "to the scrape"), rows(crowds, 0, agent.LIST, agent.SCRAPE)),
        "crowds_growth": growth(crowds, names),
        "crowds_aim": reached(crowds, agent.ENFORCE, agent.LIST, 1),
        "crowds_scrape": reached(crowds, agent.METRICS, agent.SCRAPE, 1),
        "memory": ", ".join(f"{one.memory:.1f} MiB with {one.number}" for one in crowds),
        "status_file": f"{crowds[0].bytes_of_a_status_file / 1024:.0f}",
        "crowds_floor": ratios_of(crowds, PYTHONS, agent.LIST),
        "own": str(len(start.own)),
        "others": str(len(start.others)),
        "calls": "; ".join(f"{one.start.calls[0]} with {one.number} domains" for one in crowds),
        "calls_of_python": str(start.calls[1]),
        "calls_of_one": _calls_of_one_more(crowds[0], crowds[-1]),
        "crowds_look": _look(crowds),
    }


def _calls_of_one_more(few: agent.Crowded, many: agent.Crowded) -> str:
    further = max(many.number - few.number, 1)
    return f"{(many.start.calls[0] - few.start.calls[0]) / further:.1f}"


def _look(crowds: Sequence[agent.Crowded]) -> str:
    """Whether a look at 500 domains stays within what it may take."""
    for one in crowds:
        if one.number == 500:
            milliseconds = one.median(agent.ENFORCE)
            so = "reached" if round(milliseconds) <= 150 and one.memory <= 25 else "not reached"
            return f"that is {so} ({milliseconds:.0f} milliseconds, {one.memory:.1f} MiB)"
    return "that was not measured"


def _of_reals(measured: Sequence[Costs]) -> dict[str, str]:
    total, scrape = (f"{name}, with libvirtd's part" for name in (agent.TOTAL, agent.SCRAPE))
    return {
        "reals": table(
            (*_MILLISECONDS, "to virsh, with libvirtd's part", "to the scrape, with libvirtd's part"),
            rows(measured, 0, total, scrape),
        ),
        "reals_virsh": reached(measured, agent.STATISTICS, total, 1),
        "reals_scrape": reached(measured, agent.METRICS, scrape, 1),
    }


def _of_modules(modules: Iterable[cost.Measured]) -> Iterable[list[str]]:
    for one in modules:
        for name in (cost.PING, cost.VIRSH, cost.VIRT, *cost.FILES):
            domains = one.place.partition(" ")[0]
            yield [domains, name, spread([c.cpu for c in one.costs[name]], 0), spread(one.ratios(name, cost.PING))]


def _missing(has_go: bool, reals: Sequence[object]) -> str:
    """Peers that were not measured, and why."""
    missing = {
        "goresctrl's reader: Debian's package of it, or its go, is not installed.": not has_go,
        "pqos and its binding: Debian's package intel-cmt-cat is not installed.": not intel.HAS_PQOS,
        "prometheus-libvirt-exporter is not installed.": not shutil.which("prometheus-libvirt-exporter"),
        "Real domains: there is no /dev/kvm.": not reals,
    }
    return "".join(f"- {why}\n" for why, so in missing.items() if so)


if __name__ == "__main__":
    main()
