# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What resctrl_stats returns: true values, or none with a reason. The whole module, as a process."""

from __future__ import annotations

import datetime as dt
import errno

import pytest
from modules import warnings

from emulator.faults import Fault

OCCUPANCY = "llc_occupancy"
TOTAL, LOCAL = BANDWIDTH = ("mbm_total_bytes", "mbm_local_bytes")
EVENTS = (OCCUPANCY, *BANDWIDTH)


def stats(host, **options):
    """The fact: domains by name."""
    result = host.run("resctrl_stats", **options)
    assert not result.get("failed"), result["msg"]
    assert set(result) - {"invocation"} == {"ansible_facts"}
    assert set(result["ansible_facts"]) == {"resctrl_stats"}
    return result["ansible_facts"]["resctrl_stats"]["domains"]


def set_all(host, group, cache=None, values=(180224, 1000000, 750000)):
    """Make the counters of a group show numbers or words."""
    cache = host.cache if cache is None else cache
    for event, value in zip(EVENTS, values, strict=True):
        host.control.set(group, cache, event, value)


def values(item):
    """The three values of a domain or a cache, in the kernel's order."""
    return tuple(item[event] for event in EVENTS)


@pytest.fixture
def vm3(host):
    """A domain that is monitored, with known counters: vm3.group is its group."""
    domain = host.domains.add("vm3")
    set_all(host, host.enable(domain))
    host.changes()
    return domain


# -- values ------------------------------------------------------------------------------------------------------------


def test_every_value_of_a_domain(host, vm3):
    group = host.group(vm3)
    assert stats(host) == {
        "vm3": {
            "uuid": vm3.uuid,
            "active": True,
            "status": "Enabled",
            "cmt": 180224,
            "llc_occupancy": 180224,
            "mbm_total_bytes": 1000000,
            "mbm_local_bytes": 750000,
            "reason": None,
            "reasons": {},
            "partial": {},
            "configured": {},
            "caches": [
                {
                    "id": host.cache,
                    "llc_occupancy": 180224,
                    "mbm_total_bytes": 1000000,
                    "mbm_local_bytes": 750000,
                    "reasons": {},
                    "partial": {},
                    "configured": {},
                }
            ],
            "packages": [],
            "groups": [
                {
                    "path": host.path(group),
                    "owner": "kvmops",
                    "generation": f"{host.seen().stat().st_ctime_ns}-{host.seen(group).stat().st_ino}",
                }
            ],
            "vcpus": {"counted": [0, 1], "uncounted": []},
            "rates": None,
            "sampled": None,
        }
    }
    assert host.changes() == []


def test_integers_are_integers_however_large(host, vm3):
    set_all(host, host.group(vm3), values=(2**40, 2**63 + 1, 0))
    domain = stats(host)["vm3"]
    assert [type(value) for value in values(domain)] == [int, int, int]
    assert values(domain) == (2**40, 2**63 + 1, 0)


def test_caches_are_added_up_by_their_real_ids(make_host):
    host = make_host("wide-ids")
    group = host.enable(host.domains.add("vm3"))
    for factor, cache in enumerate((8, 9, 10, 112), start=1):
        set_all(host, group, cache, (1000 * factor, 100 * factor, 10 * factor))
    domain = stats(host)["vm3"]
    assert [(cache["id"], *values(cache)) for cache in domain["caches"]] == [
        (8, 1000, 100, 10),
        (9, 2000, 200, 20),
        (10, 3000, 300, 30),
        (112, 4000, 400, 40),
    ]
    assert values(domain) == (10000, 1000, 100)


def test_sub_numa_nodes_are_not_counted_twice(make_host):
    """mon_L3_00 is the sum of its mon_sub_L3_NN."""
    host = make_host("snc", "l3_ids=0,1")
    group = host.enable(host.domains.add("vm3"))
    set_all(host, group, 0, (1000, 100, 10))
    set_all(host, group, 1, (2000, 200, 20))
    domain = stats(host)["vm3"]
    assert values(domain) == (3000, 300, 30)
    assert [cache["id"] for cache in domain["caches"]] == [0, 1]


def test_what_libvirt_counts_is_returned_as_well(host):
    host.tuned("vm2")
    set_all(host, "qemu-1-vm2-vcpus_0-1", values=(2613248, 5, 4))
    domain = stats(host)["vm2"]
    assert domain["status"] == "Enabled (forced by cachetune)"
    assert domain["cmt"] == 2613248
    assert [group["owner"] for group in domain["groups"]] == ["libvirt"]


