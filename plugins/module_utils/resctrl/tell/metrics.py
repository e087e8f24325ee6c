# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host counts as metrics of Prometheus. What is not known is absent: it is never 0."""

from __future__ import annotations

import os
import typing as t

from ..act.declared import declarations
from ..act.upkeep import last_run
from ..decide.samples import per_place
from ..kernel.configured import changed
from ..kernel.counters import cache_directories
from ..kernel.events import L3, OCCUPANCY
from ..kernel.info import configurations
from ..kernel.preflight import missing_monitoring
from ..kernel.topology import cache_sizes
from .exposition import COUNTER, SCOPES, Family, Point
from .host import describe_counters, problems

if t.TYPE_CHECKING:
    from decimal import Decimal

    from ..act.collecting import Collection
    from ..act.upkeep import LastRun
    from ..decide.baselines import Key
    from ..decide.snapshot import Snapshot
    from ..decide.status import DomainStatus
    from ..observe.host import Host
    from ..observe.sampling import Statistics

# The names begin as those of libvirt's exporters do, so that series can be joined by the label `domain`
_OCCUPANCY = Family("libvirt_domain_llc_occupancy_bytes", "Bytes of an L3 cache that the domain occupies.")
_BANDWIDTH = Family(
    "libvirt_domain_memory_bandwidth_bytes_total",
    "Bytes moved between an L3 cache and memory: all memory (total), or that of the cache's own node (local).",
    COUNTER,
)
# Of packages: what an event is called here, if that needs a unit, and what it is
_TELEMETRY = {
    "core_energy": (
        "core_energy_joules",
        "Energy of the cores with their L1 and L2 caches, without L3, memory and I/O.",
    ),
    "activity": ("core_activity_farads", "Work of the cores whatever their frequency, as switched capacitance."),
}
_INFO = Family("libvirt_domain_resctrl_info", "How the domain is monitored, and whose groups count it. Always 1.")
_VCPUS = Family("libvirt_domain_resctrl_vcpus", "vCPUs of the domain that are counted, and that are not.")
_RMIDS = Family("resctrl_rmids", "RMIDs (monitoring ids) that the host has.")
_RMIDS_USED = Family("resctrl_rmids_used", "RMIDs that are held by groups.")
_RMIDS_FREE = Family("resctrl_rmids_free", "RMIDs that no group holds.")
_RMIDS_RESERVED = Family("resctrl_rmids_reserved", "RMIDs that the policy of this host leaves free.")
_COUNTERS = Family("resctrl_bandwidth_counters", "Assignable bandwidth counters of an L3 cache.")
_COUNTERS_USED = Family("resctrl_bandwidth_counters_used", "Assignable bandwidth counters that groups have.")
_COUNTERS_FREE = Family("resctrl_bandwidth_counters_free", "Assignable bandwidth counters that no group has.")
_CONFIGURED = Family(
    "resctrl_event_configured", "An event that counts something else than by default on a cache. Always 1."
)
_CACHE = Family("resctrl_cache_size_bytes", "Size of an L3 cache.")
_CPUS = Family("resctrl_cpus", "Online CPUs of the host.")
_UP = Family("resctrl_monitoring_up", "Whether the host can monitor.")
_PROBLEMS = Family("resctrl_monitoring_problems", "What is wrong with monitoring on the host; resctrl_info says what.")
_SECONDS = Family("resctrl_collection_duration_seconds", "What this collection took.")
_WHEN = Family("resctrl_collection_timestamp_seconds", "When this collection began.")
_DECLARED = Family("resctrl_policy_declared", "Whether the host has a policy, which its agent is to enforce.")
_ENFORCED = Family("resctrl_enforcement_timestamp_seconds", "When the policy was enforced last.")
_SUCCESS = Family("resctrl_enforcement_success", "Whether nothing failed then.")
_LEFT = Family("resctrl_enforcement_domains", "Domains that were not as declared then.")


class HostFacts(t.NamedTuple):
    """What there is to tell of a host beside its domains.

    `reserve`: the RMIDs that the policy leaves free; None where that cannot be read.
    `counters`: the bandwidth counters of each cache, see host.describe_counters().
    `configured`: event -> the caches on which it counts something else than by default.
    `declared`: whether the host has a policy.
    `last_run`: the last enforcement, if any.
    """

    up: bool
    problems: int
    cpus: int
    reserve: int | None
    cache_sizes: t.Mapping[int, int]
    counters: t.Sequence[t.Mapping[str, t.Any]]
    configured: t.Mapping[str, t.Collection[int]]
    declared: bool
    last_run: LastRun | None


