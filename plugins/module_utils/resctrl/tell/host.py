# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host offers, and what it lacks, as plain data."""

from __future__ import annotations

import types
import typing as t

from ..errors import Unreadable
from ..kernel.assignments import assignments
from ..kernel.configured import Configurations, changed, file_of, in_words, is_default, kinds_of
from ..kernel.counters import cache_directories
from ..kernel.events import BANDWIDTH, L3, OCCUPANCY
from ..kernel.groups import ROOT
from ..kernel.info import (
    assign_mode,
    bandwidth_counters,
    configurations,
    counts_elsewhere,
    events,
    features,
    max_threshold_occupancy,
)
from ..kernel.preflight import missing_monitoring
from ..kernel.topology import cache_sizes
from ..observe.cpu_groups import damage

if t.TYPE_CHECKING:
    from ..act.declared import Declared
    from ..decide.outcome import Outcome
    from ..decide.snapshot import Snapshot
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group


def problems(
    resctrl: Resctrl,
    outcome: Outcome,
    declared: t.Mapping[str, Declared],
    configured: Configurations = types.MappingProxyType({}),
) -> list[str]:
    """What is missing on a host, a sentence each, with what to do; empty where everything is there.

    `declared`: see act/declared.py; empty on a host without a policy.  `configured`: see info.configurations().
    """
    missing = missing_monitoring(resctrl)
    if missing:
        return [str(missing)]
    found = [
        *_of_the_mount(resctrl),
        *_of_the_hardware(resctrl),
        *_of_configurations(configured, cache_directories(resctrl)),
        *_of_rmids(resctrl, outcome, declared),
        *_of_counters(resctrl, outcome),
        *outcome.after.warnings,
        *(damage(resctrl, group) for group in sorted(outcome.after.members) if resctrl.cpus(group)),
    ]
    # A warning may say what is found here too
    return list(dict.fromkeys(found))


def _of_the_mount(resctrl: Resctrl) -> list[str]:
    if resctrl.mount and resctrl.mount.read_only:
        return [
            f"resctrl at {resctrl.root} is mounted read-only, so nothing can be switched on or off: "
            f"mount -o remount,rw {resctrl.root}"
        ]
    return []


def _of_the_hardware(resctrl: Resctrl) -> list[str]:
    found, names = [], features(resctrl)
    counts_bandwidth = bool(set(BANDWIDTH) & set(names))
    if OCCUPANCY not in names:
        instead = "bandwidth values" if counts_bandwidth else "telemetry of packages"
        found.append(f"The CPU does not count cache occupancy, so resctrl.cmt is null: use the {instead}")
    if counts_bandwidth:
        return found
    elsewhere = counts_elsewhere(resctrl)
    if elsewhere:
        found.append(
            f"Memory bandwidth is not counted for each L3 cache (it is not in info/L3_MON), so these values are null: "
            f"this kernel counts it in {', '.join(elsewhere)}, which this collection does not read"
        )
    else:
        instead = "cache occupancy" if OCCUPANCY in names else "telemetry of packages"
        found.append(f"The CPU does not count memory bandwidth, so these values are null: use the {instead}")
    return found


def _of_configurations(configured: Configurations, caches: t.Collection[int]) -> list[str]:
    """Events that count something else than their names say."""
    return [
        f"{event} was configured to count {in_words(kinds)}, which is not its default: do not compare it with other "
        f"hosts, or write the default to info/L3_MON/{file_of(configured, event)}"
        for event, kinds in changed(configured, caches).items()
    ]


def _of_rmids(resctrl: Resctrl, outcome: Outcome, declared: t.Mapping[str, Declared]) -> list[str]:
    found, snapshot = [], outcome.after
    if snapshot.free_rmids <= 0 and _someone_lacks_an_rmid(outcome, declared):
        found.append(
            f"All {snapshot.num_rmids} RMIDs are in use ({snapshot.holders()}): remove groups that nobody needs"
        )
    elif snapshot.room(ROOT.ctrl, snapshot.groups) == 0 and _someone_lacks_an_rmid(outcome, declared):
        found.append(
            "All places for MON groups in the root group are in use, though RMIDs are free: on Arm each CTRL_MON group "
            f"has RMIDs of its own, here {snapshot.rmids_of_each} with that of the group itself. Domains in the root "
            "are monitored by priority; one to which libvirt allocates cache has room of its own"
        )
    if max_threshold_occupancy(resctrl) == 0:
        found.append(
            "info/L3_MON/max_threshold_occupancy is 0, so that a freed RMID cannot be used again before the cache has "
            "lost all of its lines: write a number of bytes, such as a thousandth of the cache's size"
        )
    return found


def _someone_lacks_an_rmid(outcome: Outcome, declared: t.Mapping[str, Declared]) -> bool:
    """Whether a domain waits for an RMID, and not only for its turn, or could use one where nothing is declared."""
    if declared:
        # Not above: without a policy nothing waits, and what is imported is compiled on every run
        from ..act.declared import WAITING

        return any(one.condition == WAITING and not one.takes_turns for one in declared.values())
    return any(one.domain.active and not one.enabled for one in outcome.statuses)


