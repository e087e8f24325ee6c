# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as the QEMU processes of this host, whoever started them: Proxmox VE, KubeVirt, Incus, or somebody by hand.

Nobody is asked. In particular no QMP socket is opened: it serves one client at a time, which is the manager.

A command line is what its process's owner wrote. So a process is taken for a QEMU by what the kernel says of it: which
program it runs, and that it holds a virtual machine of KVM or belongs to a system account. What a user who may do that
can reach is to be taken for one more domain, never for somebody else's: see _claimants().
"""

from __future__ import annotations

import collections
import os
import re
import typing as t

from .. import errors
from ..kernel.groups import is_uuid
from .commandline import CommandLine, parse
from .domain import Domain, Process, canonical_uuid
from .files import changed_at as directory_changed_at
from .processes import is_of_system
from .source import STATE_DIRECTORY, Source, starting

if t.TYPE_CHECKING:
    from .processes import Processes

# RHEL calls it qemu-kvm, old distributions kvm, and NixOS puts a wrapper in front of it. After an upgrade of the
# package the kernel says that the file was deleted
_PROGRAM = re.compile(r"(?:.*/)?(?:\.?qemu-system-[^/]+|qemu-kvm|kvm|qemu)(?: \(deleted\))?", re.DOTALL)
_PARENT = re.compile(r"^PPid:\s*([0-9]+)$", re.MULTILINE)
# As long as a file's name can be, and so every name that libvirt accepts
_LONGEST_NAME = 255
# The one thread that runs all vCPUs with -accel tcg,thread=single
_ALL_VCPUS = "ALL CPUs/TCG"

# Directories in which something comes or goes when a virtual machine starts or stops: libvirt's, Proxmox VE's, Incus',
# and that of the pods on a node of Kubernetes
WATCHED = (STATE_DIRECTORY, "/run/qemu-server", "/run/incus", "/var/lib/kubelet/pods")


class Emulator(t.NamedTuple):
    """A QEMU process. `parent` is the process that started it; `of_system`: it belongs to a system account."""

    pid: int
    parent: int
    of_system: bool
    line: CommandLine
    uuid: str

    @property
    def domain(self) -> Domain:
        """The domain that it is."""
        name, number = self.line.name, self.line.number
        anothers_uuid = is_uuid(canonical_uuid(name)) and canonical_uuid(name) != self.uuid
        if anothers_uuid or len(name) > _LONGEST_NAME:
            # Whoever asks for a UUID does not mean a name
            name = ""
        shown = name or (f"vm{number}" if number else f"unnamed-{self.pid}")
        return Domain(shown, self.uuid, True, number=number, uuid_made=not self.line.uuid)


class Qemu(Source):
    """The domains of this host's QEMU processes. Those that do not run are not known."""

    def __init__(self, processes: Processes, sees_all: t.Callable[[], bool], state: str = STATE_DIRECTORY) -> None:
        super().__init__(state, processes, sees_all)
        self._found: dict[str, list[Emulator]] = {}

    def list(self) -> t.Iterable[Domain]:
        """Every domain that runs. One look at every process; more is read of those that run QEMU only.

        Raises ProcessesHidden.
        """
        found: dict[str, list[Emulator]] = collections.defaultdict(list)
        for one in self._emulators():
            found[one.uuid].append(one)
        self._found = {uuid: _claimants(ones, self._threads) for uuid, ones in found.items()}
        # Of several that have one UUID, each name is known, so that whoever asks for it is told
        return list(dict.fromkeys(one.domain for ones in self._found.values() for one in ones))

    def find(self, domain: Domain) -> Process:
        """The process of a domain of the last list. Raises DomainAmbiguous, DomainGone, DomainStarting, NotRoot."""
        claimants = self._found.get(domain.uuid, [])
        if len(claimants) > 1:
            raise _ambiguity(domain, claimants)
        processes = self.processes
        names: dict[int, str] = {}
        for one in claimants:
            names = processes.names(one.pid) if processes.runs(one.pid, domain.uuid) else {}
        if not names:
            raise errors.DomainGone(f"The QEMU process of domain '{domain.name}' has just ended", hint="Run again")
        (one,) = claimants
        vcpus = processes.vcpus_in(names)
        untold = not vcpus and _ALL_VCPUS not in names.values()
        if untold and one.line.names_threads:
            raise starting(domain)
        return Process(one.pid, dict(sorted(vcpus.items())), frozenset(names), self._tuning(domain, one.pid), untold)

    def _tuning(self, domain: Domain, pid: int) -> str | None:
        """What libvirt tunes of a domain of its own: its status file tells, if it is about this process."""
        status = self._status(domain)
        return status.tuning if status.pid == pid else None

    def _threads(self, pid: int) -> int:
        return len(self.processes.threads(pid))

    # -- which processes are QEMU's

    def _emulators(self) -> t.Iterator[Emulator]:
        if not self.processes.are_visible():
            raise _hidden(f"{self.processes.proc} hides those of other users")
        for pid in sorted(int(name) for name in os.listdir(self.processes.proc) if name.isdigit()):
            one = self._emulator(pid) if self._runs_qemu(pid) else None
            if one:
                yield one

    def _runs_qemu(self, pid: int) -> bool:
        """Whether a process runs QEMU. Raises ProcessesHidden of one that may do so."""
        try:
            return _PROGRAM.fullmatch(os.readlink(f"{self.processes.proc}/{pid}/exe")) is not None
        except PermissionError as exc:
            words = self.processes.words(pid)
            if _PROGRAM.fullmatch(words[0] if words else ""):
                raise _hidden(f"that of process {pid}") from exc
            return False
        except OSError:
            # It has ended, or is the kernel's own
            return False

    def _emulator(self, pid: int) -> Emulator | None:
        """The QEMU that a process is; None if it has ended, or if there is no evidence of it but its name."""
        status = self.processes.status(pid)
        parent = _PARENT.search(status)
        words = self.processes.words(pid)
        if not parent or not words:
            return None
        of_system = is_of_system(status)
        if not of_system and not self.processes.holds_machine(pid):
            return None
        line = parse(words)
        return Emulator(pid, int(parent[1]), of_system, line, self.processes.identity(pid, line))


