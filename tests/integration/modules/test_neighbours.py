# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM stands out on a host: planted situations, each with the answer that it must have. Whole modules."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import stat

import pytest
from modules import succeeded, warnings
from neighbours import GB, SITUATIONS, USAGE, Has, situation

# What is always said not to be counted
ALWAYS = ["host", "devices", "warm_up", "window"]


def analysed(planted, ceiling=None, **options):
    """The fact resctrl_stats of an analysis while what was planted happens."""
    if ceiling:
        options["bandwidth_ceiling"] = ceiling * GB
    return succeeded(planted.look(**options))["ansible_facts"]["resctrl_stats"]


def places(findings):
    """Each finding with the domain, and where it is."""

    def where(one):
        if one["cache"] is not None:
            return f"cache {one['cache']}"
        return "" if one["package"] is None else f"package {one['package']}"

    return tuple((one["kind"], one["domain"] or "", where(one)) for one in findings)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: f"{one.name}, {one.ceiling}")
def test_each_situation_has_its_answer(plant, situation):
    fact = analysed(plant(situation), situation.ceiling)
    assert places(fact["findings"]) == situation.findings, json.dumps(fact["findings"], indent=1)
    uncounted = {one["what"]: tuple(one["domains"]) for one in fact["host"]["not_counted"]}
    assert uncounted == {**situation.uncounted, **dict.fromkeys(ALWAYS, ())}
    against = fact["findings"][0]["against"]
    assert against[0].startswith("It was seen for 1")
    assert len(against) == 1 + situation.doubts, against
    assert fact["findings"][0]["confidence"] == ("low" if situation.doubts else "medium")


# -- the ceiling -------------------------------------------------------------------------------------------------------


def test_without_a_configured_ceiling_the_most_that_was_ever_seen_before_stands_for_it(plant):
    planted = plant(situation("aggressor"))
    memory = planted.host.domains.path("/run/kvmops-resctrl/highest.json")
    (socket,) = analysed(planted)["host"]["sockets"]
    assert (socket["ceiling"], socket["ceiling_source"], socket["used"]) == (None, None, None)
    highest = json.loads(memory.read_text())["bytes_per_second"]["package 0"]
    assert highest == pytest.approx(socket["bytes_per_second"])
    (socket,) = analysed(planted)["host"]["sockets"]
    assert (socket["ceiling"], socket["ceiling_source"]) == (pytest.approx(highest), "observed")


def test_in_check_mode_what_was_seen_is_not_noted(plant):
    planted = plant(situation("aggressor"))
    analysed(planted, check=True)
    assert list(planted.host.domains.path("/run/kvmops-resctrl").iterdir()) == []


def test_a_ceiling_that_was_only_observed_speaks_against_what_is_said_of_it(plant):
    planted = plant(situation("aggressor"))
    memory = planted.host.domains.path("/run/kvmops-resctrl/highest.json")
    memory.write_text(json.dumps({"bytes_per_second": {"package 0": 8e9}}))
    (*_others, moves) = analysed(planted)["findings"]
    assert (moves["kind"], moves["confidence"], moves["numbers"]["ceiling"]) == ("moves_more_than_share", "low", 8e9)
    assert [one for one in moves["against"] if one.startswith("The ceiling is only the most that was ever seen here")]


# -- history -----------------------------------------------------------------------------------------------------------


