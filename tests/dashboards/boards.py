# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards for Grafana: of a fleet, of a host and of a domain. They need no recorded rules."""

from __future__ import annotations

import json
import typing as t

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as modes
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort

# What Prometheus has of the hosts that were chosen, and what it has of the chosen domain wherever it runs
HOSTS = 'job=~"$job", instance=~"$instance"'
# One name, which is no pattern: it may have dots and parentheses
DOMAIN = f'{HOSTS}, domain="$domain"'
OTHERS = f'{HOSTS}, domain!="$domain"'
SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")

OCCUPIED = "libvirt_domain_llc_occupancy_bytes"
MOVED = "libvirt_domain_memory_bandwidth_bytes_total"
ENERGY = "libvirt_domain_core_energy_joules_total"
INFO = "libvirt_domain_resctrl_info"
VCPUS = "libvirt_domain_resctrl_vcpus"
SIZE = "resctrl_cache_size_bytes"


class Panel(t.NamedTuple):
    """A panel: its title, what it shows, the unit of its values in Grafana's words, its queries as pairs of expression
    and legend, and its looks: a "graph", a "stack" of areas, "bars" or a "number" of now.
    """

    title: str
    what: str
    unit: str
    queries: t.Sequence[tuple[str, str]]
    looks: str = "graph"


class Board(t.NamedTuple):
    """A dashboard. `domain`: whether it is of one domain, wherever it runs; else it is of hosts."""

    name: str
    title: str
    what: str
    panels: t.Sequence[Panel]
    domain: bool = False


def rate(series: str, labels: str) -> str:
    """What a counter has gained per second."""
    return f"rate({series}{{{labels}}}[$__rate_interval])"


def traffic(by: str, labels: str = HOSTS, scope: str = "total") -> str:
    """Bytes per second to and from memory."""
    moved = rate(MOVED, f'{labels}, scope="{scope}"')
    return f"sum by ({by}) ({moved})"


def share_of_caches(labels: str = HOSTS) -> str:
    """The share of all L3 caches of its host that a domain occupies."""
    occupied = f"sum by (instance, domain) ({OCCUPIED}{{{labels}}})"
    return f"{occupied} / on (instance) group_left () sum by (instance) ({SIZE}{{{HOSTS}}})"


def share_of_cpus(labels: str = HOSTS) -> str:
    """The share that a domain's vCPUs have of the CPUs, or of all vCPUs where these are more."""
    cpus = f"sum by (instance) (resctrl_cpus{{{HOSTS}}})"
    shared = f"((sum by (instance) ({VCPUS}{{{HOSTS}}}) > {cpus}) or {cpus})"
    return f"(sum by (instance, domain) ({VCPUS}{{{labels}}}) > 0) / on (instance) group_left () {shared}"


def number_of(series: str, labels: str) -> str:
    """How many series there are; 0 if none is."""
    return f"count({series}{{{labels}}}) or vector(0)"


FLEET = Board(
    "resctrl-fleet",
    "Caches and memory traffic: fleet",
    "Which host's caches are full, who moves most bytes, and whether all of that is known.",
    [
        Panel(
            "Hosts that can monitor",
            "Of the hosts that export metrics.",
            "short",
            [(f"sum(resctrl_monitoring_up{{{HOSTS}}})", "hosts")],
            "number",
        ),
        Panel(
            "Monitored domains",
            "Running domains that are counted, by this collection or by libvirt.",
            "short",
            [(number_of(INFO, f'{HOSTS}, status=~"Enabled.*"'), "domains")],
            "number",
        ),
        Panel(
            "Domains that are not monitored",
            "Running domains. What they occupy and move is in no other panel.",
            "short",
            [(number_of(INFO, f'{HOSTS}, status="Disabled"'), "domains")],
            "number",
        ),
        Panel(
            "Alerts",
            "Alerts of role resctrl_rules that are firing.",
            "short",
            [(number_of("ALERTS", f'{HOSTS}, alertname=~"Resctrl.*", alertstate="firing"'), "alerts")],
            "number",
        ),
        Panel(
            "Memory traffic of hosts",
            "What the monitored domains move to and from memory.",
            "Bps",
            [(traffic("instance"), "{{instance}}")],
        ),
        Panel(
            "Occupied part of L3 caches",
            "What the monitored domains occupy. The rest is free, the host's, or of domains that are not monitored.",
            "percentunit",
            [
                (
                    f"sum by (instance, cache_id) ({OCCUPIED}{{{HOSTS}}})"
                    f" / sum by (instance, cache_id) ({SIZE}{{{HOSTS}}})",
                    "{{instance}} L3 {{cache_id}}",
                )
            ],
        ),
        Panel(
            "Domains that move most",
            "To and from memory, now.",
            "Bps",
            [(f"topk(10, {traffic('instance, domain')})", "{{domain}} on {{instance}}")],
            "bars",
        ),
        Panel(
            "Domains that hold most of the caches",
            "The share of all L3 caches of its host that a domain occupies, now.",
            "percentunit",
            [(f"topk(10, {share_of_caches()})", "{{domain}} on {{instance}}")],
            "bars",
        ),
        Panel(
            "Monitoring ids in use",
            "The share of a host's RMIDs that groups hold. Without a free one no further domain can be monitored.",
            "percentunit",
            [
                (
                    f"1 - sum by (instance) (resctrl_rmids_free{{{HOSTS}}})"
                    f" / sum by (instance) (resctrl_rmids{{{HOSTS}}})",
                    "{{instance}}",
                )
            ],
        ),
        Panel(
            "Age of the metrics",
            "How long ago a host has collected what is shown here. It should never be much more than the interval.",
            "s",
            [(f"time() - max by (instance) (resctrl_collection_timestamp_seconds{{{HOSTS}}})", "{{instance}}")],
        ),
    ],
)

