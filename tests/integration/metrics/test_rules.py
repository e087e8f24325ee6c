# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role resctrl_rules: what it records, and for each alert when it fires and when it does not, by promtool."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[3]
# Of the series below; promtool takes the place of Prometheus, so there is no job
HERE = 'instance="kvm1"'
MIB = 1 << 20

VM1 = f'{HERE},domain="vm1",uuid="1"'
VM2 = f'{HERE},domain="vm2",uuid="2"'


def still(number):
    """A value that stays."""
    return f"{number}+0x60"


def moved(per_second):
    """A counter that goes on evenly. A sample is a minute."""
    return f"0+{per_second * 60}x60"


def occupied(vm1, vm2, size=32 * MIB):
    """One host with an L3 cache of 32 MiB and 16 CPUs; two domains of 2 and 8 vCPUs occupy these shares of it."""
    return {
        f'resctrl_cache_size_bytes{{{HERE},cache_id="0"}}': still(size),
        f"resctrl_cpus{{{HERE}}}": still(16),
        f'libvirt_domain_llc_occupancy_bytes{{{VM1},cache_id="0"}}': still(vm1 * size),
        f'libvirt_domain_llc_occupancy_bytes{{{VM2},cache_id="0"}}': still(vm2 * size),
        f'libvirt_domain_resctrl_vcpus{{{VM1},counted="yes"}}': still(2),
        f'libvirt_domain_resctrl_vcpus{{{VM2},counted="yes"}}': still(8),
        f'libvirt_domain_resctrl_vcpus{{{VM2},counted="no"}}': still(0),
    }


def pinned():
    """A domain holds all of one of two caches, next to which all of its vCPUs, half of the host's CPUs, run."""
    return {
        f'resctrl_cache_size_bytes{{{HERE},cache_id="0"}}': still(32 * MIB),
        f'resctrl_cache_size_bytes{{{HERE},cache_id="1"}}': still(32 * MIB),
        f"resctrl_cpus{{{HERE}}}": still(16),
        f'libvirt_domain_llc_occupancy_bytes{{{VM1},cache_id="0"}}': still(31 * MIB),
        f'libvirt_domain_llc_occupancy_bytes{{{VM1},cache_id="1"}}': still(0),
        f'libvirt_domain_resctrl_vcpus{{{VM1},counted="yes"}}': still(8),
    }


def traffic(vm1, vm2="0+0x60", scope="total"):
    return {
        f'libvirt_domain_memory_bandwidth_bytes_total{{{VM1},cache_id="0",scope="{scope}"}}': vm1,
        f'libvirt_domain_memory_bandwidth_bytes_total{{{VM2},cache_id="0",scope="{scope}"}}': vm2,
    }


def rmids(free, *, reserved=None, total=32):
    series = {f"resctrl_rmids{{{HERE}}}": still(total), f"resctrl_rmids_free{{{HERE}}}": still(free)}
    return series if reserved is None else {**series, f"resctrl_rmids_reserved{{{HERE}}}": still(reserved)}


def counters(free):
    labels = f'{HERE},cache_id="0"'
    return {
        f"resctrl_bandwidth_counters{{{labels}}}": still(32),
        f"resctrl_bandwidth_counters_free{{{labels}}}": still(free),
    }


def turns(of, number):
    """How many domains take turns with groups or counters."""
    return {f'resctrl_turns_domains{{{HERE},of="{of}"}}': still(number)}


def unseen_since(second, around=100):
    """A domain whose last turn ended then, on a host where each has one in so many seconds."""
    return {
        f"libvirt_domain_turn_ended_timestamp_seconds{{{VM1}}}": still(second),
        f"resctrl_turns_round_seconds{{{HERE}}}": still(around),
    }


def one(name, values, labels=""):
    return {f"{name}{{{HERE}{labels}}}": values}


def vcpus(yes, no):
    return {
        f'libvirt_domain_resctrl_vcpus{{{VM1},counted="yes"}}': still(yes),
        f'libvirt_domain_resctrl_vcpus{{{VM1},counted="no"}}': still(no),
    }


