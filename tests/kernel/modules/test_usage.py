# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain had of CPUs and memory, as a real kernel's cgroups (version 2) tell it, laid out as libvirt does."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from modules import succeeded
from waiting import wait_until

CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Goes into a cgroup, and touches more and more memory there
HOARD = """
import pathlib, sys
pathlib.Path(sys.argv[1], "cgroup.procs").write_text("0")
kept = []
while True:
    kept.append(b"x" * (1 << 20))
"""


@pytest.fixture(name="scope")
def scope_fixture(host):
    """The scope of a domain with one busy vCPU, number 2, in cgroups of its own for the emulator and for each vCPU."""
    domain = host.domains.add("vm1")
    host.domains.plug("vm1", 2, busy=True)
    host.run("resctrl_mon", name="vm1")
    scope = CGROUPS / "machine.slice" / f"machine-qemu-{domain.pid}-vm1.scope"
    (scope / "libvirt").mkdir(parents=True)
    for path in (CGROUPS, scope.parent, scope):
        (path / "cgroup.subtree_control").write_text("+cpu +memory")
    for name in ("emulator", *(f"vcpu{vcpu}" for vcpu in domain.vcpus)):
        (scope / "libvirt" / name).mkdir()
        (scope / "libvirt" / name / "cgroup.type").write_text("threaded")
    (scope / "libvirt/cgroup.subtree_control").write_text("+cpu")
    (scope / "libvirt/emulator/cgroup.procs").write_text(str(domain.pid))
    for vcpu, tid in domain.vcpus.items():
        (scope / f"libvirt/vcpu{vcpu}/cgroup.threads").write_text(str(tid))
    return scope


def analysed(host, name="vm1"):
    """What the domain had of the CPUs, and what was found of it."""
    fact = succeeded(host.run("resctrl_stats", interval=3, analysis=True))["ansible_facts"]["resctrl_stats"]
    return fact["domains"][name]["cpu"], {one["kind"] for one in fact["findings"] if one["domain"] == name}


def test_what_runs_unhindered_lacks_nothing(host, scope):
    assert (scope / "memory.pressure").exists()
    cpu, found = analysed(host)
    assert (cpu["throttled"], cpu["memory_stall"], cpu["reasons"]) == (0, 0, {})
    assert cpu["seconds"] > 0
    assert not found & {"throttled", "memory_pressure"}


def test_a_limit_of_a_vcpu_is_seen_in_its_own_cgroup(host, scope):
    (scope / "libvirt/vcpu2/cpu.max").write_text("2000 100000")
    cpu, found = analysed(host)
    # The vCPU that is held back is one of three
    assert 0.05 * 3 * cpu["interval"] < cpu["throttled"]
    assert "throttled" in found


def test_a_limit_of_the_whole_domain_is_seen_above_that(host, scope):
    (scope / "cpu.max").write_text("2000 100000")
    cpu, found = analysed(host)
    assert 0.05 * 3 * cpu["interval"] < cpu["throttled"]
    assert "throttled" in found


def test_who_waits_for_memory_is_under_memory_pressure(host, scope):
    (scope / "memory.high").write_text(str(8 << 20))
    hoarder = subprocess.Popen([sys.executable, "-c", HOARD, str(scope / "libvirt/emulator")])
    try:
        wait_until(lambda: "total=0\n" not in (scope / "libvirt/memory.pressure").read_text(), "memory pressure")
        cpu, found = analysed(host)
    finally:
        hoarder.kill()
        hoarder.wait()
    assert cpu["memory_stall"] > 0.1 * cpu["interval"]
    assert "memory_pressure" in found


def test_where_pressure_is_switched_off_it_is_not_known(host, scope):
    (scope / "libvirt/cgroup.pressure").write_text("0")
    cpu, found = analysed(host)
    assert cpu["reasons"] == {"memory_stall": "unsupported"}
    assert "memory_pressure" not in found
