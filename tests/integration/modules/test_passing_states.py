# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that start, stop or start anew while a module runs: only what was asked for by name has to run."""

from __future__ import annotations

import pytest
from modules import only, succeeded
from waiting import wait_until

from emulator.faults import Fault

STARTING = "Domain '{}' is starting: its QEMU has no threads for vCPUs yet"
NAMES = [
    "web 01",
    "a,b,,c",
    "-dash",
    "--",
    ".hidden",
    "ümläut-ß",
    "東京",
    "n" * 70,
    "é" * 100,
    "[abc]*?",
    "kvmops-",
    "none",
    "a'b\"c\\d",
    "\u2028",
]


def while_it_waits(host, background, kind, path, *names, then, **options):
    """The result of a run of resctrl_mon that is held up at an operation on resctrl, and `then` meanwhile."""
    host.control.fault(Fault(kind, path, delay=0.5))
    run = background(host.run, "resctrl_mon", name=list(names), **options)
    wait_until(lambda: host.control.faults()[0].seen, "the operation")
    then()
    return run.result()


# -- starting ----------------------------------------------------------------------------------------------------------


def test_a_pattern_leaves_out_a_domain_that_is_starting_and_says_so(host):
    host.domains.begin("vm1")
    vm2 = host.domains.add("vm2")
    result = succeeded(host.run("resctrl_mon", name="*"))
    assert [(one["name"], one["status"], one["starting"], one["msg"]) for one in result["domains"]] == [
        ("vm1", "Disabled", True, STARTING.format("vm1")),
        ("vm2", "Enabled", False, "Now counted: vCPU 0, 1"),
    ]
    assert host.groups() == {host.group(vm2): set(vm2.vcpus.values())}


@pytest.mark.parametrize("check", [False, True], ids=["run", "check mode"])
def test_a_pattern_changes_nothing_for_a_domain_that_is_starting(host, check):
    host.domains.begin("vm1")
    result = succeeded(host.run("resctrl_mon", name="*", check=check))
    assert not result["changed"]
    assert only(result)["code"] is None
    assert host.changes() == []


def test_a_domain_that_is_starting_is_waited_for_if_it_was_named(host, background):
    vm1, vm2 = host.domains.begin("vm1"), host.domains.add("vm2")
    run = background(host.run, "resctrl_mon", name=["vm1", "vm2"])
    wait_until(lambda: set(vm2.vcpus.values()) <= host.groups().get(host.group(vm2), set()), "vm2's monitoring")
    host.domains.come_up("vm1")
    result = succeeded(run.result())
    assert [one["msg"] for one in result["domains"]] == ["Now counted: vCPU 0, 1", "Now counted: vCPU 0, 1"]
    assert host.groups()[host.group(vm1)] == set(vm1.vcpus.values())


def test_a_domain_that_does_not_come_up_is_a_failure_that_says_so_if_it_was_named(host):
    host.domains.begin("vm1")
    vm2 = host.domains.add("vm2")
    result = host.run("resctrl_mon", name=["vm1", "vm2"])
    assert result["msg"] == f"{STARTING.format('vm1')}. Run again when it is up"
    assert [(one["code"], one["status"]) for one in result["domains"]] == [
        ("domain_starting", "Disabled"),
        (None, "Enabled"),
    ]
    assert host.groups() == {host.group(vm2): set(vm2.vcpus.values())}


@pytest.mark.parametrize("options", [{"state": "disabled"}, {"when_inactive": "ignore"}], ids=str)
def test_a_domain_that_is_starting_is_no_failure_where_it_need_not_run(host, options):
    host.domains.begin("vm1")
    result = succeeded(host.run("resctrl_mon", name="vm1", **options))
    assert only(result)["msg"] == STARTING.format("vm1")
    assert host.changes() == []


@pytest.mark.parametrize("scope", ["vcpus", "domain"])
def test_the_advice_for_a_domain_that_is_starting_is_never_another_scope(host, scope):
    host.domains.begin("vm1")
    for name in ("vm1", "*"):
        assert "scope" not in str(host.run("resctrl_mon", name=name, scope=scope))


def test_a_domain_whose_vcpus_all_run_in_one_thread_is_told_from_one_that_is_starting(host):
    """QEMU's TCG can do that: it is up, and has no threads that are named after vCPUs."""
    host.domains.define("vm1")
    host.domains.start("vm1", vcpus=0)
    result = host.run("resctrl_mon", name="*")
    assert only(result)["code"] == "no_vcpu_threads"
    succeeded(host.run("resctrl_mon", name="*", scope="domain"))


