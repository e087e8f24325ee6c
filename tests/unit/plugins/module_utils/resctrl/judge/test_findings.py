# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a host, and what is left unsaid. Whole situations are those of tests/lab/neighbours.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge import findings as judged
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.findings import KINDS, findings
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.situation import (
    CONFIGURED,
    OBSERVED,
    Ceiling,
    Holding,
    Situation,
    Subject,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.judge.usage import Cpu
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.topology import Cache
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.findings import (
    describe_findings,
    describe_situation,
)

SIZE = 1000
ONE = {0: Cache(SIZE, frozenset({0, 1}), 0)}


def subject(name, held=None, moved=None, vcpus=1.0, uncounted=0, **keys):
    holding = {0: Holding(held, moved, keys.pop("partial", frozenset()))}
    counted = keys.pop("counted", 1)
    return Subject(name, f"uuid of {name}", holding, {0: vcpus}, counted, uncounted, **keys)


def situation(*subjects, held=SIZE, moved=None, interval=60.0, caches=None, **keys):
    return Situation("2026-11-01T12:00:00Z", interval, caches or ONE, subjects, {0: Holding(held, moved)}, **keys)


def kinds(of):
    return [(one.kind, one.domain) for one in findings(of)]


ceiling = {"package 0": Ceiling(100.0, CONFIGURED)}
hog = subject("vm1", 700, 90_000.0)
quiet = subject("vm2", 200, 10_000.0)


def test_after_a_long_look_with_nothing_against_it_confidence_is_high():
    (found,) = findings(situation(hog, quiet, subject("vm3", 100, 0.0), moved=100_000.0))
    assert (found.kind, found.domain, found.confidence, found.against) == ("streams", "vm1", "high", ())


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"interval": 2.0}, "It was seen for 2 seconds only"),
        ({"held": None}, "How full the cache is was added up from the VMs that are monitored."),
    ],
)
def test_one_thing_against_it_makes_it_medium(keys, says):
    (found,) = findings(situation(hog, quiet, subject("vm3", 100, 0.0), **keys))
    assert found.confidence == "medium"
    assert found.against[0].startswith(says)


def test_an_allocation_of_its_own_speaks_against_it():
    own = subject("vm1", 700, 90_000.0, forced_by="cachetune")
    (found,) = findings(situation(own, quiet, subject("vm3", 100, 0.0)))
    assert found.against == (
        "libvirt may have allocated a part of the cache to it: it takes nothing of that from others.",
    )


def test_where_bandwidth_is_not_known_it_is_not_said_whether_it_streams():
    held = subject("vm1", 700), subject("vm2", 200), subject("vm3", 100)
    assert kinds(situation(*held)) == [("holds_more_than_share", "vm1")]


def test_a_cache_of_unknown_size_is_not_judged_and_that_is_said():
    (found,) = findings(situation(hog, quiet, caches={0: Cache()}))
    assert found.kind == "nothing_stands_out"
    assert "How full L3 cache 0 is could not be told." in found.against


@pytest.mark.parametrize(("moved", "expected"), [(SIZE - 1.0, 1), (float(SIZE), 0)])
def test_where_little_moves_a_quiet_vm_may_hold_what_nobody_needs(moved, expected):
    quiet_hog = subject("vm1", 700, 1.0)
    (found,) = findings(situation(quiet_hog, subject("vm2", 200, 1.0), subject("vm3", 100, 0.0), moved=moved))
    assert found.kind == "large_working_set"
    assert [one.startswith("Little is moved through this cache at all") for one in found.against] == [True] * expected


def test_what_could_not_be_told_is_no_reason_to_say_that_nothing_stands_out_for_sure():
    (found,) = findings(situation(subject("vm1", 1, 1.0), held=1, moved=None))
    assert (found.kind, found.against) == ("nothing_stands_out", ("How much package 0 moves could not be told.",))
    (found,) = findings(situation(subject("vm1", 1, 1.0), held=1, moved=1.0))
    assert found.against == ("No ceiling of the memory bandwidth is known for package 0.",)


def test_a_known_part_is_judged_and_said_to_be_a_part():
    part = subject("vm1", 700, 90_000.0, partial=frozenset({"bandwidth"}))
    (found,) = findings(situation(part, quiet, subject("vm3", 100, 0.0)))
    assert found.against == ("Only a part of its bandwidth is known.",)


@pytest.mark.parametrize(("moved", "expected"), [(79.0, []), (80.0, ["vm1"])])
def test_bandwidth_is_scarce_only_near_its_ceiling(moved, expected):
    of = situation(subject("vm1", 1, moved), subject("vm2", 1, 0.0), held=2, moved=moved, ceilings=ceiling)
    assert [one.domain for one in findings(of) if one.kind == "moves_more_than_share"] == expected


