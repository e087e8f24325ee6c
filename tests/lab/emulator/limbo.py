# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RMIDs: who gets which, and when one may be used again.

A freed RMID may still own cache lines. Until a worker has seen its occupancy below ``max_threshold_occupancy`` in every
domain it waits in the limbo (arch/x86/kernel/cpu/resctrl/monitor.c, later fs/resctrl/monitor.c).
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .kstr import fail

INTERVAL = 1.0
"""Seconds between two runs of a domain's worker."""


@dataclass
class Clock:
    """Monotonic seconds that a test may advance."""

    ahead: float = 0.0
    source: Callable[[], float] = time.monotonic

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        return self.source() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let that much time have passed."""
        self.ahead += seconds


@dataclass(frozen=True)
class LimboRules:
    """What of the limbo depends on hardware and era.

    ``used`` is false without llc_occupancy: a freed RMID is free at once. ``always`` (6.9 and later): every freed RMID
    waits for the worker; before, a domain counts as clean at once if the freeing CPU is in it and sees no more than the
    threshold.
    """

    used: bool
    always: bool


@dataclass
class RmidPool:
    """The RMIDs of the system. RMID 0 belongs to the root group and never comes or goes.

    On Arm an RMID is a pair: ``pmgs`` of them belong to each CLOSID, those of CLOSID n from n * pmgs on. Elsewhere
    ``pmgs`` is 0, and every RMID goes with every CLOSID.
    ``domains()`` are those that are online; ``occupancy(rmid, domain)`` is in bytes, None if the hardware gives no
    value; ``threshold()`` is in bytes.
    """

    count: int
    domains: Callable[[], Sequence[int]]
    rules: LimboRules
    clock: Clock
    occupancy: Callable[[int, int], int | None]
    threshold: Callable[[], int]
    pmgs: int = 0
    free: deque[int] = field(init=False)
    held: list[int] = field(init=False, default_factory=list)
    limbo: dict[int, set[int]] = field(init=False, default_factory=dict)
    _due: dict[int, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.free = deque(range(1, self.count))

    def alloc(self, closid: int = 0) -> int:
        """The RMID that goes with a CLOSID and has been free for the longest time.

        Raises OSError EBUSY if no RMID at all is free but one may come out of the limbo, else ENOSPC: also if the
        CLOSID's own are in the limbo.
        """
        self.run()
        if not self.free:
            fail(errno.EBUSY if self.limbo else errno.ENOSPC)
        rmid = next((rmid for rmid in self.free if self._goes_with(rmid, closid)), None)
        if rmid is None:
            fail(errno.ENOSPC)
        self.free.remove(rmid)
        return rmid

    def _goes_with(self, rmid: int, closid: int) -> bool:
        return not self.pmgs or rmid // self.pmgs == closid

    def dirty(self, closid: int) -> int:
        """How many RMIDs of a CLOSID are in the limbo."""
        self.run()
        return sum(self._goes_with(rmid, closid) for rmid in self.limbo)

    def pair(self, closid: int, rmid: int) -> int:
        """The RMID of a group that has come to another CLOSID: on Arm it keeps its PMG, which nobody gives it there."""
        return closid * self.pmgs + rmid % self.pmgs if self.pmgs else rmid

    def leave(self, count: int | None) -> None:
        """Hold back all free RMIDs but so many, as if the hardware had fewer than it says; None holds none back."""
        self.run()
        self.free.extend(self.held)
        self.held.clear()
        while count is not None and len(self.free) > count:
            self.held.append(self.free.pop())

    def release(self, rmid: int) -> None:
        """Give an RMID back: to the limbo, or to the tail of the free list.

        One that is free or in the limbo stays there. That happens on Arm only, to a group that was renamed; the kernel
        puts it in its list twice.
        """
        self.run()
        if rmid in self.free or rmid in self.limbo:
            return
        busy = self._busy_when_freed(rmid) if self.rules.used else []
        if not busy:
            self.free.append(rmid)
            return
        self.limbo[rmid] = set(busy)
        for domain in busy:
            self._due.setdefault(domain, self.clock.now() + INTERVAL)

    def _busy_when_freed(self, rmid: int) -> Iterable[int]:
        if self.rules.always:
            return self.domains()
        here, *others = self.domains()
        occupied = self.occupancy(rmid, here)
        clean = occupied is None or occupied <= self.threshold()
        return others if clean else self.domains()

    def drop(self, domain: int) -> None:
        """A domain goes offline: it keeps no RMID in the limbo any more."""
        self._due.pop(domain, None)
        for rmid in sorted(r for r, busy in self.limbo.items() if domain in busy):
            self._clean(rmid, domain)

    def run(self) -> None:
        """Let the workers whose time has come look at their domains."""
        now = self.clock.now()
        for domain in [d for d, due in self._due.items() if due <= now]:
            self._check(domain)
            if any(domain in busy for busy in self.limbo.values()):
                missed = (now - self._due[domain]) // INTERVAL
                self._due[domain] += (missed + 1) * INTERVAL
            else:
                del self._due[domain]

    def _check(self, domain: int) -> None:
        for rmid in sorted(r for r, busy in self.limbo.items() if domain in busy):
            occupied = self.occupancy(rmid, domain)
            if occupied is None or occupied >= self.threshold():
                continue
            self._clean(rmid, domain)

    def _clean(self, rmid: int, domain: int) -> None:
        self.limbo[rmid].discard(domain)
        if not self.limbo[rmid]:
            del self.limbo[rmid]
            self.free.append(rmid)
