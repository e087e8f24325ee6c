# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains there are, told by libvirt's files."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domain_files import list_domains, parse_identity
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.domains import Domain, Processes

UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"
DOMAIN = "<domain type='kvm'><name>{name}</name><uuid>{uuid}</uuid><devices><x><name>no</name></x></devices></domain>"
STATUS = "<domstatus state='running' pid='{pid}'><vcpus><vcpu id='0' pid='7'/></vcpus>{domain}</domstatus>"


def defined(name="vm3", uuid=UUID):
    return DOMAIN.format(name=name, uuid=uuid)


@pytest.mark.parametrize("content", [defined(), STATUS.format(pid=7, domain=defined())])
def test_name_and_uuid_are_those_of_the_domain_itself(content):
    assert parse_identity(content.encode()) == ("vm3", UUID)


def test_a_name_is_unescaped():
    assert parse_identity(defined("a &lt;b&gt; &amp; é").encode())[0] == "a <b> & é"


@pytest.mark.parametrize(
    "content", ["", "<domain/>", "<network><name>n</name><uuid>u</uuid></network>", "<domain><name>"]
)
def test_anything_else_is_a_value_error(content):
    with pytest.raises(ValueError):  # noqa: PT011  # expat's words vary
        parse_identity(content.encode())


@given(st.binary())
def test_any_bytes_are_survived(content):
    with contextlib.suppress(ValueError):
        parse_identity(content)


def test_a_domain_runs_if_its_process_does(tmp_path):
    state, config, proc = (tmp_path / name for name in ("run", "etc", "proc"))
    for directory in (state, config, proc / "7"):
        directory.mkdir(parents=True)
    other, stale = (UUID[:-1] + last for last in "45")
    (config / "vm1.xml").write_text(defined("vm1", other))
    (config / "vm3.xml").write_text(defined())
    (state / "vm3.xml").write_text(STATUS.format(pid=7, domain=defined()))
    (state / "old.xml").write_text(STATUS.format(pid=8, domain=defined("old", stale)))
    (state / "vm1.xml.new").write_text("<half")
    (state / "junk.xml").write_text("<half")
    (proc / "7" / "cmdline").write_text(f"qemu\0-uuid\0{UUID}\0")
    domains = list_domains(Processes(str(state), str(proc)), str(state), str(config))
    assert domains == [Domain("vm1", other, False), Domain("vm3", UUID, True)]


def test_a_host_without_libvirt_has_no_domains(tmp_path):
    nowhere = str(tmp_path / "missing")
    assert list_domains(Processes(nowhere, nowhere), nowhere, nowhere) == []
