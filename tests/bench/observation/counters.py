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
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
import uuid

HERE = pathlib.Path(__file__).resolve().parent
RESCTRL = pathlib.Path("/sys/fs/resctrl")
READERS = ("C loop", "library")
# Of each group: two caches with three events
_VALUES = 6


class Cost(t.NamedTuple):
    """What a process took, in seconds; `workers`: the kernel's threads meanwhile, which read counters for it."""

    user: float
    system: float
    workers: float
    wall: float


def commands(root: pathlib.Path, proc: str, loop: str) -> dict[str, list[str]]:
    """Reader -> its command line, but for the number of rounds."""
    library = ["env", f"PYTHONPATH={HERE.parents[2]}/plugins/module_utils", sys.executable, "-B"]
    return {
        "C loop": [loop, str(root)],
        "library": [*library, str(HERE.parent / "peers/library.py"), str(root), proc],
    }


def run(command: list[str], rounds: int) -> Cost:
    """Run a reader for so many rounds."""
    workers, before, start = _workers(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([*command, str(rounds)], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, _workers() - workers, wall)


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


def main() -> None:
    """Make the groups, and measure; the readers take turns, so that a slow moment hits all alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", required=True, help="the C loop, compiled")
    parser.add_argument("--groups", type=int, nargs="+", required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--values", type=int, required=True, help="about as many are read in each turn")
    options = parser.parse_args()
    subprocess.run(["mount", "-t", "resctrl", "resctrl", RESCTRL], check=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        for groups in options.groups:
            while len(list((RESCTRL / "mon_groups").iterdir())) < groups:
                group = RESCTRL / f"mon_groups/kvmops-{uuid.uuid4()}"
                group.mkdir()
                count(group)
            directory = pathlib.Path(scratch, str(groups))
            plain = copy(directory / "resctrl")
            (directory / "proc/self").mkdir(parents=True)
            (directory / "proc/self/mounts").write_text(f"resctrl {plain} resctrl rw,relatime 0 0\n")
            rounds = max(2, options.values // (groups * _VALUES))
            places = {
                "resctrl": commands(RESCTRL, "/proc", options.loop),
                "plain files": commands(plain, str(directory / "proc"), options.loop),
            }
            costs = {(place, reader): [] for place in places for reader in READERS}
            for _turn in range(options.turns):
                for (place, reader), turns in costs.items():
                    command = places[place][reader]
                    once, often = run(command, 1), run(command, 1 + rounds)
                    # What is left is that of the rounds, without the start
                    turns.append([(two - one) / rounds / groups / _VALUES * 1e6 for one, two in zip(once, often)])
            told = {f"{place}, {reader}": turns for (place, reader), turns in costs.items()}
            print(json.dumps({"groups": groups, "costs": told}), flush=True)
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
