# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as plain data and text: what the modules return and print. The shapes are those of the modules' RETURN."""

from __future__ import annotations

import typing as t

from . import preflight
from .sampling import EVENTS, OCCUPANCY, Statistics, Value
from .snapshot import DomainStatus, Snapshot, status_of

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .monitoring import Outcome, Result

Json = t.Dict[str, t.Any]


def failure_message(results: t.Sequence[Result]) -> str:
    """One sentence for all domains that failed: the error itself if they share it; "" if none failed."""
    failed = [result for result in results if result.error]
    sentences = sorted({str(result.error) for result in failed})
    if len(sentences) <= 1:
        return "".join(sentences)
    each = "; ".join(f"{result.asked}: {result.error}" for result in failed)
    return f"{len(failed)} of {len(results)} domains failed: {each}"


def domain_result(result: Result, resctrl: Resctrl) -> Json:
    """One item of the return value `domains`."""
    status, error = result.status, result.error
    return {
        "name": status.domain.name if status else result.asked,
        "uuid": status.domain.uuid if status else None,
        "active": bool(status and status.domain.active),
        "status": status.text if status else None,
        "enabled": bool(status and status.enabled),
        "forced_by": status.forced_by if status else None,
        "changed": result.changed,
        "failed": error is not None,
        "msg": str(error) if error else result.msg,
        "code": error.code if error else None,
        "groups": [resctrl.path(group) for group in status.groups] if status else [],
        "vcpus": _vcpus(status, resctrl),
    }


def _vcpus(status: DomainStatus | None, resctrl: Resctrl) -> Json:
    counted = status.counted if status else {}
    return {
        "counted": sorted(vcpu for vcpus in counted.values() for vcpu in vcpus),
        "uncounted": list(status.uncounted) if status else [],
        "counted_by": [
            {"group": resctrl.path(group), "owner": group.owner, "vcpus": list(vcpus)}
            for group, vcpus in sorted(counted.items())
        ],
    }


def rmids_result(snapshot: Snapshot) -> Json:
    """The return value `rmids`."""
    return {"total": snapshot.num_rmids, "used": snapshot.used_rmids, "free": snapshot.free_rmids}


def host_result(resctrl: Resctrl, snapshot: Snapshot) -> Json:
    """What the host offers: the return value `host`."""
    mount = resctrl.mount()
    held = snapshot.held_by() if snapshot.num_rmids else {}
    return {
        "supported": preflight.missing_monitoring(resctrl) is None,
        "mounted": mount is not None,
        "mount_options": list(mount.options) if mount else [],
        "features": list(resctrl.features()),
        "rmids": {
            **rmids_result(snapshot),
            "held_by": [
                {"owner": owner, "rmids": len(groups), "groups": [resctrl.path(group) for group in groups]}
                for owner, groups in sorted(held.items())
            ],
        },
        "caches": resctrl.online_caches(),
        "mbm_assign_mode": resctrl.assign_mode(),
        "problems": preflight.problems(resctrl, snapshot),
    }


def statistics_result(one: Statistics, resctrl: Resctrl) -> Json:
    """One value of the fact `resctrl_stats.domains`."""
    status, sample = one.status, one.sample
    cmt = sample.totals[OCCUPANCY].number if status.domain.active else 0
    reasons = _reasons(sample.totals)
    return {
        "uuid": status.domain.uuid,
        "active": status.domain.active,
        "status": status.text,
        "cmt": cmt,
        **_numbers(sample.totals),
        "reason": next(iter(reasons.values()), None),
        "caches": [
            {"id": cache, **_numbers(values), "reasons": _reasons(values)} for cache, values in sample.caches.items()
        ],
        "groups": [
            {"path": resctrl.path(group), "owner": group.owner, "generation": generation}
            for group, generation in sample.generations.items()
        ],
        "vcpus": {
            "counted": sorted(vcpu for vcpus in status.counted.values() for vcpu in vcpus),
            "uncounted": list(status.uncounted),
        },
        "rates": dict(one.rates) if one.rates is not None else None,
    }


def _numbers(values: t.Mapping[str, Value]) -> Json:
    return {event: values[event].number for event in EVENTS}


def _reasons(values: t.Mapping[str, Value]) -> dict[str, str]:
    return {event: values[event].reason or "" for event in EVENTS if values[event].number is None}


def render(outcome: Outcome, snapshot: Snapshot, resctrl: Resctrl) -> str:
    """One side of diff mode: each domain's status with the groups that count it, then the stale groups of ours."""
    running = {one.domain.uuid: one for one in snapshot.running}
    lines = []
    for domain in (result.status.domain for result in outcome.results if result.status):
        status = status_of(running[domain.uuid], snapshot) if domain.uuid in running else DomainStatus(domain)
        lines.append(f"{domain.name}: {status.text}")
        lines += [f"  {resctrl.path(group)}: {_whom(status.counted.get(group, ()))}" for group in status.groups]
    lines += [f"{resctrl.path(group)}: stale" for group in sorted(snapshot.stale & set(outcome.pruned))]
    return "".join(f"{line}\n" for line in lines)


def _whom(vcpus: t.Sequence[int]) -> str:
    return f"vCPU {', '.join(str(vcpu) for vcpu in vcpus)}" if vcpus else "other threads"
