# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's XML files of a domain: its status file while it runs, its configuration. Pure.

No public function of libvirt returns a thread id. Its status file has them, and is rewritten at every start, stop and
vCPU hot-plug; but it may be stale (libvirtd was killed, then QEMU died), so what it says has to be checked.
"""

from __future__ import annotations

import types
import typing as t
from xml.parsers import expat

from .domain import CACHETUNE, ENERGYTUNE, MEMORYTUNE

# By precedence: the RFC's word first
_TUNINGS = (CACHETUNE, MEMORYTUNE, ENERGYTUNE)
_TAGS = tuple(f"<{tag}".encode() for tag in _TUNINGS)
_CAPABILITIES_END = b"</qemuCaps>"


class Status(t.NamedTuple):
    """What a file says of a domain. `vcpus` is vCPU id -> thread id, in the PID namespace of libvirt's daemon.

    `pid` is 0 where the file names no process, as does a configuration. `starting`: libvirt has begun to start it.
    """

    name: str = ""
    uuid: str = ""
    id: int = 0
    pid: int = 0
    vcpus: t.Mapping[int, int] = types.MappingProxyType({})
    starting: bool = False
    tuning: str | None = None


class _Seen(Exception):
    """Raised to leave the parser: all that matters has been seen."""


# What is done at the start of an element, and with the text in it: both get the path of element names
_Start = t.Callable[[t.List[str], t.Dict[str, str]], None]
_Text = t.Callable[[t.List[str], str], None]


def _walk(content: bytes, start: _Start, text: _Text = lambda _path, _text: None) -> None:
    """Walk through a document until it ends or _Seen is raised. Raises ValueError if it is no XML."""
    path: list[str] = []

    def enter(tag: str, attributes: dict[str, str]) -> None:
        path.append(tag)
        start(path, attributes)

    parser = expat.ParserCreate()
    parser.buffer_text = True  # else a text comes in pieces
    parser.StartElementHandler = enter
    parser.EndElementHandler = lambda _tag: path.pop()
    parser.CharacterDataHandler = lambda data: text(path, data)
    try:
        parser.Parse(content, True)
    except _Seen:
        return
    except (expat.ExpatError, LookupError) as exc:
        # LookupError: it claims an encoding that there is not
        raise ValueError(str(exc)) from exc


def parse_domain(content: bytes) -> Status:
    """What a status file or a configuration file says. Raises ValueError if it is neither.

    Parsed is only what comes before the end of the identity in the <domain> element, which is most of the file; the
    rest only where the bytes show that there is tuning in it. Only /domstatus/@pid and /domstatus/vcpus/vcpu tell
    threads: <domain> has elements of the same names without thread ids.
    """
    found: dict[str, t.Any] = {"name": "", "uuid": ""}
    vcpus: dict[int, int] = {}

    def start(path: list[str], attributes: dict[str, str]) -> None:
        if path == ["domstatus"]:
            found["pid"] = int(attributes.get("pid", "0"))
            found["starting"] = attributes.get("reason") == "starting up"
        elif path == ["domstatus", "vcpus", "vcpu"]:
            # files of very old versions have no id: the place tells it
            vcpus[int(attributes.get("id", str(len(vcpus))))] = int(attributes.get("pid", "0"))
        elif path[-1] == "domain" and _in_domain(path):
            found["id"] = int(attributes.get("id", "0"))
        elif found["name"] and found["uuid"]:
            raise _Seen

    def text(path: list[str], data: str) -> None:
        # Other elements below have names and UUIDs too
        if path[-1] in ("name", "uuid") and _in_domain(path[:-1]):
            found[path[-1]] += data

    _walk(_without_capabilities(content), start, text)
    if not found["name"] or not found["uuid"]:
        raise ValueError("no <name> and <uuid> in a <domain>")
    return Status(**found, vcpus=vcpus, tuning=parse_tuning(content))


def _without_capabilities(content: bytes) -> bytes:
    """A status file without what QEMU can do: two hundred elements, most of what is before the <domain>."""
    begin, end = content.find(b"<qemuCaps>"), content.find(_CAPABILITIES_END)
    if 0 <= begin < end < content.find(b"<domain "):
        return content[:begin] + content[end + len(_CAPABILITIES_END) :]
    return content


def _in_domain(path: list[str]) -> bool:
    return path in (["domain"], ["domstatus", "domain"])


def parse_tuning(content: bytes) -> str | None:
    """Which element of the live XML in a status file has libvirt monitor the domain, or None.

    cachetune wins over memorytune, and both over energytune. libvirt drops an element with neither an allocation nor a
    monitor in it. Most domains have none: the bytes tell.
    """
    if not any(tag in content for tag in _TAGS):
        return None
    tuned: set[str] = set()

    def start(path: list[str], _attributes: dict[str, str]) -> None:
        if len(path) == 5 and path[:3] == ["domstatus", "domain", "cputune"]:
            tuned.add(path[3])

    try:
        _walk(content, start)
    except ValueError:
        return None
    return next((tag for tag in _TUNINGS if tag in tuned), None)
