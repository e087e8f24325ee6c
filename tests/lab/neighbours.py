# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations among the VMs of a host, as they can be planted on an emulated one, and what has to be said of each.

    python tests/lab/neighbours.py

prints them as the table of docs/docsite/rst/report.rst.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import time
import typing as t

from standins import L3Cache
from waiting import wait_until

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from emulated_host import EmulatedHost
    from standins import Standin

MiB = 1 << 20
GB = 10**9
# Where the earlier looks at a host are kept
USAGE = "/run/kvmops-resctrl/usage.json"
OCCUPANCY = "llc_occupancy"
BANDWIDTH = ("mbm_total_bytes", "mbm_local_bytes")

ONE_SOCKET = (L3Cache(0, (0, 1), package=0),)
TWO_SOCKETS = (L3Cache(0, (0,), package=0), L3Cache(1, (1,), package=1))


@dataclasses.dataclass(frozen=True)
class Has:
    """What a group has of a cache: MiB that it holds, and what it moves within the interval, in 10^9 bytes."""

    mib: int
    gigabytes: float = 0.0
    cache: int = 0


class Planted:
    """An emulated host while a situation is planted on it: before the first look and between the two."""

    def __init__(self, host: EmulatedHost, limit: Callable[[float], str]) -> None:
        self.host = host
        self.limit = limit
        self._moves: list[tuple[str, Has]] = []
        self._cycles: list[tuple[str, int, dict[str, int]]] = []

    def has(self, group: str, *parts: Has) -> None:
        """Let a group hold some of a cache now, and move bytes later."""
        self._moves = [(other, part) for other, part in self._moves if other != group]
        self._moves += [(group, part) for part in parts]
        self._rest(group, *parts)

    def _rest(self, group: str, *parts: Has) -> None:
        for part in parts:
            self.host.control.set(group, part.cache, OCCUPANCY, part.mib * MiB)
            for event in BANDWIDTH:
                self.host.control.set(group, part.cache, event, GB)

    def vm(self, name: str, *parts: Has, cpu: int | None = None, vcpus: int = 2) -> Standin:
        """A monitored VM; with `cpu` all of its vCPUs run there."""
        domain = self.host.domains.add(name, vcpus)
        self.has(self.host.enable(domain), *parts)
        if cpu is not None:
            pin(domain, cpu)
        return domain

    def the_host_itself(self, *parts: Has) -> None:
        """What runs on the host beside all VMs that are monitored."""
        self.has("", *parts)

    def cycles(self, group: str, package: int, *, all_of_them: int, stalls: int) -> None:
        """Let a group have so many cycles on a package later, and lose so many of them to misses of the L3 cache."""
        self._cycles.append((group, package, {"unhalted_core_cycles": all_of_them, "stalls_llc_miss": stalls}))
        for event in self._cycles[-1][2]:
            self.host.control.set(group, package, event, GB)

    def move(self) -> None:
        """What happens between the two looks."""
        for group, package, events in self._cycles:
            for event, number in events.items():
                self.host.control.set(group, package, event, GB + number)
        for group, part in self._moves:
            for event in BANDWIDTH:
                self.host.control.set(group, part.cache, event, GB + int(part.gigabytes * GB))

    def look(self, **options: t.Any) -> t.Any:
        """What resctrl_stats returns of an analysis while what was planted happens."""
        control = self.host.control
        control.clear_log()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            run = pool.submit(self.host.run, "resctrl_stats", **{"interval": 1, "analysis": True, **options})
            wait_until(lambda: [one for one in control.log("read") if "/mon_data/" in one.path], "a sample")
            # The rest of the sample; the next one is a second away
            time.sleep(0.4)
            self.move()
            return run.result()

    def was_seen(self, *hours: float) -> None:
        """Let there have been looks at all of that as it is now, so many hours ago."""
        self.look()
        path = self.host.domains.path(USAGE)
        histories = json.loads(path.read_text(encoding="utf-8"))
        for history in histories.values():
            ((at, *rest),) = history["looks"]
            history["looks"] = [[at - 3600 * ago, *rest] for ago in hours]
        path.write_text(json.dumps(histories), encoding="utf-8")
        for group, part in self._moves:
            self._rest(group, part)


