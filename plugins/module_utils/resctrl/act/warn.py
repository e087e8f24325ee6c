# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be said about a run though it is no failure."""

from __future__ import annotations

import typing as t

from ..decide.status import named

if t.TYPE_CHECKING:
    from ..decide.outcome import Result
    from ..decide.snapshot import Snapshot
    from ..decide.status import DomainStatus
    from ..decide.wish import Wishes
    from ..errors import MonitoringMissing
    from ..observe.host import Host


def warnings_of(
    host: Host, results: t.Sequence[Result], wishes: Wishes, after: Snapshot, missing: MonitoringMissing | None
) -> list[str]:
    """The warnings of a run, a sentence each; `after` is what it led to, `missing` why the host cannot monitor."""
    disables = not any(wish.enabled for wish in wishes.of.values())
    warnings = [f"Nothing is monitored on this host: {missing}"] if missing and disables else []
    for result in results:
        status = result.status
        if status is None or result.error:
            continue
        if status.forced_by and not wishes.enables(status.domain.uuid):
            warnings.append(_of_forced(status, switched_off=result.changed))
        warnings += _of_cpu_groups(host, status, after)
        warnings += _of_counters(status, wishes)
    return [*warnings, *after.warnings, *_of_unjudged(host, after)]


def _of_forced(status: DomainStatus, *, switched_off: bool) -> str:
    """That libvirt goes on counting a domain; `switched_off`: a group of ours was removed beside libvirt's."""
    name, because = status.domain.name, f"forced by {status.forced_by} in its XML"
    if not switched_off:
        return f"Monitoring of domain '{name}' cannot be switched off while it runs: it is {because}"
    counted = sorted(vcpu for vcpus in status.counted.values() for vcpu in vcpus)
    return (
        f"No group of this collection counts domain '{name}' any more. libvirt goes on counting {named(counted)} "
        f"while the domain runs: that is {because}"
    )


def _of_cpu_groups(host: Host, status: DomainStatus, after: Snapshot) -> list[str]:
    """Whose count lacks a monitored domain, because it would be counted by CPU otherwise."""
    groups = after.cpu_groups.get(status.domain.uuid, ())
    if not any(group.uuid for group in status.groups):
        return []
    return [
        f"Domain '{status.domain.name}' may run on CPU {host.resctrl.cpus_text(group)}, which "
        f"{host.resctrl.path(group)} of {after.owner(group)} counts: while the domain is monitored, "
        "what it uses there is not in that group's count"
        for group in groups
    ]


def _of_counters(status: DomainStatus, wishes: Wishes) -> list[str]:
    wish = wishes.of.get(status.domain.uuid)
    uuid, turns = status.domain.uuid, wishes.turns
    lacking = [cache for cache in status.without_bandwidth if not (turns and turns.comes_to(uuid, cache))]
    if not lacking or (wish and wish.bandwidth is False):
        return []
    where = ", ".join(map(str, lacking))
    return [
        f"Domain '{status.domain.name}' is monitored without memory bandwidth on L3 cache {where}: no bandwidth "
        "counter is free there. Disable another domain, or take its counters back (bandwidth=false), and run again"
    ]


def _of_unjudged(host: Host, after: Snapshot) -> list[str]:
    if not after.unjudged:
        return []
    paths = ", ".join(host.resctrl.path(group) for group in sorted(after.unjudged))
    return [f"It cannot be seen from here whether the domain of a group still runs, so the group was left: {paths}"]
