# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains there are, from libvirt's own files: for where libvirt itself is not to be asked.

A running domain has a status file, a defined one a configuration file; both hold its name and UUID.
"""

from __future__ import annotations

import os
from xml.parsers import expat

from .domains import Domain, Processes, parse_head

STATE_DIRECTORY = "/run/libvirt/qemu"
CONFIG_DIRECTORY = "/etc/libvirt/qemu"


class _Identified(Exception):
    """Raised to leave the parser: name and UUID have been seen."""


def parse_identity(content: bytes) -> tuple[str, str]:
    """The name and UUID of the domain that a status file or a configuration file describes.

    Only /domstatus/domain or /domain itself counts: other elements below have names and UUIDs too.
    Raises ValueError if it describes none.
    """
    path: list[str] = []
    found = {"name": "", "uuid": ""}

    def start(tag: str, _attributes: dict[str, str]) -> None:
        path.append(tag)

    def end(_tag: str) -> None:
        path.pop()
        if path and path[-1] == "domain" and all(found.values()):
            raise _Identified

    def text(data: str) -> None:
        if path[-1] in found and path[:-1] in (["domain"], ["domstatus", "domain"]):
            found[path[-1]] += data

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    try:
        parser.Parse(content, True)
    except _Identified:
        return found["name"], found["uuid"]
    except expat.ExpatError as exc:
        raise ValueError(str(exc)) from exc
    raise ValueError("no <name> and <uuid> in a <domain>")


def list_domains(processes: Processes, state: str = STATE_DIRECTORY, config: str = CONFIG_DIRECTORY) -> list[Domain]:
    """Every domain that runs or is defined, by name. One runs if its process does: a status file may be stale."""
    domains = {}
    for content in _files(config):
        try:
            name, uuid = parse_identity(content)
        except ValueError:
            continue
        domains[uuid] = Domain(name, uuid, False)
    for content in _files(state):
        try:
            name, uuid = parse_identity(content)
            pid, _vcpus = parse_head(content)
        except ValueError:
            continue
        if processes.runs(pid, uuid):
            domains[uuid] = Domain(name, uuid, True)
    return sorted(domains.values(), key=lambda domain: domain.name)


def _files(directory: str) -> list[bytes]:
    """The XML files of a directory; libvirt writes NAME.xml.new and renames it, so these are never halves."""
    contents = []
    try:
        names = sorted(name for name in os.listdir(os.fsencode(directory)) if name.endswith(b".xml"))
    except OSError:
        return []
    for name in names:
        try:
            with open(os.path.join(os.fsencode(directory), name), "rb") as file:
                contents.append(file.read())
        except OSError:
            continue
    return contents
