# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking libvirt's daemon: which URIs are this host's, over which socket, and what happens if it never answers."""

from __future__ import annotations

import sys
import threading
import types

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms import daemon
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.daemon import (
    Daemon,
    check_local,
    state_directory,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import Domain
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.processes import Processes
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import OTHER_UUID, VM3


def ask(uri="qemu:///system"):
    return list(Daemon(uri, Processes("/nowhere"), lambda: True).list())


class _Handle:
    def __init__(self, domain):
        self.domain = domain

    def name(self):
        return self.domain.name

    def UUIDString(self):  # noqa: N802  # libvirt's name
        return self.domain.uuid

    def ID(self):  # noqa: N802  # libvirt's name
        return self.domain.id if self.domain.active else -1


class _Connection:
    closed = False
    uri = "qemu:///system"

    def getURI(self):  # noqa: N802  # libvirt's name
        return self.uri

    def listAllDomains(self, _flags):  # noqa: N802  # libvirt's name
        return [_Handle(VM3), _Handle(Domain("off", OTHER_UUID, False))]

    def close(self):
        self.closed = True


class _Libvirt(types.ModuleType):
    """libvirt-python with two sockets, each of which may be missing."""

    class libvirtError(Exception):  # noqa: N801  # libvirt's name
        pass

    def __init__(self):
        super().__init__("libvirt")
        self.connection = _Connection()
        self.refusals = {}
        self.asked = []

    def registerErrorHandler(self, _handler, _context):  # noqa: N802  # libvirt's name
        pass

    def _open(self, kind):
        self.asked.append(kind)
        if kind in self.refusals:
            raise self.libvirtError(self.refusals[kind])
        return self.connection

    def openReadOnly(self, _uri):  # noqa: N802  # libvirt's name
        return self._open("read-only")

    def open(self, _uri):
        return self._open("read-write")


@pytest.fixture(name="libvirt")
def libvirt_fixture(monkeypatch):
    module = _Libvirt()
    monkeypatch.setitem(sys.modules, "libvirt", module)
    return module


def test_names_uuids_and_ids_come_from_one_call_over_the_read_only_socket(libvirt):
    assert ask() == [VM3, Domain("off", OTHER_UUID, False)]
    assert libvirt.asked == ["read-only"]
    assert libvirt.connection.closed


def test_where_the_read_only_socket_is_switched_off_the_ordinary_one_is_used(libvirt):
    libvirt.refusals = {"read-only": "No such file: libvirt-sock-ro"}
    assert len(ask()) == 2
    assert libvirt.asked == ["read-only", "read-write"]


def test_if_neither_answers_both_are_named(libvirt):
    libvirt.refusals = {"read-only": "No such file: libvirt-sock-ro", "read-write": "No such file: libvirt-sock"}
    with pytest.raises(errors.LibvirtUnreachable) as raised:
        ask()
    assert "read-only: No such file: libvirt-sock-ro; read-write: No such file: libvirt-sock" in str(raised.value)
    assert "systemctl start libvirtd" in raised.value.hint


def test_a_refused_call_is_told_and_the_connection_closed(libvirt, monkeypatch):
    def refuse(_flags):
        raise libvirt.libvirtError("access denied")

    monkeypatch.setattr(libvirt.connection, "listAllDomains", refuse)
    with pytest.raises(errors.LibvirtUnreachable, match="libvirt does not answer at qemu:///system: access denied"):
        ask()
    assert libvirt.connection.closed


def test_a_daemon_that_hangs_is_given_up(libvirt, monkeypatch):
    woken = threading.Event()
    monkeypatch.setattr(daemon, "_PATIENCE", 0.05)
    monkeypatch.setattr(libvirt, "openReadOnly", lambda _uri: woken.wait() and libvirt.connection)
    before = set(threading.enumerate())
    with pytest.raises(errors.LibvirtUnreachable, match=r"no answer within 0\.05 seconds.*is stopped, hangs"):
        ask()
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    woken.set()
    left.join()


def test_a_mistake_of_ours_is_not_taken_for_silence(libvirt, monkeypatch):
    def fail(_uri):
        raise ZeroDivisionError

    monkeypatch.setattr(libvirt, "openReadOnly", fail)
    with pytest.raises(ZeroDivisionError):
        ask()


def test_a_missing_library_names_interpreter_and_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(errors.LibvirtMissing) as raised:
        ask()
    assert sys.executable in str(raised.value)
    assert "python3-libvirt" in raised.value.hint


@pytest.mark.parametrize("uri", ["qemu:///system", "qemu:///session", "qemu+unix:///system?socket=/run/x", "test:///d"])
def test_local_uris_are_taken(uri):
    check_local(uri)


@pytest.mark.parametrize("uri", ["qemu+ssh://root@kvm7/system", "qemu://kvm7/system", "qemu+tcp://[fe80::1]/system"])
def test_remote_uris_are_refused_with_the_reason(uri):
    with pytest.raises(errors.UriRefused, match=r"leads to (kvm7|fe80::1).*Let Ansible run the module on that host"):
        ask(uri)


@pytest.mark.parametrize(
    ("uri", "directory"),
    [
        ("qemu:///system", "/run/libvirt/qemu"),
        ("qemu+unix:///system", "/run/libvirt/qemu"),
        ("ch:///system", "/run/libvirt/ch"),
        ("", "/run/libvirt/qemu"),
    ],
)
def test_each_driver_has_its_state_directory(uri, directory):
    assert state_directory(uri) == directory


def test_an_alias_of_another_machine_is_refused(libvirt):
    """Aliases are in libvirt.conf, which libvirt reads when it connects."""
    libvirt.connection.uri = "qemu+ssh://root@kvm7/system"
    with pytest.raises(errors.UriRefused, match="leads to kvm7"):
        ask("far")
    assert libvirt.connection.closed


def test_a_uri_that_is_none_is_refused():
    with pytest.raises(errors.UriRefused, match=r"The libvirt URI qemu\+ssh://\[kvm1/system cannot be understood"):
        check_local("qemu+ssh://[kvm1/system")


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("qemu:///system", "Start its daemon"),
        ("qemu+unix:///system", "Start its daemon"),
        ("", "Start its daemon"),
        ("bogus:///x", "libvirt may have no driver of that name"),
        ("qemux:///system", "libvirt may have no driver of that name"),
    ],
)
def test_no_daemon_is_to_be_started_for_a_driver_that_there_is_not(libvirt, uri, hint):
    libvirt.refusals = dict.fromkeys(["read-only", "read-write"], "no connection driver available")
    with pytest.raises(errors.LibvirtUnreachable) as refused:
        ask(uri)
    assert refused.value.hint.startswith(hint)