HOST = Board(
    "resctrl-host",
    "Caches and memory traffic: host",
    "Which domain of a host holds its caches, and which moves the bytes.",
    [
        Panel(
            "Occupied L3 cache",
            "Bytes of each L3 cache that each monitored domain occupies.",
            "bytes",
            [(f"sum by (domain, cache_id) ({OCCUPIED}{{{HOSTS}}})", "{{domain}} L3 {{cache_id}}")],
            "stack",
        ),
        Panel(
            "Memory traffic",
            "What each monitored domain moves to and from all memory.",
            "Bps",
            [(traffic("domain"), "{{domain}}")],
            "stack",
        ),
        Panel(
            "Memory traffic to other nodes",
            "The part that goes to the memory of other NUMA nodes, which is slower.",
            "Bps",
            [(f"{traffic('domain')} - {traffic('domain', scope='local')}", "{{domain}}")],
        ),
        Panel(
            "Share of the caches, measured by the share of the CPUs",
            "1: a domain occupies as much of the L3 caches as its vCPUs have of the CPUs. This tells who holds the "
            "cache, not who is slowed down by it.",
            "none",
            [(f"({share_of_caches()}) / on (instance, domain) ({share_of_cpus()})", "{{domain}}")],
        ),
        Panel(
            "Power of the cores",
            "Of the cores that a domain ran on, with their L1 and L2 caches, as far as it is the domain's. Needs a CPU "
            "that counts that.",
            "watt",
            [(f"sum by (domain) ({rate(ENERGY, HOSTS)})", "{{domain}}")],
        ),
        Panel(
            "Waiting for memory",
            "The share of its cycles in which a domain waited for memory after a miss in the L3 cache. Needs a CPU "
            "that counts that.",
            "percentunit",
            [
                (
                    f"sum by (domain) ({rate('libvirt_domain_stalls_llc_miss_total', HOSTS)})"
                    f" / sum by (domain) ({rate('libvirt_domain_unhalted_core_cycles_total', HOSTS)})",
                    "{{domain}}",
                )
            ],
        ),
        Panel(
            "Monitoring ids",
            "Who holds the RMIDs of the host, and how many are free.",
            "short",
            [
                (f"sum by (owner) (resctrl_rmids_used{{{HOSTS}}})", "{{owner}}"),
                (f"sum(resctrl_rmids_free{{{HOSTS}}})", "free"),
            ],
            "stack",
        ),
        Panel(
            "Free bandwidth counters",
            "Only where the hardware gives counters to groups (AMD, Arm).",
            "short",
            [(f"sum by (cache_id) (resctrl_bandwidth_counters_free{{{HOSTS}}})", "L3 {{cache_id}}")],
        ),
        Panel(
            "Domains that are not as declared",
            "After the last run of the agent: those that wait for a monitoring id, and those that failed.",
            "short",
            [(f"sum by (result) (resctrl_enforcement_domains{{{HOSTS}}})", "{{result}}")],
        ),
        Panel(
            "Time that the collection takes",
            "It grows with the number of monitored domains, caches and events.",
            "s",
            [(f"max by (instance) (resctrl_collection_duration_seconds{{{HOSTS}}})", "{{instance}}")],
        ),
    ],
)

