# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way of a value: an emulated host, resctrl-mon metrics, node_exporter, Prometheus, Alertmanager. All but the
counters and the domains' processes are real. The tests build on each other, since the life of a domain does.
"""

from __future__ import annotations

import os

import pytest
from agents import Agent
from emulated_host import EmulatedHost
from readers import Alertmanager, LibvirtExporter, NodeExporter, Prometheus
from waiting import wait_until

OCCUPIED = "libvirt_domain_llc_occupancy_bytes"
MOVED = "libvirt_domain_memory_bandwidth_bytes_total"
INFO = "libvirt_domain_resctrl_info"
MANY = 200


class Way:
    """The host, and what reads it."""

    def __init__(self, host, agent, node, prometheus, alertmanager):
        self.host, self.agent, self.node = host, agent, node
        self.prometheus, self.alertmanager = prometheus, alertmanager
        self.file = node.textfiles / "resctrl.prom"

    def write(self):
        """Write the metrics, as the timer of role resctrl_exporter does."""
        assert self.agent.run("metrics", "--output", str(self.file)) == (0, "", "")

    def count(self, name, total, occupied=0):
        """Let a domain have moved and occupy bytes on the first cache, and write that."""
        group = self.host.group(self.host.domains[name])
        self.host.control.set(group, 0, "mbm_total_bytes", total)
        self.host.control.set(group, 0, "mbm_local_bytes", total)
        self.host.control.set(group, 0, "llc_occupancy", occupied)
        self.write()

    def monitor(self, name, state="enabled"):
        """Switch the monitoring of a domain on or off."""
        result = self.host.mon(name, state=state)
        assert not result.get("failed"), result

    def now(self, expression):
        """The values of an expression, by domain."""
        return {labels.get("domain", ""): value for labels, value in self.prometheus.query(expression)}


@pytest.fixture(scope="module")
def way(rules_at_once, tmp_path_factory):
    """A host with two caches, on which vm1 and vm3 are monitored, and vm2 is not. Alerts wait for nothing."""
    directory = tmp_path_factory.mktemp("way")
    (directory / "host").mkdir()
    with (
        EmulatedHost(directory / "host", "intel-6.12", ["l3_ids=0,1", "num_rmids=256"]) as host,
        NodeExporter(directory / "node") as node,
        LibvirtExporter(directory / "libvirt", host.domains.uri, host.domains.argv([])) as libvirt,
        Alertmanager(directory / "alertmanager") as alertmanager,
        Prometheus(
            directory / "prometheus",
            {"node": [node.address], "libvirt": [libvirt.address]},
            rules_at_once,
            alertmanager.address,
        ) as prometheus,
    ):
        host.control.freeze()
        for name in ("vm1", "vm2", "vm3"):
            host.domains.add(name)
        way = Way(host, Agent(host), node, prometheus, alertmanager)
        way.monitor("vm1")
        way.monitor("vm3")
        yield way


def test_what_a_domain_occupies_comes_back_from_a_query(way):
    way.count("vm3", 500_000_000, 9_000_000)
    ((labels, value),) = way.prometheus.wait_for(f'{OCCUPIED}{{domain="vm3",cache_id="0"}} > 0')
    assert value == 9_000_000
    assert labels["uuid"] == way.host.domains["vm3"].uuid
    assert way.now("node_textfile_scrape_error") == {"": 0}


def test_a_domain_that_is_not_monitored_has_no_values_and_is_there_all_the_same(way):
    assert way.now(f'{OCCUPIED}{{domain="vm2"}}') == {}
    assert way.now(f'{INFO}{{domain="vm2",status="Disabled"}}') == {"vm2": 1}


@pytest.mark.parametrize("label", ["domain", "uuid"])
def test_series_join_with_those_of_the_libvirt_exporter(way, label):
    way.prometheus.wait_for("libvirt_domain_info_virtual_cpus")
    per_vcpu = f"sum by (domain, uuid) ({OCCUPIED}) / on ({label}) group_left () libvirt_domain_info_virtual_cpus"
    # The stand-ins are defined with 16 vCPUs
    assert way.now(per_vcpu) == {"vm1": 0, "vm3": 9_000_000 / 16}


def test_a_disabled_domain_loses_its_values_at_once(way):
    way.monitor("vm1", "disabled")
    way.write()
    way.prometheus.wait_for(f'{INFO}{{domain="vm1",status="Disabled"}}')
    assert "vm1" not in way.now(OCCUPIED)


def test_a_group_that_was_made_anew_is_a_reset_and_no_jump(way):
    way.count("vm3", 600_000_000, 9_000_000)
    way.prometheus.wait_for(f'sum by (domain) ({MOVED}{{domain="vm3",scope="total"}}) > 5e8')
    way.host.remove_group(way.host.group(way.host.domains["vm3"]))
    way.monitor("vm3")
    way.count("vm3", 1_000)
    series = f'{MOVED}{{domain="vm3",cache_id="0",scope="total"}}'
    way.prometheus.wait_for(f"resets({series}[1m]) > 0")
    # Prometheus extrapolates; what had been counted before is not counted again
    assert way.now(f"increase({series}[1m]) < bool 2e8") == {"vm3": 1}


def test_a_restarted_domain_goes_on_under_its_name_and_uuid(way):
    way.host.domains.start("vm3")
    way.write()
    way.prometheus.wait_for(f'{INFO}{{domain="vm3",status="Disabled"}}')
    way.monitor("vm3")
    way.count("vm3", 1_000, 2_000_000)
    way.prometheus.wait_for(f'{OCCUPIED}{{domain="vm3",cache_id="0"}} == 2e6')
    assert way.now(f'count by (domain) (count by (uuid, domain) ({INFO}{{domain="vm3"}}))') == {"vm3": 1}


def test_a_renamed_domain_has_one_name_at_a_time(way):
    uuid = way.host.domains["vm3"].uuid
    way.host.domains.kill("vm3")
    way.host.domains.hide("vm3")
    way.host.domains.define("web", uuid=uuid)
    way.host.domains.start("web")
    way.monitor("web")
    way.count("web", 1_000, 3_000_000)
    way.prometheus.wait_for(f'{OCCUPIED}{{domain="web",cache_id="0"}} == 3e6')
    assert way.now(f'{INFO}{{uuid="{uuid}"}}').keys() == {"web"}


def test_a_domain_that_has_left_the_host_leaves_no_series(way):
    way.host.domains.stop("web")
    way.write()
    wait_until(lambda: "web" not in way.now(INFO), "web is gone", patience=30)
    assert way.prometheus.query('{domain="web",job="node",__name__!~".*:.*"}') == []


def test_two_hundred_domains_are_told_by_one_file(way):
    names = [f"vm{number}" for number in range(1000, 1000 + MANY)]
    for name in names:
        way.host.domains.add(name)
    way.monitor("vm1???")
    way.write()
    way.prometheus.wait_for(f'count({OCCUPIED}{{domain=~"vm1...", cache_id="1"}}) == {MANY}')
    wait_until(
        lambda: len(way.now('domain:libvirt_domain_llc_occupancy:ratio{domain=~"vm1..."}')) == MANY,
        "the shares are recorded",
        patience=30,
    )
    assert way.now("node_textfile_scrape_error") == {"": 0}


def test_a_file_that_is_no_longer_written_reaches_the_alertmanager(way):
    os.utime(way.file, (1, 1))
    alert = told(way, "ResctrlMetricsStale")
    assert alert["labels"]["instance"] == way.node.address
    assert alert["annotations"]["runbook_url"].endswith("docs/docsite/rst/alerts.rst#resctrlmetricsstale")


def test_a_host_that_can_no_longer_monitor_reaches_the_alertmanager(way):
    way.host.unmount()
    way.write()
    alert = told(way, "ResctrlMonitoringLost")
    assert alert["annotations"]["summary"] == f"{way.node.address} cannot monitor"
    assert way.now(OCCUPIED) == {}


def told(way, name):
    """The alert of that name, as soon as Alertmanager was told of it."""

    def found():
        return [one for one in way.alertmanager.alerts() if one["labels"]["alertname"] == name]

    wait_until(found, f"Alertmanager is told of {name}", patience=30)
    return found()[0]
