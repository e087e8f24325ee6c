# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to read the counters of many groups: this library against a C loop, and against goresctrl's reader.

All read the same files of a plain directory in memory, which looks like a resctrl with so many MON groups, two L3
caches and three events. What a kernel does for a counter is in none of the figures: to ask the CPU, and on another
cache an interrupt there. Each of them runs in turn, a process of its own; the first round of each is not counted.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import typing as t
import uuid

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = "/usr/bin/python3"
# Where Debian's packages of Go's libraries put their source
GOPATH = "/usr/share/gocode"
GORESCTRL = pathlib.Path(GOPATH, "src/github.com/intel/goresctrl")
LOOP, LIBRARY, GO = "C loop", "library", "goresctrl"
_COUNTERS = {"llc_occupancy": 3276800, "mbm_total_bytes": 98765432101, "mbm_local_bytes": 45678901234}
_CACHES = ("00", "01")
# Enough rounds to fill this many values in each process
_VALUES = 12000


class Tree(t.NamedTuple):
    """A directory that looks like resctrl, and a /proc that says so."""

    root: pathlib.Path
    proc: pathlib.Path


@contextlib.contextmanager
def tree(uuids: Sequence[str], tasks: Mapping[str, Sequence[int]] | None = None) -> Iterator[Tree]:
    """A tree with a MON group of ours for each UUID. `tasks`: UUID -> the threads that its file has."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        made = Tree(pathlib.Path(directory, "resctrl"), pathlib.Path(directory, "proc"))
        _group(made.root, ())
        for one in uuids:
            _group(made.root / f"mon_groups/kvmops-{one}", (tasks or {}).get(one, ()))
        information = made.root / "info/L3_MON"
        information.mkdir(parents=True)
        (information / "mon_features").write_text("".join(f"{event}\n" for event in _COUNTERS))
        (information / "num_rmids").write_text(f"{len(uuids) + 8}\n")
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
        """Name -> the command line of each reader of a tree."""
        root, proc, number = str(there.root), str(there.proc), str(rounds)
        library = f"PYTHONPATH={self._directory}"
        commands = {
            LOOP: [str(self._directory / "loop"), root, number],
            LIBRARY: ["env", library, PYTHON, "-B", str(HERE / "peers/library.py"), root, proc, number],
        }
        if self.has_go:
            covered = f'mount --bind {proc} /proc; exec "$@"'
            go = [str(self._directory / "goresctrl"), number]
            commands[GO] = ["unshare", "--mount", "sh", "-ec", covered, "sh", *go]
        return commands

    def system_calls(self, there: Tree) -> int:
        """The system calls of one look of the library at all groups: those of two less those of one."""
        counts = []
        for rounds in (1, 2):
            log = self._directory / "calls"
            strace = ["strace", "-f", "-o", str(log), *self.commands(there, rounds)[LIBRARY]]
            subprocess.run(strace, check=True, stdout=subprocess.DEVNULL)
            lines = log.read_text(errors="replace").split("\n")
            # What prints, and what the allocator asks for, is no reading
            counts.append(sum(not re.search(r" (write|brk|mmap|munmap|mremap|madvise)\(", line) for line in lines))
        return counts[1] - counts[0]


def _go_builds(program: pathlib.Path) -> bool:
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": GOPATH, "GOCACHE": str(program.parent / "cache")}
    command = ["go", "build", "-o", str(program), str(HERE / "peers/goresctrl.go")]
    return subprocess.run(command, check=False, env=environment, stderr=subprocess.DEVNULL).returncode == 0


class Reading(t.NamedTuple):
    """What it cost to read so many groups: reader -> microseconds of CPU time for each value, turn by turn."""

    groups: int
    costs: dict[str, list[float]]
    system_calls: float

    def ratios(self, name: str, base: str) -> list[float]:
        """What a reader took as ratios to another in the same turn."""
        return [one / other for one, other in zip(self.costs[name], self.costs[base], strict=True)]


def measure(groups: int, turns: int, readers: Readers) -> Reading:
    """Read a tree of so many groups, again and again."""
    with tree([str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(groups)]) as there:
        rounds = 1 + max(2, _VALUES // (groups * 6))
        commands = readers.commands(there, rounds)
        costs: dict[str, list[float]] = {name: [] for name in commands}
        for _turn in range(turns):
            for name, command in commands.items():
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                costs[name].append(statistics.median(map(float, done.stdout.split()[1:])))
        return Reading(groups, costs, readers.system_calls(there) / (groups * 6))
