# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scope=vcpus counts what the guest does, as libvirt's own monitors do; scope=domain all that QEMU does for it."""

from __future__ import annotations

from hosts import Cachetune


def in_group(hv, name):
    """The threads in the domain's group."""
    return hv.groups()[hv.ours(name)]


def test_every_thread_of_the_process_is_counted(hv):
    """The main loop, the I/O threads and QEMU's helpers beside the vCPUs."""
    hv.start("vm3")
    hv.virsh("iothreadadd", "vm3", "1", "--live")
    (domain,) = hv.enable("vm3", scope="domain")["domains"]
    threads = hv.threads("vm3")
    assert in_group(hv, "vm3") == set(threads)
    assert hv.pid("vm3") in threads
    assert {"IO iothread1", "CPU 0/KVM", "CPU 1/KVM"} <= {comm.replace("/TCG", "/KVM") for comm in threads.values()}
    assert domain["msg"] == f"Now counted: vCPU 0, 1 and {len(threads) - 2} other threads"
    assert domain["vcpus"]["counted"] == [0, 1]
    assert not hv.enable("vm3", scope="domain")["changed"]


def test_threads_that_start_later(hv):
    """A new thread is in the group of the one that made it: those of the main thread are counted at once."""
    hv.start("vm3")
    hv.enable("vm3", scope="domain")
    hv.virsh("iothreadadd", "vm3", "1", "--live")
    hv.virsh("setvcpus", "vm3", "3", "--live")
    assert hv.query("vm3")["vcpus"]["uncounted"] == []
    assert not hv.enable("vm3", scope="domain")["changed"]
    assert in_group(hv, "vm3") == set(hv.threads("vm3"))


def test_threads_that_are_missing_are_added_by_the_next_run(hv):
    """As where a thread that is not counted has made them."""
    hv.start("vm3")
    hv.virsh("iothreadadd", "vm3", "1", "--live")
    hv.enable("vm3", scope="domain")
    (thread,) = (tid for tid, comm in hv.threads("vm3").items() if comm == "IO iothread1")
    hv.move("", thread)
    assert thread not in in_group(hv, "vm3")
    (domain,) = hv.enable("vm3", scope="domain")["domains"]
    assert domain["msg"] == "Repaired, now counted too: 1 other thread"
    assert in_group(hv, "vm3") == set(hv.threads("vm3"))


def test_from_vcpus_to_the_domain(hv):
    """Threads are added; what was counted is kept."""
    hv.start("vm3")
    hv.enable("vm3")
    (before,) = hv.stats("vm3")["groups"]
    assert hv.enable("vm3", scope="domain")["changed"]
    assert in_group(hv, "vm3") == set(hv.threads("vm3"))
    assert hv.stats("vm3")["groups"] == [before]


def test_back_to_vcpus(hv):
    """The other threads leave by way of another group, so that no allocation is disturbed; ours goes on counting."""
    hv.start("vm3")
    hv.enable("vm3", scope="domain")
    (before,) = hv.stats("vm3")["groups"]
    assert hv.enable("vm3", scope="vcpus")["changed"]
    assert in_group(hv, "vm3") == set(hv.vcpus("vm3").values())
    assert hv.stats("vm3")["groups"] == [before]
    assert len(hv.groups()) == 1
    assert not hv.enable("vm3", scope="vcpus")["changed"]


def test_with_cachetune(hv):
    """libvirt's monitors count vCPUs alone; the rest of the process can be counted beside them."""
    hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    (libvirts,) = hv.groups()
    assert hv.enable("vm2", scope="domain")["changed"]
    vcpus = set(hv.vcpus("vm2").values())
    assert hv.groups() == {libvirts: vcpus, hv.ours("vm2"): set(hv.threads("vm2")) - vcpus}
    assert hv.query("vm2")["status"] == "Enabled (forced by cachetune)"
    hv.disable("vm2")
    assert hv.groups() == {libvirts: vcpus}
