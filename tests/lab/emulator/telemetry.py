# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telemetry of packages (arch/x86/kernel/cpu/resctrl/intel_aet.c): energy and performance events of each RMID.

Aggregators outside of the CPUs add the events up. resctrl never resets them: a group begins with what the former owner
of its RMID has left.
"""

from __future__ import annotations

from dataclasses import dataclass

DECIMALS = {18: 6}
"""The decimal places with which a number of so many binary places is printed (fs/resctrl/ctrlmondata.c)."""


@dataclass(frozen=True)
class Event:
    """One event: how much of it a second of CPU time is in this model, and the binary places of its counter."""

    per_second: float
    binary_places: int = 0

    def raw(self, value: float) -> int:
        """The counter's number for a value in the event's unit, such as joules."""
        return round(value * (1 << self.binary_places))

    def show(self, raw: int) -> str:
        """What a file reads: an integer, or a decimal fraction that is rounded half up."""
        if not self.binary_places:
            return str(raw)
        power = 10 ** DECIMALS[self.binary_places]
        scaled = ((raw * power << 1) + (1 << self.binary_places)) >> self.binary_places + 1
        return f"{scaled // power}.{scaled % power:0{DECIMALS[self.binary_places]}d}"


ENERGY = {"core_energy": Event(15.0, 18), "activity": Event(0.5, 18)}
PERF = {
    "stalls_llc_hit": Event(2e8),
    "c1_res": Event(1e8),
    "unhalted_core_cycles": Event(3e9),
    "stalls_llc_miss": Event(4e8),
    "c6_res": Event(5e7),
    "unhalted_ref_cycles": Event(2.5e9),
    "uops_retired": Event(6e9),
}
EVENTS = {**ENERGY, **PERF}
"""By name, in the order of mon_features."""


class Telemetry:
    """The counters of all RMIDs in all packages. Threads are taken to run in the first packages more than in others."""

    def __init__(self, packages: int) -> None:
        weights = range(packages, 0, -1)
        self._weights = [weight / sum(weights) for weight in weights]
        self._seconds: dict[int, float] = {}
        self._bases: dict[tuple[int, int, str], int] = {}

    def charge(self, rmid: int, seconds: float) -> None:
        """Count CPU time."""
        self._seconds[rmid] = self._seconds.get(rmid, 0.0) + seconds

    def get(self, rmid: int, package: int, event: str) -> int | None:
        """A counter's number, None as long as the aggregators have no valid data: the RMID has never been in use."""
        base = self._bases.get((rmid, package, event))
        if base is None and rmid not in self._seconds:
            return None
        return (base or 0) + self._counted(rmid, package, event)

    def set(self, rmid: int, package: int, event: str, raw: int) -> None:
        """Make a counter continue from a number."""
        self._bases[rmid, package, event] = raw - self._counted(rmid, package, event)

    def _counted(self, rmid: int, package: int, event: str) -> int:
        return EVENTS[event].raw(self._seconds.get(rmid, 0.0) * self._weights[package] * EVENTS[event].per_second)
