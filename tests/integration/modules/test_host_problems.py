# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other programs and administrators leave on a host: it is said, and does not stand in the way."""

from __future__ import annotations

import errno
import json

import pytest
from modules import only, run_module, succeeded, warnings

from emulator.faults import Fault

EVENTS = ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"]
# Characters at which some functions that split lines split too
ODD_GROUPS = ["a\u2028b", "a\u0085b", "a\x0bb", "a b:c", "mon"]


def problems(host):
    """What resctrl_info says is missing on a host."""
    return host.info()["host"]["problems"]


def count_cpus(host, group, cpus="0-1"):
    """Let a group count CPUs, as pqos does that monitors cores."""
    (host.seen(group) / "cpus_list").write_text(f"{cpus}\n")
    return group


# -- groups of others --------------------------------------------------------------------------------------------------


def test_a_foreign_group_whose_threads_cannot_be_read_is_skipped_with_a_warning(host):
    vm3 = host.domains.add("vm3")
    host.make_group("mon_groups/foreign")
    host.control.fault(Fault("read", "mon_groups/foreign/tasks", times=0, errno=errno.EIO))
    result = succeeded(host.run("resctrl_mon", name="vm3"))
    assert host.groups()[host.group(vm3)] == set(vm3.vcpus.values())
    assert warnings(result) == [
        f"A group of another program was skipped: Cannot read {host.path('mon_groups/foreign/tasks')}: "
        "Input/output error. Run again, or look at the kernel's log"
    ]


def test_a_group_whose_threads_cannot_be_read_is_shown_without_their_number(host):
    host.domains.add("vm3")
    host.make_group("mon_groups/foreign")
    host.control.fault(Fault("read", "mon_groups/foreign/tasks", times=0, errno=errno.EIO))
    info = host.info()
    assert [one["groups"] for one in info["host"]["rmids"]["held_by"] if one["owner"] == "other"] == [
        [{"path": host.path("mon_groups/foreign"), "threads": None}]
    ]
    assert [text.split(":")[0] for text in info["host"]["problems"]] == ["A group of another program was skipped"]


@pytest.mark.parametrize("tells_groups", [False, True], ids=["lists threads", "tells groups"])
def test_a_group_of_ours_whose_threads_cannot_be_read_is_never_removed(make_host, tells_groups):
    host = make_host(tells_groups=tells_groups)
    old, vm3 = host.domains.add("old"), host.domains.add("vm3")
    host.enable(old)
    host.domains.stop("old")
    host.control.fault(Fault("read", f"{host.group(old)}/tasks", times=0, errno=errno.EIO))
    result = succeeded(host.run("resctrl_mon", name="*"))
    assert result["pruned"] == []
    assert set(host.groups()) == {host.group(old), host.group(vm3)}
    assert any(host.path(host.group(old)) in text for text in warnings(result))


@pytest.mark.parametrize("tells_groups", [False, True], ids=["lists threads", "tells groups"])
@pytest.mark.parametrize("name", ODD_GROUPS)
def test_groups_of_any_name_are_found(make_host, tells_groups, name):
    host = make_host("intel-6.12", tells_groups=tells_groups)
    vm3 = host.domains.add("vm3")
    host.make_group(name, *vm3.vcpus.values())
    assert only(succeeded(host.run("resctrl_mon", name="vm3")))["groups"] == [host.path(host.group(vm3, name))]
    assert host.groups() == {name: set(), host.group(vm3, name): set(vm3.vcpus.values())}
    assert not host.run("resctrl_mon", name="vm3")["changed"]


@pytest.mark.parametrize("tells_groups", [False, True], ids=["lists threads", "tells groups"])
@pytest.mark.parametrize("name", ODD_GROUPS)
def test_a_foreign_monitoring_group_of_any_name_is_named(make_host, tells_groups, name):
    host = make_host("intel-6.12", tells_groups=tells_groups)
    vm3 = host.domains.add("vm3")
    host.make_group(f"mon_groups/{name}", vm3.vcpus[0])
    failed = only(host.run("resctrl_mon", name="vm3"))
    assert (failed["code"], f" is in the group mon_groups/{name} of another program" in failed["msg"]) == (
        "foreign_group",
        True,
    )


# -- the mount and its settings ----------------------------------------------------------------------------------------


