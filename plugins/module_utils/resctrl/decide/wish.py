# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wished for a host's domains: one value, wherever it comes from. Pure."""

from __future__ import annotations

import types
import typing as t

if t.TYPE_CHECKING:
    from .turns import Queue

# What can be said of `bandwidth` below
BANDWIDTHS = {"true": True, "false": False, "auto": None}


class Wish(t.NamedTuple):
    """What is wished for a domain.

    `enabled`: monitored or not.  `whole_process`: every thread of the process, not only those of the vCPUs.
    `takeover`: take threads out of somebody else's MON groups (never out of libvirt's).
    `leave_cpu_group`: move threads even where that ends the throttling by their CPU's group (mba_MBps).
    `priority`: who is monitored where not all can be; the highest first.
    `bandwidth`: whether it is worth a bandwidth counter where these are scarce; None: if one is left.
    """

    enabled: bool = True
    whole_process: bool = False
    takeover: bool = False
    leave_cpu_group: bool = False
    priority: int = 0
    bandwidth: bool | None = None


class Wishes(t.NamedTuple):
    """Everything that is wished of a host: `of` is UUID -> wish; a domain without one is left alone.

    `reserve`: RMIDs left untouched for others.  `prune`: remove stale groups of ours, of whatever domain.
    `ration`: where not all can be monitored, monitor those of the highest priority; else change nothing.
    `turns`: those of equal priority that do not fit take turns; None: who is monitored stays so.
    """

    of: t.Mapping[str, Wish] = types.MappingProxyType({})
    reserve: int = 0
    prune: bool = True
    ration: bool = False
    turns: Queue | None = None

    def enables(self, uuid: str) -> bool:
        """Whether the domain is to be monitored."""
        return uuid in self.of and self.of[uuid].enabled

    @property
    def whole(self) -> frozenset[str]:
        """The domains of which the whole process is to be counted."""
        return frozenset(uuid for uuid, wish in self.of.items() if wish.enabled and wish.whole_process)
