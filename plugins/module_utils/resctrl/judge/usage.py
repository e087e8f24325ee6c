# SPDX-License-Identifier: GPL-3.0-or-later
"""What kept a domain from running between two looks: its own limit, other threads, or a lack of memory. Pure."""

from __future__ import annotations

import types
import typing as t

from ..kernel.events import GONE, UNSUPPORTED


class Usage(t.NamedTuple):
    """What the threads of a domain's vCPUs had used up to a moment. Everything is in seconds, and only grows.

    `at`: when, on the monotonic clock.  `ran`: thread id -> how long it ran.  `delayed`: thread id -> how long it was
    ready to run, and waited for a CPU.  `throttled`: cgroup -> how long its CPU limit held it back, over all CPUs.
    `stalled`: how long one of the domain's threads or more waited for memory. None where the kernel does not tell.
    """

    at: float
    ran: t.Mapping[int, float] = types.MappingProxyType({})
    delayed: t.Mapping[int, float] = types.MappingProxyType({})
    throttled: t.Mapping[str, float] | None = None
    stalled: float | None = None


class Cpu(t.NamedTuple):
    """The same between two moments, `interval` apart, added up over `vcpus` threads. None where it is not known.

    `reasons`: why, by the name of the value.  `replaced`: no cgroup of the first moment was there at the second.
    """

    interval: float
    vcpus: int
    seconds: float | None
    run_delay: float | None
    throttled: float | None
    memory_stall: float | None
    replaced: bool = False

    @property
    def reasons(self) -> dict[str, str]:
        """The name of each value that is not known, with the reason: gone, or unsupported by this kernel."""
        why = UNSUPPORTED if self.vcpus else GONE
        values = {name: getattr(self, name) for name in ("seconds", "run_delay", "throttled", "memory_stall")}
        reasons = {name: why for name, value in values.items() if value is None}
        return {**reasons, "throttled": GONE} if self.replaced else reasons

    def share(self, seconds: float | None) -> float | None:
        """Seconds of all vCPUs as a share of the time that they had, of which 1 is all."""
        whole = self.interval * self.vcpus
        return None if seconds is None or whole <= 0 else seconds / whole

    @property
    def waiting(self) -> float | None:
        """The share of the time in which vCPUs waited for a CPU that others had.

        Until kernel 6.17 the time in which a limit held a thread back is part of its run delay, so it is taken off.
        """
        return None if self.run_delay is None else self.share(max(0.0, self.run_delay - (self.throttled or 0.0)))


def between(first: Usage, second: Usage) -> Cpu:
    """What was used between two moments, by the threads and cgroups that were there at both."""
    ran, delayed = _grown(first.ran, second.ran), _grown(first.delayed, second.delayed)
    known = None
    if first.throttled is not None and second.throttled is not None:
        known = _grown(first.throttled, second.throttled)
    stalled = None
    if first.stalled is not None and second.stalled is not None:
        stalled = max(0.0, second.stalled - first.stalled)
    return Cpu(
        second.at - first.at,
        len(ran),
        sum(ran.values()) if ran else None,
        sum(delayed.values()) if delayed else None,
        sum(known.values()) if known else None,
        stalled,
        replaced=known == {},
    )


_Key = t.TypeVar("_Key")


def _grown(first: t.Mapping[_Key, float], second: t.Mapping[_Key, float]) -> dict[_Key, float]:
    """By how much each has grown. One that is less than before is another one of that name."""
    return {key: second[key] - first[key] for key in first if key in second and second[key] >= first[key]}
