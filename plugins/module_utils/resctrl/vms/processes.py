# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of domains, in /proc: whose a process is, and which of its threads run vCPUs."""

from __future__ import annotations

import os
import re
import typing as t

from ..kernel.files import read_if_there, read_piece_if_there

if t.TYPE_CHECKING:
    from .commandline import CommandLine

# Names that QEMU gives its vCPU threads if it is told to (-name ...,debug-threads=on)
_VCPU_COMM = re.compile(r"CPU ([0-9]+)/(?:KVM|TCG|HVF|DUMMY)")
_TGID = re.compile(r"^Tgid:\s*([0-9]+)$", re.MULTILINE)
_UIDS = re.compile(r"^Uid:\s*([0-9\s]+)$", re.MULTILINE)
# User ids of system accounts: those below the persons' (login.defs(5)), and those that systemd and distributions give
# to services (systemd's UIDS-GIDS; Debian's libvirt-qemu is 64055) and to nobody. What is above that a user may get
# for containers (subuid(5))
_SYSTEM_IDS = (range(1000), range(61184, 65535))
_OF_KVM = "anon_inode:kvm-vm"


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
        """Whether the process `pid` (or a thread's) was started as the QEMU of that domain, whoever started it."""
        line = self._command_line(pid)
        if not line or not uuid:
            return False
        if _uuid_of(line) == uuid:
            return True
        # Not above: libvirt's domains are told by less, and what is imported is compiled on every run
        from .commandline import parse

        return self.identity(pid, parse(line.split("\0"))) == uuid

    def identity(self, pid: int, line: CommandLine) -> str:
        """The UUID of a process (or a thread's) as of a QEMU with that command line.

        Where it says nothing, it is one that the process has as long as it runs.
        """
        # Not above, as for runs()
        from .commandline import made_uuid, uuid_of

        return uuid_of(line) or made_uuid(f"process={self._start(pid)}")

    def _start(self, pid: int) -> str:
        """What no other process of this machine has, before or after a reboot."""
        boot = read_if_there(f"{self.proc}/sys/kernel/random/boot_id").strip()
        process = self.process_of(pid)
        # proc(5): the 22nd field is when it started; the second is a name in parentheses, with anything in it
        fields = read_if_there(f"{self.proc}/{process}/stat").rpartition(")")[2].split()
        return f"{boot}/{process}/{fields[19] if len(fields) > 19 else ''}"

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
        match = _TGID.search(self.status(tid))
        return int(match.group(1)) if match else 0

    def status(self, pid: int) -> str:
        """What the kernel says of a process, or a thread (proc(5), /proc/PID/status); "" if there is none."""
        return read_if_there(f"{self.proc}/{pid}/status")

    def holds_machine(self, pid: int) -> bool:
        """Whether a process has a virtual machine of KVM, which takes the permission to open /dev/kvm."""
        directory = f"{self.proc}/{pid}/fd"
        try:
            names = os.listdir(directory)
        except OSError:
            return False
        return any(_target(f"{directory}/{name}") == _OF_KVM for name in names)

    def with_uuid(self, uuid: str) -> list[int]:
        """The processes that were started as the QEMU of that domain. Looks at every process, but once a look.

        A wrapper around QEMU has the same command line as the QEMU that is its child.
        """
        if self._candidates is None:
            self._candidates = {}
            for pid in sorted(int(name) for name in os.listdir(self.proc) if name.isdigit()):
                self._candidates.setdefault(_uuid_of(self._command_line(pid)), []).append(pid)
        return self._candidates.get(uuid, []) if uuid else []

    def vcpus_by_name(self, pid: int) -> dict[int, int]:
        """vCPU id -> thread, by the threads' names."""
        return self.vcpus_in(self.names(pid))

    def vcpus_in(self, names: t.Mapping[int, str]) -> dict[int, int]:
        """vCPU id -> thread, of threads with these names."""
        vcpus = {}
        for tid, name in names.items():
            match = _VCPU_COMM.fullmatch(name)
            if match:
                vcpus[int(match.group(1))] = tid
        return vcpus

    def names(self, pid: int) -> dict[int, str]:
        """Thread -> its name, of all threads of a process."""
        return {
            tid: read_piece_if_there(f"{self.proc}/{pid}/task/{tid}/comm").rstrip("\n") for tid in self.threads(pid)
        }

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
        fields = read_piece_if_there(f"{self.proc}/{pid}/task/{tid}/schedstat").split()
        # A kernel that keeps no account prints zeros (proc_pid_schedstat(), fs/proc/base.c), and a thread that is there
        # has run
        told = len(fields) == 3 and fields[0] != "0"
        return (int(fields[0]) / 1e9, int(fields[1]) / 1e9) if told else None

    def words(self, pid: int) -> list[str]:
        """The command line of a process, empty if there is no such process."""
        line = self._command_line(pid)
        return line.split("\0") if line else []

    def _command_line(self, pid: int) -> str:
        # It is shown in one piece, too (get_mm_cmdline(), fs/proc/base.c), but may be long
        return read_piece_if_there(f"{self.proc}/{pid}/cmdline", 65536) if pid > 0 else ""


def _uuid_of(line: str) -> str:
    """The UUID on the command line of a QEMU, as libvirt passes it; "" of any other process."""
    return line.partition("\0-uuid\0")[2].partition("\0")[0]


def is_of_system(status: str) -> bool:
    """Whether a process with that status belongs to a system account, as those of managers do, or to root.

    All its user ids have to: those of a program that runs with other rights than its caller's differ.
    """
    match = _UIDS.search(status)
    return match is not None and all(any(int(uid) in ids for ids in _SYSTEM_IDS) for uid in match[1].split())


def _target(link: str) -> str:
    """Where a link of /proc leads; "" if it is gone."""
    try:
        return os.readlink(link)
    except OSError:
        return ""
