# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of stand-in domains and an emulated resctrl, a fresh one for each test, and what is laid out on them."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from standin_host import StandinHost

CACHETUNE = """
<cachetune vcpus="{vcpus}"><cache id="0" level="3" type="both" size="2048" unit="KiB"/></cachetune>
"""
MONITOR = """
<cachetune vcpus="{vcpus}"><monitor level="3" vcpus="{vcpus}"/></cachetune>
"""
MEMORYTUNE = """
<memorytune vcpus="{vcpus}"><node id="0" bandwidth="50"/></memorytune>
"""


@pytest.fixture
def make_host(tmp_path):
    """Makes a host: make_host(profile of the emulator, its settings...)."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def make(profile="intel-6.1", *settings):
            directory = tmp_path / f"host{next(numbers)}"
            directory.mkdir()
            return stack.enter_context(StandinHost(directory, profile, settings))

        yield make


@pytest.fixture
def host(make_host):
    """A host on which everything can be monitored."""
    return make_host()


@pytest.fixture
def tuned():
    """Makes a domain that libvirt counts, in part or wholly: tuned(host, name, vCPUs, kind of tuning).

    Its group is made here as libvirt would: an allocation's, or with `monitor` one below the default group.
    """
    tuning = {"cachetune": CACHETUNE, "monitor": MONITOR, "memorytune": MEMORYTUNE}

    def make(host, name, vcpus="0-1", kind="cachetune"):
        domain = host.domains.add(name, cputune=tuning[kind].format(vcpus=vcpus))
        first, last = int(vcpus[0]), int(vcpus[-1])
        tids = [domain.vcpus[vcpu] for vcpu in range(first, last + 1)]
        parent = "mon_groups/" if kind == "monitor" else ""
        host.make_group(f"{parent}qemu-1-{name}-vcpus_{vcpus}", *tids)
        host.changes()
        return domain

    return make
