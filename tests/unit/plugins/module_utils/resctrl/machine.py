# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for a machine: a /proc in a directory, a resctrl in memory that keeps the kernel's rules, and a libvirt."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import typing as t

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.planning import CREATE, REMOVE, Operation
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.snapshot import Snapshot
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import ROOT, Group
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.mounts import Mount
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain, Process
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.processes import Processes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.source import Source

VM3 = Domain("vm3", "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3", True, 5)
OTHER_UUID = "00000000-0000-4000-8000-000000000001"

_STATUS = """<!--
WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
OVERWRITTEN AND LOST.
-->
<domstatus state='running' reason='{reason}' pid='{pid}'>
  <taint flag='high-privileges'/>
  <monitor path='/var/lib/libvirt/qemu/domain-5-vm3/monitor.sock' type='unix'/>
  <vcpus>
    {vcpus}
  </vcpus>
  <qemuCaps><flag name='vcpus'/></qemuCaps>
  <domain type='kvm' id='5'>
    <name>{name}</name>
    <uuid>{uuid}</uuid>
    <vcpu placement='static' current='2'>4</vcpu>
    <vcpus><vcpu id='0' enabled='yes'/><vcpu id='3' enabled='no'/></vcpus>
    {cputune}
  </domain>
</domstatus>
"""


def status(
    pid: int = 100,
    vcpus: t.Iterable[tuple[int, int]] = ((0, 101), (1, 102)),
    *,
    cputune: str = "",
    uuid: str = VM3.uuid,
    name: str = VM3.name,
    reason: str = "booted",
) -> bytes:
    """A status file as libvirt 9 writes it."""
    lines = "".join(f"<vcpu id='{vcpu}' pid='{tid}'/>" for vcpu, tid in vcpus)
    return _STATUS.format(pid=pid, vcpus=lines, cputune=cputune, uuid=uuid, name=name, reason=reason).encode()


class Proc:
    """A /proc in a directory."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.program(1, "/sbin/init")
        self.processes = Processes(str(path))

    def program(self, pid: int, *words: str) -> None:
        """Any program."""
        (self.path / str(pid)).mkdir(parents=True, exist_ok=True)
        (self.path / str(pid) / "cmdline").write_text("".join(f"{word}\0" for word in words))

    def qemu(
        self,
        pid: int,
        threads: t.Mapping[int, str],
        uuid: str = VM3.uuid,
        program: str = "qemu",
        *,
        uid: int = 64055,
        kvm: bool = False,
    ) -> None:
        """A QEMU with that UUID on its command line, and threads: tid -> name.

        There is a /proc/TID, too, as far as it is looked at. The kernel's does not show up in a listing.
        """
        self.program(pid, program, "-name", "guest=vm3,debug-threads=on", "-uuid", uuid, "-S")
        self._files(pid, kvm)
        for tid, comm in threads.items():
            (self.path / str(tid)).mkdir(exist_ok=True)
            (self.path / str(tid) / "status").write_text(
                f"Name:\tx\nTgid:\t{pid}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nCpus_allowed_list:\t0-3,8\n"
            )
            (self.path / str(pid) / "task" / str(tid)).mkdir(parents=True)
            (self.path / str(pid) / "task" / str(tid) / "comm").write_text(f"{comm}\n")
            (self.path / str(pid) / "task" / str(tid) / "status").write_text("Cpus_allowed_list:\t0-3,8\n")

    def emulator(
        self,
        pid: int,
        *words: str,
        threads: t.Iterable[str] = ("CPU 0/KVM", "CPU 1/KVM"),
        uid: int = 0,
        parent: int = 1,
        program: str = "/usr/bin/qemu-system-x86_64",
        kvm: bool = False,
    ) -> None:
        """A process that runs QEMU, for whatever manager; its further threads have the next numbers."""
        self.program(pid, program, *words)
        place = self.path / str(pid)
        (place / "exe").symlink_to(program)
        (place / "status").write_text(f"Name:\tx\nTgid:\t{pid}\nPPid:\t{parent}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        (place / "stat").write_text(f"{pid} (a) b) S {parent} {' '.join(map(str, range(5, 60)))}")
        self._files(pid, kvm)
        for tid, comm in enumerate(["qemu-system-x86", *threads], pid):
            (place / "task" / str(tid)).mkdir(parents=True)
            (place / "task" / str(tid) / "comm").write_text(f"{comm}\n")

    def _files(self, pid: int, kvm: bool) -> None:
        """What a process has opened."""
        (self.path / str(pid) / "fd").mkdir()
        for number, target in enumerate(["/dev/null", "socket:[1]", *(["anon_inode:kvm-vm"] if kvm else [])]):
            (self.path / str(pid) / "fd" / str(number)).symlink_to(target)

    def end(self, pid: int) -> None:
        """The process ends."""
        shutil.rmtree(self.path / str(pid))

    def hide(self, pid: int) -> None:
        """hidepid: another user's process is there, but nothing in it can be read."""
        (self.path / str(pid) / "cmdline").unlink()