def test_resctrl_that_is_mounted_read_only_is_a_problem(make_host):
    host = make_host("intel-6.1", "ro=yes")
    host.domains.add("vm3")
    assert problems(host) == [
        f"resctrl at {host.resctrl} is mounted read-only, so nothing can be switched on or off: "
        f"mount -o remount,rw {host.resctrl}"
    ]
    failed = only(host.run("resctrl_mon", name="vm3"))
    assert (failed["code"], failed["msg"].endswith("whether resctrl is mounted read-write")) == ("refused", True)


@pytest.mark.parametrize("profile", ["amd-bmec", "amd-abmc"])
def test_features_are_events_and_not_the_files_that_configure_them(make_host, profile):
    host = make_host(profile)
    assert host.info()["host"]["features"] == EVENTS
    assert set(host.stats(host.domains.add("vm3").name)["reasons"]) == set(EVENTS)


def test_a_threshold_that_keeps_freed_rmids_from_use_is_a_problem(make_host):
    host = make_host("intel-6.12", "threshold=0")
    (problem,) = problems(host)
    assert problem.startswith("info/L3_MON/max_threshold_occupancy is 0, so that a freed RMID cannot be used again ")


def test_bandwidth_that_a_vendors_kernel_counts_elsewhere_is_said_to_be_there(make_host):
    host = make_host("intel-6.1", "mb_mon=yes", "events=llc_occupancy")
    assert problems(host) == [
        "Memory bandwidth is not counted for each L3 cache (it is not in info/L3_MON), so these values are null: "
        "this kernel counts it in info/MB_MON, which this collection does not read"
    ]


def test_bandwidth_that_is_counted_elsewhere_too_is_no_problem(make_host):
    assert problems(make_host("intel-6.1", "mb_mon=yes")) == []


# -- CPUs that are counted for a group ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tells_groups", [False, True], ids=["lists threads", "tells groups"])
@pytest.mark.parametrize("group", ["mon_groups/pqos-1-1", "COS1", "COS1/mon_groups/pqos-1-1"])
def test_whose_count_lacks_a_monitored_domain_is_said_before_and_after(make_host, tells_groups, group):
    host = make_host(tells_groups=tells_groups)
    host.domains.add("vm3")
    if group.startswith("COS1/"):
        count_cpus(host, host.make_group("COS1"))
    count_cpus(host, host.make_group(group))
    told = succeeded(host.run("resctrl_mon", name="vm3", check=True))
    done = succeeded(host.run("resctrl_mon", name="vm3"))
    again = succeeded(host.run("resctrl_mon", name="vm3"))
    assert f"Domain 'vm3' may run on CPU 0-1, which {host.path(group)} of pqos counts: while the domain is " in str(
        warnings(told)
    )
    assert warnings(told) == warnings(done) == warnings(again)
    assert not again["changed"]


def test_a_domain_that_is_not_monitored_is_not_missing_in_any_count(host):
    host.domains.add("vm3")
    count_cpus(host, host.make_group("mon_groups/pqos-1-1"))
    assert warnings(succeeded(host.run("resctrl_mon", name="vm3", state="disabled"))) == []


def test_a_domain_that_is_in_an_allocation_of_its_own_is_not_counted_by_cpu(host):
    vm3 = host.domains.add("vm3")
    count_cpus(host, host.make_group("mon_groups/pqos-1-1"))
    host.make_group("COS1", *vm3.vcpus.values())
    assert warnings(succeeded(host.run("resctrl_mon", name="vm3"))) == []


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
def test_a_domain_that_its_cpus_group_throttles_is_not_moved_out_of_its_reach(make_host, check):
    host = make_host(tells_groups=True, mount_options=["mba_MBps"])
    host.domains.add("vm3")
    count_cpus(host, host.make_group("COS1"))
    failed = only(host.run("resctrl_mon", name="vm3", check=check))
    assert failed["code"] == "throttled_by_cpu"
    assert failed["msg"] == (
        "The memory bandwidth of domain 'vm3' is throttled by the group COS1 of the CPU that it may run on (resctrl is "
        "mounted with mba_MBps), and monitoring the domain would end that. Put the domain's threads into that group by "
        "another program, or accept it (leave_cpu_group=true)"
    )
    assert host.groups() == {"COS1": set()}


