# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telemetry of CPU packages: energy, stalls and their kin, whole and exact, with or without counters of caches. The
whole modules and the command, as processes.
"""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from modules import succeeded, warnings

ENERGY, STALLS, CYCLES = "core_energy", "stalls_llc_miss", "unhalted_core_cycles"
INTEGERS = (
    *("stalls_llc_hit", "c1_res", "unhalted_core_cycles"),
    *("stalls_llc_miss", "c6_res", "unhalted_ref_cycles", "uops_retired"),
)
EVENTS = (ENERGY, "activity", *INTEGERS)
WATTS, FRACTION = f"{ENERGY}_per_second", f"{STALLS}_fraction"


def show(host, group, package, **values):
    """Let events of a package read numbers or words."""
    for event, value in values.items():
        host.control.set(group, package, event, value)


def printed(host, group, package, event):
    """What the kernel's file says, without the newline."""
    return (host.seen(group) / f"mon_data/mon_PERF_PKG_{package:02d}/{event}").read_text().strip()


@pytest.fixture
def aet(make_host):
    """A host with two packages, and a monitored domain of which every event has a value in each."""
    host = make_host("intel-aet", "packages=2")
    host.vm3_group = host.enable(host.domains.add("vm3"))
    for package in (0, 1):
        show(host, host.vm3_group, package, **dict.fromkeys(EVENTS, 1000 + package))
    return host


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joules", [9876543210.125, 12345.678901, 0.000004, 0])
def test_energy_is_exactly_what_the_kernel_prints(aet, joules):
    show(aet, aet.vm3_group, 0, core_energy=joules)
    domain = aet.stats("vm3")
    text = printed(aet, aet.vm3_group, 0, ENERGY)
    assert f"{domain['packages'][0][ENERGY]:.6f}" == text
    # The other package has 1001
    assert f"{domain[ENERGY]:.6f}" == f"{int(text.replace('.', '')) + 1001_000_000:07d}"[:-6] + text[-7:]


def test_every_event_of_every_package_is_told_and_summed(aet):
    domain = aet.stats("vm3")
    assert [package["id"] for package in domain["packages"]] == [0, 1]
    assert [{event: package[event] for event in EVENTS} for package in domain["packages"]] == [
        dict.fromkeys(EVENTS, 1000),
        dict.fromkeys(EVENTS, 1001),
    ]
    assert {event: domain[event] for event in EVENTS} == dict.fromkeys(EVENTS, 2001)
    assert {type(domain[event]) for event in INTEGERS} == {int}
    assert (domain["reasons"], domain["partial"]) == ({}, {})
    assert {"id", "llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"} < set(domain["caches"][0])
    assert not set(EVENTS) & set(domain["caches"][0])


def test_integers_are_integers_however_large(aet):
    show(aet, aet.vm3_group, 0, uops_retired=2**53 + 1)
    assert aet.stats("vm3")["packages"][0]["uops_retired"] == 2**53 + 1


@pytest.mark.parametrize(("word", "reason"), [("Unavailable", "unavailable"), ("Error", "error")])
def test_what_one_package_does_not_give_leaves_the_other_and_every_other_event(aet, word, reason):
    show(aet, aet.vm3_group, 1, core_energy=word)
    domain = aet.stats("vm3")
    assert (domain[ENERGY], domain["reasons"], domain["partial"]) == (None, {ENERGY: reason}, {ENERGY: 1000})
    assert [package["reasons"] for package in domain["packages"]] == [{}, {ENERGY: reason}]
    assert domain["activity"] == 2001


def test_a_domain_that_is_not_monitored_has_no_telemetry_and_says_why(aet):
    aet.domains.add("vm4")
    domain = aet.stats("vm4")
    assert (domain["packages"], domain[ENERGY], domain["reasons"][ENERGY]) == ([], None, "disabled")


def test_a_monitor_inside_an_allocation_of_libvirts_is_not_counted_twice(make_host):
    host = make_host("intel-aet", "packages=1")
    vm2 = host.tuned("vm2")
    allocation = "qemu-1-vm2-vcpus_0-1"
    monitor = host.make_group(f"{allocation}/mon_groups/qemu-1-vm2-vcpus_0", vm2.vcpus[0])
    show(host, allocation, 0, core_energy=10.5)
    show(host, monitor, 0, core_energy=2.25)
    assert host.stats("vm2")[ENERGY] == 12.75


