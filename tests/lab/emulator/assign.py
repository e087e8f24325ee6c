# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assignable bandwidth counters (AMD ABMC, Arm MPAM): few of them, each for one event of one group in one domain."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from .domains import Domains
from .groups import Group
from .kstr import ULONG, fail, kstrto, strim
from .profiles import LOCAL, TOTAL
from .status import LastCommand

MBM_EVENT = "mbm_event"
DEFAULT = "default"
TRANSACTIONS = (
    "local_reads",
    "remote_reads",
    "local_non_temporal_writes",
    "remote_non_temporal_writes",
    "local_reads_slow_memory",
    "remote_reads_slow_memory",
    "dirty_victim_writes_all",
)
LOCAL_TRANSACTIONS = frozenset(name for name in TRANSACTIONS if name.startswith("local_"))
TRUE, FALSE = frozenset(("y", "t", "1", "on")), frozenset(("n", "f", "0", "of"))


class Assignments:
    """The counters of every domain and who has them. ``reset(group, l3_id, event)`` makes a count start anew."""

    def __init__(self, domains: Domains, status: LastCommand, reset: Callable[[Group, int, str], None]) -> None:
        self._profile = profile = domains.profile
        self._domains = domains
        self._status = status
        self._reset = reset
        self.events = [event for event in (TOTAL, LOCAL) if event in profile.events]
        self.available = profile.abmc_counters > 0
        self.enabled = self.available
        self.on_mkdir = self.available
        self.fixed = profile.vendor == "Arm"
        self._filters = _default_filters()
        # Of each group that has a counter also the RMID with which it got it
        self._holders: dict[int, dict[tuple[Group, str], int]] = {l3_id: {} for l3_id in profile.l3_ids}

    # -- groups

    def created(self, group: Group) -> None:
        """A new group tries to get a counter for each event in each domain; having none is no failure."""
        if not (self.enabled and self.on_mkdir):
            return
        for event in self.events:
            for l3_id in self._domains.l3_ids:
                self._assign(group, event, l3_id)

    def removed(self, group: Group) -> None:
        """The counters of a group are free again."""
        for holders in self._holders.values():
            for event in self.events:
                holders.pop((group, event), None)

    def went_offline(self, l3_id: int) -> None:
        """The counters of a cache whose CPUs are all offline; they are free when it comes back."""
        self._holders[l3_id].clear()

    def counts(self, group: Group, event: str, l3_id: int) -> bool:
        """Whether an event of a group is being counted in a domain.

        Arm looks its counter up by the RMID, which a group that was renamed to another CTRL_MON group changes.
        """
        if not self.enabled or event not in self.events:
            return True
        rmid = self._holders[l3_id].get((group, event))
        return rmid is not None and (not self.fixed or rmid == group.rmid)

    def _holds(self, group: Group, event: str, l3_id: int) -> bool:
        return (group, event) in self._holders[l3_id]

    def _assign(self, group: Group, event: str, l3_id: int) -> bool:
        holders = self._holders[l3_id]
        if (group, event) in holders:
            return True
        if len(holders) >= self._profile.abmc_counters:
            self._status.printf(f"Failed to allocate counter for {event} in domain {l3_id}\n")
            return False
        holders[group, event] = group.rmid
        self._reset(group, l3_id, event)
        return True

    # -- files

    def show(self, group: Group) -> str:
        """``mbm_L3_assignments``. Raises OSError EINVAL in the default mode."""
        self._require_enabled()
        lines = ""
        for event in self.events:
            states = (f"{i}={'e' if self._holds(group, event, i) else '_'}" for i in self._domains.l3_ids)
            lines += f"{event}:{';'.join(states)}\n"
        return lines

    def write(self, group: Group, text: str) -> None:
        """A write to ``mbm_L3_assignments``, its final newline taken off. Raises OSError EINVAL, ENOENT, ENOSPC."""
        if not self.enabled:
            self._status.puts("mbm_event mode is not enabled\n")
            fail(errno.EINVAL)
        for line in text.split("\n"):
            event, _colon, operations = line.partition(":")
            if event not in self.events:
                self._status.printf(f"Invalid event {event}\n")
                fail(errno.ENOENT)
            rest = operations
            while rest:
                operation, _semicolon, rest = rest.partition(";")
                self._operate(group, event, strim(operation))
                rest = "" if operation.lstrip().startswith("*") else rest  # nothing after all domains is looked at

    def _operate(self, group: Group, event: str, operation: str) -> None:
        number, equals, state = operation.partition("=")
        number = number if number[:1] != "*" else "*"
        state = state if equals else "(null)"
        domains = self._named_domains(number)
        code = self._set_state(group, event, domains, state)
        if code:
            self._status.printf(f"Assign operation '{event}:{number}={state}' failed\n")
            fail(code)

    def _named_domains(self, number: str) -> Iterable[int]:
        if number == "*":
            return self._domains.l3_ids
        try:
            l3_id = kstrto(number, 10, ULONG)
        except OSError:
            self._status.puts("Missing domain id\n")
            raise
        if l3_id not in self._domains.l3_ids:
            self._status.printf(f"Invalid domain id {l3_id}\n")
            fail(errno.EINVAL)
        return (l3_id,)

    def _set_state(self, group: Group, event: str, domains: Iterable[int], state: str) -> int:
        """Returns an errno, 0 if all went well."""
        if state not in ("e", "_"):
            return errno.EINVAL
        short = False
        for l3_id in domains:
            if state == "e":
                short |= not self._assign(group, event, l3_id)
            else:
                self._holders[l3_id].pop((group, event), None)
        return errno.ENOSPC if short else 0

    def show_mode(self) -> str:
        """``info/L3_MON/mbm_assign_mode``: the active mode in brackets."""
        if not self.available:
            return f"[{DEFAULT}]\n"
        if self.fixed:
            return f"[{MBM_EVENT}]\n"
        return f"[{MBM_EVENT}]\n{DEFAULT}\n" if self.enabled else f"[{DEFAULT}]\n{MBM_EVENT}\n"

    def write_mode(self, mode: str, groups: Iterable[Group]) -> None:
        """A write to ``mbm_assign_mode``. A switch frees all counters and zeroes all counts. Raises OSError EINVAL."""
        if mode not in (MBM_EVENT, DEFAULT):
            self._status.puts("Unsupported assign mode\n")
            fail(errno.EINVAL)
        if mode == MBM_EVENT and not self.available:
            self._status.puts("mbm_event mode is not supported\n")
            fail(errno.EINVAL)
        if self.fixed and mode == DEFAULT:
            # Without counters the driver refuses, and says nothing
            self._status.puts("Counter assignment mode is not configurable\n" if self.available else "")
            fail(errno.EINVAL)
        if self.enabled == (mode == MBM_EVENT):
            return
        self.enabled = mode == MBM_EVENT
        self.on_mkdir |= self.enabled
        self._filters = _default_filters()
        for l3_id, holders in self._holders.items():
            holders.clear()
            for group in groups:
                for event in self.events:
                    self._reset(group, l3_id, event)

    def show_free(self) -> str:
        """``info/L3_MON/available_mbm_cntrs``. Raises OSError EINVAL in the default mode."""
        self._require_enabled()
        total = self._profile.abmc_counters
        return ";".join(f"{i}={total - len(self._holders[i])}" for i in self._domains.l3_ids) + "\n"

    def show_total(self) -> str:
        """``info/L3_MON/num_mbm_cntrs``."""
        return ";".join(f"{i}={self._profile.abmc_counters}" for i in self._domains.l3_ids) + "\n"

    def show_on_mkdir(self) -> str:
        """``info/L3_MON/mbm_assign_on_mkdir``. Raises OSError EINVAL in the default mode."""
        self._require_enabled()
        return f"{int(self.on_mkdir)}\n"

    def write_on_mkdir(self, text: str) -> None:
        """A write to ``mbm_assign_on_mkdir``. Raises OSError EINVAL."""
        word = next((word for word in (text[:2].lower(), text[:1].lower()) if word in TRUE | FALSE), None)
        if word is None:
            self._status.puts("mbm_assign_on_mkdir: Invalid input\n")
            fail(errno.EINVAL)
        self._require_enabled()
        self.on_mkdir = word in TRUE

    def show_filter(self, event: str) -> str:
        """``event_configs/EVENT/event_filter``: what the event counts. Raises OSError EINVAL in the default mode."""
        self._require_enabled()
        return ",".join(name for name in TRANSACTIONS if name in self._filters[event]) + "\n"

    def write_filter(self, event: str, text: str) -> None:
        """A write to ``event_filter``, its newline taken off: counts of the event start anew. Raises OSError EINVAL."""
        self._require_enabled()
        chosen = frozenset(strim(name) for name in text.split(",")) if text else frozenset()
        for name in chosen.difference(TRANSACTIONS):
            self._status.printf(f"Invalid memory transaction type {name}\n")
            fail(errno.EINVAL)
        if chosen != self._filters[event]:
            self._filters[event] = chosen
            for l3_id, holders in self._holders.items():
                for group in [group for group, held in holders if held == event]:
                    self._reset(group, l3_id, event)

    def _require_enabled(self) -> None:
        self._status.clear()
        if not self.enabled:
            self._status.puts("mbm_event counter assignment mode is not enabled\n")
            fail(errno.EINVAL)


def _default_filters() -> dict[str, frozenset[str]]:
    return {TOTAL: frozenset(TRANSACTIONS), LOCAL: LOCAL_TRANSACTIONS}