def test_that_the_throttling_ends_can_be_accepted(make_host):
    host = make_host(tells_groups=True, mount_options=["mba_MBps"])
    vm3 = host.domains.add("vm3")
    count_cpus(host, host.make_group("COS1"))
    result = succeeded(host.run("resctrl_mon", name="vm3", leave_cpu_group=True))
    assert host.groups()[host.group(vm3)] == set(vm3.vcpus.values())
    assert len(warnings(result)) == 1
    # From now on it is as wished, with or without the option
    assert not host.run("resctrl_mon", name="vm3", leave_cpu_group=True)["changed"]


def test_a_monitoring_group_that_counts_cpus_does_not_throttle(make_host):
    host = make_host(tells_groups=True, mount_options=["mba_MBps"])
    host.domains.add("vm3")
    count_cpus(host, host.make_group("mon_groups/pqos-1-1"))
    assert only(succeeded(host.run("resctrl_mon", name="vm3")))["status"] == "Enabled"


@pytest.mark.parametrize("tells_groups", [False, True], ids=["lists threads", "tells groups"])
def test_a_group_of_ours_that_counts_cpus_is_damage_and_is_said(make_host, tells_groups):
    """What strangers do on these CPUs is charged to the domain."""
    host = make_host(tells_groups=tells_groups)
    group = host.enable(host.domains.add("vm3"))
    count_cpus(host, group, "1")
    sentence = (
        f"{host.path(group)} counts CPUs (1), so that other programs are charged to its domain: "
        "write an empty line to its cpus_list, or disable the domain and enable it again"
    )
    assert problems(host) == [sentence]
    assert warnings(succeeded(host.run("resctrl_mon", name="vm3"))) == [sentence]


# -- output in any encoding --------------------------------------------------------------------------------------------

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAMES = ["bücher", "数据库", "a\u2028b"]


def run_in_ascii(host, module, **options):
    """The result of a module that runs where only ASCII can be said."""

    def inside(command):
        return host.domains.argv([*command[:-3], *(f"{name}={value}" for name, value in ASCII.items()), *command[-3:]])

    return run_module(module, {"uri": host.domains.uri, "resctrl_path": host.resctrl, **options}, inside=inside)


@pytest.mark.parametrize("module", ["resctrl_mon", "resctrl_info", "resctrl_stats"])
def test_modules_answer_whatever_the_encoding(host, module):
    for name in NAMES:
        host.enable(host.domains.add(name))
    result = succeeded(run_in_ascii(host, module, name=NAMES))
    found = result.get("domains") or result["ansible_facts"]["resctrl_stats"]["domains"]
    assert [one if isinstance(one, str) else one["name"] for one in found] == NAMES


@pytest.mark.parametrize("tells_groups", [False, True], ids=["lists threads", "tells groups"])
def test_groups_are_found_whatever_the_encoding(make_host, tells_groups):
    host = make_host(tells_groups=tells_groups)
    vm3 = host.domains.add("vm3")
    host.make_group("Bücher", *vm3.vcpus.values())
    assert only(succeeded(run_in_ascii(host, "resctrl_mon", name="vm3")))["status"] == "Enabled"
    assert host.groups() == {"Bücher": set(), host.group(vm3, "Bücher"): set(vm3.vcpus.values())}
    assert not run_in_ascii(host, "resctrl_mon", name="vm3")["changed"]


def test_the_command_prints_names_whatever_the_encoding(host, make_agent):
    host.enable(host.domains.add("bücher"))
    agent = make_agent(host)
    assert agent.run("status", **ASCII) == (0, "Domain: 'b\\xfccher'\nRDT Monitoring Status: Enabled\n", "")
    assert agent.run("status", LC_ALL="C.UTF-8") == (0, "Domain: 'bücher'\nRDT Monitoring Status: Enabled\n", "")
    for words in (["stats"], ["status", "--json"], ["stats", "--json"], ["enforce"], ["enforce", "--json"]):
        status, said, complaints = agent.run(*words, **ASCII)
        assert (status, bool(said), complaints) == (0, True, "")
    assert [one["name"] for one in json.loads(agent.run("status", "--json", **ASCII)[1])] == ["bücher"]


def test_the_command_complains_whatever_the_encoding(host, make_agent):
    agent = make_agent(host)
    assert agent.run("status", "buecher", **ASCII)[0] == 1
    host.domains.add("bücher")
    host.make_group("mon_groups/container", host.domains["bücher"].vcpus[0])
    status, _said, complaints = agent.run("enable", "b*", **ASCII)
    assert (status, "of domain 'b\\xfccher' is in the group mon_groups/container" in complaints) == (1, True)
