# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host's domains come from: one object that lists them and finds their processes."""

from __future__ import annotations

import os
import typing as t

from .. import errors
from ..kernel.files import read_bytes
from .domain import Domain, Process
from .domain_xml import Status, parse_domain
from .processes import is_of_system

if t.TYPE_CHECKING:
    from .processes import Processes

STATE_DIRECTORY = "/run/libvirt/qemu"


class Source:
    """libvirt's domains on this host. `state` is where libvirt's driver keeps the status files of running domains.

    `sees_all` says whether a process that is not seen is not there (Resctrl.sees_every_thread).
    """

    def __init__(self, state: str, processes: Processes, sees_all: t.Callable[[], bool]) -> None:
        self.state = state
        self.processes = processes
        self._sees_all = sees_all
        self._parsed: dict[bytes, tuple[tuple[int, int, int], Status | None]] = {}

    @property
    def driver(self) -> str:
        """libvirt's driver (qemu), which its machine names begin with."""
        return os.path.basename(self.state)

    def domains(self) -> list[Domain]:
        """Every domain, running or not, by name.

        Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable.
        """
        if os.geteuid() != 0:
            raise errors.NotRoot("resctrl and libvirt's status files belong to root", hint="Run as root (become: true)")
        return sorted(self.list(), key=lambda domain: domain.name)

    def list(self) -> t.Iterable[Domain]:
        """Every domain, in any order."""
        raise NotImplementedError

    def look(self) -> None:
        """Look at processes anew from now on."""
        self.processes.look()

    def sees_all(self) -> bool:
        """Whether a process that is not seen is certainly not there."""
        return self._sees_all() and self.processes.are_visible()

    def find(self, domain: Domain) -> Process:
        """The process of a running domain.

        Raises DomainStarting, DomainGone, DomainUnseen, DomainAmbiguous, NotRoot.
        """
        status = self._status(domain)
        pid, threads = self._process(domain, status)
        if not threads:
            raise self._absence(domain, status)
        vcpus = dict(status.vcpus)
        if not vcpus or not threads.issuperset(vcpus.values()):
            vcpus = self.processes.vcpus_by_name(pid)
        if not vcpus and status.starting:
            raise starting(domain)
        return Process(pid, dict(sorted(vcpus.items())), threads, status.tuning)

    def _process(self, domain: Domain, status: Status) -> tuple[int, frozenset[int]]:
        """The process whose threads the vCPUs are, and all its threads; none if none is found.

        Mostly it is the one in the status file. That may be a wrapper that waits for its child, or a number of another
        PID namespace.
        """
        processes, tids = self.processes, frozenset(status.vcpus.values())
        threads = processes.threads(status.pid) if tids else frozenset()
        if tids and threads >= tids and processes.runs(status.pid, domain.uuid):
            return status.pid, threads
        pid = self._other_process(domain, status, tids)
        return pid, processes.threads(pid)

    def _other_process(self, domain: Domain, status: Status, tids: frozenset[int]) -> int:
        processes = self.processes
        if tids:
            pid = processes.process_of(min(tids))
            if processes.runs(pid, domain.uuid) and processes.threads(pid) >= tids:
                return pid
        elif processes.runs(status.pid, domain.uuid) and (status.starting or processes.vcpus_by_name(status.pid)):
            return status.pid
        return self._claimant(domain)

    def _claimant(self, domain: Domain) -> int:
        """The process that says of itself that it is the domain, 0 if there is none. Raises DomainAmbiguous.

        A command line is what the process's owner wrote, so it takes more: that it is a system account's, as libvirt's
        are, or else holds a virtual machine of KVM, since a container's accounts may have any number. A wrapper around
        QEMU has no vCPUs.
        """
        processes = self.processes
        claimants = processes.with_uuid(domain.uuid)
        of_system = [pid for pid in claimants if is_of_system(processes.status(pid))]
        if of_system:
            return max(of_system, key=lambda pid: (len(processes.vcpus_by_name(pid)), len(processes.threads(pid))))
        holders = [pid for pid in claimants if processes.holds_machine(pid)]
        if len(holders) > 1:
            raise errors.DomainAmbiguous(
                f"Which process domain '{domain.name}' is cannot be told, so it is left alone: the processes "
                f"{' and '.join(map(str, holders))} have the UUID {domain.uuid}",
                hint="End those that are not libvirt's",
            )
        return holders[0] if holders else 0

    def _absence(self, domain: Domain, status: Status) -> errors.ResctrlError:
        if self._starts(status):
            return starting(domain)
        if not self.sees_all():
            return errors.DomainUnseen(
                f"The process of domain '{domain.name}' cannot be seen from here",
                hint="Its QEMU runs in another PID namespace (a container's), or /proc hides it (hidepid): run in the "
                "namespace of the host, with the capability CAP_SYS_PTRACE",
            )
        return errors.DomainGone(
            f"libvirt lists domain '{domain.name}' as running, but it has no process",
            hint="It stopped just now, or its QEMU died while libvirtd was down: run again, or see 'virsh list'",
        )

    def _starts(self, status: Status) -> bool:
        """Whether a domain of which no process is found is about to have one.

        Between fork and exec, when qemuProcessLaunch() saves the file, the process is still libvirtd's program.
        """
        return status.starting and (not status.pid or self.processes.is_there(status.pid))

    # -- status files

    def _status(self, domain: Domain) -> Status:
        """What the status file says; nothing where there is none or it is another domain's of that name."""
        name = domain.name
        if "/" in name or "\0" in name:
            return Status()
        # libvirt writes UTF-8 whatever our locale says
        file = name.encode("utf-8", "surrogateescape") + b".xml"
        try:
            status = self.parse_file(os.path.join(os.fsencode(self.state), file))
        except PermissionError as exc:
            raise errors.NotRoot(
                f"Cannot read libvirt's status files in {self.state}",
                path=self.state,
                hint="Run as root (become: true)",
            ) from exc
        except OSError:
            return Status()
        return status if status and status.uuid == domain.uuid else Status()

    def parse_file(self, path: bytes) -> Status | None:
        """A file of libvirt's, parsed anew only if it has changed; None if it describes no domain. Raises OSError.

        libvirt writes NAME.xml.new and renames it, so a file is never half written.
        """
        found = os.stat(path)
        key = (found.st_ino, found.st_mtime_ns, found.st_size)
        if path not in self._parsed or self._parsed[path][0] != key:
            try:
                self._parsed[path] = (key, parse_domain(read_bytes(path, found.st_size + 1)))
            except ValueError:
                self._parsed[path] = (key, None)
        return self._parsed[path][1]


def starting(domain: Domain) -> errors.DomainStarting:
    """That a domain has no vCPUs yet."""
    return errors.DomainStarting(
        f"Domain '{domain.name}' is starting: its QEMU has no threads for vCPUs yet",
        hint="Run again when it is up",
    )
