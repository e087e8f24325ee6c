# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest, where its domains are: python3 look.py SCOPE LOOKS. Prints JSON: way -> what a look costs.

The library chooses the way by itself ("chosen"); it is also made to ask for each thread, and to list each group.
"""

from __future__ import annotations

import collections
import json
import os
import statistics
import sys
import time
import typing as t

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.location import locate
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.files import Files
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.processes import Processes

if t.TYPE_CHECKING:
    from collections.abc import Callable

RESCTRL = "/sys/fs/resctrl"
KINDS = ("tasks", "cpu_resctrl_groups")


class Asks(Resctrl):
    """It is always cheaper to ask for each thread."""

    def threads_of_the_machine(self) -> int:
        """So many that to walk them is too much."""
        return 1 << 62


class Lists(Resctrl):
    """No thread can be asked for."""

    tells_groups = False


WAYS = {"asked": Asks, "listed": Lists, "chosen": Resctrl}


def ways(scope: str) -> dict[str, Callable[[], object]]:
    """The ways to find the threads. Here and in the imports is all that depends on how the library is called."""
    # No program is waited for: a guest in which all wait is at once at the end of the time limit
    host = Host(Files(Processes(), lambda: True, state="/run/libvirt/test"), Resctrl(RESCTRL))
    known = host.source.domains()
    running = host.look([Selected(domain.name, domain) for domain in known], known).running
    assert len(running) == len(known)
    active = {domain.uuid for domain in known if domain.active}
    whole = active if scope == "domain" else set()

    def by(resctrl: Resctrl) -> Callable[[], object]:
        return lambda: locate(resctrl, running, active, whole, turn=0)

    return {way: by(kind(RESCTRL)) for way, kind in WAYS.items()}


def opened(call: Callable[[], object], log: list[str]) -> dict[str, int]:
    """How many files a call opens, by KINDS. To `log` the name of each file that is opened is appended."""
    log.clear()
    call()
    counts = collections.Counter(log)
    return {kind: counts[kind] for kind in KINDS}


def main() -> None:
    """Measure; the ways take turns, so that a slow moment hits all alike."""
    scope, number = sys.argv[1], int(sys.argv[2])
    calls = ways(scope)
    seconds: dict[str, list[float]] = {way: [] for way in calls}
    user, system = collections.Counter[str](), collections.Counter[str]()
    for _look in range(number):
        for way, call in calls.items():
            before, start = os.times(), time.process_time()
            call()
            seconds[way].append(time.process_time() - start)
            after = os.times()
            # The kernel tells these by its ticks, and only their sum to the nanosecond
            user[way] += round((after.user - before.user) * 1000)
            system[way] += round((after.system - before.system) * 1000)
    log: list[str] = []
    # An audit hook stays: nothing is timed after this
    sys.addaudithook(lambda event, words: log.append(str(words[0]).rpartition("/")[2]) if event == "open" else None)
    told = {
        way: {
            "seconds": statistics.median(seconds[way]),
            "system": system[way] / ((user[way] + system[way]) or 1),
            **opened(call, log),
        }
        for way, call in calls.items()
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
