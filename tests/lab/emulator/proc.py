# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of the machine, as /proc shows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
BUSY_FIELDS = (0, 1, 2, 5, 6, 7)
"""user, nice, system, irq, softirq, steal of /proc/stat's first line."""


class Thread(Protocol):
    """One thread, for good: after its end it is never mistaken for another one with the same number."""

    tid: int
    tgid: int
    start: int

    def cpu_ns(self) -> int | None:
        """Nanoseconds it has run so far, None once it is gone."""

    def close(self) -> None:
        """Forget it."""


class Machine(Protocol):
    """What the model asks about threads."""

    def thread(self, tid: int) -> Thread | None:
        """The thread with this number, None if there is none."""

    def threads(self, tgid: int) -> list[int]:
        """Thread numbers of a process, oldest first."""

    def processes(self) -> list[int]:
        """Process numbers, in ascending order."""

    def children(self, tid: int) -> list[int]:
        """Processes forked by exactly this thread."""

    def parent(self, tgid: int) -> int:
        """Process number of the parent, 0 if there is none."""

    def owners(self, tid: int) -> tuple[int, ...]:
        """Real and saved user id of a thread; empty if it is gone."""

    def busy_ns(self) -> int:
        """Nanoseconds all CPUs together have been busy."""


@dataclass
class ProcThread:
    """A thread, pinned by an open file of its /proc directory: reads fail with ESRCH once it is reaped."""

    tid: int
    tgid: int
    start: int
    fd: int

    def cpu_ns(self) -> int | None:
        """Nanoseconds it has run so far, None once it is gone."""
        try:
            return int(os.pread(self.fd, 64, 0).split(None, 1)[0])
        except (OSError, IndexError):
            return None

    def close(self) -> None:
        """Forget it."""
        os.close(self.fd)


class Proc:
    """/proc of the pid namespace in which the emulator runs. It stays that one, whatever is mounted on it later."""

    def __init__(self) -> None:
        self._root = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def thread(self, tid: int) -> ProcThread | None:
        """The thread with this number, None if there is none."""
        try:
            fd = os.open(f"{tid}/schedstat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._root)
        except OSError:
            return None
        try:
            return ProcThread(tid, int(self._status(tid, b"Tgid")[0]), int(self._stat(tid)[19]), fd)
        except (OSError, IndexError):
            os.close(fd)
            return None

    def threads(self, tgid: int) -> list[int]:
        """Thread numbers of a process, oldest first."""
        try:
            return [int(name) for name in self._names(f"{tgid}/task")]
        except OSError:
            return []

    def processes(self) -> list[int]:
        """Process numbers, in ascending order."""
        return sorted(int(name) for name in self._names(".") if name.isdigit())

    def children(self, tid: int) -> list[int]:
        """Processes forked by exactly this thread; none where the kernel has no CONFIG_PROC_CHILDREN."""
        try:
            return [int(pid) for pid in self._read(f"{tid}/task/{tid}/children").split()]
        except OSError:
            return []

    def parent(self, tgid: int) -> int:
        """Process number of the parent, 0 if there is none."""
        try:
            return int(self._stat(tgid)[1])
        except (OSError, IndexError):
            return 0

    def owners(self, tid: int) -> tuple[int, ...]:
        """Real and saved user id of a thread; empty if it is gone."""
        try:
            real, _effective, saved, _filesystem = self._status(tid, b"Uid")
        except (OSError, ValueError):
            return ()
        return int(real), int(saved)

    def busy_ns(self) -> int:
        """Nanoseconds all CPUs together have been busy."""
        fields = self._read("stat").partition(b"\n")[0].split()[1:]
        return sum(int(fields[i]) for i in BUSY_FIELDS) * TICK_NS

    def _names(self, path: str) -> list[str]:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def _read(self, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            data = b""
            while piece := os.read(fd, 65536):
                data += piece
            return data
        finally:
            os.close(fd)

    def _stat(self, tid: int) -> list[bytes]:
        """Fields of /proc/TID/stat from the third (state) on; the second one may hold anything."""
        return self._read(f"{tid}/stat").rpartition(b")")[2].split()

    def _status(self, tid: int, key: bytes) -> list[bytes]:
        rows = (line.partition(b":") for line in self._read(f"{tid}/status").splitlines())
        return next((value.split() for name, _colon, value in rows if name == key), [])