def test_what_somebody_has_configured_otherwise_speaks_against_bandwidth():
    of = situation(
        subject("vm1", 1, 90.0),
        subject("vm2", 1, 0.0),
        held=2,
        moved=90.0,
        ceilings={"package 0": Ceiling(100.0, OBSERVED)},
        configured=["mbm_total_bytes counts nothing"],
    )
    (found,) = findings(of)
    assert (len(found.against), found.confidence) == (2, "low")


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        (Cpu(10.0, 2, 5.0, 0.0, 1.0, 0.0), ["throttled"]),
        (Cpu(10.0, 2, 5.0, 2.0, 0.0, 0.0), ["waits_for_cpu"]),
        (Cpu(10.0, 2, 5.0, 0.0, 0.0, 1.0), ["memory_pressure"]),
        (Cpu(10.0, 2, 5.0, 0.9, 0.9, 0.9), ["nothing_stands_out"]),
        (Cpu(10.0, 0, None, None, None, None), ["nothing_stands_out"]),
        (Cpu(10.0, 2, 5.0, 4.0, 8.0, 2.0), ["throttled", "memory_pressure"]),
    ],
    ids=str,
)
def test_a_domains_own_trouble_is_what_took_a_share_of_its_time(cpu, expected):
    assert [one.kind for one in findings(situation(subject("vm1", 1, 0.0, cpu=cpu), held=1))] == expected


def test_own_trouble_comes_before_blame():
    troubled = subject("vm2", 200, 10_000.0, cpu=Cpu(10.0, 2, 5.0, 0.0, 5.0, 0.0))
    of = situation(hog, troubled, subject("vm3", 100, 0.0))
    assert kinds(of) == [("throttled", "vm2"), ("streams", "vm1")]


def test_stalls_alone_make_no_victim():
    slow = subject("vm2", 1, 1.0, stalls={0: 0.9})
    assert kinds(situation(slow, held=1)) == [("nothing_stands_out", "")]


def test_nobody_is_the_victim_of_itself():
    of = situation(hog._replace(stalls={0: 0.9}), quiet, subject("vm3", 100, 0.0))
    assert kinds(of) == [("streams", "vm1")]


def test_its_own_limit_speaks_against_a_victim():
    slow = quiet._replace(stalls={0: 0.5}, cpu=Cpu(10.0, 2, 5.0, 0.0, 0.1, 0.0))
    victim, _blamed = findings(situation(hog, slow, subject("vm3", 100, 0.0)))
    assert (victim.kind, victim.others) == ("victim", ("vm1",))
    assert victim.against[-1] == "Its own CPU limit held it back, too."


numbers = st.one_of(st.none(), st.floats(0, 1e12))
subjects = st.builds(
    subject,
    st.text(min_size=1),
    numbers,
    numbers,
    st.floats(0, 64),
    st.integers(0, 8),
    counted=st.integers(0, 8),
    partial=st.sets(st.sampled_from(["occupancy", "bandwidth"])).map(frozenset),
    forced_by=st.sampled_from([None, "cachetune"]),
    stalls=st.dictionaries(st.just(0), st.floats(0, 1)),
    cpu=st.one_of(st.none(), st.builds(Cpu, st.floats(0, 1e4), st.integers(0, 8), numbers, numbers, numbers, numbers)),
)
situations = st.builds(
    lambda every, held, moved, size, most: situation(
        *every,
        held=held,
        moved=moved,
        caches={0: Cache(size, frozenset(), 0)},
        ceilings={"package 0": Ceiling(most, OBSERVED)} if most else {},
    ),
    st.lists(subjects, max_size=4),
    numbers,
    numbers,
    st.one_of(st.none(), st.integers(1, 1 << 30)),
    st.one_of(st.none(), st.floats(1, 1e12)),
)


@given(situations)
def test_of_any_host_something_is_said_in_whole_sentences(of):
    for one in describe_findings(findings(of), of):
        assert one["kind"] in KINDS
        assert one["msg"].endswith(".")
        assert (one["confidence"] == "high") == (one["against"] == [])
    assert describe_situation(of)["not_counted"][-1]["what"] == "window"


@given(situations)
def test_nobody_is_blamed_who_has_no_more_than_its_share(of):
    for one in findings(of):
        if one.kind in (judged.STREAMS, judged.LARGE_WORKING_SET, judged.HOLDS_MORE, judged.MOVES_MORE):
            assert one.numbers["share"] > one.numbers["fair_share"]


@given(situations)
def test_the_word_victim_rests_on_counted_stalls(of):
    stalled = {one.name for one in of.subjects if one.stalls.get(0, 0.0) >= judged.STALLS}
    for one in describe_findings(findings(of), of):
        assert "victim" not in one["msg"] or one["domain"] in stalled


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (CONFIGURED, "while package 0 is at 90% of its ceiling, 100B/s."),
        (OBSERVED, "while package 0 is at 90% of the most that was ever seen there, 100B/s."),
    ],
)
def test_the_sentence_says_what_the_ceiling_is(source, says):
    limits = {"package 0": Ceiling(100.0, source)}
    of = situation(subject("vm1", 1, 90.0), subject("vm2", 1, 0.0), held=2, moved=90.0, ceilings=limits)
    (told,) = describe_findings(findings(of), of)
    assert told["msg"].endswith(says)