def ago(finding):
    """How many hours ago something began."""
    began = dt.datetime.strptime(finding["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
    return round((dt.datetime.now(dt.UTC) - began).total_seconds() / 3600, 1)


def test_what_was_so_at_each_earlier_look_is_so_since_the_first_of_them(plant):
    planted = plant(situation("always so"))
    path = planted.host.domains.path(USAGE)
    histories = json.loads(path.read_text())
    assert [ago(one) for one in analysed(planted, 8.0)["findings"]] == [72, 0]  # nobody knew the ceiling in those days
    assert len(histories) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_in_check_mode_history_is_read_and_not_written(plant):
    planted = plant(situation("rose"))
    path = planted.host.domains.path(USAGE)
    before = path.read_text()
    assert places(analysed(planted, 8.0, check=True)["findings"]) == situation("rose").findings
    assert path.read_text() == before


def test_a_damaged_history_is_set_aside_and_that_is_said(plant):
    planted = plant(situation("rose"))
    path = planted.host.domains.path(USAGE)
    path.write_text("[1]")
    result = planted.look(bandwidth_ceiling=8 * GB)
    assert places(succeeded(result)["ansible_facts"]["resctrl_stats"]["findings"]) == (("nothing_stands_out", "", ""),)
    (warning,) = warnings(result)
    assert warning == (
        f"Cannot understand {USAGE}: it holds something else (AttributeError). It was set aside as {USAGE}.damaged, "
        "and the history of all domains begins anew"
    )
    assert path.with_name("usage.json.damaged").read_text() == "[1]"
    assert len(json.loads(path.read_text())) == 3


# -- beside the findings -----------------------------------------------------------------------------------------------


def test_each_running_vm_has_what_its_vcpus_had_of_the_cpus(plant):
    planted = plant(situation("waits for a cpu"))
    planted.host.domains.define("off")
    domains = analysed(planted)["domains"]
    assert domains["off"]["cpu"] is None
    cpu = domains["vm1"]["cpu"]
    assert cpu["seconds"] + cpu["run_delay"] == pytest.approx(cpu["interval"], rel=0.5)
    assert cpu["run_delay"] > 0
    assert cpu["reasons"] == {name: "unsupported" for name in ("throttled", "memory_stall") if cpu[name] is None}


def test_the_picture_of_a_cache_has_every_monitored_vm(plant):
    (cache,) = analysed(plant(situation("half uncounted")), 8.0)["host"]["caches"]
    assert {key: cache[key] for key in ("id", "package", "size", "occupied")} == {
        "id": 0,
        "package": 0,
        "size": 32 << 20,
        "occupied": 30 << 20,
    }
    assert cache["fullness"] == pytest.approx(30 / 32)
    assert [(one["name"], one["llc_occupancy"], one["share"], one["vcpu_share"]) for one in cache["domains"]] == [
        ("vm1", 4 << 20, 0.125, 0.25),
        ("vm2", 4 << 20, 0.125, 0.25),
    ]


def test_without_analysis_there_is_nothing_of_it(plant):
    planted = plant(situation("nothing at all"))
    fact = succeeded(planted.host.run("resctrl_stats", interval=0.1))["ansible_facts"]["resctrl_stats"]
    assert set(fact) == {"timestamp", "domains"}
    assert "cpu" not in fact["domains"]["vm1"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"analysis": True}, "analysis needs an interval: give seconds, 10 or more for good answers"),
        (
            {"analysis": True, "interval": 1, "name": ["vm1"]},
            "analysis takes all domains of a host: leave name out, since a share is told only among all of them",
        ),
        ({"bandwidth_ceiling": -1}, "bandwidth_ceiling is -1: give bytes per second, or leave it out"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, dict) else "",
)
def test_options_that_make_no_sense_are_refused(host, options, says):
    assert host.run("resctrl_stats", **options)["msg"] == says


def test_where_nothing_can_be_counted_that_is_said_and_no_failure(make_host):
    host = make_host("alloc-only")
    host.domains.add("vm1")
    fact = succeeded(host.run("resctrl_stats", interval=0.1, analysis=True))["ansible_facts"]["resctrl_stats"]
    (finding,) = fact["findings"]
    assert finding["kind"] == "not_measured"
    assert finding["msg"].startswith("Neither caches nor memory bandwidth were measured on this host: ")


# -- advice ------------------------------------------------------------------------------------------------------------


