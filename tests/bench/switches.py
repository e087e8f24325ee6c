# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What monitoring costs those that are monitored: the time of a context switch. For a host with the hardware, as root.

Two processes on one CPU wake each other through a pipe, again and again: both in the root group, both in one MON group,
and each in a MON group of its own, so that the CPU is told another RMID at every switch. The groups are removed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import statistics
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT, _SAME, _OWN = "both in the root", "both in one group", "each in its own group"


def main() -> None:
    """Measure in turn, and print the nanoseconds of a switch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resctrl", type=pathlib.Path, default="/sys/fs/resctrl", help="%(default)s")
    parser.add_argument("--cpu", type=int, default=0, help="the CPU on which both run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=100000, help="of each measurement (%(default)s)")
    parser.add_argument("--turns", type=int, default=11, help="of which the median is told (%(default)s)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.cpu})
    with _group(options.resctrl) as one, _group(options.resctrl) as other:
        root = options.resctrl / "tasks"
        places = {_ROOT: (root, root), _SAME: (one, one), _OWN: (one, other)}
        costs: dict[str, list[float]] = {name: [] for name in places}
        for _turn in range(options.turns):
            for name, tasks in places.items():
                costs[name].append(_switch(*tasks, options.rounds))
        # Who is in a group when it is removed is in the root again
        for name, values in costs.items():
            low, middle, high = statistics.quantiles(values, n=4)
            print(f"{name:<22} {middle:7.0f} ns ({low:.0f}-{high:.0f})")


@contextlib.contextmanager
def _group(resctrl: pathlib.Path) -> Iterator[pathlib.Path]:
    """A MON group as long as the block lasts: its tasks file."""
    directory = resctrl / "mon_groups" / f"switches-{os.getpid()}-{time.monotonic_ns()}"
    directory.mkdir(parents=True)
    try:
        yield directory / "tasks"
    finally:
        directory.rmdir()


def _switch(tasks: pathlib.Path, others: pathlib.Path, rounds: int) -> float:
    """Nanoseconds for each switch between this process in one group and its child in another."""
    (here, to_child), (child_here, to_us) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        _become(others, lambda: _answer(here, to_us, rounds))
    tasks.write_text(f"{os.getpid()}\n", encoding="ascii")
    _exchange(to_child, child_here, 1000)
    began = time.perf_counter_ns()
    _exchange(to_child, child_here, rounds)
    took = time.perf_counter_ns() - began
    os.waitpid(child, 0)
    for descriptor in (here, to_child, child_here, to_us):
        os.close(descriptor)
    return took / rounds / 2


def _become(tasks: pathlib.Path, work: Callable[[], None]) -> t.NoReturn:
    """Be in a group, work, and end."""
    tasks.write_text(f"{os.getpid()}\n", encoding="ascii")
    work()
    os._exit(0)


def _exchange(to_other: int, from_other: int, rounds: int) -> None:
    for _round in range(rounds):
        os.write(to_other, b"x")
        os.read(from_other, 1)


def _answer(from_other: int, to_other: int, rounds: int) -> None:
    for _round in range(1000 + rounds):
        os.read(from_other, 1)
        os.write(to_other, b"x")


if __name__ == "__main__":
    main()