def pin(domain: Standin, cpu: int) -> None:
    """Let the vCPUs of a VM run on one CPU only."""
    for tid in domain.vcpus.values():
        os.sched_setaffinity(tid, {cpu})


@dataclasses.dataclass(frozen=True)
class Situation:
    """A situation: in words, what plants it, and what has to be said of it.

    `findings`: kind, name of the domain, and where, in order.  `uncounted`: what is said not to be counted, beside what
    always is, with the domains.  `doubts`: how many sentences speak against the first finding, beside the short time.
    `ceiling`: what a socket can move, in 10^9 bytes per second, where that is configured.
    """

    words: str
    plant: Callable[[Planted], None]
    findings: tuple[tuple[str, str, str], ...]
    uncounted: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    doubts: int = 0
    caches: tuple[L3Cache, ...] = ONE_SOCKET
    profile: tuple[str, ...] = ("intel-6.12", "cbm_bits=16")
    ceiling: float | None = 8.0

    @property
    def name(self) -> str:
        """A name for the test."""
        return self.plant.__name__.strip("_").replace("_", " ")


def _aggressor(on: Planted) -> None:
    on.vm("vm1", Has(24, 9.0))
    on.vm("vm2", Has(3, 0.5))
    on.vm("vm3", Has(3, 0.5))
    on.the_host_itself(Has(1))


def _big_but_quiet(on: Planted) -> None:
    on.vm("vm1", Has(24, 0.01))
    on.vm("vm2", Has(3, 0.01))
    on.vm("vm3", Has(3, 0.01))
    on.the_host_itself(Has(1))


def _much_with_many_vcpus(on: Planted) -> None:
    on.vm("vm1", Has(24, 6.0), vcpus=8)
    on.vm("vm2", Has(6, 1.5), vcpus=2)
    on.the_host_itself(Has(1))


