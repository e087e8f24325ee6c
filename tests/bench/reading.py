# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to read the counters of many groups: this library against a C loop, and against other readers.

All read the same files of a plain directory in memory, which looks like a resctrl with so many MON groups, two L3
caches and three events. What a kernel does for a counter is in none of the figures: to ask the CPU, and on another
cache an interrupt there. Each of them runs in turn, a process of its own; the first round of each is not counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import statistics
import subprocess
import tempfile
import typing as t
import uuid

import intel
from report import Costs
from starting import PYTHON, system_calls

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Where Debian's packages of Go's libraries put their source
GOPATH = "/usr/share/gocode"
GORESCTRL = pathlib.Path(GOPATH, "src/github.com/intel/goresctrl")
LOOP, PYTHON_LOOP, LIBRARY = "C loop", "Python loop", "library"
GO, PQOS, BINDING = "goresctrl", "pqos", "pqos' binding for Python"
_COUNTERS = {"llc_occupancy": 3276800, "mbm_total_bytes": 98765432101, "mbm_local_bytes": 45678901234}
_CACHES = ("00", "01")
CACHES = len(_CACHES)
# Of each group
VALUES = len(_COUNTERS) * CACHES
# To trace a process takes far longer than to run it
_TRACED = 100
# Enough rounds to read so many values in each process
_READ = 12000


class Tree(t.NamedTuple):
    """A directory that looks like resctrl, and a /proc that says so."""

    root: pathlib.Path
    proc: pathlib.Path


@contextlib.contextmanager
def tree(groups: Mapping[str, Sequence[int]]) -> Iterator[Tree]:
    """A tree with a MON group for each name, in which these threads are."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        made = Tree(pathlib.Path(directory, "resctrl"), pathlib.Path(directory, "proc"))
        _group(made.root, ())
        for name, tasks in groups.items():
            _group(made.root / "mon_groups" / name, tasks)
        (made.root / "cpus").write_text("3\n")
        information = made.root / "info/L3_MON"
        information.mkdir(parents=True)
        (information / "mon_features").write_text("".join(f"{event}\n" for event in _COUNTERS))
        (information / "num_rmids").write_text(f"{len(groups) + 8}\n")
        (information / "max_threshold_occupancy").write_text("65536\n")
        (made.proc / "self").mkdir(parents=True)
        for name in ("self/mounts", "mounts"):
            (made.proc / name).write_text(f"resctrl {made.root} resctrl rw,relatime 0 0\n")
        yield made


def _group(directory: pathlib.Path, tasks: Sequence[int]) -> None:
    for cache in _CACHES:
        counters = directory / f"mon_data/mon_L3_{cache}"
        counters.mkdir(parents=True)
        for event, value in _COUNTERS.items():
            (counters / event).write_text(f"{value}\n")
    (directory / "tasks").write_text("".join(f"{tid}\n" for tid in tasks))
    (directory / "cpus_list").write_text("\n")


class Readers:
    """The programs that read, made in a directory."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        os.symlink(ROOT / "plugins/module_utils/resctrl", directory / "resctrl")
        subprocess.run(
            ["gcc", "-O2", "-Wall", "-o", str(directory / "loop"), str(HERE / "peers/loop.c")],
            check=True,
        )
        self.has_go = GORESCTRL.is_dir() and _go_builds(directory / "goresctrl")

    def commands(self, there: Tree, rounds: int) -> dict[str, list[str]]:
        """Name -> the command line of each reader of a tree that knows no processes."""
        root, proc, number = str(there.root), str(there.proc), str(rounds)
        library = f"PYTHONPATH={self._directory}"
        commands = {
            LOOP: [str(self._directory / "loop"), root, number],
            PYTHON_LOOP: [PYTHON, str(HERE / "peers/loop.py"), root, number],
            LIBRARY: ["env", library, PYTHON, "-B", str(HERE / "peers/library.py"), root, proc, number],
        }
        if self.has_go:
            covered = f'mount --bind {proc} /proc; exec "$@"'
            go = [str(self._directory / "goresctrl"), number]
            commands[GO] = ["unshare", "--mount", "sh", "-ec", covered, "sh", *go]
        return commands


def _go_builds(program: pathlib.Path) -> bool:
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": GOPATH, "GOCACHE": str(program.parent / "cache")}
    command = ["go", "build", "-o", str(program), str(HERE / "peers/goresctrl.go")]
    return subprocess.run(command, check=False, env=environment, stderr=subprocess.DEVNULL).returncode == 0


@dataclasses.dataclass(frozen=True)
class Reading(Costs):
    """What it cost to read so many groups: reader -> microseconds of CPU time for each value, turn by turn.

    `calls`: reader -> system calls for each value, where they were counted.
    """

    calls: dict[str, float]

    def more(self, name: str) -> list[str]:
        """The system calls."""
        return [f"{self.calls[name]:.1f}" if name in self.calls else "-"]


def measure(groups: int, turns: int, readers: Readers) -> Reading:
    """Read a tree of so many groups, again and again."""
    names = [f"kvmops-{uuid.uuid5(uuid.NAMESPACE_URL, str(number))}" for number in range(groups)]
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(tree(dict.fromkeys(names, ())))
        sleepers = None
        if intel.HAS_PQOS:
            theirs = stack.enter_context(tree(dict.fromkeys(intel.groups(groups), ())))
            sleepers = stack.enter_context(intel.sleepers(groups, theirs.root))

        def commands(rounds: int) -> dict[str, list[str]]:
            binding = {BINDING: sleepers.binding(rounds)} if sleepers else {}
            return {**readers.commands(there, rounds), **binding}

        rounds = 1 + max(2, _READ // (groups * VALUES))
        runs: dict[str, Callable[[], float]] = {
            name: functools.partial(_median, command) for name, command in commands(rounds).items()
        }
        if sleepers:
            runs[PQOS] = lambda: sleepers.pqos() / VALUES
        costs: dict[str, list[float]] = {name: [] for name in runs}
        for _turn in range(turns):
            for name, run in runs.items():
                costs[name].append(run())
        once, twice = (commands(number) if groups <= _TRACED else {} for number in (1, 2))
        calls = {name: system_calls(twice[name]) - system_calls(once[name]) for name in once}
        return Reading(groups, costs, {name: number / groups / VALUES for name, number in calls.items()})


def _median(command: Sequence[str]) -> float:
    """What a reader says that a value took it, the first round left out."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return statistics.median(map(float, done.stdout.split()[1:]))