def _hidden(what: str) -> errors.ProcessesHidden:
    return errors.ProcessesHidden(
        f"Which programs run on this host cannot be seen from here: {what}",
        hint="Run as root with the capability CAP_SYS_PTRACE",
    )


def _claimants(ones: t.Sequence[Emulator], threads: t.Callable[[int], int]) -> list[Emulator]:
    """Those processes of one identity that may be the domain.

    A person's process never competes with a system account's: managers run QEMU as one of these, or as root. Of a
    process and its child, as there are for a moment when QEMU goes into the background, it is that with more threads.
    """
    ones = [one for one in ones if one.of_system] or list(ones)
    kept = {one.pid: one for one in ones}
    for one in ones:
        if one.parent in kept and one.pid in kept:
            del kept[min(one.parent, one.pid, key=lambda pid: (threads(pid), pid == one.pid))]
    return list(kept.values())


def _ambiguity(domain: Domain, claimants: t.Sequence[Emulator]) -> errors.DomainAmbiguous:
    pids = " and ".join(str(one.pid) for one in claimants)
    numbers = sorted({one.domain.number for one in claimants} - {""})
    what = f"the UUID {domain.uuid}" if not domain.uuid_made else "that name, and no UUID"
    return errors.DomainAmbiguous(
        f"Which process domain '{domain.name}' is cannot be told, so it is left alone: the processes {pids} have "
        f"{what}",
        hint=f"Give the machines {' and '.join(numbers)} each a UUID of its own"
        if len(numbers) > 1
        else "Wait until its migration on this host has ended, or end those that should not run",
    )


def changed_at() -> int:
    """When a virtual machine was last seen to start or stop by the directories of its manager (nanoseconds)."""
    return max(map(directory_changed_at, WATCHED))