def _throttled(on: Planted) -> None:
    domain = on.vm("vm1", Has(10, 0.1))
    on.vm("vm2", Has(10, 0.1))
    on.the_host_itself(Has(1))
    on.host.domains.plug("vm1", 2, busy=True)
    on.host.move(on.host.group(domain), domain.vcpus[2])
    with open(f"{on.limit(0.01)}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(domain.pid))


def _waits_for_a_cpu(on: Planted) -> None:
    for name in ("vm1", "vm2"):
        domain = on.vm(name, Has(10, 0.1), vcpus=1)
        tid = on.host.domains.plug(name, 1, busy=True)
        on.host.move(on.host.group(domain), tid)
        pin(domain, 0)
    on.the_host_itself(Has(1))


def _nothing_at_all(on: Planted) -> None:
    for name in ("vm1", "vm2", "vm3"):
        on.vm(name, Has(10, 1.0))
    on.the_host_itself(Has(1))


def _full_of_room(on: Planted) -> None:
    on.vm("vm1", Has(16, 3.0))
    on.vm("vm2", Has(1, 0.1))
    on.vm("vm3", Has(1, 0.1))
    on.the_host_itself(Has(1))


def _two_sockets(on: Planted) -> None:
    on.vm("vm1", Has(24, 9.0, 0), Has(0, 0.0, 1), cpu=0)
    on.vm("vm2", Has(4, 1.0, 0), Has(0, 0.0, 1), cpu=0)
    on.vm("vm3", Has(0, 0.0, 0), Has(15, 2.0, 1), cpu=1)
    on.vm("vm4", Has(0, 0.0, 0), Has(15, 2.0, 1), cpu=1)
    on.the_host_itself(Has(1, 0.0, 0), Has(1, 0.0, 1))


def _half_uncounted(on: Planted) -> None:
    on.vm("vm1", Has(4, 0.5))
    on.vm("vm2", Has(4, 0.5))
    on.host.domains.add("vm3")
    on.host.domains.add("vm4")
    on.the_host_itself(Has(22, 1.0))


def _uncounted_hog(on: Planted) -> None:
    on.vm("vm1", Has(2, 0.1))
    on.vm("vm2", Has(2, 0.1))
    on.host.domains.add("vm3")
    on.host.domains.add("vm4")
    on.the_host_itself(Has(27, 2.0))


def _amd_with_partial_values(on: Planted) -> None:
    for name, mib, gigabytes in (("vm1", 24, 9.0), ("vm2", 3, 0.5), ("vm3", 3, 0.5)):
        on.vm(name, Has(mib, gigabytes, 0))
    on.the_host_itself(Has(1, 0.0, 0), Has(0, 0.0, 1))


def _host_itself(on: Planted) -> None:
    on.vm("vm1", Has(2, 0.5))
    on.vm("vm2", Has(2, 0.5))
    on.the_host_itself(Has(26, 9.0))


def _victim(on: Planted) -> None:
    on.vm("vm1", Has(24, 9.0, 0), Has(0, 0.0, 1), cpu=0)
    domain = on.vm("vm2", Has(4, 1.0, 0), Has(0, 0.0, 1), cpu=0)
    on.the_host_itself(Has(3, 0.0, 0), Has(1, 0.0, 1))
    on.cycles(on.host.group(domain), 0, all_of_them=3 * GB, stalls=GB)


def _changed_event(on: Planted) -> None:
    with open(on.host.seen("info/L3_MON") / f"{BANDWIDTH[0]}_config", "w", encoding="ascii") as file:
        file.write("0=0x1\n")
    _aggressor(on)


def _rose(on: Planted) -> None:
    domain = on.vm("vm1", Has(2, 0.2))
    on.vm("vm2", Has(4, 1.0))
    on.vm("vm3", Has(4, 1.0))
    on.the_host_itself(Has(1))
    on.was_seen(72, 48, 24)
    on.has(on.host.group(domain), Has(12, 3.0))


def _always_so(on: Planted) -> None:
    _aggressor(on)
    on.was_seen(72, 48, 24)


def _started_anew(on: Planted) -> None:
    group = on.host.group(on.vm("vm1", Has(2, 0.2)))
    on.vm("vm2", Has(4, 1.0))
    on.the_host_itself(Has(1))
    on.was_seen(72, 48, 24)
    on.host.domains.stop("vm1")
    for tid in on.host.domains.start("vm1").vcpus.values():
        on.host.move(group, tid)
    on.has(group, Has(12, 3.0))


SITUATIONS = (
    Situation(
        "One VM of three holds three quarters of a full cache and moves nine tenths of what memory can move.",
        _aggressor,
        (("streams", "vm1", "cache 0"), ("moves_more_than_share", "vm1", "package 0")),
    ),
    Situation(
        "The same, but what memory can move is neither configured nor was it ever seen.",
        _aggressor,
        (("streams", "vm1", "cache 0"),),
        ceiling=None,
    ),
    Situation(
        "One VM of three holds three quarters of a full cache, and hardly moves anything.",
        _big_but_quiet,
        (("large_working_set", "vm1", "cache 0"),),
        doubts=1,
    ),
    Situation(
        "One VM holds three quarters of a full cache, and has four fifths of the vCPUs.",
        _much_with_many_vcpus,
        (("nothing_stands_out", "", ""),),
    ),
    Situation(
        "One VM holds much more than its share of a cache that is half empty.",
        _full_of_room,
        (("nothing_stands_out", "", ""),),
    ),
    Situation("A VM is busy, and its own CPU limit holds it back.", _throttled, (("throttled", "vm1", ""),)),
    Situation(
        "Two busy VMs share one CPU.",
        _waits_for_a_cpu,
        (("waits_for_cpu", "vm1", ""), ("waits_for_cpu", "vm2", "")),
    ),
    Situation("Three VMs share a full cache evenly.", _nothing_at_all, (("nothing_stands_out", "", ""),)),
    Situation(
        "There are two sockets, and a VM that streams on the first one.",
        _two_sockets,
        (("streams", "vm1", "cache 0"), ("moves_more_than_share", "vm1", "package 0")),
        caches=TWO_SOCKETS,
        profile=("intel-6.12", "cbm_bits=16", "l3_ids=0,1"),
    ),
    Situation(
        "Two VMs of four are not monitored; what is not accounted for is about their share.",
        _half_uncounted,
        (("nothing_stands_out", "", ""),),
        {"domains": ("vm3", "vm4")},
        doubts=1,
    ),
    Situation(
        "Two VMs of four are not monitored, and most of the cache is not accounted for.",
        _uncounted_hog,
        (("not_accounted_for", "", "cache 0"),),
        {"domains": ("vm3", "vm4")},
        doubts=1,
    ),
    Situation(
        "An AMD host, where the second cache tells nothing of VMs that never ran there.",
        _amd_with_partial_values,
        (("streams", "vm1", "cache 0"), ("moves_more_than_share", "vm1", "package 0")),
        {"partial": ("vm1", "vm2", "vm3")},
        caches=TWO_SOCKETS,
        profile=("amd-bmec", "l3_ids=0,1", "run_on=0"),
    ),
    Situation(
        "A VM that streams, beside one that cache misses cost a third of its cycles (telemetry of packages).",
        _victim,
        (
            ("victim", "vm2", "package 0"),
            ("streams", "vm1", "cache 0"),
            ("moves_more_than_share", "vm1", "package 0"),
        ),
        doubts=1,
        caches=TWO_SOCKETS,
        profile=("intel-aet", "l3_ids=0,1", "packages=2"),
    ),
    Situation(
        "An AMD host, where somebody has told an event to count less than usual.",
        _changed_event,
        (("streams", "vm1", "cache 0"), ("moves_more_than_share", "vm1", "package 0")),
        {"configuration": ()},
        profile=("amd-bmec", "l3_ids=0"),
    ),
    Situation(
        "All VMs are monitored, and the host itself holds most of a full cache and moves most bytes.",
        _host_itself,
        (("not_accounted_for", "", "cache 0"), ("not_accounted_for", "", "package 0")),
    ),
    Situation(
        "A VM of three holds and moves much more than at each look of the last three days; nothing is scarce yet.",
        _rose,
        (("moves_more_than_before", "vm1", "package 0"), ("holds_more_than_before", "vm1", "cache 0")),
        doubts=1,
    ),
    Situation(
        "A VM holds and moves far too much, and did so at each look of the last three days.",
        _always_so,
        (("streams", "vm1", "cache 0"), ("moves_more_than_share", "vm1", "package 0")),
    ),
    Situation(
        "A VM was started anew, and holds and moves more than before that.",
        _started_anew,
        (("nothing_stands_out", "", ""),),
    ),
)


def situation(name: str, ceiling: float | None = 8.0) -> Situation:
    """The one of that name. Raises ValueError if there is none."""
    (found,) = (one for one in SITUATIONS if (one.name, one.ceiling) == (name, ceiling))
    return found


def table(situations: Iterable[Situation] = SITUATIONS) -> str:
    """The table of the documentation."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "",
        *_row("situation", ["what is found"], ["said not to be counted"]),
    ]
    for one in situations:
        uncounted = [f"{what}: {', '.join(names)}".rstrip(": ") for what, names in one.uncounted.items()]
        lines += _row(one.words, [_cell(*finding) for finding in one.findings], uncounted)
    return "".join(f"{line}\n" for line in lines)


def _row(words: str, *cells: list[str]) -> list[str]:
    """A row of a list-table. Several entries of a cell are lines of it."""
    lines = [f"   * - {words}"]
    for cell in cells:
        marked = [f"| {entry}" for entry in cell] if len(cell) > 1 else cell or ["\\-"]
        lines += [f"     {'  ' if number else '- '}{entry}" for number, entry in enumerate(marked)]
    return lines


def _cell(kind: str, domain: str, where: str) -> str:
    return " ".join([f"``{kind}``", *([domain] if domain else []), *([f"on {where}"] if where else [])])


if __name__ == "__main__":
    print(table(), end="")
