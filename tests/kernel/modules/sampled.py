# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of resctrl_stats in a guest: the hardware's counts are set, and things happen between its two samples."""

from __future__ import annotations

import contextlib
import pathlib
import threading
import time
import typing as t

from counters import Counter
from kernel_host import RESCTRL
from waiting import wait_until

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kernel_host import KernelHost

TOTAL = "mbm_total_bytes"
RATE = f"{TOTAL}_per_second"
# A module that names no file of resctrl for so many seconds, after it has read counters, waits for its second sample
_QUIET = 1.0


@contextlib.contextmanager
def bandwidth() -> Iterator[Callable[..., None]]:
    """Yields a function that sets what the hardware gives for mbm_total_bytes.

    set_units(cpu, units, node=0): of each RMID, in the L3 domain of a CPU, or with sub-NUMA clusters in one node of it.
    """
    rmids = int((RESCTRL / "info/L3_MON/num_rmids").read_text())
    forced: set[Counter] = set()

    def set_units(cpu: int, units: int, node: int = 0) -> None:
        # With sub-NUMA clusters each node has its own RMIDs, which the kernel numbers anew
        counters = {Counter(cpu, rmid + node * rmids, TOTAL) for rmid in range(rmids)}
        for counter in counters:
            counter.force(units)
        forced.update(counters)

    try:
        yield set_units
    finally:
        for counter in forced:
            counter.release()


@contextlib.contextmanager
def between_samples(host: KernelHost, interval: float) -> Iterator[dict[str, t.Any]]:
    """The block runs between the two samples of a resctrl_stats. Yielded is a dictionary that has its domains then."""
    domains: dict[str, t.Any] = {}
    run = threading.Thread(target=lambda: domains.update(host.all_stats(interval=interval)))
    host.modules.forget()
    run.start()
    try:
        wait_until(lambda: _reads(host) > 0, "the first sample")
        wait_until(lambda: _is_quiet(host), "the pause after it")
        first = _reads(host)
        yield domains
        assert _reads(host) == first, "the second sample was taken too early for this test"
    finally:
        run.join()


def _reads(host: KernelHost) -> int:
    """How many counters the module has opened."""
    return sum("/mon_data/" in line and "bytes" in line for line in host.modules.calls())


def _is_quiet(host: KernelHost) -> bool:
    before = len(host.modules.calls())
    time.sleep(_QUIET)
    return len(host.modules.calls()) == before


def kernels_count(group: str, cache: int) -> int:
    """A group's mbm_total_bytes of one cache, by the kernel's own file."""
    return int((RESCTRL / group / f"mon_data/mon_L3_{cache:02d}/{TOTAL}").read_text())


def switch_cpu(cpu: int, *, online: bool) -> None:
    """Take a CPU offline, or bring it back."""
    pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/online").write_text(f"{online:d}\n", encoding="ascii")


@contextlib.contextmanager
def cpus_are_back(*cpus: int) -> Iterator[None]:
    """At the block's end these CPUs are online."""
    try:
        yield
    finally:
        for cpu in cpus:
            switch_cpu(cpu, online=True)


def cache_rates(rates: dict[str, t.Any]) -> dict[int, dict[str, t.Any]]:
    """What `rates` says of each cache, by its id."""
    return {cache["id"]: cache for cache in rates["caches"]}


def gives_reason(values: dict[str, t.Any]) -> bool:
    """Whether it is said why the bandwidth has no rate."""
    return any(name.startswith(TOTAL) and reason for name, reason in values["reasons"].items())
