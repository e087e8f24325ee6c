# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values and rates are judged for each group and each cache; a sum of which a part is unknown is null, with the known
part beside it. The whole module, as a process.
"""

from __future__ import annotations

import errno

import pytest

from emulator.faults import Fault

OCCUPANCY = "llc_occupancy"
TOTAL, LOCAL = BANDWIDTH = ("mbm_total_bytes", "mbm_local_bytes")
EVENTS = (OCCUPANCY, *BANDWIDTH)
RATE = f"{TOTAL}_per_second"
RATES = (RATE, f"{LOCAL}_per_second")


def about(number):
    """A number of bytes that was computed from a rate and rounded seconds."""
    return pytest.approx(number, rel=1e-5)


def show(host, group, cache, number):
    """Let both bandwidth counters of a group show a number on one cache."""
    for event in BANDWIDTH:
        host.control.set(group, cache, event, number)


def counted(rates, key=RATE):
    """What was counted between the two samples, for each cache; None or a reason where it is not known."""
    return {cache["id"]: cache["reasons"].get(key) or cache[key] * rates["seconds"] for cache in rates["caches"]}


def partly(rates, key=RATE):
    """What was counted between the two samples where it is known, if not everything is."""
    return rates["partial"][key] * rates["seconds"]


@pytest.fixture
def two_caches(make_host):
    """A host with two caches, and a monitored domain that has moved bytes on both."""
    host = make_host("intel-6.12", "l3_ids=0,1")
    host.vm3 = host.domains.add("vm3")
    host.vm3_group = host.enable(host.vm3)
    show(host, host.vm3_group, 0, 9_000_000_000)
    show(host, host.vm3_group, 1, 1_000_000_000)
    return host


def go_on(host):
    """Both caches of two_caches count on."""
    show(host, host.vm3_group, 0, 9_500_000_000)
    show(host, host.vm3_group, 1, 11_000_000_000)


# -- one cache and the others ------------------------------------------------------------------------------------------


def test_where_every_part_is_known_the_sum_is_that_of_the_caches(two_caches, sample_twice):
    rates = sample_twice(two_caches, "vm3", lambda: go_on(two_caches))["rates"]
    assert counted(rates) == {0: about(500_000_000), 1: about(10_000_000_000)}
    assert rates[RATE] * rates["seconds"] == about(10_500_000_000)
    assert (rates["reasons"], rates["partial"]) == ({}, {})


def test_a_count_that_began_anew_on_one_cache_is_not_hidden_by_another_that_went_on(two_caches, sample_twice):
    def begin_anew():
        show(two_caches, two_caches.vm3_group, 0, 2_000_000)
        show(two_caches, two_caches.vm3_group, 1, 11_000_000_000)

    rates = sample_twice(two_caches, "vm3", begin_anew)["rates"]
    assert counted(rates) == {0: "reset", 1: about(10_000_000_000)}
    assert (rates[RATE], rates["reasons"]) == (None, dict.fromkeys(RATES, "reset"))
    assert partly(rates) == about(10_000_000_000)


def test_a_cache_that_was_offline_in_between_is_not_rated_though_its_count_has_grown(two_caches, sample_twice):
    def pass_offline():
        two_caches.control.offline(0)
        two_caches.control.online(0)
        go_on(two_caches)

    rates = sample_twice(two_caches, "vm3", pass_offline)["rates"]
    assert counted(rates) == {0: "reset", 1: about(10_000_000_000)}
    assert (rates[RATE], partly(rates)) == (None, about(10_000_000_000))


def test_a_cache_that_went_offline_is_gone_and_the_others_are_the_known_part(two_caches, sample_twice):
    def go_offline():
        go_on(two_caches)
        two_caches.control.offline(0)

    domain = sample_twice(two_caches, "vm3", go_offline)
    rates = domain["rates"]
    assert [cache["id"] for cache in domain["caches"]] == [1]
    assert counted(rates) == {0: "gone", 1: about(10_000_000_000)}
    assert (rates[RATE], rates["reasons"][RATE], partly(rates)) == (None, "gone", about(10_000_000_000))


@pytest.mark.parametrize("back", [False, True], ids=["went offline", "was offline"])
def test_a_cache_of_which_a_sub_numa_node_is_another_one_is_not_rated(make_host, sample_twice, back):
    host = make_host("snc", "l3_ids=0,1")
    group = host.enable(host.domains.add("vm3"))
    show(host, group, 0, 1_000_000)
    show(host, group, 1, 1_000_000)

    def switch():
        host.control.offline(0, node=1)
        if back:
            host.control.online(0, node=1)
        show(host, group, 0, 5_000_000)
        show(host, group, 1, 3_000_000)

    rates = sample_twice(host, "vm3", switch)["rates"]
    assert counted(rates) == {0: "reset", 1: about(2_000_000)}
    assert (rates[RATE], partly(rates)) == (None, about(2_000_000))


# -- one group and the others ------------------------------------------------------------------------------------------


def test_a_count_that_began_anew_in_one_group_is_not_hidden_by_another_group(host, sample_twice):
    vm2 = host.tuned("vm2", "0-0")
    theirs, ours = "qemu-1-vm2-vcpus_0-0", host.make_group(host.group(vm2), vm2.vcpus[1])
    show(host, theirs, host.cache, 1_000_000)
    show(host, ours, host.cache, 9_000_000)

    def begin_anew():
        show(host, theirs, host.cache, 51_000_000)
        show(host, ours, host.cache, 2_000_000)

    rates = sample_twice(host, "vm2", begin_anew)["rates"]
    assert (rates[RATE], rates["reasons"][RATE], partly(rates)) == (None, "reset", about(50_000_000))
    (cache,) = rates["caches"]
    assert (cache[RATE], cache["reasons"][RATE]) == (None, "reset")
    assert partly({**rates, **cache}) == about(50_000_000)


def test_over_a_remount_no_rate_is_computed_though_the_group_has_its_inode_again(make_host, sample_twice):
    host = make_host("intel-6.12")
    vm3 = host.domains.add("vm3")
    show(host, host.enable(vm3), host.cache, 1_000_000)
    before = host.seen(host.group(vm3)).stat().st_ino

    def remount():
        host.control.remount()
        show(host, host.enable(vm3), host.cache, 9_000_000)
        assert host.seen(host.group(vm3)).stat().st_ino == before

    rates = sample_twice(host, "vm3", remount)["rates"]
    assert (rates[RATE], rates["reasons"]) == (None, dict.fromkeys(RATES, "reset"))


# -- what an event counts ----------------------------------------------------------------------------------------------


def test_an_event_that_was_configured_anew_on_one_cache_is_not_rated_there(make_host, sample_twice):
    """Values may have gone up meanwhile; the other event on that cache goes on."""
    host = make_host("amd-bmec", "l3_ids=0,1")
    group = host.enable(host.domains.add("vm3"))
    show(host, group, 0, 1_000_000)
    show(host, group, 1, 1_000_000)

    def configure():
        (host.seen("info/L3_MON") / f"{TOTAL}_config").write_text("0=0x30\n")
        show(host, group, 0, 5_000_000)
        show(host, group, 1, 3_000_000)

    rates = sample_twice(host, "vm3", configure)["rates"]
    assert counted(rates) == {0: "reset", 1: about(2_000_000)}
    assert counted(rates, RATES[1]) == {0: about(4_000_000), 1: about(2_000_000)}
    assert (rates[RATE], partly(rates)) == (None, about(2_000_000))
    assert rates[RATES[1]] * rates["seconds"] == about(6_000_000)


def test_an_event_whose_assigned_counters_count_something_else_is_not_rated_at_all(make_host, sample_twice):
    host = make_host("amd-abmc", "l3_ids=0,1")
    group = host.enable(host.domains.add("vm3"))
    show(host, group, 0, 1_000_000)
    show(host, group, 1, 1_000_000)

    def configure():
        (host.seen(f"info/L3_MON/event_configs/{TOTAL}") / "event_filter").write_text("local_reads\n")
        show(host, group, 0, 5_000_000)
        show(host, group, 1, 3_000_000)

    rates = sample_twice(host, "vm3", configure)["rates"]
    assert counted(rates) == {0: "reset", 1: "reset"}
    assert (rates[RATE], rates["partial"]) == (None, {})
    assert rates[RATES[1]] is not None


# -- what is not there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["open", "read"])
def test_a_counter_that_cannot_be_read_is_an_error_and_not_gone(two_caches, kind):
    path = f"{two_caches.vm3_group}/mon_data/mon_L3_00/{TOTAL}"
    two_caches.control.fault(Fault(kind, path, times=0, errno=errno.EIO))
    domain = two_caches.stats("vm3")
    assert (domain[TOTAL], domain["reasons"], domain["partial"]) == (None, {TOTAL: "error"}, {TOTAL: 1_000_000_000})
    assert [cache["reasons"] for cache in domain["caches"]] == [{TOTAL: "error"}, {}]


def test_a_group_whose_caches_cannot_be_listed_is_an_error_and_not_gone(two_caches, sample_twice):
    def break_down():
        # Its caches are listed only if one of those that the root has is not there
        missing = f"{two_caches.vm3_group}/mon_data/mon_L3_00/.*"
        two_caches.control.fault(Fault("open", missing, times=0, errno=errno.ENOENT))
        two_caches.control.fault(Fault("readdir", f"{two_caches.vm3_group}/mon_data", times=0, errno=errno.EIO))

    domain = sample_twice(two_caches, "vm3", break_down)
    assert domain["reasons"] == dict.fromkeys(EVENTS, "error")
    assert domain["rates"]["reasons"] == dict.fromkeys(RATES, "error")
    assert counted(domain["rates"]) == {0: "error", 1: "error"}
    domain = two_caches.stats("vm3", interval=0.1)
    assert domain["rates"]["reasons"] == dict.fromkeys(RATES, "error")


def test_a_rate_says_why_its_counter_could_not_be_read(two_caches, sample_twice):
    path = f"{two_caches.vm3_group}/mon_data/mon_L3_00/{TOTAL}"

    def break_down():
        go_on(two_caches)
        two_caches.control.fault(Fault("read", path, times=0, errno=errno.EIO))

    rates = sample_twice(two_caches, "vm3", break_down)["rates"]
    assert counted(rates) == {0: "error", 1: about(10_000_000_000)}
    assert (rates[RATE], rates["reasons"], partly(rates)) == (None, {RATE: "error"}, about(10_000_000_000))


def test_caches_on_which_an_amd_domain_never_ran_leave_the_rate_of_the_one_on_which_it_did(make_host, sample_twice):
    """AMD knows no bandwidth of an RMID on a cache before its first traffic there."""
    host = make_host("amd-bmec", "l3_ids=0,1,2,3", "run_on=0")
    group = host.enable(host.domains.add("vm3"))
    show(host, group, 0, 1_000_000)
    domain = sample_twice(host, "vm3", lambda: show(host, group, 0, 5_000_000))
    assert [cache[TOTAL] for cache in domain["caches"]] == [5_000_000, None, None, None]
    assert (domain[TOTAL], domain["reasons"][TOTAL], domain["partial"][TOTAL]) == (None, "unavailable", 5_000_000)
    rates = domain["rates"]
    assert counted(rates) == {0: about(4_000_000), 1: "unavailable", 2: "unavailable", 3: "unavailable"}
    assert (rates[RATE], rates["reasons"][RATE], partly(rates)) == (None, "unavailable", about(4_000_000))


def test_a_group_of_libvirts_without_a_bandwidth_counter_does_not_show_that_of_its_monitor(make_host, sample_twice):
    """The kernel then reads the CTRL_MON group as the number of the MON group in it, so as 0 or too little."""
    host = make_host("amd-abmc", "l3_ids=0,1")
    vm2 = host.tuned("vm2")
    allocation = "qemu-1-vm2-vcpus_0-1"
    monitor = host.make_group(f"{allocation}/mon_groups/qemu-1-vm2-vcpus_0", vm2.vcpus[0])
    show(host, monitor, 0, 1_000_000)
    show(host, monitor, 1, 1_000_000)
    assignments = host.seen(allocation) / "mbm_L3_assignments"
    for event in BANDWIDTH:
        assignments.write_text(f"{event}:0=_\n")
    domain = sample_twice(host, "vm2", lambda: show(host, monitor, 0, 5_000_000))
    assert [cache["reasons"].get(TOTAL) for cache in domain["caches"]] == ["unassigned", None]
    assert (domain[TOTAL], domain["reasons"]) == (None, dict.fromkeys(BANDWIDTH, "unassigned"))
    assert domain["rates"][RATE] is None
    assert domain["rates"]["caches"][0]["reasons"] == dict.fromkeys(RATES, "unassigned")
    assert domain["rates"]["caches"][1]["reasons"] == {}


def test_totals_can_be_had_without_caches_and_groups(two_caches):
    domain = two_caches.stats("vm3", detail="totals", interval=0.1)
    details = {"caches", "packages", "groups"}
    assert not details & set(domain)
    assert not {"caches", "packages"} & set(domain["rates"])
    assert (domain[TOTAL], domain["rates"][RATE]) == (10_000_000_000, 0)
    full = two_caches.stats("vm3", interval=0.1)
    assert details <= set(full)
    assert {"caches", "packages"} <= set(full["rates"])
