# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule needs to be tried, and what a target has."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

FACTS = {
    "kernel": "a real kernel",
    "destructive": "permission to disturb others (--destructive)",
    "steerable": "counters that tests can set",
    "kthreads": "kernel threads in sight",
    "intel": "an Intel processor",
    "two-cpus": "two CPUs or more",
    "alloc": "allocation",
    "l3": "allocation of L3 cache",
    "mb": "allocation of memory bandwidth",
    "contiguous": "cache masks that must be contiguous",
    "cdp": "code and data prioritization",
    "few-closids": "fewer CLOSIDs than RMIDs",
    "mon": "monitoring",
    "cmt": "llc_occupancy",
    "mbm": "mbm_total_bytes",
    "two-domains": "two L3 domains or more",
    "abmc": "assignable bandwidth counters",
    "bmec": "configurable bandwidth events",
    "snc": "sub-NUMA clustering",
    "perf": "telemetry of packages",
}
"""The words of a rule's needs. With ``no-`` before it, a word means that the target must not have it."""


def version(text: str) -> tuple[int, int]:
    """The first two numbers of a kernel release. Raises ValueError if it does not begin so."""
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if not numbers:
        raise ValueError(f"not a kernel release: {text!r}")
    return int(numbers[1]), int(numbers[2])


@dataclass(frozen=True)
class Rule:
    """A rule: the mainline kernels that have it (empty: no limit), and the facts that it takes to try it."""

    number: str
    subject: str
    title: str
    since: str = ""
    until: str = ""
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [need for need in self.needs if need.removeprefix("no-") not in FACTS]
        if unknown:
            raise ValueError(f"rule {self.number}: unknown need {unknown[0]!r}")

    @property
    def kernels(self) -> str:
        """The kernels that have it; empty if all have."""
        if self.since and self.until:
            return f"{self.since} to {self.until}"
        if self.since:
            return f"{self.since} and later"
        return f"{self.until} and earlier" if self.until else ""

    def obstacle(self, release: tuple[int, int], facts: Collection[str]) -> str:
        """Why it does not apply to a target: its kernels, or the need that is not met. Empty if it applies."""
        too_old = self.since and release < version(self.since)
        too_new = self.until and release > version(self.until)
        if too_old or too_new:
            return self.kernels
        for need in self.needs:
            word = need.removeprefix("no-")
            if (word in facts) != (word == need):
                return need
        return ""