def test_more_than_was_ever_seen_is_told_without_a_percentage_and_no_share_is_above_all():
    limits = {"package 0": Ceiling(100.0, OBSERVED)}
    of = situation(subject("vm1", 1, 315.0), subject("vm2", 1, 0.0), held=2, moved=312.0, ceilings=limits)
    (told,) = describe_findings(findings(of), of)
    assert "which is all of what package 0 moves" in told["msg"]
    assert told["msg"].endswith("while package 0 is at more than the most that was ever seen there, 100B/s.")


def test_of_a_host_without_counted_caches_it_is_not_said_that_nothing_stands_out():
    of = situation(subject("vm1"))._replace(caches={}, whole={})
    (told,) = describe_findings(findings(of), of, "The CPU has none")
    reason = "Neither caches nor memory bandwidth were measured on this host: The CPU has none."
    assert (told["kind"], told["msg"]) == ("not_measured", reason)


def test_whose_turn_it_was_not_is_said_apart_from_what_is_known_in_part():
    part = frozenset({"bandwidth"})
    shares = subject("vm1", 1, partial=part, waits_for_counters=True)
    of = situation(shares, subject("vm2", 1, 1.0, partial=part), subject("vm3", counted=0, waits=True), held=2)
    told = [(one["what"], one["domains"]) for one in describe_situation(of)["not_counted"] if one["domains"]]
    assert told == [("turns", ["vm3"]), ("turns", ["vm1"]), ("partial", ["vm2"])]


def test_that_it_is_not_known_what_everything_moves_is_said():
    of = situation(subject("vm1", 1, 90.0), held=2)
    assert "bandwidth" not in {one["what"] for one in describe_situation(of)["not_counted"]}
    of = of._replace(whole={0: Holding(2, None, frozenset({"bandwidth"}))})
    (told,) = (one for one in describe_situation(of)["not_counted"] if one["what"] == "bandwidth")
    assert told["msg"].startswith("How much everything moves through L3 cache 0 is not known.")


def test_of_very_many_names_some_are_said_and_how_many_more_there_are():
    several = [subject(f"vm{number:04d}", counted=0, uncounted=1) for number in range(1000)]
    of = situation(*several, held=1)
    told = describe_situation(of)["not_counted"][0]
    assert told["msg"].startswith("These VMs are not monitored: vm0000, vm0001,")
    assert told["msg"].endswith(", vm0009 and 990 more.")
    assert len(told["domains"]) == 1000
    (nothing,) = findings(of)
    assert "Nothing is known of vm0000, " in nothing.against[-1]
    assert "vm0009 and 990 more, which no group counts." in nothing.against[-1]


# -- domains that are counted as a whole: their vCPUs are not known (Incus, older Proxmox VE) --

whole = subject("pve100", 700, 90_000.0, vcpus=0.0, counted=0, unnamed=True)


def test_one_whose_vcpus_are_not_known_is_monitored_and_shown_without_a_share_of_them():
    of = situation(whole, quiet, moved=100_000.0)
    told = describe_situation(of)
    assert "domains" not in [one["what"] for one in told["not_counted"]]
    (said,) = [one for one in told["not_counted"] if one["what"] == "vcpus"]
    assert (said["domains"], said["msg"]) == (["pve100"], "Which threads of these VMs are vCPUs is not known: pve100.")
    (first, second) = told["caches"][0]["domains"]
    assert (first["name"], first["share"], first["vcpu_share"]) == ("pve100", 0.7, None)
    assert (second["name"], second["vcpu_share"]) == ("vm2", 1.0)


def test_one_whose_vcpus_are_not_known_is_blamed_for_no_share_of_them():
    assert kinds(situation(whole, quiet, moved=100_000.0, ceilings=ceiling)) == [("nothing_stands_out", "")]


def test_the_shares_of_others_leave_it_out_and_that_is_said():
    (found,) = findings(situation(hog, whole._replace(holdings={}), subject("vm2", 300, 10_000.0, vcpus=2.0)))
    assert found.domain == "vm1"
    assert "Shares of the vCPUs leave out pve100, of which the vCPUs are not known." in found.against


def test_where_not_all_of_a_cache_is_told_the_sum_of_the_domains_passes_for_no_whole():
    unknown = situation(hog, quiet)._replace(whole={0: Holding(None, None, frozenset({"occupancy"}))})
    told = describe_situation(unknown)
    assert (told["caches"][0]["occupied"], told["caches"][0]["fullness"]) == (None, None)
    assert [one["llc_occupancy"] for one in told["caches"][0]["domains"]] == [700, 200]
    said = {one["what"]: one["msg"] for one in told["not_counted"]}
    assert said["occupancy"] == "How full L3 cache 0 is was added up from the VMs that are monitored."
