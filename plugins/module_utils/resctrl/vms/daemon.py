# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as libvirt's daemon lists them."""

from __future__ import annotations

import re
import sys
import threading
import typing as t
import urllib.parse

from .. import errors
from .domain import Domain
from .source import Source

if t.TYPE_CHECKING:
    from .processes import Processes

# A daemon that hangs, or is stopped, accepts a connection and never answers
_PATIENCE = 10.0
_HINT = "Start its daemon (systemctl start libvirtd, or virtqemud.socket on hosts with modular daemons)"


class Daemon(Source):
    """The domains of the libvirt daemon at `uri`."""

    def __init__(self, uri: str, processes: Processes, sees_all: t.Callable[[], bool]) -> None:
        super().__init__(state_directory(uri), processes, sees_all)
        self.uri = uri

    def list(self) -> t.Iterable[Domain]:
        """Every domain: one connection and one call, and no longer than ten seconds.

        Raises UriRefused, LibvirtMissing, LibvirtUnreachable.
        """
        check_local(self.uri)
        libvirt = _libvirt()
        return _within(_PATIENCE, self.uri, lambda: _list(libvirt, self.uri))


def check_local(uri: str) -> None:
    """Refuse a URI that leads to another machine (libvirt: "Remote URIs"): threads and resctrl are those of this host.

    Raises UriRefused.
    """
    try:
        host = urllib.parse.urlsplit(uri).hostname
    except ValueError as exc:
        raise errors.UriRefused(
            f"The libvirt URI {uri} cannot be understood: {exc}", hint="Give a local URI such as qemu:///system"
        ) from exc
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


def _libvirt() -> t.Any:  # noqa: ANN401  # a module, which a host may lack
    try:
        # Not above: it costs a quarter of a module's time
        import libvirt
    except ImportError as exc:
        raise errors.LibvirtMissing(
            f"The Python library libvirt-python is not there for {sys.executable} ({exc})",
            hint="Install python3-libvirt (Debian, Ubuntu, Fedora, RHEL) or python3-libvirt-python (SUSE), "
            "or set ansible_python_interpreter to an interpreter that has it",
        ) from exc
    # libvirt prints each error on stderr unless told otherwise
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    return libvirt


def _list(libvirt: t.Any, uri: str) -> list[Domain]:  # noqa: ANN401  # the module
    """Every domain; names, UUIDs and ids come with the handles. Raises UriRefused, LibvirtUnreachable."""
    try:
        connection = _connect(libvirt, uri)
        try:
            # What an alias in libvirt.conf, or an empty URI, has come to (virConnectGetURI())
            check_local(connection.getURI())
            handles = connection.listAllDomains(0)
            return [
                Domain(handle.name(), handle.UUIDString(), handle.ID() >= 0, max(handle.ID(), 0)) for handle in handles
            ]
        finally:
            connection.close()
    except libvirt.libvirtError as exc:
        raise _no_answer(uri, str(exc)) from exc


def _no_answer(uri: str, why: str) -> errors.LibvirtUnreachable:
    """That nobody answers. There is a daemon to be started for these drivers only that live on this host."""
    return errors.LibvirtUnreachable(
        f"libvirt does not answer at {uri}: {why}",
        hint=_HINT
        if not uri or re.match(r"(qemu|ch|xen|lxc|bhyve)[+:]", uri)
        else "libvirt may have no driver of that name: give the URI of a local one, such as qemu:///system",
    )


def _connect(libvirt: t.Any, uri: str) -> t.Any:  # noqa: ANN401  # the module, and its connection
    """A read-only connection. Where the read-only socket is switched off, an ordinary one, with which we only list."""
    try:
        return libvirt.openReadOnly(uri)
    except libvirt.libvirtError as read_only:
        try:
            return libvirt.open(uri)
        except libvirt.libvirtError as exc:
            raise _no_answer(uri, f"read-only: {read_only}; read-write: {exc}") from exc


def _within(seconds: float, uri: str, ask: t.Callable[[], list[Domain]]) -> list[Domain]:
    """What a question to libvirt is answered. Raises LibvirtUnreachable after `seconds`.

    libvirt knows no limit of its own. Its call waits on in a thread that does not keep the process from ending.
    """
    answers: list[list[Domain]] = []
    failures: list[Exception] = []

    def work() -> None:
        try:
            answers.append(ask())
        except Exception as exc:  # noqa: BLE001  # raised again below
            failures.append(exc)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not answers:
        raise errors.LibvirtUnreachable(
            f"libvirt does not answer at {uri}: no answer within {seconds:g} seconds",
            hint="Its daemon is stopped, hangs, or waits for a hook in /etc/libvirt/hooks: look at "
            "'systemctl status libvirtd' (or virtqemud)",
        )
    return answers[0]
