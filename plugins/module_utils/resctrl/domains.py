# Copyright (c) 2026 the kvmops.resctrl authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's domains: which there are, which run, and which of them a task asks for. Knows no resctrl."""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib
import re
import sys
import typing as t
import urllib.parse

from . import errors

if t.TYPE_CHECKING:
    import types


@dataclasses.dataclass(frozen=True)
class Domain:
    """A domain as libvirt lists it. `uuid` is in canonical form (lower case, with dashes)."""

    name: str
    uuid: str
    active: bool


@dataclasses.dataclass(frozen=True)
class Selected:
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
    libvirt = _import_libvirt()
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


def _import_libvirt() -> types.ModuleType:
    """Imported only when needed: it costs a fifth of a module's start, and a host may lack it."""
    try:
        return importlib.import_module("libvirt")
    except ImportError as exc:
        raise errors.LibvirtMissing(
            f"The Python library libvirt-python is not there for {sys.executable} ({exc})",
            hint="Install python3-libvirt (Debian, Ubuntu, Fedora, RHEL) or python3-libvirt-python (SUSE), "
            "or set ansible_python_interpreter to an interpreter that has it",
        ) from exc


def select(asked: t.Iterable[str], domains: t.Sequence[Domain]) -> list[Selected]:
    """What a list of names, UUIDs and shell patterns stands for, in the order asked, each domain once.

    A name wins over a UUID, a UUID over a pattern; patterns (those with *, ? or [) select running domains only and may
    match none. A name or UUID that libvirt does not know gives an entry without a domain.
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