def _of_counters(resctrl: Resctrl, outcome: Outcome) -> list[str]:
    """Bandwidth counters that do not suffice for all, and with which no turns are taken (AMD ABMC, Arm MPAM)."""
    counters = bandwidth_counters(resctrl)
    if not counters:
        return []
    # Not above: few hosts have such counters
    from ..act import sampled

    queue = sampled.queue()
    found = []
    full = [str(cache) for cache, one in counters.items() if one.free == 0 and not (queue and queue.shares(cache))]
    if full:
        found.append(
            f"No bandwidth counter is free on L3 cache {', '.join(full)}: a domain that is enabled now is monitored "
            "without memory bandwidth there"
        )
    without = [
        one.domain.name
        for one in outcome.statuses
        if any(not (queue and queue.comes_to(one.domain.uuid, cache)) for cache in one.without_bandwidth)
    ]
    if without:
        found.append(
            f"These monitored domains have no bandwidth counter: {', '.join(without)}. Their cache occupancy "
            "is counted, their memory bandwidth is not"
        )
    return found


def describe_host(
    resctrl: Resctrl, outcome: Outcome, declared: t.Mapping[str, Declared] = types.MappingProxyType({})
) -> dict[str, t.Any]:
    """What the host offers: the return value `host`. For `declared` see problems()."""
    mount, snapshot, sizes = resctrl.mount, outcome.after, cache_sizes()
    there, caches, configured = events(resctrl), cache_directories(resctrl), configurations(resctrl)
    held = snapshot.held_by() if snapshot.num_rmids else {}
    return {
        "supported": missing_monitoring(resctrl) is None,
        "mounted": mount is not None,
        "mount_options": list(mount.options) if mount else [],
        "features": [event.name for event in there],
        "events": [
            {
                "name": event.name,
                "resource": event.resource,
                "unit": event.unit,
                "kind": event.kind,
                "configuration": _configuration(configured, event.name, caches) if event.resource == L3 else None,
            }
            for event in there
        ],
        "rmids": {
            **snapshot.rmids(),
            "per_ctrl_mon": snapshot.rmids_of_each,
            "held_by": [
                {
                    "owner": owner,
                    "rmids": len(groups),
                    "groups": [
                        {"path": resctrl.path(one), "threads": _threads(resctrl, snapshot, one)} for one in groups
                    ],
                }
                for owner, groups in sorted(held.items())
            ],
        },
        "caches": [{"id": cache, "size": sizes.get(cache)} for cache in caches],
        "mbm_assign_mode": assign_mode(resctrl),
        "counters": describe_counters(resctrl, snapshot),
        "problems": problems(resctrl, outcome, declared, configured),
    }


def describe_counters(resctrl: Resctrl, snapshot: Snapshot) -> list[dict[str, t.Any]]:
    """The bandwidth counters of each cache, and who has them; empty where groups need none."""
    counters = bandwidth_counters(resctrl)
    assigned = {group: assignments(resctrl, group) for group in [ROOT, *sorted(snapshot.groups)]} if counters else {}
    return [
        {"cache": cache, "total": one.total, "free": one.free, "held_by": _holders(resctrl, snapshot, assigned, cache)}
        for cache, one in counters.items()
    ]


def _holders(
    resctrl: Resctrl,
    snapshot: Snapshot,
    assigned: t.Mapping[Group, t.Mapping[str, t.Container[int]]],
    cache: int,
) -> list[dict[str, t.Any]]:
    held: dict[str, list[tuple[Group, int]]] = {}
    for group, counters in assigned.items():
        number = sum(cache in caches for caches in counters.values())
        if number:
            held.setdefault(snapshot.owner(group), []).append((group, number))
    return [
        {
            "owner": owner,
            "counters": sum(number for _group, number in groups),
            "groups": [{"path": resctrl.path(group), "counters": number} for group, number in groups],
        }
        for owner, groups in sorted(held.items())
    ]


def _configuration(configured: Configurations, event: str, caches: t.Collection[int]) -> list[dict[str, t.Any]] | None:
    """What an event counts on each cache; None where that cannot be changed."""
    if event not in configured:
        return None
    return [
        {"cache": cache, "counts": list(kinds), "default": is_default(event, kinds)}
        for cache, kinds in kinds_of(configured, event, caches).items()
    ]


def _threads(resctrl: Resctrl, snapshot: Snapshot, group: Group) -> int | None:
    """How many threads a group has; None where that cannot be read, or is not the group's alone (the root's).

    From another PID namespace its file says less than there is.
    """
    if not group.path or not resctrl.sees_every_thread:
        return None
    if group in snapshot.listed:
        return snapshot.listed[group]
    try:
        return len(resctrl.tasks(group))
    except Unreadable:
        return None
