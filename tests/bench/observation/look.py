# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest, where its domains are: python3 look.py URI SCOPE LOOKS. Prints JSON: way -> what a look costs."""

from __future__ import annotations

import collections
import json
import os
import statistics
import sys
import time
import typing as t

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe import location
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Selected

if t.TYPE_CHECKING:
    from collections.abc import Callable

RESCTRL = "/sys/fs/resctrl"
KINDS = ("tasks", "cpu_resctrl_groups")


def ways(uri: str, scope: str) -> dict[str, Callable[[], object]]:
    """The ways to find the threads. Here and in the imports is all that depends on how the library is called."""
    found: dict[str, Callable[[], object]] = {}
    for way in ("asked", "listed"):
        host = Host.of_libvirt(uri, RESCTRL)
        known = host.source.domains()
        running = host.look([Selected(domain.name, domain) for domain in known], known).running
        assert len(running) == len(known)
        active = {domain.uuid for domain in known if domain.active}
        host.resctrl.tells_groups = way == "asked"  # else it is found out by a look at /proc
        whole = active if scope == "domain" else set()
        found[way] = lambda host=host, running=running, active=active, whole=whole: location.locate(
            host.resctrl, running, active, whole, turn=0
        )
    return found


def opened(call: Callable[[], object], log: list[str]) -> dict[str, int]:
    """How many files a call opens, by KINDS. To `log` the name of each file that is opened is appended."""
    log.clear()
    call()
    counts = collections.Counter(log)
    return {kind: counts[kind] for kind in KINDS}


def main() -> None:
    """Measure; the ways take turns, so that a slow moment hits all alike."""
    uri, scope, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    calls = ways(uri, scope)
    seconds: dict[str, list[float]] = {way: [] for way in calls}
    split = {way: [0.0, 0.0] for way in calls}
    for _look in range(number):
        for way, call in calls.items():
            before, start = os.times(), time.process_time()
            call()
            seconds[way].append(time.process_time() - start)
            after = os.times()
            split[way][0] += after.user - before.user
            split[way][1] += after.system - before.system
    log: list[str] = []
    # An audit hook stays: nothing is timed after this
    sys.addaudithook(lambda event, words: log.append(str(words[0]).rpartition("/")[2]) if event == "open" else None)
    print(
        json.dumps(
            {
                way: {
                    "seconds": statistics.median(seconds[way]),
                    "system": split[way][1] / (sum(split[way]) or 1),
                    **opened(call, log),
                }
                for way, call in calls.items()
            }
        )
    )


if __name__ == "__main__":
    main()
