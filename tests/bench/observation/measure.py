# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures on the resctrl of real kernels, in guests, what it costs to read counters and to find domains' threads.

A guest's CPUs are emulated, and its time goes by instructions: what a process takes there is how many instructions it
runs, its own and the kernel's for it. So nothing else that this machine does is in the figures, and neither is what
hardware takes longer for: memory that is in no cache, and registers of the processor. How long a visit of the kernel to
a thread takes is measured on this machine's own kernel and processor (visits.py).

With --record, what is measured replaces what is kept of the same kernel in recorded.json, of which a part of
docs/performance.md is made.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import typing as t

from guest import CHECKOUT, Guest, Machine
from products import KERNELS

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import recorded  # noqa: E402  # beside this folder
import visits  # noqa: E402

# The guests' time: -icount shift=2
_NANOSECONDS = 4
# RMIDs beside those of the domains: the root's, and what else holds one
_SPARE_RMIDS = 8
_GROUPS = (100, 300)
_LIMIT = 1800.0
# With how many a visit to one is measured
_THREADS = (1500, 3000, 20000)


class Crowd(t.NamedTuple):
    """A host that is looked at: its domains with so many vCPUs each, and the threads in the whole system."""

    scope: str
    domains: int
    vcpus: int
    threads: int


CROWDS = (
    Crowd("vcpus", 200, 2, 20000),
    Crowd("domain", 200, 17, 20000),
    Crowd("domain", 200, 45, 20000),
    Crowd("domain", 200, 92, 20000),
    Crowd("vcpus", 20, 2, 1500),
    Crowd("domain", 20, 17, 1500),
)


def instructions(seconds: float) -> int:
    """How many a guest ran in so many seconds of its time."""
    return round(seconds * 1e9 / _NANOSECONDS)


def run(machine: Machine, script: str, *arguments: str) -> list[dict[str, t.Any]]:
    """What a script of this directory prints in a guest: JSON, a value a line."""
    with Guest(machine) as guest:
        command = ["python3", "-B", str(HERE.relative_to(CHECKOUT) / script), *arguments]
        done = guest.run(command, timeout=_LIMIT, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def reading(kernel: str, turns: int, values: int) -> list[dict[str, t.Any]]:
    """What a value takes each reader, of the kernel's counters and of plain files; the medians of the turns."""
    with tempfile.TemporaryDirectory(dir=CHECKOUT / ".work") as directory:
        loop = pathlib.Path(directory, "loop")
        # The guest has no compiler, and need not have the same libraries
        source = HERE.parent / "peers/loop.c"
        subprocess.run(["gcc", "-O2", "-Wall", "-static", "-o", str(loop), str(source)], check=True)
        words = ["--loop", str(loop), "--turns", str(turns), "--values", str(values), "--groups", *map(str, _GROUPS)]
        machine = Machine(kernel=kernel, rdt={"rmids": max(_GROUPS) + _SPARE_RMIDS}, icount=True)
        found = run(machine, "counters.py", *words)
    for one in found:
        one["costs"] = {
            place: {
                reader: {part: instructions(statistics.median(costs[part] for costs in turns)) for part in turns[0]}
                for reader, turns in readers.items()
            }
            for place, readers in one["costs"].items()
        }
    return found


def location(kernel: str, crowd: Crowd, looks: int) -> dict[str, t.Any]:
    """What it takes to find the threads in question, in each way."""
    machine = Machine(
        kernel=kernel,
        memory=max(2048, crowd.threads // 4),  # it limits the number of threads
        rdt={"rmids": crowd.domains + _SPARE_RMIDS},
        icount=True,
    )
    words = [f"--{name}={value}" for name, value in crowd._asdict().items()]
    (found,) = run(machine, "prepare.py", *words, f"--looks={looks}")
    for way in found["ways"].values():
        way["instructions"] = instructions(way.pop("seconds"))
    return {**crowd._asdict(), **found}


def main() -> None:
    """Measure in one guest after the other, and print what the page says of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-k", "--kernel", action="append", choices=KERNELS, help="the kernel; may be repeated (default: all)")
    add("--turns", type=int, default=3, help="in which all readers take their turn (%(default)s)")
    add("--values", type=int, default=12000, help="that each reads in a turn, about (%(default)s)")
    add("--looks", type=int, default=3, help="of which the median is taken (%(default)s)")
    add("--record", action="store_true", help="keep what was measured")
    options = parser.parse_args()
    kept = recorded.read()
    kept["command"] = shlex.join(["tests/bench/observation/run", *sys.argv[1:]])
    kept["visits"] = [visits.measure(threads) for threads in _THREADS]
    print(recorded.visits(kept), flush=True)
    for kernel in options.kernel or KERNELS:
        measured = {"reading": reading(kernel, options.turns, options.values), "location": []}
        print(recorded.reading({kernel: measured}), flush=True)
        for crowd in CROWDS:
            measured["location"].append(location(kernel, crowd, options.looks))
            print(recorded.location({kernel: measured}).splitlines()[-1], flush=True)
        kept["kernels"] = dict(sorted({**kept["kernels"], kernel: measured}.items()))
    if options.record:
        recorded.RECORDED.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