def test_a_query_and_statistics_of_a_domain_that_is_starting_succeed(host):
    host.domains.begin("vm1")
    domain = host.query("vm1")
    assert (domain["starting"], domain["status"], domain["failed"]) == (True, "Disabled", False)
    assert domain["msg"] == f"{STARTING.format('vm1')}. Run again when it is up"
    assert host.stats("vm1")["cmt"] is None


# -- stopping ----------------------------------------------------------------------------------------------------------

NEED_NOT_RUN = {
    "pattern": ("*", {}),
    "pattern, disabled": ("*", {"state": "disabled"}),
    "by name, disabled": ("vm3", {"state": "disabled"}),
    "by name, ignored": ("vm3", {"when_inactive": "ignore"}),
    "by name, disabled and ignored": ("vm3", {"state": "disabled", "when_inactive": "ignore"}),
}


@pytest.mark.parametrize(("name", "options"), NEED_NOT_RUN.values(), ids=NEED_NOT_RUN.keys())
def test_a_domain_that_stops_before_it_is_looked_at_is_no_failure_where_it_need_not_run(
    host, background, name, options
):
    """libvirt has listed it as running already."""
    host.domains.add("vm3")
    result = while_it_waits(
        host, background, "", ".*/mon_features", name, then=lambda: host.domains.stop("vm3"), **options
    )
    assert (succeeded(result)["changed"], host.groups()) == (False, {})


@pytest.mark.parametrize(("name", "options"), NEED_NOT_RUN.values(), ids=NEED_NOT_RUN.keys())
def test_a_domain_that_stops_while_it_is_changed_is_no_failure_where_it_need_not_run(host, background, name, options):
    vm3 = host.domains.add("vm3")
    kind, path = "write", f".*{vm3.uuid}/tasks"
    if options.get("state") == "disabled":
        host.enable(vm3)
        kind, path = "rmdir", ".*"
    result = while_it_waits(host, background, kind, path, name, then=lambda: host.domains.stop("vm3"), **options)
    assert (only(succeeded(result))["failed"], host.groups()) == (False, {})


def test_the_others_are_enabled_when_one_that_a_pattern_stands_for_stops(host, background):
    vm3 = host.domains.add("vm3")
    others = [host.domains.add(f"vm{number}") for number in range(10, 20)]
    result = while_it_waits(
        host, background, "write", f".*{vm3.uuid}/tasks", "vm*", then=lambda: host.domains.stop("vm3")
    )
    assert {one["name"]: one["status"] for one in succeeded(result)["domains"]} == {
        **{one.name: "Enabled" for one in others},
        "vm3": "Disabled",
    }
    assert host.groups() == {host.group(one): set(one.vcpus.values()) for one in others}


@pytest.mark.parametrize("name", ["vm3", "*"])
def test_a_domain_that_starts_anew_during_the_run_is_enabled_with_its_new_threads(host, background, name):
    vm3 = host.domains.add("vm3")
    first = set(vm3.vcpus.values())
    result = while_it_waits(
        host, background, "write", f".*{vm3.uuid}/tasks", name, then=lambda: host.domains.start("vm3")
    )
    assert only(succeeded(result))["vcpus"] == {"counted": [0, 1], "uncounted": []}
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}
    assert not first & set(vm3.vcpus.values())


def test_all_of_many_domains_that_start_anew_during_the_run_are_enabled(make_host, background):
    host = make_host("intel-6.1", "num_rmids=64")
    for number in range(40):
        host.domains.add(f"vm{number}")

    def restart():
        for number in range(0, 40, 2):
            host.domains.start(f"vm{number}")

    result = while_it_waits(host, background, "mkdir", ".*", "*", then=restart)
    assert {one["status"] for one in succeeded(result)["domains"]} == {"Enabled"}
    all_of_them = [host.domains[f"vm{number}"] for number in range(40)]
    assert host.groups() == {host.group(one): set(one.vcpus.values()) for one in all_of_them}


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_of_any_name_may_stop_and_start_during_the_run(host, background, name):
    domain = host.domains.add(name)
    result = while_it_waits(
        host, background, "write", f".*{domain.uuid}/tasks", name, then=lambda: host.domains.start(name)
    )
    assert only(succeeded(result))["name"] == name
    assert host.groups() == {host.group(domain): set(domain.vcpus.values())}
    host.domains.stop(name)
    result = host.mon(name)
    assert result["msg"] == "Requested operation is not valid: domain is not running"
    assert host.groups() == {}


# -- failures of patterns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vm2", "web 01", "[abc]*?"])
def test_the_failure_of_a_domain_that_a_pattern_stands_for_names_the_domain(host, name):
    domain = host.domains.add(name)
    host.control.fault(Fault("mkdir", f".*{domain.uuid}", errno=1))
    result = host.run("resctrl_mon", name="*")
    assert result["msg"].startswith(f"{name}: Cannot make the group at {host.path(host.group(domain))}: ")
