# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cgroups of threads tell, in both versions."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.cgroups import Cgroups

SCOPE = "/machine.slice/machine-qemu.scope"


class Machine:
    """A /proc with two threads of one process, and where its cgroups are mounted."""

    def __init__(self, directory):
        self.directory = directory
        self.cgroups = Cgroups(str(directory / "proc"))

    def mount(self, kind, options, name):
        (self.directory / name).mkdir()
        path = self.directory / "proc/self/mounts"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"cgroup {self.directory / name} {kind} {options} 0 0\n")
        return self.directory / name

    def thread(self, tid, *lines):
        path = self.directory / f"proc/100/task/{tid}/cgroup"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{line}\n" for line in lines))


def write(root, group, name, text):
    (root / group.strip("/")).mkdir(parents=True, exist_ok=True)
    (root / group.strip("/") / name).write_text(text)


@pytest.fixture(name="machine")
def machine_fixture(tmp_path):
    return Machine(tmp_path)


@pytest.fixture(name="two")
def two_fixture(machine):
    """A host with version 2, where libvirt has a cgroup for each vCPU."""
    root = machine.mount("cgroup2", "rw,nsdelegate", "cgroup")
    for tid, name in ((100, "emulator"), (101, "vcpu0"), (102, "vcpu1")):
        machine.thread(tid, f"0::{SCOPE}/libvirt/{name}")
    write(root, f"{SCOPE}/libvirt/vcpu0", "cpu.stat", "usage_usec 1\nnr_throttled 2\nthrottled_usec 1500000\n")
    write(root, f"{SCOPE}/libvirt/vcpu1", "cpu.stat", "usage_usec 1\n")
    write(root, SCOPE, "cpu.stat", "usage_usec 1\nnr_throttled 0\nthrottled_usec 500000\n")
    write(root, "/machine.slice", "cpu.stat", "throttled_usec 9000000\n")
    return root


def test_the_limits_of_vcpus_and_of_the_whole_domain_are_told_but_not_what_domains_share(machine, two):
    assert machine.cgroups.throttled(100, [101, 102]) == {
        f"{two}{SCOPE}": 0.5,
        f"{two}{SCOPE}/libvirt/vcpu0": 1.5,
    }


def test_a_domain_without_a_limit_is_not_throttled_and_one_that_does_not_tell_is_not_known(machine, two):
    assert machine.cgroups.throttled(100, [999]) is None
    machine.thread(103, "0::/elsewhere")
    write(two, "/elsewhere", "cpu.stat", "usage_usec 1\n")
    assert machine.cgroups.throttled(100, [103]) is None
    machine.thread(104, "0::/")
    assert machine.cgroups.throttled(100, [104]) == {str(two): 0.0}


def test_memory_pressure_is_that_of_the_cgroup_around_all_threads(machine, two):
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"
    assert machine.cgroups.stalled(100, [101, 102]) is None
    write(two, f"{SCOPE}/libvirt", "memory.pressure", text)
    assert machine.cgroups.stalled(100, [101, 102]) == pytest.approx(2.5)


def test_what_domains_share_tells_nothing_of_one(machine, two):
    machine.thread(105, "0::/machine.slice/other.scope")
    write(two, "/machine.slice", "memory.pressure", "some avg10=0.00 total=2500000\n")
    assert machine.cgroups.stalled(100, [101, 105]) is None


def test_version_1_tells_of_the_limit_where_it_has_the_cpu_controller(machine):
    root = machine.mount("cgroup", "rw,cpu,cpuacct", "cpu,cpuacct")
    machine.mount("cgroup", "rw,cpuset", "cpuset")
    machine.mount("cgroup2", "rw", "unified")
    machine.thread(101, "7:cpuset:/wrong", "4:cpu,cpuacct:/machine/vm1/vcpu0", "0::/init.scope")
    write(root, "/machine/vm1/vcpu0", "cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 2500000000\n")
    assert machine.cgroups.throttled(100, [101]) == {f"{root}/machine/vm1/vcpu0": 2.5}
    assert machine.cgroups.stalled(100, [101]) is None


@pytest.mark.usefixtures("two")
def test_a_cgroup_outside_of_the_namespace_is_not_looked_for(machine):
    machine.thread(106, "0::/../../elsewhere")
    assert machine.cgroups.throttled(100, [106]) is None


def test_without_cgroups_nothing_is_known(machine):
    machine.thread(101)
    assert machine.cgroups.throttled(100, [101]) is None
    assert machine.cgroups.stalled(100, [101]) is None


@pytest.mark.parametrize(
    "shared", ["/system.slice/incus.service", "/user.slice/user-0.slice/session-3.scope", "/init.scope", "/x.slice"]
)
def test_where_a_manager_leaves_all_of_its_domains_nothing_is_told_of_one(machine, shared):
    root = machine.mount("cgroup2", "rw", "cgroup")
    for tid in (100, 101):
        machine.thread(tid, f"0::{shared}")
    write(root, shared, "cpu.stat", "throttled_usec 7000000\n")
    write(root, shared, "memory.pressure", "some avg10=0.00 total=9000000\n")
    assert machine.cgroups.throttled(100, [101]) is None
    assert machine.cgroups.stalled(100, [101]) is None