# Traffic that rises to 30 GB/s within half an hour, and stays there
RISING = f"0+{60 * 10**9}x30 {30 * 60 * 10**9}+{1800 * 10**9}x30"
FILE = ',file="/var/lib/prometheus/node-exporter/resctrl.prom"'
NEVER = {}

# Alert -> what lets it fire, and what the alert then is about; what does not let it fire
CASES = {
    "ResctrlCacheAggressor": (
        [(occupied(0.6, 0.35), {"domain": "vm1", "uuid": "1", "cache_id": "0"})],
        {
            "the cache is not full": occupied(0.6, 0.2),
            "it holds as much as its share of the CPUs": occupied(0.12, 0.85),
            "it holds more, but little": occupied(0.24, 0.75),
            "all of its vCPUs run next to one of the caches": pinned(),
            "the size of the cache is not known": {k: v for k, v in occupied(0.6, 0.35).items() if "size" not in k},
        },
    ),
    "ResctrlBandwidthNearCeiling": (
        [(traffic(RISING), {"cache_id": "0", "scope": "total"})],
        {
            "it was higher before": traffic(f"0+{1800 * 10**9}x30 {30 * 1800 * 10**9}+{1200 * 10**9}x30"),
            "it is steady, but low": traffic(moved(10**9), moved(10**9)),
            "only the part to the own node is known": traffic(RISING, scope="local"),
        },
    ),
    "ResctrlRmidsNearlyUsedUp": (
        [(rmids(3), {}), (rmids(5, reserved=4), {}), ({**rmids(3), **turns("groups", 0)}, {})],
        {
            "enough are free": rmids(4),
            "enough are left beside those reserved": rmids(8, reserved=4),
            "domains take turns with them": {**rmids(0), **turns("groups", 40)},
        },
    ),
    "ResctrlCountersNearlyUsedUp": (
        [(counters(3), {"cache_id": "0"})],
        {"enough are free": counters(4), "domains take turns with them": {**counters(0), **turns("counters", 40)}},
    ),
    "ResctrlTurnsLate": (
        [(unseen_since(2000), {"domain": "vm1", "uuid": "1"})],
        {"each round it had its turn": unseen_since(3200), "no domain takes turns": NEVER},
    ),
    "ResctrlMonitoringLost": (
        [(one("resctrl_monitoring_up", still(0)), {})],
        {
            "the host can monitor": one("resctrl_monitoring_up", still(1)),
            "only for a moment": one("resctrl_monitoring_up", "1+0x50 0+0x2 1+0x10"),
        },
    ),
    "ResctrlDomainPartlyCounted": (
        [(vcpus(2, 1), {"domain": "vm1", "uuid": "1", "counted": "no"})],
        {"all are counted": vcpus(3, 0), "it is not monitored at all": vcpus(0, 3)},
    ),
    "ResctrlDomainsWaiting": (
        [(one("resctrl_enforcement_domains", still(2), ',result="waiting"'), {"result": "waiting"})],
        {
            "none waits": one("resctrl_enforcement_domains", still(0), ',result="waiting"'),
            "one fails": one("resctrl_enforcement_domains", still(1), ',result="failed"'),
        },
    ),
    "ResctrlEnforcementFailing": (
        [(one("resctrl_enforcement_success", still(0)), {})],
        {"it succeeds": one("resctrl_enforcement_success", still(1)), "there is no agent": NEVER},
    ),
    "ResctrlAgentSilent": (
        [(one("resctrl_enforcement_timestamp_seconds", still(2990)), {})],
        {
            "it runs once a minute": one("resctrl_enforcement_timestamp_seconds", "0+60x60"),
            "there is no agent": NEVER,
        },
    ),
    "ResctrlAgentNotStarted": (
        [(one("resctrl_policy_declared", still(1)), {})],
        {
            "it has run": {
                **one("resctrl_policy_declared", still(1)),
                **one("resctrl_enforcement_timestamp_seconds", "0+60x60"),
            },
            "there is no policy": one("resctrl_policy_declared", still(0)),
        },
    ),
    "ResctrlMetricsStale": (
        [
            (
                one("node_textfile_mtime_seconds", still(3000), FILE),
                {"file": "/var/lib/prometheus/node-exporter/resctrl.prom"},
            )
        ],
        {
            "it is written": one("node_textfile_mtime_seconds", "0+60x60", FILE),
            "another file is old": one("node_textfile_mtime_seconds", still(0), ',file="/d/other.prom"'),
        },
    ),
    "ResctrlCollectionSlow": (
        [(one("resctrl_collection_duration_seconds", still(1.6)), {})],
        {"it is quick": one("resctrl_collection_duration_seconds", still(1.4))},
    ),
    "ResctrlEventConfigurationChanged": (
        [
            (
                one("resctrl_event_configured", still(1), ',event="mbm_total_bytes",cache_id="0"'),
                {"event": "mbm_total_bytes", "cache_id": "0"},
            )
        ],
        {"it is what it was": NEVER},
    ),
}
# A minute after the 55th; the conditions of all alerts have to hold for ten
WHEN = "55m"


