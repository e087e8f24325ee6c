# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of libvirt's domains, in /proc: whose a process is, and which of its threads run vCPUs."""

from __future__ import annotations

import os
import re

from ..kernel.files import read_if_there

# Names that QEMU gives its vCPU threads under libvirt (-name ...,debug-threads=on)
_VCPU_COMM = re.compile(r"CPU ([0-9]+)/(?:KVM|TCG|HVF|DUMMY)\n?")
_TGID = re.compile(r"^Tgid:\s*([0-9]+)$", re.MULTILINE)


class Processes:
    """Processes as /proc shows them. `proc` can be a test's. What is said of all processes is as of the last look()."""

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc
        self._candidates: dict[str, list[int]] | None = None

    def look(self) -> None:
        """Forget which processes there were."""
        self._candidates = None

    def are_visible(self) -> bool:
        """Whether other users' processes can be seen: not with hidepid and without CAP_SYS_PTRACE."""
        return bool(read_if_there(f"{self.proc}/1/cmdline"))

    def runs(self, pid: int, uuid: str) -> bool:
        """Whether the process `pid` (or a thread's) was started as the QEMU of that domain."""
        return _uuid_of(self._words(pid)) == uuid

    def is_there(self, tid: int) -> bool:
        """Whether a thread can be seen at all."""
        return os.path.exists(f"{self.proc}/{tid}")

    def threads(self, pid: int) -> frozenset[int]:
        """All threads of a process; empty if there is no such process."""
        try:
            return frozenset(map(int, os.listdir(f"{self.proc}/{pid}/task"))) if pid > 0 else frozenset()
        except OSError:
            return frozenset()

    def process_of(self, tid: int) -> int:
        """The process of a thread, 0 if there is none."""
        match = _TGID.search(read_if_there(f"{self.proc}/{tid}/status"))
        return int(match.group(1)) if match else 0

    def with_uuid(self, uuid: str) -> list[int]:
        """The processes that were started as the QEMU of that domain. Looks at every process, but once a look.

        A wrapper around QEMU has the same command line as the QEMU that is its child.
        """
        if self._candidates is None:
            self._candidates = {}
            for pid in sorted(int(name) for name in os.listdir(self.proc) if name.isdigit()):
                self._candidates.setdefault(_uuid_of(self._words(pid)), []).append(pid)
        return self._candidates.get(uuid, []) if uuid else []

    def vcpus_by_name(self, pid: int) -> dict[int, int]:
        """vCPU id -> thread, by the threads' names."""
        vcpus = {}
        for tid in self.threads(pid):
            match = _VCPU_COMM.fullmatch(read_if_there(f"{self.proc}/{pid}/task/{tid}/comm"))
            if match:
                vcpus[int(match.group(1))] = tid
        return vcpus

    def allowed_cpus(self, pid: int, tid: int) -> str:
        """The list of CPUs that a thread may run on, as the kernel prints it; "" if the thread has ended."""
        for line in read_if_there(f"{self.proc}/{pid}/task/{tid}/status").split("\n"):
            name, _colon, value = line.partition(":")
            if name == "Cpus_allowed_list":
                return value.strip()
        return ""

    def scheduled(self, pid: int, tid: int) -> tuple[float, float] | None:
        """How long a thread ran, and how long it was ready and waited for a CPU, in seconds since it began.

        None if it has ended, or the kernel does not tell (Documentation/scheduler/sched-stats.rst).
        """
        fields = read_if_there(f"{self.proc}/{pid}/task/{tid}/schedstat").split()
        return (int(fields[0]) / 1e9, int(fields[1]) / 1e9) if len(fields) == 3 else None

    def _words(self, pid: int) -> list[str]:
        """The command line of a process, empty if there is no such process."""
        return read_if_there(f"{self.proc}/{pid}/cmdline").split("\0") if pid > 0 else []


def _uuid_of(words: list[str]) -> str:
    """The UUID on the command line of a QEMU, as libvirt passes it; "" of any other process."""
    return next((value for option, value in zip(words, words[1:]) if option == "-uuid"), "")