def test_a_monitor_inside_an_allocation_is_not_counted_twice(host):
    """A CTRL_MON group's counters include those of its MON groups."""
    vm2 = host.tuned("vm2")
    allocation = "qemu-1-vm2-vcpus_0-1"
    monitor = host.make_group(f"{allocation}/mon_groups/qemu-1-vm2-vcpus_0", vm2.vcpus[0])
    set_all(host, allocation, values=(1000, 100, 10))
    set_all(host, monitor, values=(500, 50, 5))
    domain = stats(host)["vm2"]
    assert values(domain) == (1500, 150, 15)
    assert len(domain["groups"]) == 1 + 1


def test_our_group_and_libvirts_are_added_up(host):
    vm2 = host.tuned("vm2", "0-0")
    set_all(host, "qemu-1-vm2-vcpus_0-0", values=(1000, 100, 10))
    set_all(host, host.make_group(host.group(vm2), vm2.vcpus[1]), values=(500, 50, 5))
    domain = stats(host)["vm2"]
    assert values(domain) == (1500, 150, 15)
    assert domain["vcpus"] == {"counted": [0, 1], "uncounted": []}


def test_vcpus_that_are_not_counted_are_named(host, vm3):
    host.domains.plug(vm3.name, 2)
    assert stats(host)["vm3"]["vcpus"] == {"counted": [0, 1], "uncounted": [2]}


# -- values that are not there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["Unavailable", "Unassigned", "Error"])
def test_a_word_of_the_kernels_is_null_with_a_reason(host, vm3, word):
    set_all(host, host.group(vm3), values=(word, 100, 10))
    domain = stats(host)["vm3"]
    assert (domain["cmt"], *values(domain)) == (None, None, 100, 10)
    assert domain["reason"] == word.lower()
    assert domain["caches"][0]["reasons"] == {"llc_occupancy": word.lower()}


def test_one_bad_value_hides_no_other(make_host):
    host = make_host("wide-ids")
    bad, good = host.enable(host.domains.add("bad")), host.enable(host.domains.add("good"))
    for cache in (8, 9, 10, 112):
        set_all(host, bad, cache, (1000, 100, 10))
        set_all(host, good, cache, (1000, 100, 10))
    host.control.set(bad, 9, TOTAL, "Error")
    domains = stats(host)
    assert values(domains["good"]) == (4000, 400, 40)
    assert values(domains["bad"]) == (4000, None, 40)
    assert domains["bad"]["reason"] == "error"
    assert [cache[TOTAL] for cache in domains["bad"]["caches"]] == [100, None, 100, 100]
    assert [cache["reasons"] for cache in domains["bad"]["caches"]] == [{}, {TOTAL: "error"}, {}, {}]


@pytest.mark.parametrize(
    ("profile", "missing"), [("no-mbm", ["mbm_total_bytes", "mbm_local_bytes"]), ("no-cmt", ["llc_occupancy"])]
)
def test_what_the_hardware_cannot_count_is_unsupported(make_host, profile, missing):
    host = make_host(profile)
    group = host.enable(host.domains.add("vm3"))
    for event in set(EVENTS) - set(missing):
        host.control.set(group, host.cache, event, 7)
    domain = stats(host)["vm3"]
    assert {event: domain[event] for event in EVENTS} == {event: None if event in missing else 7 for event in EVENTS}
    assert domain["cmt"] == domain["llc_occupancy"]
    assert domain["reason"] == "unsupported"
    assert domain["caches"][0]["reasons"] == dict.fromkeys(missing, "unsupported")


def test_a_running_domain_that_is_not_monitored_has_no_values(host):
    host.domains.add("vm3")
    domain = stats(host)["vm3"]
    assert (domain["status"], domain["cmt"], domain["reason"]) == ("Disabled", None, "disabled")
    assert values(domain) == (None, None, None)
    assert (domain["caches"], domain["groups"]) == ([], [])


def test_a_domain_that_is_shut_off_occupies_nothing(host):
    """As in the RFC; bandwidth has no such rule."""
    host.domains.define("vm1")
    domain = stats(host)["vm1"]
    assert (domain["active"], domain["status"], domain["cmt"]) == (False, "Disabled", 0)
    assert values(domain) == (None, None, None)
    assert domain["reason"] == "disabled"


def test_a_domain_whose_process_is_gone_says_so(host, vm3):
    host.domains.kill(vm3.name)
    domain = stats(host)["vm3"]
    assert (domain["active"], domain["cmt"], domain["reason"]) == (True, None, "gone")


def test_a_group_that_vanishes_while_it_is_read_is_gone(host, vm3):
    host.control.fault(Fault("open", f".*/{TOTAL}", remove=host.group(vm3)))
    domain = stats(host)["vm3"]
    assert values(domain) == (180224, None, None)
    assert domain["reason"] == "gone"
    assert domain["groups"][0]["generation"] is None


