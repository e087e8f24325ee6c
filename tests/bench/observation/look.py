# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest, where its domains are: python3 look.py URI LOOKS. Prints a table of medians."""

from __future__ import annotations

import collections
import os
import pathlib
import statistics
import subprocess
import sys
import time
import typing as t

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.location import locate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected

if t.TYPE_CHECKING:
    from collections.abc import Callable

RESCTRL = "/sys/fs/resctrl"
KINDS = ("tasks", "cpu_resctrl_groups", "others")


def looks(uri: str) -> dict[str, Callable[[], object]]:
    """What is measured. Here and in the imports is all that depends on how the library is called."""
    host = Host.of_libvirt(uri, RESCTRL)
    known = host.source.domains()
    selected = [Selected(domain.name, domain) for domain in known]
    active = {domain.uuid for domain in known if domain.active}
    running = host.look(selected, known).running
    assert len(running) == len(known)
    return {
        "the groups of all threads": lambda: locate(host.resctrl, running, active, (), turn=0),
        "the same, and the processes": lambda: host.look(selected, known),
    }


def read_whole(path: pathlib.Path) -> None:
    """Read a file with as few system calls as it takes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while os.read(descriptor, 65536):
            pass
    finally:
        os.close(descriptor)


def files_opened(call: Callable[[], object], log: list[str]) -> dict[str, int]:
    """How many files a call opens, by KINDS. To `log` the name of each file that is opened is appended."""
    log.clear()
    call()
    counts = collections.Counter(name if name in KINDS else "others" for name in log)
    return {kind: counts[kind] for kind in KINDS}


def main() -> None:
    """Measure; the calls take turns, so that a slow moment hits all alike."""
    uri, number = sys.argv[1], int(sys.argv[2])
    path = next(pathlib.Path(RESCTRL, "mon_groups").iterdir()) / "tasks"
    cat, read = f"cat {path.name}", f"read {path.name}"
    calls: dict[str, Callable[[], object]] = {
        cat: lambda: subprocess.run(["cat", str(path)], check=True, capture_output=True),
        read: lambda: read_whole(path),
        **looks(uri),
    }
    milliseconds: dict[str, list[float]] = {name: [] for name in calls}
    for _look in range(number):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            milliseconds[name].append((time.perf_counter() - start) * 1000)
    log: list[str] = []
    # An audit hook stays: nothing is timed after this
    sys.addaudithook(lambda event, words: log.append(str(words[0]).rpartition("/")[2]) if event == "open" else None)
    opened = {name: files_opened(call, log) for name, call in calls.items() if name != cat}
    medians = {name: statistics.median(values) for name, values in milliseconds.items()}
    print(f"{f'median of {number}':<28} {'ms':>8} {f'x {cat}':>12} {f'x {read}':>12}   files opened")
    for name, median in medians.items():
        files = ", ".join(f"{kind} {count}" for kind, count in opened.get(name, {}).items() if count)
        print(f"{name:<28} {median:>8.1f} {median / medians[cat]:>12.2f} {median / medians[read]:>12.1f}   {files}")


if __name__ == "__main__":
    main()