def promtool(rules, series, *expectations):
    """What promtool says of what the rules make of the series: None if all is as expected."""
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": WHEN, "exp_samples": samples} for expression, samples in expectations
        ],
    }
    file = rules.with_suffix(".test")
    file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    return (done.stdout + done.stderr) if done.returncode else None


def firing(alert, labels, severity):
    """The expectation that the alert fires, for what has these labels and for nothing else; None: that it does not."""
    vector = []
    if labels is not None:
        every = {**labels, "instance": "kvm1", "alertname": alert, "alertstate": "firing", "severity": severity}
        written = ",".join(f"{key}={json.dumps(value)}" for key, value in every.items())
        vector = [{"labels": f"ALERTS{{{written}}}", "value": 1}]
    return f'ALERTS{{alertname="{alert}",alertstate="firing"}}', vector


def value(expression, labels, number):
    return expression, [{"labels": labels, "value": number}]


@pytest.fixture(scope="module")
def alerts(rules):
    """Name -> the rule."""
    groups = yaml.safe_load(rules.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


# -- alerts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alert", "series", "labels"), [(alert, *one) for alert, (fires, _silent) in CASES.items() for one in fires]
)
def test_an_alert_fires_and_says_for_what(rules, alerts, alert, series, labels):
    assert not promtool(rules, series, firing(alert, labels, alerts[alert]["labels"]["severity"]))


@pytest.mark.parametrize(
    ("alert", "series"),
    [
        pytest.param(alert, series, id=f"{alert}, {why}")
        for alert, (_fires, silent) in CASES.items()
        for why, series in silent.items()
    ],
)
def test_an_alert_does_not_fire_where(rules, alert, series):
    assert not promtool(rules, series, firing(alert, None, ""))


def test_every_alert_was_tried(alerts):
    assert alerts.keys() == CASES.keys()


def test_every_alert_leads_to_a_section_that_says_what_to_do(alerts):
    page = (ROOT / "docs/docsite/rst/alerts.rst").read_text()
    anchors = {heading.lower() for heading in re.findall(r"^(\w+)\n---+$", page, flags=re.MULTILINE)}
    for alert in alerts.values():
        url, _hash, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert (url.rpartition("/")[2], anchor in anchors) == ("alerts.rst", True), alert["alert"]


def test_what_an_alert_says_names_the_host(alerts):
    assert not [name for name, alert in alerts.items() if "$labels.instance" not in alert["annotations"]["summary"]]


# -- recorded values ---------------------------------------------------------------------------------------------------


def test_shares_are_of_the_cache_and_of_the_cpus(rules):
    full = "cache:libvirt_domain_llc_occupancy:ratio"
    overuse = "domain:libvirt_domain_llc_occupancy:overuse"
    assert not promtool(
        rules,
        occupied(0.5, 0.25),
        value(full, f'{full}{{instance="kvm1",cache_id="0"}}', 0.75),
        # Half of the cache with an eighth of the CPUs
        value(f'{overuse}{{domain="vm1"}}', f"{overuse}{{{VM1}}}", 4),
    )


def test_where_there_are_more_vcpus_than_cpus_a_share_is_one_of_the_vcpus(rules):
    series = {**occupied(0.5, 0.25), f"resctrl_cpus{{{HERE}}}": still(4)}
    name = "domain:libvirt_domain_vcpus:ratio"
    assert not promtool(rules, series, value(f'{name}{{domain="vm2"}}', f"{name}{{{VM2}}}", 0.8))


