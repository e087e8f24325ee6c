# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An event that was configured to count something else says so, wherever its values are. The whole modules and the
command, as processes.
"""

from __future__ import annotations

import json

import pytest

TOTAL, LOCAL = "mbm_total_bytes", "mbm_local_bytes"
READS = ["local_reads", "remote_reads"]
LOCALLY = ["local_reads", "local_non_temporal_writes", "local_reads_slow_memory"]
BMEC, ABMC = f"{TOTAL}_config", f"event_configs/{TOTAL}/event_filter"


def configure(host, name, text):
    """Change what an event counts, as another program would."""
    (host.seen("info/L3_MON") / name).write_text(f"{text}\n")


def configurations(host):
    """Event -> what the host says that it counts on each cache."""
    return {one["name"]: one["configuration"] for one in host.info()["host"]["events"]}


@pytest.fixture
def bmec(make_host):
    """A host on which each cache is configured by itself, with a monitored domain."""
    host = make_host("amd-bmec", "l3_ids=0,1")
    host.enable(host.domains.add("vm3"))
    return host


@pytest.fixture
def abmc(make_host):
    """A host on which events are configured for all caches, with a monitored domain."""
    host = make_host("amd-abmc", "l3_ids=0,1")
    host.enable(host.domains.add("vm3"))
    return host


def test_where_nothing_can_be_configured_nothing_is_said(host):
    host.enable(host.domains.add("vm3"))
    assert set(configurations(host).values()) == {None}


@pytest.mark.parametrize("profile", ["amd-bmec", "amd-abmc"])
def test_what_an_event_counts_by_default_is_told_of_the_host_and_is_no_problem(make_host, profile):
    host = make_host(profile, "l3_ids=0,1")
    host.enable(host.domains.add("vm3"))
    told = configurations(host)
    assert told["llc_occupancy"] is None
    assert [(one["cache"], one["counts"], one["default"]) for one in told[LOCAL]] == [
        (0, LOCALLY, True),
        (1, LOCALLY, True),
    ]
    assert [(len(one["counts"]), one["default"]) for one in told[TOTAL]] == [(7, True), (7, True)]
    assert host.info()["host"]["problems"] == []
    domain = host.stats("vm3")
    assert (domain["configured"], [cache["configured"] for cache in domain["caches"]]) == ({}, [{}, {}])


def test_an_event_that_was_configured_on_one_cache_is_marked_there_and_in_the_sum(bmec):
    configure(bmec, BMEC, "1=0x03")
    assert [one["default"] for one in configurations(bmec)[TOTAL]] == [True, False]
    domain = bmec.stats("vm3")
    assert domain["configured"] == {TOTAL: "local_reads, remote_reads on L3 cache 1"}
    assert [cache["configured"] for cache in domain["caches"]] == [{}, {TOTAL: READS}]
    assert bmec.stats("vm3", detail="totals")["configured"] == domain["configured"]


def test_an_event_that_was_configured_for_all_caches_is_marked_on_all(abmc):
    configure(abmc, ABMC, "local_reads,remote_reads")
    assert [one["counts"] for one in configurations(abmc)[TOTAL]] == [READS, READS]
    domain = abmc.stats("vm3")
    assert domain["configured"] == {TOTAL: "local_reads, remote_reads on L3 cache 0, 1"}
    assert [cache["configured"] for cache in domain["caches"]] == [{TOTAL: READS}] * 2


def test_a_domain_that_is_not_monitored_has_no_values_that_could_be_marked(bmec):
    configure(bmec, BMEC, "1=0x03")
    bmec.domains.add("vm4")
    assert bmec.stats("vm4")["configured"] == {}


def test_the_host_says_it_once_with_where_to_undo_it(make_host):
    for profile, name, text in (("amd-bmec", BMEC, "0=0x03;1=0x03"), ("amd-abmc", ABMC, "local_reads,remote_reads")):
        host = make_host(profile, "l3_ids=0,1")
        configure(host, name, text)
        assert host.info()["host"]["problems"] == [
            f"{TOTAL} was configured to count local_reads, remote_reads on L3 cache 0, 1, which is not its default: "
            f"do not compare it with other hosts, or write the default to info/L3_MON/{name}"
        ]


def test_the_command_says_it_beside_the_values(bmec, make_agent):
    configure(bmec, BMEC, "1=0x03")
    agent = make_agent(bmec)
    status, output, _errors = agent.run("stats", "vm3")
    assert status == 0
    assert output.splitlines()[2] == f"  resctrl.{TOTAL}.configured=local_reads, remote_reads on L3 cache 1"
    _status, output, _errors = agent.run("stats", "vm3", "--json")
    assert json.loads(output)["vm3"]["configured"] == {TOTAL: "local_reads, remote_reads on L3 cache 1"}
