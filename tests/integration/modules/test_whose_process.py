# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process is a domain's, and which group is libvirt's: evidence counts more than what a file or a name says."""

from __future__ import annotations

import os

import pytest
from modules import only, succeeded
from tuning import Cachetune, Energytune

STATUS = "/run/libvirt/test/{}.xml"


# -- wrappers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["vcpus", "domain"])
def test_the_child_of_an_emulators_wrapper_is_the_process_that_is_counted(host, scope):
    """A shell script that calls QEMU without exec: libvirt takes the shell for the domain's process."""
    vm1 = host.domains.add("vm1")
    wrapper = host.domains.wrap("vm1")
    domain = only(succeeded(host.run("resctrl_mon", name="vm1", scope=scope)))
    assert (domain["status"], domain["vcpus"]["counted"]) == ("Enabled", [0, 1])
    assert wrapper not in host.groups()[host.group(vm1)]
    assert host.groups()[host.group(vm1)] == (vm1.threads if scope == "domain" else set(vm1.vcpus.values()))


def test_a_wrapper_that_has_not_started_qemu_yet_is_a_domain_that_is_starting(host):
    vm1 = host.domains.begin("vm1")
    host.domains.wrap("vm1")
    os.kill(vm1.pid, 9)
    assert only(succeeded(host.run("resctrl_mon", name="*", scope="domain")))["starting"]
    assert host.groups() == {}


# -- status files ------------------------------------------------------------------------------------------------------


def test_a_status_file_of_another_domain_of_that_name_is_not_believed(host):
    """As where a user's own libvirt has a domain that is called like one of the system's."""
    vm1 = host.domains.add("vm1")
    other = host.domains.add("other", tuning=[Cachetune("0-1", cache_id=0, size_kib=2048)])
    status = host.domains.path(STATUS.format("other")).read_text(encoding="utf-8")
    host.domains.path(STATUS.format("vm1")).write_text(status.replace(">other<", ">vm1<"), encoding="utf-8")
    assert host.query("vm1")["status"] == "Disabled"
    domain = only(succeeded(host.run("resctrl_mon", name="vm1")))
    assert domain["status"] == "Enabled"
    assert host.groups() == {host.group(vm1): set(vm1.vcpus.values())}
    assert not host.groups()[host.group(vm1)] & other.threads


def test_a_status_file_that_is_no_xml_is_not_believed(host):
    vm1 = host.domains.add("vm1")
    host.domains.path(STATUS.format("vm1")).write_text("<domstatus", encoding="utf-8")
    succeeded(host.run("resctrl_mon", name="vm1"))
    assert host.groups() == {host.group(vm1): set(vm1.vcpus.values())}


# -- libvirt's groups --------------------------------------------------------------------------------------------------


def test_a_domain_with_energytune_alone_is_forced_by_energytune(host):
    vm1 = host.domains.add("vm1", tuning=[Energytune("0-1", monitors=["0-1"])])
    host.make_group("mon_groups/qemu-1-vm1-vcpus_0-1", *vm1.vcpus.values())
    domain = host.query("vm1")
    assert (domain["status"], domain["forced_by"]) == ("Enabled (forced by energytune)", "energytune")
    assert domain["vcpus"]["counted"] == [0, 1]
    result = succeeded(host.run("resctrl_mon", name="vm1", state="disabled"))
    assert only(result)["status"] == "Enabled (forced by energytune)"


@pytest.mark.parametrize("state", ["enabled", "disabled"])
@pytest.mark.parametrize("scope", ["vcpus", "domain"])
@pytest.mark.parametrize("parent", ["mon_groups/", ""], ids=["monitor", "allocation"])
@pytest.mark.parametrize("driver", ["qemu", "test"])
def test_a_group_of_libvirts_for_a_whole_process_is_never_taken_over(host, driver, parent, scope, state):
    """libvirt calls it after the machine alone. Of a driver with unfamiliar names it is known by its live domains."""
    vm1 = host.domains.add("vm1", tuning=[Cachetune("0-1", monitors=["0-1"])])
    group = host.make_group(f"{parent}{driver}-1-vm1", *vm1.threads)
    result = succeeded(host.run("resctrl_mon", name="vm1", scope=scope, state=state, takeover=True))
    assert host.groups() == {group: vm1.threads}
    assert only(result)["status"] == "Enabled (forced by cachetune)"
    held = {one["owner"]: [group["path"] for group in one["groups"]] for one in host.info()["host"]["rmids"]["held_by"]}
    assert held["libvirt"] == [host.path(group)]
    assert set(held) == {"default", "libvirt"}


MACHINES = {
    "web 01": "web01",
    "a,b": "ab",
    "-dash": "dash",
    "--..lead": "lead",
    "ümläut-ß": "mlut",
    "a.-b": "a.b",
    "n" * 80: "n" * 57,
}


@pytest.mark.parametrize(("name", "machine"), MACHINES.items())
def test_a_group_that_is_called_after_a_live_domain_is_libvirts_whatever_the_domains_name(host, name, machine):
    domain = host.domains.add(name)
    group = host.make_group(f"mon_groups/test-1-{machine}", *domain.threads)
    held = {one["owner"] for one in host.info()["host"]["rmids"]["held_by"]}
    assert held == {"default", "libvirt"}
    assert only(succeeded(host.mon(name, takeover=True)))["vcpus"]["counted"] == [0, 1]
    assert host.groups() == {group: domain.threads}
