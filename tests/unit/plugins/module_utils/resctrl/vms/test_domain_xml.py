# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt's status and configuration files say. They are laid out as libvirt 9 writes them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain_xml import (
    Status,
    parse_domain,
    parse_tuning,
)
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.machine import VM3, status

CONFIGURATION = (
    "<domain type='kvm'><name>{name}</name><uuid>{uuid}</uuid><devices><x><name>no</name></x></devices></domain>"
)


def defined(name="vm3", uuid=VM3.uuid):
    return CONFIGURATION.format(name=name, uuid=uuid).encode()


def test_a_status_file_has_the_threads():
    assert parse_domain(status()) == Status("vm3", VM3.uuid, 5, 100, {0: 101, 1: 102})


def test_what_qemu_can_do_is_passed_over():
    capabilities = b"<qemuCaps>" + b"<flag name='kvm'/>" * 200 + b"</qemuCaps><domain "
    assert parse_domain(status().replace(b"<domain ", capabilities, 1)) == parse_domain(status())


def test_a_metadata_that_looks_like_qemus_capabilities_is_left_alone():
    odd = "<metadata><x:a xmlns:x='u'><qemuCaps></x:a></metadata></qemuCaps>"
    assert parse_domain(status(cputune=odd)).name == "vm3"


def test_a_configuration_names_no_process():
    assert parse_domain(defined()) == Status("vm3", VM3.uuid)


def test_vcpus_without_ids_are_counted_through():
    without = status().replace(b" id='0' pid", b" pid").replace(b" id='1' pid", b" pid")
    assert parse_domain(without).vcpus == {0: 101, 1: 102}


def test_a_domain_that_is_being_started_says_so():
    assert parse_domain(status(vcpus=(), reason="starting up")).starting is True
    assert parse_domain(status()).starting is False


@given(st.dictionaries(st.integers(0, 4096), st.integers(1, 2**22)))
def test_every_vcpu_is_found(vcpus):
    assert parse_domain(status(vcpus=vcpus.items())).vcpus == vcpus


def test_a_name_is_unescaped():
    assert parse_domain(defined("a &lt;b&gt; &amp; é")).name == "a <b> & é"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<domain/>",
        b"<network><name>n</name><uuid>u</uuid></network>",
        b"<domain><name>",
        b"<domstatus pid='x'/>",
        b"<?xml version='1.0' encoding='no-such'?><domain/>",
    ],
)
def test_anything_else_is_a_value_error(content):
    with pytest.raises(ValueError):  # noqa: PT011  # expat's words vary
        parse_domain(content)


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.integers(0, len(status())).map(lambda cut: status()[:cut])
    | st.text(st.characters(codec="ascii")).map(lambda name: f"<?xml version='1.0' encoding='{name}'?><d/>".encode())
    | st.tuples(st.integers(0, len(status())), st.binary(max_size=8)).map(
        lambda odd: status()[: odd[0]] + odd[1] + status()[odd[0] + len(odd[1]) :]
    )
)
@example(b"<?xml version='1.0' encoding='base64'?><d/>")
def test_any_bytes_are_a_status_or_a_value_error(content):
    with contextlib.suppress(ValueError):
        found = parse_domain(content)
        assert found.name
        assert found.uuid
        assert all(isinstance(number, int) for number in (found.pid, found.id, *found.vcpus, *found.vcpus.values()))


ALLOCATION = "<cache id='0' level='3' type='both' size='4' unit='MiB'/>"
BANDWIDTH = "<node id='0' bandwidth='50'/>"
MONITOR = "<monitor level='3' vcpus='0'/>"


@pytest.mark.parametrize(
    ("cputune", "tuning"),
    [
        ("", None),
        ("<cputune><shares>1024</shares></cputune>", None),
        (f"<cputune><cachetune vcpus='0-1' id='vcpus_0-1'>{ALLOCATION}</cachetune></cputune>", "cachetune"),
        (f"<cputune><cachetune vcpus='0'>{MONITOR}</cachetune></cputune>", "cachetune"),
        (f"<cputune><memorytune vcpus='0'>{BANDWIDTH}</memorytune></cputune>", "memorytune"),
        (f"<cputune><energytune vcpus='0'>{MONITOR}</energytune></cputune>", "energytune"),
        # several: the RFC's word wins, energytune comes last
        (
            f"<cputune><memorytune vcpus='0'>{BANDWIDTH}</memorytune>"
            f"<cachetune vcpus='0'>{MONITOR}</cachetune></cputune>",
            "cachetune",
        ),
        (
            f"<cputune><energytune vcpus='0'>{MONITOR}</energytune>"
            f"<memorytune vcpus='0'>{BANDWIDTH}</memorytune></cputune>",
            "memorytune",
        ),
        # libvirt drops an element without allocation and monitor
        ("<cputune><cachetune vcpus='0'/></cputune>", None),
        # somebody's metadata is not tuning
        (f"<metadata><x:a xmlns:x='u'><cachetune vcpus='0'>{MONITOR}</cachetune></x:a></metadata>", None),
        ("<description>&lt;cachetune&gt; <![CDATA[<cputune><cachetune><monitor/>]]></description>", None),
    ],
)
def test_tuning_is_told_by_the_live_xml(cputune, tuning):
    assert parse_domain(status(cputune=cputune)).tuning == tuning


@given(st.binary().map(lambda odd: b"<cachetune" + odd))
def test_any_bytes_have_no_tuning(content):
    assert parse_tuning(content) is None