def test_a_vm_that_streams_could_be_kept_to_its_share(plant):
    cap, slow = analysed(plant(situation("aggressor")), 8.0)["advice"]
    assert (cap["kind"], cap["domain"], cap["cache"]) == ("cap_cache", "vm1", 0)
    # A third of the cache, rounded up to what a mask of 16 bits can say
    assert cap["xml"].splitlines() == [
        "<cachetune vcpus='0-1'>",
        "  <cache id='0' level='3' type='both' size='12288' unit='KiB'/>",
        "</cachetune>",
    ]
    assert (slow["kind"], slow["xml"]) == (
        "cap_bandwidth",
        "<memorytune vcpus='0-1'>\n  <node id='0' bandwidth='50'/>\n</memorytune>",
    )


def test_what_libvirt_would_refuse_for_lack_of_room_is_said(plant):
    planted = plant(situation("aggressor"))
    (planted.host.seen() / "schemata").write_text("L3:0=ffff\n")
    (cap, *_more) = analysed(planted)["advice"]
    assert cap["against"][-1].startswith("libvirt will refuse it as long as other groups may use the cache: 0 of the 6")


@pytest.mark.parametrize(
    ("mib", "expected", "size"),
    [(1, "allocation_not_filled", 2048), (6, None, None), (8, "allocation_full", 10240)],
)
def test_a_cachetune_is_looked_at(plant, mib, expected, size):
    planted = plant(situation("nothing at all"))
    planted.host.tuned("vm4", "0-0")
    group = "qemu-1-vm4-vcpus_0-0"
    (planted.host.seen(group) / "schemata").write_text("L3:0=f000\n")
    planted.has(group, Has(mib))
    advice = analysed(planted)["advice"]
    assert [one["kind"] for one in advice] == ([expected] if expected else [])
    for one in advice:
        assert (one["domain"], one["numbers"]["allowed"]) == ("vm4", 8 << 20)
        assert f"<cachetune vcpus='0'>\n  <cache id='0' level='3' type='both' size='{size}' unit='KiB'/>" in one["xml"]


def test_where_nothing_can_be_allocated_there_is_no_advice(plant):
    planted = plant(dataclasses.replace(situation("aggressor"), profile=("monitor-only",)))
    assert analysed(planted)["advice"] == []


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_it_in_words(plant, make_agent):
    planted = plant(situation("half uncounted"))
    agent = make_agent(planted.host)
    status, out, err = agent.run("why", "--interval", "0.1", "--ceiling", "8")
    assert (status, err) == (0, "")
    # Nobody waits for exactly as long as was asked for
    assert re.sub(r"0[.]1[0-9]* seconds", "0.1 seconds", out).splitlines() == [
        "Nothing stands out. (confidence: low)",
        "  But: It was seen for 0.1 seconds only: measure for 10 or more.",
        "  But: Nothing is known of vm3, vm4, which no group counts.",
        "Not counted:",
        "  These VMs are not monitored: vm3, vm4.",
        "  The host itself, QEMU's own threads and everything else are told only as what is left.",
        "  What devices move by DMA, passed-through ones too, is not counted.",
        "  A group that was just made may show what the former owner of its RMID left in a cache.",
        "  Nothing is known of the time outside of these 0.1 seconds.",
    ]


def test_the_command_says_since_when_it_is_so(plant, make_agent):
    planted = plant(situation("big but quiet"))
    planted.was_seen(72, 48, 24)
    histories = json.loads(planted.host.domains.path(USAGE).read_text())
    first = min(history["looks"][0][0] for history in histories.values())
    status, out, err = make_agent(planted.host).run("why", "--interval", "0.1")
    assert (status, err) == (0, "")
    moment = dt.datetime.fromtimestamp(first, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert out.splitlines()[0].endswith(f" (confidence: low; so at each look since {moment})")


def test_the_command_has_all_of_it_for_machines(plant, make_agent):
    planted = plant(situation("big but quiet"))
    status, out, _err = make_agent(planted.host).run("why", "--interval", "0.1", "--json")
    assert status == 0
    told = json.loads(out)
    assert places(told["findings"]) == (("large_working_set", "vm1", "cache 0"),)
    assert set(told) == {"domains", "findings", "advice", "host"}
