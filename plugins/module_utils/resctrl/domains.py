# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's domains: which there are, which of them a task asks for, and the threads of those that run.

No public function of libvirt returns a thread id. Its status file has them, and is rewritten at every start, stop and
vCPU hot-plug; but it may be stale (libvirtd was killed, then QEMU died), so nothing in it is believed unchecked.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import sys
import typing as t
import urllib.parse
from xml.parsers import expat

from . import errors
from .filesystem import read_text

CACHETUNE = "cachetune"
MEMORYTUNE = "memorytune"

# Names that QEMU gives its vCPU threads under libvirt (-name ...,debug-threads=on)
_VCPU_COMM = re.compile(r"CPU ([0-9]+)/(?:KVM|TCG|HVF|DUMMY)\n?")


class Domain(t.NamedTuple):
    """A domain as libvirt lists it. `uuid` is in canonical form (lower case, with dashes)."""

    name: str
    uuid: str
    active: bool


class Selected(t.NamedTuple):
    """What one entry of a task's list of names stands for; `domain` is None where libvirt knows no such domain."""

    asked: str
    domain: Domain | None


def check_local(uri: str) -> None:
    """Refuse a URI that leads to another machine (libvirt: "Remote URIs"): threads and resctrl are those of this host.

    Raises UriRefused.
    """
    host = urllib.parse.urlsplit(uri).hostname
    if host:
        raise errors.UriRefused(
            f"The libvirt URI {uri} leads to {host}, but only this host's threads and resctrl can be reached",
            hint="Let Ansible run the module on that host, with a local URI such as qemu:///system",
        )


def state_directory(uri: str) -> str:
    """Where libvirt's driver keeps the status files of the running domains.

    RUNSTATEDIR/libvirt/DRIVER for the system's daemon; for root, qemu:///session is the same daemon.
    """
    driver = re.split(r"[+:]", uri, maxsplit=1)[0] or "qemu"
    return f"/run/libvirt/{driver}"


def list_domains(uri: str) -> list[Domain]:
    """Every domain, by name, over one read-only connection and one call: names, UUIDs and ids come with the handles.

    Raises UriRefused, LibvirtMissing, LibvirtUnreachable.
    """
    check_local(uri)
    try:
        # Not above: it costs a quarter of a module's time, and a host may lack it
        import libvirt
    except ImportError as exc:
        raise errors.LibvirtMissing(
            f"The Python library libvirt-python is not there for {sys.executable} ({exc})",
            hint="Install python3-libvirt (Debian, Ubuntu, Fedora, RHEL) or python3-libvirt-python (SUSE), "
            "or set ansible_python_interpreter to an interpreter that has it",
        ) from exc
    # libvirt prints each error on stderr unless told otherwise
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        connection = libvirt.openReadOnly(uri)
        try:
            handles = connection.listAllDomains(0)
            domains = [Domain(handle.name(), handle.UUIDString(), handle.ID() >= 0) for handle in handles]
        finally:
            connection.close()
    except libvirt.libvirtError as exc:
        raise errors.LibvirtUnreachable(
            f"libvirt does not answer at {uri}: {exc}",
            hint="Start its daemon (systemctl start libvirtd, or virtqemud.socket on hosts with modular daemons)",
        ) from exc
    return sorted(domains, key=lambda domain: domain.name)


def select(asked: t.Iterable[str], domains: t.Sequence[Domain]) -> list[Selected]:
    """What a list of names, UUIDs and shell patterns stands for, in the order asked, each domain once.

    A name wins over a UUID, a UUID over a pattern; patterns (with *, ? or [) select running domains only and may match
    none. A name or UUID that libvirt does not know gives an entry without a domain.
    """
    by_name = {domain.name: domain for domain in domains}
    by_uuid = {domain.uuid: domain for domain in domains}
    selected: dict[str, Selected] = {}
    for word in asked:
        domain = by_name.get(word) or by_uuid.get(_canonical(word))
        if domain is None and re.search(r"[*?\[]", word):
            matches = [one for one in domains if one.active and fnmatch.fnmatchcase(one.name, word)]
        elif domain is None:
            selected.setdefault(word, Selected(word, None))
            continue
        else:
            matches = [domain]
        for match in matches:
            selected.setdefault(match.uuid, Selected(word, match))
    return list(selected.values())


def _canonical(word: str) -> str:
    """A UUID as libvirt prints it, whatever way it was written; other words come back as they are."""
    digits = word.lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        return word
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Process(t.NamedTuple):
    """The process of a running domain.

    `vcpus` maps a vCPU's id to its thread, `threads` are all threads of the process, `tuning` is cachetune or
    memorytune where the live XML has such an element with a group behind it, else None.
    """

    pid: int
    vcpus: t.Mapping[int, int]
    threads: frozenset[int]
    tuning: str | None = None


class _HeadParsed(Exception):
    """Raised to leave the parser: all that matters has been seen."""


def parse_head(content: bytes) -> tuple[int, dict[int, int]]:
    """The process in a status file, and vCPU id -> thread id.

    Parsed is only what comes before the <domain> element, which is most of the file.
    Only /domstatus/@pid and /domstatus/vcpus/vcpu count: <domain> has elements of the same names without thread ids.
    Raises ValueError if it is no status file.
    """
    pids: list[int] = []
    vcpus: dict[int, int] = {}

    def start(path: list[str], attributes: dict[str, str]) -> None:
        if path == ["domstatus"]:
            pids.append(int(attributes.get("pid", "0")))
        elif path == ["domstatus", "vcpus", "vcpu"]:
            # files of very old versions have no id: the place tells it
            vcpus[int(attributes.get("id", str(len(vcpus))))] = int(attributes.get("pid", "0"))
        elif path == ["domstatus", "domain"]:
            raise _HeadParsed

    try:
        _walk(content, start)
    except _HeadParsed:
        return pids[0], vcpus
    except expat.ExpatError as exc:
        raise ValueError(str(exc)) from exc
    raise ValueError("no <domain> in a <domstatus>")


def _walk(content: bytes, start: t.Callable[[list[str], dict[str, str]], None]) -> None:
    """Call `start` with the path and the attributes of each element. Raises ExpatError."""
    path: list[str] = []

    def enter(tag: str, attributes: dict[str, str]) -> None:
        path.append(tag)
        start(path, attributes)

    parser = expat.ParserCreate()
    parser.StartElementHandler = enter
    parser.EndElementHandler = lambda _tag: path.pop()
    parser.Parse(content, True)


def parse_tuning(content: bytes) -> str | None:
    """Which element of the live XML in a status file makes libvirt monitor the domain: cachetune, memorytune or None.

    libvirt drops an element with neither an allocation nor a monitor in it. Most domains have none: the bytes tell.
    """
    if b"<cachetune" not in content and b"<memorytune" not in content:
        return None
    tuned: set[str] = set()

    def start(path: list[str], _attributes: dict[str, str]) -> None:
        if len(path) == 5 and path[:3] == ["domstatus", "domain", "cputune"]:
            tuned.add(path[3])

    with contextlib.suppress(expat.ExpatError):
        _walk(content, start)
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
            head, vcpus = parse_head(content)
        except ValueError:
            head, vcpus = 0, {}
        pid = head if self.runs(head, domain.uuid) else self._pid_by_uuid(domain.uuid)
        threads = self.threads(pid)
        if not threads:
            raise errors.DomainGone(
                f"libvirt lists domain '{domain.name}' as running, but it has no process",
                hint="It stopped just now, or its QEMU died while libvirtd was down: run again, or see 'virsh list'",
            )
        if pid != head or not vcpus or not threads.issuperset(vcpus.values()):
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
