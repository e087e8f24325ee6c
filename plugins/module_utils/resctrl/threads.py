# Copyright (c) 2026 the kvmops.resctrl authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process and threads of a running domain, from libvirt's status file, checked against /proc. No libvirt call.

No public function of libvirt returns a thread id. Its status file has them, and is rewritten at every start, stop and
vCPU hot-plug; but it may be stale (libvirtd was killed, then QEMU died), so nothing in it is believed unchecked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t
from xml.parsers import expat

from . import errors
from .filesystem import read_text

if t.TYPE_CHECKING:
    from .domains import Domain

CACHETUNE = "cachetune"
MEMORYTUNE = "memorytune"

# Names that QEMU gives its vCPU threads under libvirt (-name ...,debug-threads=on)
_VCPU_COMM = re.compile(r"CPU ([0-9]+)/(?:KVM|TCG|HVF|DUMMY)\n?")


@dataclasses.dataclass(frozen=True)
class Process:
    """The process of a running domain.

    `vcpus` maps a vCPU's id to its thread, `threads` are all threads of the process, `tuning` is cachetune or
    memorytune where the live XML has such an element with a group behind it, else None.
    """

    pid: int
    vcpus: t.Mapping[int, int]
    threads: frozenset[int]
    tuning: str | None = None


@dataclasses.dataclass(frozen=True)
class StatusHead:
    """The head of a status file: the process, and vCPU id -> thread id."""

    pid: int
    vcpus: t.Mapping[int, int]


class _HeadParsed(Exception):
    """Raised to leave the parser: all that matters has been seen."""


def parse_head(content: bytes) -> StatusHead:
    """Parse a status file up to its <domain> element, which is most of the file and not needed for threads.

    Only /domstatus/@pid and /domstatus/vcpus/vcpu count: <domain> has elements of the same names without thread ids.
    Raises ValueError if it is no status file.
    """
    path: list[str] = []
    pids: list[int] = []
    vcpus: dict[int, int] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        path.append(tag)
        if path == ["domstatus"]:
            pids.append(int(attributes.get("pid", "0")))
        elif path == ["domstatus", "vcpus", "vcpu"]:
            # files of very old versions have no id: the place tells it
            vcpus[int(attributes.get("id", str(len(vcpus))))] = int(attributes.get("pid", "0"))
        elif path == ["domstatus", "domain"]:
            raise _HeadParsed

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _tag: path.pop()
    try:
        parser.Parse(content, True)
    except _HeadParsed:
        return StatusHead(pids[0], vcpus)
    except expat.ExpatError as exc:
        raise ValueError(str(exc)) from exc
    raise ValueError("no <domain> in a <domstatus>")


def parse_tuning(content: bytes) -> str | None:
    """Which element of the live XML in a status file makes libvirt monitor the domain: cachetune, memorytune or None.

    An element with neither an allocation nor a monitor in it is dropped by libvirt, so it forces nothing.
    Most domains have none of the two: the bytes tell that without parsing.
    """
    if b"<cachetune" not in content and b"<memorytune" not in content:
        return None
    path: list[str] = []
    tuned: set[str] = set()

    def start(tag: str, _attributes: dict[str, str]) -> None:
        path.append(tag)
        if len(path) == 5 and path[:3] == ["domstatus", "domain", "cputune"]:
            tuned.add(path[3])

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _tag: path.pop()
    with contextlib.suppress(expat.ExpatError):
        parser.Parse(content, True)
    return next((tag for tag in (CACHETUNE, MEMORYTUNE) if tag in tuned), None)


def _uuid_of(words: list[str]) -> str:
    """The UUID on the command line of a QEMU, as libvirt passes it; "" of any other process."""
    return next((value for option, value in zip(words, words[1:]) if option == "-uuid"), "")


class Processes:
    """Finds domains' processes. `state` is libvirt's state directory, `proc` is /proc; both can be a test's."""

    def __init__(self, state: str, proc: str = "/proc") -> None:
        self.state = state
        self.proc = proc
        self._pids: dict[str, int] | None = None

    def find(self, domain: Domain) -> Process:
        """The process of a running domain. Raises DomainGone, NotRoot."""
        content = self._status(domain.name)
        try:
            head = parse_head(content)
        except ValueError:
            head = StatusHead(0, {})
        pid = head.pid if self.runs(head.pid, domain.uuid) else self._pid_by_uuid(domain.uuid)
        threads = self.threads(pid)
        if not threads:
            raise errors.DomainGone(
                f"libvirt lists domain '{domain.name}' as running, but it has no process",
                hint="It stopped just now, or its QEMU died while libvirtd was down: run again, or see 'virsh list'",
            )
        vcpus = head.vcpus if pid == head.pid else {}
        if not vcpus or not threads.issuperset(vcpus.values()):
            vcpus = self._vcpus_by_comm(pid, threads)
        return Process(pid, dict(sorted(vcpus.items())), threads, parse_tuning(content))

    def _status(self, name: str) -> bytes:
        """The domain's status file, b"" where there is none. The file is called after the domain, whatever its name."""
        if "/" in name or "\0" in name:
            return b""
        try:
            with open(
                os.path.join(self.state.encode(), name.encode("utf-8", "surrogateescape") + b".xml"), "rb"
            ) as file:
                return file.read()
        except PermissionError as exc:
            raise errors.NotRoot(
                f"Cannot read libvirt's status files in {self.state}",
                path=self.state,
                hint="Run as root (become: true)",
            ) from exc
        except OSError:
            return b""

    def runs(self, pid: int, uuid: str) -> bool:
        """Whether the process `pid` (or a thread's) is the QEMU of that domain."""
        return _uuid_of(self._words(pid)) == uuid

    def threads(self, pid: int) -> frozenset[int]:
        """All threads of a process; empty if there is no such process."""
        try:
            return frozenset(map(int, os.listdir(f"{self.proc}/{pid}/task"))) if pid > 0 else frozenset()
        except OSError:
            return frozenset()

    def _pid_by_uuid(self, uuid: str) -> int:
        """The QEMU with that UUID, 0 if there is none. Looks at every process, but once, and only at need."""
        if self._pids is None:
            pids = [int(name) for name in os.listdir(self.proc) if name.isdigit()]
            self._pids = {_uuid_of(self._words(pid)): pid for pid in pids}
        return self._pids.get(uuid, 0)

    def _words(self, pid: int) -> list[str]:
        """The command line of a process, empty if there is no such process."""
        try:
            return read_text(f"{self.proc}/{pid}/cmdline").split("\0") if pid > 0 else []
        except OSError:
            return []

    def _vcpus_by_comm(self, pid: int, threads: frozenset[int]) -> dict[int, int]:
        vcpus = {}
        for tid in threads:
            try:
                match = _VCPU_COMM.fullmatch(read_text(f"{self.proc}/{pid}/task/{tid}/comm"))
            except OSError:
                continue
            if match:
                vcpus[int(match.group(1))] = tid
        return vcpus