def test_totals_are_told_without_single_packages(aet):
    domain = aet.stats("vm3", detail="totals", interval=0.1)
    assert domain[ENERGY] == 2001
    assert not {"packages", "caches"} & {*domain, *domain["rates"]}
    assert WATTS in domain["rates"]


def test_a_host_without_telemetry_tells_nothing_of_it(host):
    host.enable(host.domains.add("vm3"))
    domain = host.stats("vm3", interval=0.1)
    assert not set(EVENTS) & {*domain, *domain["reasons"]}
    assert (domain["packages"], domain["rates"]["packages"]) == ([], [])
    assert not {WATTS, FRACTION} & set(domain["rates"])


# -- rates -------------------------------------------------------------------------------------------------------------


def about(number):
    """A number that was computed from a rate and rounded seconds."""
    return pytest.approx(number, rel=1e-5)


def test_watts_and_stalls_are_those_of_the_interval(aet, sample_twice):
    def go_on():
        show(aet, aet.vm3_group, 0, core_energy=1030.5, stalls_llc_miss=1300, unhalted_core_cycles=2000)
        show(aet, aet.vm3_group, 1, core_energy=1011, stalls_llc_miss=1101, unhalted_core_cycles=1001)

    rates = sample_twice(aet, "vm3", go_on)["rates"]
    assert [one[WATTS] * rates["seconds"] for one in rates["packages"]] == [about(30.5), about(10)]
    assert rates[WATTS] * rates["seconds"] == about(40.5)
    assert rates["packages"][0][FRACTION] == about(0.3)
    assert rates[FRACTION] == about(0.4)
    assert (rates["packages"][1][FRACTION], rates["packages"][1]["reasons"]) == (None, {FRACTION: "idle"})
    assert (rates["reasons"], rates["partial"]) == ({}, {})


def test_where_one_package_gives_nothing_the_watts_of_the_other_are_the_known_part(aet, sample_twice):
    def go_on():
        show(aet, aet.vm3_group, 0, core_energy=1010)
        show(aet, aet.vm3_group, 1, core_energy="Error")

    rates = sample_twice(aet, "vm3", go_on)["rates"]
    assert (rates[WATTS], rates["reasons"][WATTS]) == (None, "error")
    assert rates["partial"][WATTS] * rates["seconds"] == about(10)


def test_a_new_group_begins_with_its_predecessors_number_and_its_rate_is_right_all_the_same(make_host, sample_twice):
    """The kernel resets no telemetry when a group is made."""
    host = make_host("intel-aet", "packages=1", "telemetry_rmids=2")
    stranger = host.make_group("mon_groups/stranger")
    show(host, stranger, 0, core_energy=5000)
    host.control.freeze()
    host.remove_group(stranger)
    host.domains.add("vm3")
    succeeded(host.mon("vm3", state="enabled"))
    group = host.group(host.domains["vm3"])
    before = host.stats("vm3")[ENERGY]
    assert before == 5000
    rates = sample_twice(host, "vm3", lambda: show(host, group, 0, core_energy=5020))["rates"]
    assert rates[WATTS] * rates["seconds"] == about(20)


def test_a_group_made_anew_in_the_interval_has_no_watts(aet, sample_twice):
    def make_anew():
        aet.remove_group(aet.vm3_group)
        aet.enable(aet.domains["vm3"])
        show(aet, aet.vm3_group, 0, core_energy=9000)
        show(aet, aet.vm3_group, 1, core_energy=9000)

    rates = sample_twice(aet, "vm3", make_anew)["rates"]
    assert (rates[WATTS], rates["reasons"][WATTS]) == (None, "reset")


# -- a host that counts packages only ----------------------------------------------------------------------------------


@pytest.fixture
def packages_only(make_host):
    """A host without counters of caches."""
    host = make_host("telemetry-only", "packages=2")
    host.domains.add("vm3")
    return host


