# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `resctrl-mon metrics` tells Prometheus of a host, as Prometheus' own client library reads it."""

from __future__ import annotations

import stat

import pytest
from prometheus_client.parser import text_string_to_metric_families

OCCUPIED = "libvirt_domain_llc_occupancy_bytes"
MOVED = "libvirt_domain_memory_bandwidth_bytes_total"
INFO = "libvirt_domain_resctrl_info"
VCPUS = "libvirt_domain_resctrl_vcpus"


class Told:
    """The series of one run."""

    def __init__(self, text):
        self.samples = [one for family in text_string_to_metric_families(text) for one in family.samples]

    def __getitem__(self, name):
        """The value of a metric that has no labels."""
        (value,) = (one.value for one in self.samples if one.name == name)
        return value

    def of(self, name, key="domain", **labels):
        """The values of a metric, by one of its labels."""
        chosen = [one for one in self.samples if one.name == name and labels.items() <= one.labels.items()]
        return {one.labels[key]: one.value for one in chosen}


@pytest.fixture
def tell():
    """What a host tells now: tell(agent)."""

    def run(agent):
        status, text, errors = agent.run("metrics")
        assert (status, errors) == (0, "")
        return Told(text)

    return run


@pytest.fixture
def two(make_host, make_agent):
    """A host with two caches: vm1 is not monitored, vm3 is, and has moved and occupies bytes. It has an agent."""
    host = make_host("intel-6.12", "l3_ids=0,1")
    host.vm1, host.vm3 = host.domains.add("vm1"), host.domains.add("vm3")
    host.of_vm3 = host.enable(host.vm3)
    for cache, number in ((0, 9_000_000_000), (1, 1_000)):
        host.control.set(host.of_vm3, cache, "mbm_total_bytes", number)
        host.control.set(host.of_vm3, cache, "mbm_local_bytes", number // 2)
        host.control.set(host.of_vm3, cache, "llc_occupancy", number // 1000)
    host.agent = make_agent(host)
    return host


def test_what_a_domain_occupies_and_has_moved_is_told_for_each_cache(two, tell):
    told = tell(two.agent)
    assert told.of(OCCUPIED, "cache_id", domain="vm3", uuid=two.vm3.uuid) == {"0": 9_000_000, "1": 1}
    assert told.of(MOVED, "cache_id", domain="vm3", scope="total") == {"0": 9_000_000_000, "1": 1_000}
    assert told.of(MOVED, "cache_id", domain="vm3", scope="local") == {"0": 4_500_000_000, "1": 500}


def test_a_domain_that_is_not_monitored_has_no_values_and_is_told_to_be_disabled(two, tell):
    told = tell(two.agent)
    assert (told.of(OCCUPIED), told.of(MOVED)) == ({"vm3": 1}, {"vm3": 1_000})
    assert told.of(INFO, "status") == {"Disabled": 1, "Enabled": 1}
    assert told.of(INFO, "owner", domain="vm3") == {"kvmops": 1}
    assert told.of(VCPUS, counted="no") == {"vm1": 2, "vm3": 0}
    assert told.of(VCPUS, counted="yes") == {"vm1": 0, "vm3": 2}


def test_the_host_tells_its_rmids_and_who_holds_them(two, tell):
    two.make_group("mon_groups/pqos-1")
    told = tell(two.agent)
    assert told.of("resctrl_rmids_used", "owner") == {"default": 1, "kvmops": 1, "pqos": 1}
    assert told["resctrl_rmids"] == told["resctrl_rmids_free"] + 3
    assert (told["resctrl_monitoring_up"], told["resctrl_monitoring_problems"]) == (1, 0)
    assert told["resctrl_collection_duration_seconds"] > 0
    assert told["resctrl_rmids_reserved"] == 0


def test_a_value_that_is_not_known_is_absent_and_hides_no_other(two, tell):
    two.control.set(two.of_vm3, 0, "mbm_total_bytes", "Unavailable")
    told = tell(two.agent)
    assert told.of(MOVED, "cache_id", scope="total") == {"1": 1_000}
    assert told.of(MOVED, "cache_id", scope="local") == {"0": 4_500_000_000, "1": 500}


def test_a_group_that_is_made_anew_begins_anew(two, tell):
    assert tell(two.agent).of(MOVED, "cache_id", scope="total")["0"] == 9_000_000_000
    two.run("resctrl_mon", name="vm3", state="disabled")
    group = two.enable(two.vm3)
    two.control.set(group, 0, "mbm_total_bytes", 4096)
    assert tell(two.agent).of(MOVED, "cache_id", scope="total")["0"] == 4096


def test_a_file_is_replaced_at_once_and_may_be_read_by_all(two):
    path = two.domains.path("/run/kvmops-resctrl/test.prom")
    path.write_text("old")
    path.chmod(0o600)
    assert two.agent.run("metrics", "--output", "/run/kvmops-resctrl/test.prom") == (0, "", "")
    assert Told(path.read_text()).of(OCCUPIED, "cache_id") == {"0": 9_000_000, "1": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in path.parent.glob("test.prom*")] == ["test.prom"]


def test_the_mode_of_the_file_can_be_chosen(two):
    assert two.agent.run("metrics", "--output", "/run/kvmops-resctrl/test.prom", "--mode", "0640") == (0, "", "")
    assert stat.S_IMODE(two.domains.path("/run/kvmops-resctrl/test.prom").stat().st_mode) == 0o640


def test_a_run_that_takes_more_than_a_tenth_of_the_interval_says_so_when_that_begins(two):
    told = [two.agent.run("metrics", "--interval", interval)[2] for interval in ("0.001", "0.001", "3600", "0.001")]
    assert [text.partition(" took ")[2].partition(" of ")[2] for text in told] == [
        "0.001 seconds, which is more than a tenth: use a longer interval\n" * number for number in (1, 0, 0, 1)
    ]


def test_a_file_that_cannot_be_written_is_an_error(two):
    status, _text, errors = two.agent.run("metrics", "--output", "/nowhere/resctrl.prom")
    hint = "Name a file in a directory to which root can write"
    assert (status, errors) == (1, f"error: Cannot write /nowhere/resctrl.prom: No such file or directory. {hint}\n")


def test_a_host_that_cannot_monitor_tells_so_and_no_values(make_host, make_agent, tell):
    host = make_host()
    host.domains.add("vm1")
    host.unmount()
    told = tell(make_agent(host))
    assert (told["resctrl_monitoring_up"], told["resctrl_monitoring_problems"]) == (0, 1)
    assert (told.of(INFO, "status"), told.of(OCCUPIED)) == ({"Disabled": 1}, {})
    assert told.of("resctrl_rmids_used", "owner") == {}


def test_how_the_last_enforcement_ended_is_told(two, tell):
    assert "resctrl_enforcement_success" not in [one.name for one in tell(two.agent).samples]
    two.agent.declare({"name": "vm3"}, reserve_rmids=2)
    assert two.agent.run("enforce")[0] == 0
    told = tell(two.agent)
    assert (told["resctrl_enforcement_success"], told["resctrl_rmids_reserved"]) == (1, 2)
    assert told.of("resctrl_enforcement_domains", "result") == {"waiting": 0, "failed": 0}


def test_a_policy_that_is_damaged_is_a_failed_enforcement_and_a_problem(two):
    two.agent.declare({"nmae": "vm3"})
    assert two.agent.run("enforce")[0] == 1
    status, text, errors = two.agent.run("metrics")
    assert (status, "has unknown keys: nmae" in errors) == (0, True)
    told = Told(text)
    assert (told["resctrl_enforcement_success"], told["resctrl_monitoring_problems"]) == (0, 1)
    assert "resctrl_rmids_reserved" not in [one.name for one in told.samples]


def test_what_was_noted_of_counters_and_is_damaged_is_set_aside_and_said(two):
    noted = two.domains.path("/run/kvmops-resctrl/baselines.json")
    noted.write_text("{")
    status, text, errors = two.agent.run("metrics")
    assert (status, "It was set aside as /run/kvmops-resctrl/baselines.json.damaged" in errors) == (0, True)
    assert Told(text).of(MOVED, "cache_id", scope="total") == {"0": 0, "1": 0}


def test_bandwidth_counters_are_told_with_who_has_them(make_host, make_agent, tell):
    host = make_host("amd-abmc", "abmc_counters=8", "l3_ids=0,1")
    host.domains.add("vm1")
    host.run("resctrl_mon", name="vm1")
    told = tell(make_agent(host))
    assert told.of("resctrl_bandwidth_counters", "cache_id") == {"0": 8, "1": 8}
    assert told.of("resctrl_bandwidth_counters_free", "cache_id") == {"0": 4, "1": 4}
    assert told.of("resctrl_bandwidth_counters_used", "owner", cache_id="1") == {"default": 2, "kvmops": 2}


# -- telemetry of packages ---------------------------------------------------------------------------------------------

JOULES = "libvirt_domain_core_energy_joules_total"


def test_telemetry_begins_at_0_whatever_the_former_owner_of_the_rmid_had(make_host, make_agent, tell):
    host = make_host("intel-aet", "l3_ids=0,1")
    group = host.enable(host.domains.add("vm3"))
    host.control.set(group, 0, "core_energy", 1000.5)
    agent = make_agent(host)
    assert tell(agent).of(JOULES, "package", domain="vm3")["0"] == 0
    host.control.set(group, 0, "core_energy", 1002.75)
    assert tell(agent).of(JOULES, "package", domain="vm3")["0"] == pytest.approx(2.25, abs=2e-6)
    host.run("resctrl_mon", name="vm3", state="disabled")
    host.control.set(host.enable(host.domains["vm3"]), 0, "core_energy", 5000)
    assert tell(agent).of(JOULES, "package", domain="vm3")["0"] == 0


def test_every_other_event_of_a_package_has_the_kernels_name(make_host, make_agent, tell):
    host = make_host("intel-aet", "l3_ids=0,1")
    group = host.enable(host.domains.add("vm3"))
    events = ("stalls_llc_hit", "c1_res", "unhalted_core_cycles", "stalls_llc_miss", "c6_res", "unhalted_ref_cycles")
    for event in ("activity", *events, "uops_retired"):
        host.control.set(group, 1, event, 5)
    told = tell(make_agent(host))
    for name in ("core_activity_farads", *events, "uops_retired"):
        assert told.of(f"libvirt_domain_{name}_total", "package") == {"1": 0}, name


# -- events that count something else ----------------------------------------------------------------------------------


def test_an_event_that_was_configured_otherwise_is_told(make_host, make_agent, tell):
    host = make_host("amd-bmec", "l3_ids=0,1")
    (host.seen() / "info/L3_MON/mbm_local_bytes_config").write_text("1=0x1\n")
    told = tell(make_agent(host))
    assert told.of("resctrl_event_configured", "cache_id", event="mbm_local_bytes") == {"1": 1}
    assert told["resctrl_monitoring_problems"] == 1