class Kernel(Resctrl):
    """resctrl in memory, by the kernel's rules; `root` is a directory for its info.

    `refuse` may raise for a step (its kind, group, thread), or change what is there. `where`: thread -> group.
    """

    mount = Mount("/resctrl", "resctrl", ("rw",))  # type: ignore[assignment]
    sees_every_thread = True  # type: ignore[assignment]
    tells_groups = False  # type: ignore[assignment]

    def __init__(self, root: pathlib.Path, groups: t.Iterable[Group] = (), num_rmids: int = 16) -> None:
        super().__init__(str(root), str(root / "proc"))
        (root / "info/L3_MON").mkdir(parents=True)
        (root / "info/L3_MON/mon_features").write_text("llc_occupancy\n")
        (root / "info/L3_MON/num_rmids").write_text(f"{num_rmids}\n")
        self.there = set(groups)
        self.where: dict[int, Group] = {}
        self.most = num_rmids
        self.refuse: t.Callable[[str, Group, int], None] = lambda _kind, _group, _tid: None
        self.steps: list[str] = []
        self.held = False

    @classmethod
    def of(cls, snapshot: Snapshot, root: pathlib.Path) -> Kernel:
        """The host of a snapshot."""
        kernel = cls(root, snapshot.groups, snapshot.num_rmids)
        kernel.where = {tid: group for tid, group in snapshot.location.items() if group != ROOT}
        return kernel

    def content(self) -> dict[Group, set[int]]:
        """Group -> the threads that are in it and in no other."""
        return {group: {tid for tid, where in self.where.items() if where == group} for group in self.there}

    def groups(self) -> list[Group]:
        return sorted(self.there)

    def tasks(self, group: Group) -> frozenset[int]:
        return frozenset(
            tid for tid, where in self.where.items() if where == group or (not group.mon and where.parent == group)
        )

    def group_of(self, _pid: int, tid: int) -> Group:
        return self.where.get(tid, ROOT)

    @property
    def changes(self) -> Kernel:  # type: ignore[override]
        return self

    def _step(self, kind: str, group: Group, tid: int = 0) -> None:
        if not self.held:
            raise AssertionError("a change without the lock")
        self.steps.append(kind)
        self.refuse(kind, group, tid)

    def create(self, group: Group) -> None:
        self._step("create", group)
        if group not in self.there and len(self.there) + 1 >= self.most:
            raise errors.RmidsExhausted("No space left on device")
        self.there.add(group)

    def remove(self, group: Group) -> None:
        self._step("remove", group)
        self.there.discard(group)
        for tid in [tid for tid, where in self.where.items() if where == group]:
            self.where[tid] = group.parent

    def assign(self, group: Group, tid: int) -> None:
        self._step("assign", group, tid)
        if group not in self.there or self.where.get(tid, ROOT).ctrl != group.ctrl:
            raise errors.Moved("Invalid argument (Can't move task to different control group)")
        self.where[tid] = group

    def perform(self, steps: t.Iterable[Operation]) -> None:
        """Carry operations out."""
        with self.locked():
            for step in steps:
                if step.kind == CREATE:
                    self.create(step.group)
                elif step.kind == REMOVE:
                    self.remove(step.group)
                else:
                    self.assign(step.group, step.tid)

    @contextlib.contextmanager
    def locked(self, _patience: float = 10.0) -> t.Iterator[None]:
        self.held = True
        try:
            yield
        finally:
            self.held = False


class Threads(Processes):
    """Processes in memory: pid -> (UUID, threads)."""

    def __init__(self, running: t.Mapping[int, tuple[str, t.Collection[int]]]) -> None:
        super().__init__("/nowhere")
        self.running = running
        self.visible = True

    def are_visible(self) -> bool:
        return self.visible

    def runs(self, pid: int, uuid: str) -> bool:
        return any(uuid == whose and pid in tids for whose, tids in self.running.values())

    def is_there(self, tid: int) -> bool:
        return any(tid in tids for _whose, tids in self.running.values())

    def threads(self, pid: int) -> frozenset[int]:
        return frozenset(self.running[pid][1]) if pid in self.running else frozenset()


class Libvirt(Source):
    """Domains in memory. `find_one` finds the process of one, or raises."""

    def __init__(
        self,
        domains: t.Sequence[Domain],
        find_one: t.Callable[[Domain], Process],
        processes: Processes,
        sees_all: bool = True,
    ) -> None:
        super().__init__("/run/libvirt/qemu", processes, lambda: sees_all)
        self.known = list(domains)
        self._find_one = find_one

    def list(self) -> t.Iterable[Domain]:
        return self.known

    def find(self, domain: Domain) -> Process:
        return self._find_one(domain)


def host_of(snapshot: Snapshot, kernel: Kernel) -> Host:
    """The host whose snapshot it is."""
    processes = {one.domain.uuid: one.process for one in snapshot.running}
    threads = Threads({one.process.pid: (one.domain.uuid, one.process.threads) for one in snapshot.running})
    source = Libvirt([one.domain for one in snapshot.running], lambda domain: processes[domain.uuid], threads)
    return Host(source, kernel, clock=lambda: 0)