def test_a_group_that_vanishes_before_it_is_read_is_gone(host, vm3):
    host.control.fault(Fault("open", f"{host.group(vm3)}/mon_data/.*", remove=host.group(vm3)))
    domain = stats(host)["vm3"]
    assert values(domain) == (None, None, None)
    assert (domain["reason"], domain["caches"]) == ("gone", [])


def test_a_cache_that_goes_offline_while_it_is_read_hides_no_other(make_host):
    host = make_host("wide-ids")
    group = host.enable(host.domains.add("vm3"))
    for cache in (8, 9, 10, 112):
        set_all(host, group, cache, (1000, 100, 10))
    host.control.fault(Fault("open", f"{group}/mon_data/mon_L3_09/.*", times=0, errno=errno.ENOENT))
    domain = stats(host)["vm3"]
    assert [values(cache) for cache in domain["caches"]] == [
        (1000, 100, 10),
        (None, None, None),
        (1000, 100, 10),
        (1000, 100, 10),
    ]
    assert (values(domain), domain["reason"]) == ((None, None, None), "gone")


def test_where_nothing_can_be_monitored_everything_is_unsupported(make_host):
    host = make_host("alloc-only")
    host.domains.add("vm3")
    host.domains.define("vm1")
    result = host.run("resctrl_stats")
    domains = result["ansible_facts"]["resctrl_stats"]["domains"]
    (warning,) = warnings(result)
    assert "has no L3 monitoring" in warning
    assert (domains["vm3"]["cmt"], domains["vm3"]["reason"]) == (None, "unsupported")
    assert domains["vm1"]["cmt"] == 0


# -- names -------------------------------------------------------------------------------------------------------------


def test_without_a_name_all_domains_come_and_with_it_those(host, vm3):
    host.domains.define("vm1")
    host.domains.add("web-1")
    assert set(stats(host)) == {"vm1", "vm3", "web-1"}
    assert set(stats(host, name=["web-*", vm3.uuid])) == {"web-1", "vm3"}


def test_any_name_that_libvirt_accepts_is_a_key(host):
    names = ['web 01 "é,..x', "n" * 200, "-rf", "[v]m*"]
    for name in names:
        set_all(host, host.enable(host.domains.add(name)))
    assert {name: domain["cmt"] for name, domain in stats(host, name=names).items()} == dict.fromkeys(names, 180224)


def test_an_unknown_name_fails_and_the_others_facts_are_there(host, vm3):
    result = host.run("resctrl_stats", name=["x", vm3.name])
    assert result["failed"]
    assert result["msg"] == "Domain not found: no domain with matching name 'x'"
    assert result["ansible_facts"]["resctrl_stats"]["domains"]["vm3"]["cmt"] == 180224


# -- time --------------------------------------------------------------------------------------------------------------


def test_the_timestamp_is_utc_in_iso_8601(host):
    before = dt.datetime.now(dt.UTC)
    text = host.run("resctrl_stats")["ansible_facts"]["resctrl_stats"]["timestamp"]
    assert text.endswith("Z")
    assert before <= dt.datetime.fromisoformat(text) <= dt.datetime.now(dt.UTC)


def test_rates_are_what_was_counted_between_two_samples(host, vm3, sample_twice):
    domain = sample_twice(host, "vm3", lambda: set_all(host, host.group(vm3), values=(180224, 9000000, 3750000)))
    rates = domain["rates"]
    assert values(domain) == (180224, 9000000, 3750000)
    assert rates["seconds"] >= 1
    assert rates["mbm_total_bytes_per_second"] * rates["seconds"] == pytest.approx(8000000, rel=1e-5)
    assert rates["mbm_local_bytes_per_second"] * rates["seconds"] == pytest.approx(3000000, rel=1e-5)


def test_over_a_group_that_was_made_anew_no_rate_is_computed(host, vm3, sample_twice):
    def make_anew():
        host.remove_group(host.group(vm3))
        set_all(host, host.enable(vm3), values=(180224, 9000000, 3750000))

    domain = sample_twice(host, "vm3", make_anew)
    assert values(domain) == (180224, 9000000, 3750000)
    assert (domain["rates"]["mbm_total_bytes_per_second"], domain["rates"]["mbm_local_bytes_per_second"]) == (
        None,
        None,
    )


def test_over_a_counter_that_was_reset_no_rate_is_computed(host, vm3, sample_twice):
    domain = sample_twice(host, "vm3", lambda: host.control.set(host.group(vm3), host.cache, TOTAL, 10))
    assert domain["rates"]["mbm_total_bytes_per_second"] is None
    assert domain["rates"]["mbm_local_bytes_per_second"] == 0


def test_an_interval_that_makes_no_sense_is_refused(host):
    for interval in (0, -1, 3601, "nan"):
        result = host.run("resctrl_stats", interval=interval)
        assert result["msg"] == f"interval is {interval}: give seconds above 0 and at most 3600, or leave it out"