VM = Board(
    "resctrl-domain",
    "Caches and memory traffic: domain",
    "What a domain occupies and moves, on whichever host it runs, and who its neighbours are.",
    [
        Panel(
            "Status",
            "How the domain is monitored, and where it runs.",
            "none",
            [(f"max by (instance, status) ({INFO}{{{DOMAIN}}})", "{{status}} on {{instance}}")],
            "stack",
        ),
        Panel(
            "vCPUs that are counted, and that are not",
            "Where some are not counted, the other panels show too little.",
            "short",
            [(f"sum by (instance, counted) ({VCPUS}{{{DOMAIN}}})", "counted: {{counted}}, on {{instance}}")],
        ),
        Panel(
            "Occupied L3 cache",
            "Bytes of each L3 cache that the domain occupies.",
            "bytes",
            [(f"sum by (instance, cache_id) ({OCCUPIED}{{{DOMAIN}}})", "{{instance}} L3 {{cache_id}}")],
            "stack",
        ),
        Panel(
            "Memory traffic",
            "What the domain moves to and from all memory, and to and from that of the cache's own node (local).",
            "Bps",
            [(f"sum by (instance, scope) ({rate(MOVED, DOMAIN)})", "{{scope}} on {{instance}}")],
        ),
        Panel(
            "Share of the caches and of the CPUs",
            "What it occupies of all L3 caches of its host, and what its vCPUs have of the CPUs.",
            "percentunit",
            [
                (share_of_caches(DOMAIN), "caches of {{instance}}"),
                (share_of_cpus(DOMAIN), "CPUs of {{instance}}"),
            ],
        ),
        Panel(
            "Neighbours that move most",
            "The five other domains on the same host that move most bytes.",
            "Bps",
            [
                (
                    f"topk(5, {traffic('instance, domain', OTHERS)} and on (instance) {INFO}{{{DOMAIN}}})",
                    "{{domain}} on {{instance}}",
                )
            ],
            "bars",
        ),
        Panel(
            "Power of the cores",
            "Of the cores that the domain ran on, as far as it is the domain's. Needs a CPU that counts that.",
            "watt",
            [(f"sum by (instance) ({rate(ENERGY, DOMAIN)})", "{{instance}}")],
        ),
        Panel(
            "Waiting for memory",
            "The share of its cycles in which the domain waited for memory after a miss in the L3 cache. Needs a CPU "
            "that counts that.",
            "percentunit",
            [
                (
                    f"sum by (instance) ({rate('libvirt_domain_stalls_llc_miss_total', DOMAIN)})"
                    f" / sum by (instance) ({rate('libvirt_domain_unhalted_core_cycles_total', DOMAIN)})",
                    "{{instance}}",
                )
            ],
        ),
    ],
    domain=True,
)

BOARDS = (FLEET, HOST, VM)


def written(board: Board) -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(_built(board).build(), cls=JSONEncoder, sort_keys=True, indent=1) + "\n"


def _built(board: Board) -> dashboard.Dashboard:
    one = dashboard.Dashboard(board.title).uid(f"kvmops-{board.name}").description(board.what)
    one.tags(["kvmops", "resctrl"]).readonly().time("now-1h", "now").refresh("1m").timezone("browser")
    for variable in _variables(board):
        one.with_variable(variable)
    for panel in board.panels:
        one.with_panel(_drawn(panel))
    return one


def _variables(board: Board) -> t.Iterator[t.Any]:
    yield dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    yield _choice("job", "resctrl_monitoring_up")
    yield _choice("instance", 'resctrl_monitoring_up{job=~"$job"}', many=board is not HOST)
    if board.domain:
        yield _choice("domain", f"{INFO}{{{HOSTS}}}", many=False)


def _choice(name: str, series: str, many: bool = True) -> dashboard.QueryVariable:
    """A variable with the values that a label has; with all of them chosen at first if it may be many."""
    one = dashboard.QueryVariable(name).label(name.capitalize()).datasource(SOURCE)
    one.query(f"label_values({series}, {name})")
    one.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC).multi(many)
    return one.include_all(True).all_value(".+") if many else one


def _drawn(panel: Panel) -> t.Any:
    one: t.Any
    if panel.looks == "number":
        one = stat.Panel().span(6).height(4)
    elif panel.looks == "bars":
        one = bargauge.Panel().span(12).height(8).orientation(modes.VizOrientation.HORIZONTAL)
    else:
        one = timeseries.Panel().span(12).height(8).fill_opacity(10)
        if panel.looks == "stack":
            one.stacking(common.StackingConfig().mode(modes.StackingMode.NORMAL)).fill_opacity(40)
    one.title(panel.title).description(panel.what).unit(panel.unit).datasource(SOURCE).min(0)
    for letter, (expression, legend) in zip("AB", panel.queries, strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)
        one.with_target(query if panel.looks in ("graph", "stack") else query.instant())
    return one
