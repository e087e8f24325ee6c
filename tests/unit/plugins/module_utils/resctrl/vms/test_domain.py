# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains a list of names, UUIDs and patterns stands for, and which URIs are this host's."""

from __future__ import annotations

import sys

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domains import (
    Domain,
    check_local,
    list_domains,
    select,
    state_directory,
)

WEB1 = Domain("web-1", "00000000-0000-4000-8000-000000000001", True)
WEB2 = Domain("web-2", "00000000-0000-4000-8000-000000000002", True)
OFF = Domain("web-off", "00000000-0000-4000-8000-000000000003", False)
ODD = Domain('web 01 "é,..x', "00000000-0000-4000-8000-000000000004", True)
DASH = Domain("-dash", "00000000-0000-4000-8000-00000000000a", True)
STAR = Domain("web-[1]", "00000000-0000-4000-8000-000000000006", True)
ALL = [DASH, ODD, WEB1, WEB2, STAR, OFF]


def chosen(*asked):
    return [one.domain for one in select(asked, ALL)]


def test_names_come_in_the_order_asked_and_once():
    assert chosen("web-2", "web-1", "web-2") == [WEB2, WEB1]


def test_any_name_is_taken_literally_first():
    assert chosen(ODD.name, "-dash", "web-[1]") == [ODD, DASH, STAR]


@pytest.mark.parametrize(
    "written",
    [DASH.uuid, DASH.uuid.upper(), DASH.uuid.replace("-", "")],
)
def test_a_uuid_may_be_written_in_any_way(written):
    assert chosen(written) == [DASH]


def test_a_domain_asked_for_twice_in_different_words_comes_once():
    assert chosen("web-1", WEB1.uuid, "web-*") == [WEB1, WEB2, STAR]


def test_patterns_select_running_domains_only():
    assert chosen("web-*") == [WEB1, WEB2, STAR]
    assert chosen("*") == [DASH, ODD, WEB1, WEB2, STAR]
    assert chosen("web-off") == [OFF]


def test_a_pattern_may_match_nothing():
    assert chosen("db-*") == []


def test_an_unknown_name_keeps_its_place():
    assert [(one.asked, one.domain) for one in select(["vm9", "web-1"], ALL)] == [("vm9", None), ("web-1", WEB1)]


@pytest.mark.parametrize("uri", ["qemu:///system", "qemu:///session", "qemu+unix:///system?socket=/run/x", "test:///d"])
def test_local_uris_are_taken(uri):
    check_local(uri)


@pytest.mark.parametrize("uri", ["qemu+ssh://root@kvm7/system", "qemu://kvm7/system", "qemu+tcp://[fe80::1]/system"])
def test_remote_uris_are_refused_with_the_reason(uri):
    with pytest.raises(errors.UriRefused, match=r"leads to (kvm7|fe80::1).*Let Ansible run the module on that host"):
        check_local(uri)


@pytest.mark.parametrize(
    ("uri", "directory"),
    [
        ("qemu:///system", "/run/libvirt/qemu"),
        ("qemu+unix:///system", "/run/libvirt/qemu"),
        ("ch:///system", "/run/libvirt/ch"),
    ],
)
def test_each_driver_has_its_state_directory(uri, directory):
    assert state_directory(uri) == directory


def test_a_missing_library_names_interpreter_and_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(errors.LibvirtMissing) as raised:
        list_domains("qemu:///system")
    assert sys.executable in str(raised.value)
    assert "python3-libvirt" in raised.value.hint
