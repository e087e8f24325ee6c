# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest: what it costs to read the kernel's counters, and plain files that hold the same.

Prints a line of JSON for each number of groups: place -> reader -> what a value costs.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import typing as t
import uuid

HERE = pathlib.Path(__file__).resolve().parent
RESCTRL = pathlib.Path("/sys/fs/resctrl")
# Of each group: two caches with three events
_VALUES = 6


class Cost(t.NamedTuple):
    """What a process took, in seconds; `workers`: the kernel's threads meanwhile, which read counters for it."""

    user: float
    system: float
    workers: float


def commands(root: pathlib.Path, proc: str, loop: str) -> dict[str, list[str]]:
    """Reader -> its command line, but for the number of rounds."""
    library = ["env", f"PYTHONPATH={HERE.parents[2]}/plugins/module_utils", sys.executable, "-B"]
    return {
        "C loop": [loop, str(root)],
        "library": [*library, str(HERE.parent / "peers/library.py"), str(root), proc],
    }


def run(command: list[str], rounds: int) -> Cost:
    """Run a reader for so many rounds."""
    workers, before = _workers(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, str(rounds)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, _workers() - workers)


def cost_of_a_value(command: list[str], rounds: int, values: int) -> dict[str, float]:
    """What a reader takes for each of the values that it reads in a round, in seconds, without its start."""
    once, often = run(command, 1), run(command, 1 + rounds)
    return {name: (getattr(often, name) - getattr(once, name)) / rounds / values for name in Cost._fields}


def _workers() -> float:
    """The seconds that the kernel's workers have run; one that has ended meanwhile is missing."""
    nanoseconds = 0
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (path / "comm").read_text().startswith("kworker/"):
                nanoseconds += int((path / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return nanoseconds / 1e9


def count(group: pathlib.Path) -> None:
    """Let a group have counted something on each cache: a reader that finds 0 may have read nothing."""
    (group / "tasks").write_text("0\n")
    for cpu in (0, (os.cpu_count() or 1) - 1):
        os.sched_setaffinity(0, {cpu})
        end = time.monotonic() + 0.005
        while time.monotonic() < end:
            pass
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    (RESCTRL / "tasks").write_text("0\n")


def copy(to: pathlib.Path) -> pathlib.Path:
    """Plain files that hold what those of resctrl do now."""
    for name in ("mon_groups", "mon_data", "info"):
        for directory, _directories, names in os.walk(RESCTRL / name):
            there = to / pathlib.Path(directory).relative_to(RESCTRL)
            there.mkdir(parents=True)
            for file in names:
                source = pathlib.Path(directory, file)
                if source.stat().st_mode & 0o444:
                    (there / file).write_bytes(source.read_bytes())
    return to


def measure(groups: int, turns: int, values: int, loop: str) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Place -> reader -> what a value took, turn by turn."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        plain = copy(pathlib.Path(scratch, "resctrl"))
        mounts = pathlib.Path(scratch, "proc/self/mounts")
        mounts.parent.mkdir(parents=True)
        mounts.write_text(f"resctrl {plain} resctrl rw,relatime 0 0\n")
        places = {
            "resctrl": commands(RESCTRL, "/proc", loop),
            "plain files": commands(plain, str(mounts.parents[1]), loop),
        }
        costs: dict[str, dict[str, list[dict[str, float]]]] = {
            place: {reader: [] for reader in readers} for place, readers in places.items()
        }
        rounds = max(2, values // (groups * _VALUES))
        for _turn in range(turns):
            for place, readers in places.items():
                for reader, command in readers.items():
                    costs[place][reader].append(cost_of_a_value(command, rounds, groups * _VALUES))
    return costs


def main() -> None:
    """Make the groups, and measure; the readers take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", required=True, help="the C loop, compiled")
    parser.add_argument("--groups", type=int, nargs="+", required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--values", type=int, required=True, help="about as many are read in each turn")
    options = parser.parse_args()
    subprocess.run(["mount", "-t", "resctrl", "resctrl", RESCTRL], check=True)
    there = 0
    for groups in sorted(options.groups):
        for number in range(there, groups):
            group = RESCTRL / f"mon_groups/kvmops-{uuid.uuid5(uuid.NAMESPACE_URL, str(number))}"
            group.mkdir()
            count(group)
        there = groups
        costs = measure(groups, options.turns, options.values, options.loop)
        print(json.dumps({"groups": groups, "costs": costs}), flush=True)


if __name__ == "__main__":
    main()
