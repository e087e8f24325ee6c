# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of made-up threads and a kernel on it, without FUSE."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "lab"))

from emulator.kernfs import Caller
from emulator.limbo import Clock
from emulator.model import Resctrl
from emulator.profiles import ERAS, load

FIRST_PID = 100


@dataclass
class FakeThread:
    """A thread that runs only when a test says so."""

    tid: int
    tgid: int
    start: int
    uid: int = 0
    ran: int = 0
    alive: bool = True
    children: list[int] = field(default_factory=list)

    def cpu_ns(self) -> int | None:
        """Nanoseconds it has run, None once it is gone."""
        return self.ran if self.alive else None

    def close(self) -> None:
        """Nothing is held."""


class FakeMachine:
    """Threads by number; the rest of the machine is idle unless ``busy`` says otherwise."""

    def __init__(self) -> None:
        self.all: dict[int, FakeThread] = {}
        self.parents: dict[int, int] = {}
        self.busy = 0
        self._next = FIRST_PID

    def spawn(self, uid: int = 0, parent: int = 0, pid: int = 0) -> int:
        """A new process, forked by the thread ``parent``."""
        tid = pid or self._new()
        self.all[tid] = FakeThread(tid, tid, self._next, uid)
        self.parents[tid] = 0
        if parent:
            self.all[parent].children.append(tid)
            self.parents[tid] = self.all[parent].tgid
        return tid

    def clone(self, tgid: int) -> int:
        """A new thread of a process."""
        tid = self._new()
        self.all[tid] = FakeThread(tid, tgid, self._next, self.all[tgid].uid)
        return tid

    def run(self, tid: int, seconds: float) -> None:
        """Let a thread run for some seconds."""
        self.all[tid].ran += int(seconds * 1e9)
        self.busy += int(seconds * 1e9)

    def exit(self, tid: int) -> None:
        """End a thread."""
        self.all.pop(tid).alive = False

    def _new(self) -> int:
        self._next += 1
        return self._next

    # what the model asks

    def thread(self, tid: int) -> FakeThread | None:
        """As in proc.Machine."""
        return self.all.get(tid)

    def threads(self, tgid: int) -> list[int]:
        """As in proc.Machine."""
        return [thread.tid for thread in self.all.values() if thread.tgid == tgid]

    def processes(self) -> list[int]:
        """As in proc.Machine."""
        return sorted({thread.tgid for thread in self.all.values()})

    def children(self, tid: int) -> list[int]:
        """As in proc.Machine."""
        return [pid for pid in self.all[tid].children if pid in self.all] if tid in self.all else []

    def parent(self, tgid: int) -> int:
        """As in proc.Machine."""
        return self.parents.get(tgid, 0)

    def owners(self, tid: int) -> tuple[int, ...]:
        """As in proc.Machine."""
        return (self.all[tid].uid, self.all[tid].uid)

    def busy_ns(self) -> int:
        """As in proc.Machine."""
        return self.busy


class Kernel:
    """A mounted resctrl with the calls of a shell: paths are relative to the mount point."""

    def __init__(self, resctrl: Resctrl, machine: FakeMachine, clock: Clock) -> None:
        self.resctrl = resctrl
        self.machine = machine
        self.clock = clock
        self.caller = Caller(tid=machine.spawn(), uid=0, gid=0)

    @property
    def status(self) -> str:
        """last_cmd_status, which reading does not clear."""
        return self.read("info/last_cmd_status")

    def read(self, path: str) -> str:
        """Content of a file."""
        return self.resctrl.read(self.resctrl.root.find(path), self.caller).decode()

    def tasks(self, path: str) -> list[int]:
        """Thread numbers that a group lists."""
        return [int(line) for line in self.read(f"{path}/tasks").splitlines()]

    def value(self, path: str, event: str, l3_id: int = 0) -> str:
        """A counter, without its newline."""
        return self.read(f"{path}/mon_data/mon_L3_{l3_id:02d}/{event}").rstrip("\n")

    def write(self, path: str, text: str | int, caller: Caller | None = None) -> None:
        """One write(2)."""
        self.resctrl.write(self.resctrl.root.find(path), str(text).encode("latin-1"), caller or self.caller)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Make a group."""
        self.resctrl.mkdir(path, mode, self.caller)

    def rmdir(self, path: str) -> None:
        """Remove a group."""
        self.resctrl.rmdir(path)

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        """Rename a group."""
        self.resctrl.rename(old, new, flags)

    def exists(self, path: str) -> bool:
        """Whether there is such a path."""
        try:
            self.resctrl.root.find(path)
        except FileNotFoundError:
            return False
        return True

    def names(self, path: str) -> set[str]:
        """Entries of a directory."""
        return {node.name for node in self.resctrl.root.find(path).listing()}

    def pin(self, path: str, event: str, value: float | str, domain: int = 0) -> None:
        """Set a counter of a group's own RMID."""
        self.resctrl.monitor.pin(self.resctrl.group_at(path), domain, event, value)

    def fill(self, prefix: str) -> int:
        """Make groups until it fails; how many there are then."""
        for number in range(1000):
            with contextlib.suppress(OSError):
                self.mkdir(f"{prefix}{number}")
                continue
            return number
        raise AssertionError("there is no end")


Boot = Callable[..., Kernel]


@pytest.fixture
def machine_type() -> type[FakeMachine]:
    """For what needs more than one machine in a test."""
    return FakeMachine


@pytest.fixture
def boot() -> Boot:
    """``boot(profile, era=..., field=value, ...)``: a kernel whose time stands still unless a test advances it."""

    def start(profile: str = "intel-6.1", era: str | None = None, **fields: object) -> Kernel:
        base = replace(load(profile), l3_ids=(0,), l3_size=32 << 20, cpus=4)
        if era is not None:
            fields["era"] = ERAS[era]
        chosen = replace(base, **fields)  # type: ignore[arg-type]
        assert not chosen.problems()
        machine, clock = FakeMachine(), Clock(source=lambda: 1000.0)
        return Kernel(Resctrl(chosen, machine, clock), machine, clock)

    return start


@pytest.fixture(params=list(ERAS))
def kernel(request: pytest.FixtureRequest, boot: Boot) -> Kernel:
    """The default machine under each kernel."""
    return boot(era=request.param)


@pytest.fixture
def fails() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """``with fails("EINVAL"):`` asserts that the block fails with exactly that errno."""

    @contextlib.contextmanager
    def check(name: str) -> Iterator[None]:
        with pytest.raises(OSError) as raised:  # noqa: PT011  (its errno is checked)
            yield
        got = errno.errorcode.get(raised.value.errno or 0, "")
        assert got == name, os.strerror(raised.value.errno or 0)

    return check