def test_without_counters_of_caches_domains_are_monitored_all_the_same(packages_only):
    host = packages_only
    assert succeeded(host.mon("vm3", state="enabled"))["domains"][0]["status"] == "Enabled"
    assert host.query("vm3")["status"] == "Enabled"
    assert not host.mon("vm3", state="enabled")["changed"]
    show(host, host.group(host.domains["vm3"]), 0, core_energy=12.5)
    show(host, host.group(host.domains["vm3"]), 1, core_energy=1)
    domain = host.stats("vm3")
    assert (domain[ENERGY], domain["cmt"], domain["reasons"]["llc_occupancy"]) == (13.5, None, "unsupported")
    assert (domain["caches"], len(domain["packages"])) == ([], 2)
    assert succeeded(host.mon("vm3", state="disabled"))["domains"][0]["status"] == "Disabled"


def test_without_counters_of_caches_a_host_says_what_is_null_and_what_to_use(packages_only):
    told = packages_only.info()["host"]
    assert (told["supported"], told["features"], told["caches"], told["rmids"]["total"]) == (True, [*EVENTS], [], 576)
    assert told["problems"] == [
        "The CPU does not count cache occupancy, so resctrl.cmt is null: use the telemetry of packages",
        "The CPU does not count memory bandwidth, so these values are null: use the telemetry of packages",
    ]
    assert [(one["name"], one["resource"], one["unit"]) for one in told["events"]][:2] == [
        (ENERGY, "PERF_PKG", "joules"),
        ("activity", "PERF_PKG", "farads"),
    ]


def test_without_counters_of_caches_reading_values_warns_of_nothing(packages_only):
    assert warnings(packages_only.run("resctrl_stats")) == []


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(aet, make_agent):
    """Runs the command on a host with telemetry: command(words...) gives its stdout."""
    agent = make_agent(aet)

    def run(*words):
        status, output, errors = agent.run(*words)
        assert (status, errors) == (0, "")
        return output

    return run


def test_the_command_says_watts_and_stalls_over_an_interval(command):
    output = command("stats", "vm3", "--interval", "0.1")
    assert re.search(r"^  resctrl\.core_energy_per_second=[0-9]+\.[0-9]{6}$", output, re.MULTILINE)
    assert re.search(r"^  resctrl\.stalls_llc_miss_fraction=null \(idle\)$", output, re.MULTILINE)
    assert command("stats", "vm3").count("\n") == 2


def test_the_commands_json_has_every_package(command):
    values = json.loads(command("stats", "--json"))["vm3"]
    assert [package[ENERGY] for package in values["packages"]] == [1000, 1001]


def test_the_commands_csv_has_a_column_for_each_event(command):
    (row,) = csv.DictReader(io.StringIO(command("stats", "--csv", "--interval", "0.1")))
    assert (row[ENERGY], row["uops_retired"]) == ("2001.0", "2001")
    assert float(row[WATTS]) == 0
    assert row[FRACTION] == ""


@pytest.mark.parametrize("words", [("stats", "--table", "--interval", "0.1"), ("top", "--once", "--interval", "0.1")])
def test_the_commands_table_has_watts(command, words):
    head, vm3, *_rest = command(*words).splitlines()
    assert head.split()[-1] == "WATTS"
    assert vm3.split()[-1] == "0.0"


def test_the_table_is_sorted_by_watts(aet, command):
    aet.enable(aet.domains.add("vm4"))
    head, *_lines = command("top", "--once", "--sort", "watts", "--interval", "0.1").splitlines()
    assert head.endswith("WATTS*")


def test_on_a_host_that_counts_packages_only_the_command_works(packages_only, make_agent):
    agent = make_agent(packages_only)
    assert agent.run("enable", "vm3") == (0, "RDT Monitoring Status: Enabled\n", "")
    status, output, errors = agent.run("stats", "vm3")
    assert (status, output, errors) == (0, "Domain: 'vm3'\n  resctrl.cmt=null (unsupported)\n", "")
    status, output, errors = agent.run("top", "--once", "--interval", "0.1")
    assert (status, errors, output.splitlines()[0].split()[-1]) == (0, "", "WATTS")