def points(collection: Collection, host: HostFacts) -> t.Iterator[Point]:
    """All values, in the order in which they are written."""
    snapshot = collection.outcome.after
    counted = {one.status.domain.uuid: one for one in collection.statistics}
    running = [status for status in collection.outcome.statuses if status.domain.active]
    # Two that a manager has given the same name and UUID would be the same series
    for status in {(one.domain.name, one.domain.uuid): one for one in running}.values():
        uuid = status.domain.uuid
        yield from _of_domain(status, snapshot, counted.get(uuid), collection.counters.get(uuid, {}))
    yield from _of_turns(collection)
    yield from _of_host(snapshot, host)
    yield Point(_SECONDS, {}, round(collection.seconds, 6))
    yield Point(_WHEN, {}, round(collection.began, 3))
    yield Point(_DECLARED, {}, int(host.declared))
    if host.last_run:
        yield Point(_ENFORCED, {}, round(host.last_run.began, 3))
        yield Point(_SUCCESS, {}, int(not host.last_run.failed))
        yield Point(_LEFT, {"result": "waiting"}, host.last_run.waiting)
        yield Point(_LEFT, {"result": "failed"}, host.last_run.failures)


def _of_domain(
    status: DomainStatus, snapshot: Snapshot, one: Statistics | None, counters: t.Mapping[Key, Decimal]
) -> t.Iterator[Point]:
    labels = {"domain": status.domain.name, "uuid": status.domain.uuid}
    # Whether one that cannot be seen is counted cannot be told
    text = "Unknown" if status.unseen else status.text
    owners = ",".join(sorted({snapshot.owner(group) for group in status.groups}))
    yield Point(_INFO, {**labels, "status": text, "forced_by": status.forced_by or "", "owner": owners}, 1)
    if not (status.unseen or status.starting):
        yield Point(_VCPUS, {**labels, "counted": "yes"}, sum(map(len, status.counted.values())))
        yield Point(_VCPUS, {**labels, "counted": "no"}, len(status.uncounted))
    if one is None:
        return
    for cache, sums in per_place(one.sample, L3).items():
        occupied = sums[OCCUPANCY].value.number
        if occupied is not None:
            yield Point(_OCCUPANCY, {**labels, "cache_id": str(cache)}, occupied)
    for (event, place), counted in sorted(counters.items()):
        if one.turned and one.turned.notes.shares(event, place):
            # It is not counted all the time: what was measured in its turns is told instead
            continue
        if place.resource == L3:
            yield Point(_BANDWIDTH, {**labels, "cache_id": str(place.id), "scope": SCOPES[event]}, counted)
        else:
            yield Point(_telemetry(event), {**labels, "package": str(place.id)}, counted)


def _of_turns(collection: Collection) -> t.Iterator[Point]:
    """What was measured of domains that take turns."""
    turned = [(one.status.domain, one.turned) for one in collection.statistics if one.turned]
    if not turned:
        return
    # Not above: few hosts have it
    from .turn_metrics import points_of_turn, points_of_turns

    for domain, one in turned:
        labels = {"domain": domain.name, "uuid": domain.uuid}
        yield from points_of_turn(labels, one, collection.began + collection.seconds)
    yield from points_of_turns([one for _domain, one in turned])


def _telemetry(event: str) -> Family:
    name, words = _TELEMETRY.get(event, (event, f"What the kernel's event {event} of a CPU package counts."))
    return Family(f"libvirt_domain_{name}_total", words, COUNTER)


def _of_host(snapshot: Snapshot, host: HostFacts) -> t.Iterator[Point]:
    yield Point(_UP, {}, int(host.up))
    yield Point(_PROBLEMS, {}, host.problems)
    yield Point(_CPUS, {}, host.cpus)
    if host.up:
        yield Point(_RMIDS, {}, snapshot.num_rmids)
        for owner, groups in sorted(snapshot.held_by().items()):
            yield Point(_RMIDS_USED, {"owner": owner}, len(groups))
        yield Point(_RMIDS_FREE, {}, snapshot.free_rmids)
    if host.reserve is not None:
        yield Point(_RMIDS_RESERVED, {}, host.reserve)
    for cache, size in sorted(host.cache_sizes.items()):
        yield Point(_CACHE, {"cache_id": str(cache)}, size)
    for event, caches in sorted(host.configured.items()):
        for cache in sorted(caches):
            yield Point(_CONFIGURED, {"event": event, "cache_id": str(cache)}, 1)
    for counters in host.counters:
        labels = {"cache_id": str(counters["cache"])}
        yield Point(_COUNTERS, labels, counters["total"])
        yield Point(_COUNTERS_FREE, labels, counters["free"])
        for held in counters["held_by"]:
            yield Point(_COUNTERS_USED, {**labels, "owner": held["owner"]}, held["counters"])


def host_facts(host: Host, collection: Collection) -> tuple[HostFacts, list[str]]:
    """What there is to tell of a host now, and what is wrong with what is noted on it. Raises Unreadable."""
    resctrl = host.resctrl
    declared = declarations(host, collection.outcome)
    missing = missing_monitoring(resctrl)
    configured = {} if missing else configurations(resctrl)
    facts = HostFacts(
        up=missing is None,
        problems=len(problems(resctrl, collection.outcome, declared.of, configured)) + len(declared.warnings),
        cpus=os.cpu_count() or 0,
        reserve=declared.reserve,
        cache_sizes=cache_sizes(),
        counters=[] if missing else describe_counters(resctrl, collection.outcome.after),
        configured=changed(configured, cache_directories(resctrl)) if configured else {},
        declared=declared.there,
        last_run=last_run(),
    )
    return facts, [*declared.warnings]
