# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of this machine as a target."""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Iterator

from counters import ERROR, FREEZE, UNAVAILABLE, Counter, frozen

from . import syscalls
from .target import Refused, Target

WORDS = {"Error": ERROR, "Unavailable": UNAVAILABLE}


class Kernel(Target):
    """The resctrl of the running kernel. Raises Refused if using it would disturb somebody."""

    def __init__(self, path: str, destructive: bool, hardware: str) -> None:
        super().__init__(f"kernel {hardware}".rstrip(), os.path.realpath(path), os.uname().release)
        self._destructive = destructive
        self._mounted_here = False
        self._forced: set[Counter] = set()
        self._frozen = contextlib.ExitStack()
        self._rmids: dict[str, int] = {}
        if os.geteuid() != 0:
            raise Refused("not root: run the tests as root")
        entry = self.mount_entry()
        if entry is None:
            self._mount_first()
        elif entry[0] != "resctrl":
            raise Refused(f"{path} holds a filesystem of type {entry[0]}, not resctrl")
        if strangers := self.strangers():
            raise Refused(
                f"{path} has groups that these tests did not make: {', '.join(strangers)}."
                " Stop what made them and remove them, or use another machine"
            )
        self.find_facts()

    def _mount_first(self) -> None:
        if not self._destructive:
            raise Refused(f"{self.path} is not mounted: mount -t resctrl resctrl {self.path}, or give --destructive")
        try:
            self.mount()
        except OSError as error:
            raise Refused(f"resctrl cannot be mounted on {self.path}: {error.strerror}") from error
        self._mounted_here = True

    def mount(self, option: str = "") -> None:
        """As mount -t resctrl."""
        syscalls.mount(self.path, option=option)

    def umount(self) -> None:
        """As umount."""
        syscalls.umount(self.path)

    def close(self) -> None:
        """Unmount it if it was not mounted before."""
        if self._mounted_here:
            self.umount()

    def place(self, tid: int) -> str:
        """What the kernel says."""
        with open(f"/proc/{tid}/cpu_resctrl_groups", encoding="utf-8") as file:
            return file.read()

    def let_time_pass(self, seconds: float) -> None:
        """Wait, and displace what is in the caches, as far as an idle machine would not do so."""
        ids, size = self.l3()
        allowed = os.sched_getaffinity(0)
        for l3_id in ids:
            os.sched_setaffinity(0, self.cpus(l3_id))
            _touched = b"x" * size
        os.sched_setaffinity(0, allowed)
        time.sleep(seconds)

    def l3(self) -> tuple[set[int], int]:
        """As sysfs tells it."""
        ids, sizes = set(), [0]
        for path in glob.glob("/sys/devices/system/cpu/cpu[0-9]*/cache/index3"):
            with open(f"{path}/id", encoding="ascii") as file:
                ids.add(int(file.read()))
            with open(f"{path}/size", encoding="ascii") as file:
                sizes.append(int(file.read().strip().rstrip("K")) << 10)
        return ids, max(sizes)

    def cache_size(self) -> int:
        """As it says."""
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(int(line.split()[3]) << 10 for line in file if line.startswith("cache size"))

    def cpus(self, l3_id: int) -> list[int]:
        """The online CPUs of an L3 domain."""
        for path in glob.glob("/sys/devices/system/cpu/cpu[0-9]*/cache/index3"):
            with open(f"{path}/id", encoding="ascii") as file:
                if int(file.read()) == l3_id:
                    return _parse_list(f"{path}/shared_cpu_list")
        raise AssertionError(f"no L3 cache {l3_id}")

    def own_facts(self) -> set[str]:
        """From /proc/cpuinfo, and from the guests' processor model."""
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            words = set(file.read().split())
        sparse = self.exists("info/L3/sparse_masks") and self.read("info/L3/sparse_masks") == "1\n"
        there = {
            "kernel": True,
            "destructive": self._destructive,
            "steerable": "hypervisor" in words and _has_model(),
            "cdp": "cdp_l3" in words,
            "intel": "GenuineIntel" in words,
            "contiguous": not sparse and "AuthenticAMD" not in words,
            # /proc/cpuinfo of arm64 says "CPU implementer", and that of no other architecture
            "mpam": "implementer" in words,
        }
        return {fact for fact, is_there in there.items() if is_there}

    @contextlib.contextmanager
    def switched_off(self, l3_id: int) -> Iterator[None]:
        """As sysfs does it."""
        cpus = self.cpus(l3_id)
        try:
            _switch(cpus, "0")
            yield
        finally:
            _switch(cpus, "1")

    def run_on(self, tid: int, l3_id: int) -> None:
        """By its affinity."""
        os.sched_setaffinity(tid, self.cpus(l3_id))

    # -- the guests' processor model

    def set_counter(self, group: str, domain: int, event: str, value: float | str) -> None:
        """Make the model's register return it; for the root or a MON group."""
        self._rmids = self._rmids or self._find_rmids()
        raw = WORDS[value] if isinstance(value, str) else int(value) // self.unit()
        self._force(domain, self._rmids[group], event, raw)

    def unset_counters(self) -> None:
        """Back to what the model counts."""
        for counter in self._forced:
            counter.release()
        self._forced.clear()
        self._rmids.clear()

    def freeze(self, stop: bool) -> None:
        """The model's counters."""
        if stop:
            self._frozen.enter_context(frozen())
        else:
            self._frozen.close()

    def _find_rmids(self) -> dict[str, int]:
        """RMIDs of the root and of the MON groups, found by giving each RMID another occupancy."""
        l3_id, unit = self.domains()[0], self.unit()
        for rmid in range(self.num_rmids()):
            self._force(l3_id, rmid, "llc_occupancy", rmid)
        mons = [path for path in self.groups() if "mon_groups/" in path]
        rmids = {path: int(self.counter(path, l3_id, "llc_occupancy")) // unit for path in mons}
        self.unset_counters()
        return {"": 0, **rmids}

    def _force(self, l3_id: int, rmid: int, event: str, raw: int) -> None:
        for node in range(self.nodes()):  # each has a range of the hardware's RMIDs, one after the other
            counter = Counter(self.cpus(l3_id)[0], rmid + node * self.num_rmids(), event)
            counter.force(raw if node == 0 or raw in WORDS.values() else 0)
            self._forced.add(counter)


def _switch(cpus: list[int], state: str) -> None:
    for cpu in cpus:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/online", "w", encoding="ascii") as file:
            file.write(state)


def _parse_list(path: str) -> list[int]:
    with open(path, encoding="ascii") as file:
        ranges = [part.split("-") for part in file.read().strip().split(",")]
    return [cpu for bounds in ranges for cpu in range(int(bounds[0]), int(bounds[-1]) + 1)]


def _has_model() -> bool:
    """Whether the processor has the model's registers. To be asked in virtual machines only."""
    with contextlib.suppress(OSError):
        fd = os.open("/dev/cpu/0/msr", os.O_RDONLY)
        try:
            return len(os.pread(fd, 8, FREEZE)) == 8
        finally:
            os.close(fd)
    return False
