# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests do with a target: files and groups below its mount point, and what can be told about it from them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from waiting import while_busy

from .rules import version

OWN_ENTRIES = frozenset({"info", "mon_data", "mon_groups"})
"""Directories of the root that are no groups."""


LIMBO = 5.0
"""Seconds in which an RMID that owns nothing comes out of the limbo."""


class Refused(Exception):
    """The target cannot be used; the text says why and what to do."""


class Target(ABC):
    """A mounted resctrl. Paths are relative to its mount point, and a group is named by its path, the root group by "".

    ``release`` is the kernel's. Whatever groups are made through it are removed by ``clean``.
    """

    def __init__(self, name: str, path: str, release: str) -> None:
        self.name = name
        self.path = path
        self.release = release
        self.facts: frozenset[str] = frozenset()
        self._made: list[str] = []
        self._lock = -1

    # -- what differs between targets

    @abstractmethod
    def mount(self, option: str = "") -> None:
        """Mount it. Raises OSError EBUSY, EINVAL."""

    @abstractmethod
    def umount(self) -> None:
        """Unmount it. Raises OSError EBUSY."""

    @abstractmethod
    def close(self) -> None:
        """Leave everything as it was before."""

    @abstractmethod
    def place(self, tid: int) -> str:
        """Where a thread is, as /proc/PID/task/TID/cpu_resctrl_groups says it."""

    @abstractmethod
    def let_time_pass(self, seconds: float) -> None:
        """For the limbo's workers, which run every second."""

    @abstractmethod
    def l3(self) -> tuple[set[int], int]:
        """Ids of the online L3 caches and the size of one in bytes, not asked from resctrl."""

    @abstractmethod
    def cache_size(self) -> int:
        """What /proc/cpuinfo says, in bytes: the size of the L3 on Intel, of the L2 on AMD."""

    @abstractmethod
    def own_facts(self) -> set[str]:
        """Facts that resctrl's files do not tell."""

    @abstractmethod
    def switched_off(self, l3_id: int) -> contextlib.AbstractContextManager[None]:
        """Let all CPUs of an L3 cache be offline for a while."""

    @abstractmethod
    def run_on(self, tid: int, l3_id: int) -> None:
        """Let a thread run on the CPUs of an L3 cache only, where threads have CPUs."""

    @abstractmethod
    def set_counter(self, group: str, domain: int, event: str, value: float | str) -> None:
        """Make the hardware give a word, or a number of bytes (a multiple of the unit), for a group's own RMID.

        The domain is an L3 cache; for an event of telemetry it is a package, and the number in the event's unit.

        With sub-NUMA clustering the first node gets the number and the others 0; a word goes to all nodes.
        """

    @abstractmethod
    def unset_counters(self) -> None:
        """Undo all ``set_counter``."""

    @abstractmethod
    def freeze(self, stop: bool) -> None:
        """Stop all counters, or let them go on."""

    # -- files

    def at(self, path: str) -> str:
        """The absolute path."""
        return os.path.join(self.path, path) if path else self.path

    def read(self, path: str) -> str:
        """A file's whole content."""
        with open(self.at(path), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    def write(self, path: str, text: str, flags: int = os.O_WRONLY) -> None:
        """One write(2) of it all."""
        fd = os.open(self.at(path), flags)
        try:
            assert os.write(fd, os.fsencode(text)) == len(os.fsencode(text))
        finally:
            os.close(fd)

    def names(self, path: str = "") -> set[str]:
        """The entries of a directory."""
        return set(os.listdir(self.at(path)))

    def mode(self, path: str) -> int:
        """A file's permissions."""
        return os.stat(self.at(path)).st_mode & 0o7777

    def files(self, path: str = "") -> Iterator[str]:
        """All files below a directory."""
        for directory, _directories, names in os.walk(self.at(path)):
            for name in names:
                yield os.path.relpath(os.path.join(directory, name), self.path)

    def exists(self, path: str) -> bool:
        """Whether there is such an entry."""
        return os.path.lexists(self.at(path))

    def status(self) -> str:
        """What info/last_cmd_status says."""
        return self.read("info/last_cmd_status")

    def since(self, release: str) -> bool:
        """Whether the kernel is that mainline release or a later one."""
        return version(self.release) >= version(release)

    # -- groups

    def mkdir(self, path: str, mode: int = 0o777) -> str:
        """Make a group; its path. Raises OSError."""
        os.mkdir(self.at(path), mode)
        self._made.append(path)
        return path

    def make(self, path: str) -> str:
        """Make a group that a test needs, waiting for RMIDs of former ones; its path."""
        self.patiently(lambda: self.mkdir(path))
        return path

    def patiently(self, action: Callable[[], object]) -> None:
        """Do it again as long as it fails with EBUSY; with RMIDs that belong to a CLOSID, a little also with ENOSPC."""

        def sleep(_seconds: float) -> None:
            self.let_time_pass(0.25)

        if "mpam" in self.facts:
            while_busy(action, LIMBO, sleep, codes=(errno.EBUSY, errno.ENOSPC))
        else:
            while_busy(action, sleep=sleep)

    def adopt(self, path: str) -> None:
        """Remove this group too when the test is over."""
        self._made.append(path)

    def rmdir(self, path: str) -> None:
        """Remove a group."""
        os.rmdir(self.at(path))

    def rename(self, old: str, new: str) -> None:
        """Rename a group."""
        os.rename(self.at(old), self.at(new))
        self._made.append(new)

    def fill(self) -> list[str]:
        """Make MON groups of the root until no RMID is left for another; their paths."""
        if "mpam" in self.facts:
            return self._fill_by_trying()
        return [self.make(f"mon_groups/fill{n}") for n in range(self.num_rmids() - 1 - len(self.groups()))]

    def _fill_by_trying(self) -> list[str]:
        """The same where no file says how many RMIDs go with the root's CLOSID."""
        self.let_time_pass(LIMBO)
        made: list[str] = []
        with contextlib.suppress(OSError):
            while True:
                made.append(self.mkdir(f"mon_groups/fill{len(made)}"))
        return made

    def groups(self) -> list[str]:
        """The groups that were made through this object and that are there."""
        return [path for path in self._made if self.exists(path)]

    def clean(self) -> None:
        """Remove the groups that were made, and whatever else a test may have left."""
        for path in reversed(self._made):
            with contextlib.suppress(FileNotFoundError):
                self.rmdir(path)
        self._made.clear()

    def strangers(self) -> list[str]:
        """Groups that were not made here."""
        controls = [e.name for e in os.scandir(self.path) if e.is_dir() and e.name not in OWN_ENTRIES]
        mons = [f"mon_groups/{name}" for name in (self.names("mon_groups") if self.exists("mon_groups") else ())]
        return sorted(path for path in controls + mons if path not in self._made)

    # -- threads

    def move(self, tid: int, group: str) -> None:
        """Write one thread to a group's tasks."""
        self.write(os.path.join(group, "tasks"), f"{tid}\n")

    def tasks(self, group: str) -> list[int]:
        """The threads in a group's tasks."""
        return [int(line) for line in self.read(os.path.join(group, "tasks")).splitlines()]

    # -- counters

    def num_rmids(self) -> int:
        """RMIDs for all groups, the root's included."""
        resources = [name for name in ("L3_MON", "PERF_PKG_MON") if self.exists(f"info/{name}")]
        return min(int(self.read(f"info/{name}/num_rmids")) for name in resources)

    def num_closids(self) -> int:
        """CLOSIDs for all CTRL_MON groups, the root's included."""
        paths = [f"info/{name}/num_closids" for name in self.names("info")]
        return min(int(self.read(path)) for path in paths if self.exists(path))

    def events(self) -> list[str]:
        """The counters that every L3 domain has."""
        path = "info/L3_MON/mon_features"
        lines = self.read(path).split() if self.exists(path) else []
        return [line for line in lines if not line.endswith("_config")]

    def domains(self) -> list[int]:
        """Ids of the L3 domains with monitoring."""
        found = (re.fullmatch(r"mon_L3_(\d+)", name) for name in self.names("mon_data"))
        return sorted(int(match[1]) for match in found if match)

    def counter(self, group: str, l3_id: int, event: str) -> str:
        """What a counter reads, without the newline."""
        return self.read(f"{group or '.'}/mon_data/mon_L3_{l3_id:02d}/{event}").rstrip("\n")

    def sum(self, group: str, event: str) -> int:
        """A counter over all domains; those that give no number count nothing."""
        values = (self.counter(group, l3_id, event) for l3_id in self.domains())
        return sum(int(value) for value in values if value.isdigit())

    def scale(self) -> int:
        """The hardware's bytes per unit: the least threshold that is not rounded down to zero."""
        path = "info/L3_MON/max_threshold_occupancy"
        before = self.read(path)
        low, high = 0, self.cache_size()
        try:
            while high - low > 1:
                middle = (low + high) // 2
                self.write(path, f"{middle}\n")
                low, high = (middle, high) if self.read(path) == "0\n" else (low, middle)
        finally:
            self.write(path, before)
        return high

    def nodes(self) -> int:
        """Sub-NUMA nodes of each L3 domain."""
        names = [name for l3_id in self.domains()[:1] for name in self.names(f"mon_data/mon_L3_{l3_id:02d}")]
        return sum(name.startswith("mon_sub_L3_") for name in names) or 1

    def unit(self) -> int:
        """Bytes per unit of the counters."""
        return self.scale() // self.nodes()

    # -- the lock that applications agree on

    def lock(self) -> None:
        """Wait for the exclusive lock on the root directory and hold it."""
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Release it by closing."""
        os.close(self._lock)

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """For a while, in which it may also be unmounted: it is mounted anew then."""
        self.unlock()
        try:
            yield
        finally:
            if not self.is_mounted():
                self.mount()
            self.lock()

    @contextlib.contextmanager
    def unmounted(self) -> Iterator[None]:
        """For a while, unless the block mounts it."""
        with self.unlocked():
            self.patiently(self.umount)
            yield

    @contextlib.contextmanager
    def mounted_with(self, option: str) -> Iterator[None]:
        """Mounted with an option for a while."""
        with self.unmounted():
            self.mount(option)
            try:
                yield
            finally:
                self.clean()
                self.patiently(self.umount)

    def mount_entry(self) -> tuple[str, list[str]] | None:
        """Type and options in /proc/self/mounts, None if it is not mounted."""
        with open("/proc/self/mounts", encoding="utf-8") as file:
            rows = [line.split() for line in file]
        return next(((row[2], row[3].split(",")) for row in reversed(rows) if row[1] == self.path), None)

    def is_mounted(self) -> bool:
        """Whether it is mounted."""
        return self.mount_entry() is not None

    # -- facts

    def find_facts(self) -> None:
        """Look at the files for what there is."""
        info, facts = self.names("info"), self.own_facts()
        facts |= {"alloc"} if info - {"last_cmd_status", "L3_MON", "PERF_PKG_MON"} else set()
        facts |= {"l3"} if "L3" in info else set()
        facts |= {"mb"} if "MB" in info else set()
        facts |= {"two-cpus"} if (os.cpu_count() or 1) > 1 else set()
        facts |= {"kthreads"} if _has_kernel_threads() else set()
        facts |= self._monitoring_facts(info) if "mon_groups" in self.names() else set()
        if "alloc" in facts and ("mon" not in facts or self.num_closids() < self.num_rmids()):
            facts.add("few-closids")
        self.facts = frozenset(facts)

    def _monitoring_facts(self, info: set[str]) -> set[str]:
        events, mode = self.events(), "info/L3_MON/mbm_assign_mode"
        there = {
            "mon": True,
            "l3-mon": "L3_MON" in info,
            "cmt": "llc_occupancy" in events,
            "mbm": "mbm_total_bytes" in events,
            "two-domains": len(self.domains()) > 1,
            "abmc": self.exists(mode) and "[mbm_event]" in self.read(mode),
            "bmec": self.exists("info/L3_MON/mbm_total_bytes_config"),
            "snc": self.nodes() > 1,
            "perf": "PERF_PKG_MON" in info,
        }
        return {fact for fact, is_there in there.items() if is_there}


def _has_kernel_threads() -> bool:
    try:
        with open("/proc/2/comm", encoding="utf-8") as file:
            return file.read() == "kthreadd\n"
    except FileNotFoundError:
        return False
