# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An hour of a fleet of three hosts, as Prometheus would have it from `resctrl-mon metrics`: made up, and the same each
time. kvm1 and kvm2 have two L3 caches. Domain build-1 grows until a cache of kvm1 is full; web-1 migrates from kvm1 to
kvm2 half-way; db-1's group is made anew after 40 minutes; test-1 is not monitored. kvm3 cannot monitor.
"""

from __future__ import annotations

import collections
import math
import typing as t
import uuid

# Whole hours; nothing happens at this time but this
END = 1_767_225_600
SPAN = 3600
STEP = 15
MIB = 1 << 20
CACHE = 32 * MIB

_Rows = dict[str, list[str]]


class Guest(t.NamedTuple):
    """A domain: its vCPUs, and for a share of the hour the share of both caches and the bytes per second."""

    name: str
    vcpus: int
    share: t.Callable[[float], float]
    speed: t.Callable[[float], float]


def _waves(low: float, high: float, often: float) -> t.Callable[[float], float]:
    return lambda when: low + (high - low) * (1 + math.sin(2 * math.pi * often * when)) / 2


WEB = Guest("web-1", 4, _waves(0.05, 0.10, 5), _waves(1e9, 3e9, 7))
GUESTS = {
    "kvm1": [
        Guest("build-1", 2, lambda when: 0.1 + 0.45 * when, lambda when: 2e9 + 9e9 * when),
        Guest("db-1", 8, lambda when: 0.3 - 0.18 * when, _waves(3e9, 5e9, 3)),
        WEB,
    ],
    "kvm2": [WEB, Guest("db-2", 8, _waves(0.3, 0.35, 2), _waves(2e9, 4e9, 4))],
    "kvm3": [],
}


def exposition() -> str:
    """All values with their times, as OpenMetrics."""
    rows: _Rows = collections.defaultdict(list)
    for host, guests in GUESTS.items():
        for at in range(END - SPAN, END + STEP, STEP):
            _host(rows, host, at)
        for guest in guests:
            _guest(rows, host, guest)
        if host == "kvm1":
            _unmonitored(rows)
    lines = []
    for name, values in rows.items():
        counter = name.endswith("_total")
        lines += [f"# TYPE {name.removesuffix('_total')} {'counter' if counter else 'gauge'}", *values]
    return "\n".join([*lines, "# EOF", ""])


def _add(rows: _Rows, host: str, at: int, name: str, value: float, **labels: str) -> None:
    every = {**labels, "job": "node", "instance": host}
    written = ",".join(f'{key}="{one}"' for key, one in every.items())
    rows[name].append(f"{name}{{{written}}} {value} {at}")


def _host(rows: _Rows, host: str, at: int) -> None:
    up = host != "kvm3"
    for name, value in {
        "resctrl_monitoring_up": int(up),
        "resctrl_monitoring_problems": int(not up),
        "resctrl_cpus": 16,
        "resctrl_collection_duration_seconds": 0.02 + 0.005 * math.sin(at),
        "resctrl_collection_timestamp_seconds": at - 3,
    }.items():
        _add(rows, host, at, name, value)
    if not up:
        return
    held = {"default": 1, "kvmops": len(GUESTS[host]), "libvirt": 2, "pqos": 10 if at > END - SPAN / 3 else 0}
    for owner, number in held.items():
        _add(rows, host, at, "resctrl_rmids_used", number, owner=owner)
    _add(rows, host, at, "resctrl_rmids", 32)
    _add(rows, host, at, "resctrl_rmids_free", 32 - sum(held.values()))
    for cache in "01":
        _add(rows, host, at, "resctrl_cache_size_bytes", CACHE, cache_id=cache)
        _add(rows, host, at, "resctrl_bandwidth_counters", 32, cache_id=cache)
        _add(rows, host, at, "resctrl_bandwidth_counters_free", 32 - 2 * held["kvmops"], cache_id=cache)
    for result, number in (("waiting", int(at > END - SPAN / 4)), ("failed", 0)):
        _add(rows, host, at, "resctrl_enforcement_domains", number, result=result)


def _guest(rows: _Rows, host: str, guest: Guest) -> None:
    labels = {"domain": guest.name, "uuid": _uuid(guest.name)}
    counted: collections.Counter[str] = collections.Counter()
    for at in range(END - SPAN, END + STEP, STEP):
        when = 1 - (END - at) / SPAN
        if guest is WEB and (when < 0.5) != (host == "kvm1"):
            continue
        if guest.name == "db-1" and abs(when - 2 / 3) < STEP / SPAN / 2:
            counted.clear()
        _add(rows, host, at, "libvirt_domain_resctrl_info", 1, **labels, status="Enabled", forced_by="", owner="kvmops")
        _add(rows, host, at, "libvirt_domain_resctrl_vcpus", guest.vcpus, **labels, counted="yes")
        _add(rows, host, at, "libvirt_domain_resctrl_vcpus", 0, **labels, counted="no")
        for cache in "01":
            share = guest.share(when) * (1.3 if cache == "0" else 0.7)
            _add(rows, host, at, "libvirt_domain_llc_occupancy_bytes", int(share * CACHE), **labels, cache_id=cache)
            for scope, part in (("total", 0.5), ("local", 0.4)):
                counted[cache + scope] += int(part * guest.speed(when) * STEP)
                name = "libvirt_domain_memory_bandwidth_bytes_total"
                _add(rows, host, at, name, counted[cache + scope], **labels, cache_id=cache, scope=scope)
        stalled = 0.1 + (0.3 * when if guest.name == "db-1" else 0.05)
        for event, speed in {
            "core_energy_joules": 4.5 * guest.vcpus,
            "unhalted_core_cycles": 3e9 * guest.vcpus,
            "stalls_llc_miss": stalled * 3e9 * guest.vcpus,
        }.items():
            counted[event] += int(speed * STEP)
            _add(rows, host, at, f"libvirt_domain_{event}_total", counted[event], **labels, package="0")


def _unmonitored(rows: _Rows) -> None:
    labels = {"domain": "test-1", "uuid": _uuid("test-1")}
    for at in range(END - SPAN, END + STEP, STEP):
        _add(rows, "kvm1", at, "libvirt_domain_resctrl_info", 1, **labels, status="Disabled", forced_by="", owner="")
        _add(rows, "kvm1", at, "libvirt_domain_resctrl_vcpus", 0, **labels, counted="yes")
        _add(rows, "kvm1", at, "libvirt_domain_resctrl_vcpus", 2, **labels, counted="no")


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