def test_a_counter_that_begins_anew_is_no_jump_of_the_rate(rules):
    """100 bytes a second, and in the 53rd minute a group that was made anew."""
    series = traffic("600000+6000x52 60+6000x8")
    name = "domain:libvirt_domain_memory_bandwidth_bytes:rate"
    expression = f'max_over_time({name}{{domain="vm1"}}[50m]) <= bool 101'
    assert not promtool(rules, series, value(expression, '{instance="kvm1",domain="vm1",uuid="1",scope="total"}', 1))


def test_of_a_domain_that_takes_turns_the_last_one_is_told_where_others_have_a_rate(rules):
    name = "domain:libvirt_domain_memory_bandwidth_bytes:rate_or_sampled"
    sampled = "libvirt_domain_memory_bandwidth_sampled_bytes_per_second"
    series = {
        f'libvirt_domain_memory_bandwidth_bytes_total{{{VM1},cache_id="0",scope="total"}}': moved(100),
        **{f'{sampled}{{{VM2},cache_id="{cache}",scope="total"}}': still(30) for cache in (0, 1)},
    }
    for labels, rate in ((VM1, 100), (VM2, 60)):
        domain = labels.split(",")[1]
        found = value(f"{name}{{{domain}}}", f'{name}{{{labels},scope="total"}}', rate)
        assert not promtool(rules, series, found)


def test_joules_are_watts_over_time(rules):
    series = {f'libvirt_domain_core_energy_joules_total{{{VM1},package="{package}"}}': moved(20) for package in (0, 1)}
    name = "domain:libvirt_domain_core_power:watts"
    assert not promtool(rules, series, value(name, f'{name}{{instance="kvm1",domain="vm1",uuid="1"}}', 40))


def test_stalls_are_a_share_of_the_cycles(rules):
    series = {
        f'libvirt_domain_stalls_llc_miss_total{{{VM1},package="0"}}': moved(10**9),
        f'libvirt_domain_unhalted_core_cycles_total{{{VM1},package="0"}}': moved(4 * 10**9),
    }
    name = "domain:libvirt_domain_stalls_llc_miss:ratio"
    assert not promtool(rules, series, value(name, f'{name}{{instance="kvm1",domain="vm1",uuid="1"}}', 0.25))


# -- the role ----------------------------------------------------------------------------------------------------------


def test_thresholds_are_variables(own_rules):
    ceiling, left = "ResctrlBandwidthNearCeiling", "ResctrlRmidsNearlyUsedUp"
    assert not promtool(own_rules, traffic(moved(3 * 10**9)), firing(ceiling, None, ""))
    labels = {"cache_id": "0", "scope": "total", "team": "kvm"}
    assert not promtool(own_rules, traffic(moved(3.7 * 10**9)), firing(ceiling, labels, "warning"))
    assert not promtool(own_rules, rmids(15), firing(left, {"team": "kvm"}, "warning"))


def test_a_second_run_has_nothing_to_do(installed):
    """One directory and three files were made; one of the files was asked for twice."""
    assert " changed=4 " in installed[1], installed[1]


def test_check_mode_writes_nothing_and_absent_removes_the_file(apply_rules, tmp_path):
    file = tmp_path / "new" / "some.rules"
    status, out = apply_rules({"resctrl_rules_file": str(file)}, options=["--check", "--diff"])
    assert (status, "+      - alert: ResctrlCacheAggressor" in out, file.exists()) == (0, True, False), out
    file.parent.mkdir()
    file.touch()
    gone = {"resctrl_rules_file": str(file), "resctrl_rules_state": "absent"}
    status, out = apply_rules(gone, gone)
    assert (status, " changed=1 " in out, file.exists()) == (0, True, False), out


def test_what_prometheus_would_refuse_is_refused_and_the_file_stays(apply_rules, tmp_path):
    file = tmp_path / "some.rules"
    file.write_text("groups: []\n")
    status, out = apply_rules({"resctrl_rules_file": str(file), "resctrl_rules_window": "5 minutes"})
    assert (status, "missing unit character in duration" in out, file.read_text()) == (2, True, "groups: []\n"), out
