# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a query or a run, for each domain, as plain data and as sentences."""

from __future__ import annotations

import typing as t

from ..decide.status import DomainStatus, named, status_of
from ..errors import MonitoringMissing, RmidsExhausted
from ..vms.domain import Domain

if t.TYPE_CHECKING:
    from ..act.declared import Declared
    from ..decide.outcome import Outcome, Result
    from ..decide.snapshot import Snapshot
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group

# What fails every domain of a task alike
_OF_THE_HOST = (MonitoringMissing, RmidsExhausted)


def describe_domain(result: Result, resctrl: Resctrl) -> dict[str, t.Any]:
    """One item of the return value `domains`."""
    # Where libvirt knows no such domain, there is only what was asked for
    status, error = result.status or DomainStatus(Domain(result.asked, "", False)), result.error
    return {
        "name": result.name,
        "uuid": status.domain.uuid or None,
        "uuid_made": status.domain.uuid_made,
        "active": status.domain.active,
        "status": status.text if result.status else None,
        "enabled": status.enabled,
        "starting": status.starting,
        "forced_by": status.forced_by,
        "changed": result.changed,
        "failed": error is not None,
        "msg": str(error) if error else result.msg,
        "code": error.code if error else None,
        "groups": [resctrl.path(group) for group in status.groups],
        "vcpus": describe_vcpus(status),
        "without_bandwidth": list(status.without_bandwidth),
    }


def describe_declared(result: Result, declared: t.Mapping[str, Declared]) -> dict[str, t.Any] | None:
    """What is declared for a domain, and how it stands; None on a host without a policy. See act/declared.py."""
    found = declared.get(result.status.domain.uuid) if result.status else None
    return found._asdict() if found else None


def describe_vcpus(status: DomainStatus) -> dict[str, list[int]]:
    """Which of a domain's vCPUs are counted, and which are not, by their ids."""
    return {
        "counted": sorted(vcpu for vcpus in status.counted.values() for vcpu in vcpus),
        "uncounted": list(status.uncounted),
    }


def describe_failures(results: t.Sequence[Result]) -> str:
    """One sentence for all domains that failed; "" if none did.

    Each is named, but for one that was asked for alone, and where all failed because of what the host lacks.
    """
    failed = [result for result in results if result.error]
    sentences = sorted({str(result.error) for result in failed})
    if not failed:
        return ""
    if len(sentences) > 1:
        each = "; ".join(f"{result.name}: {result.error}" for result in failed)
        return f"{len(failed)} of {len(results)} domains failed: {each}"
    (sentence,) = sentences
    if len(results) == 1 and results[0].asked == results[0].name:
        return sentence
    if len(failed) == 1 and f"'{failed[0].name}'" in sentence:
        return sentence
    if len(failed) == len(results) > 1 and isinstance(failed[0].error, _OF_THE_HOST):
        return sentence
    return f"{', '.join(result.name for result in failed)}: {sentence}"


def describe_snapshot(
    outcome: Outcome, snapshot: Snapshot, resctrl: Resctrl, switches: t.Mapping[str, bool | None]
) -> str:
    """One side of diff mode: each domain's status with the groups that count it, then the stale groups of ours.

    `switches`: UUID -> what is noted of a domain whose persistent switch is changed, None for nothing.
    """
    lines = []
    for domain in (status.domain for status in outcome.statuses):
        status = status_of(domain, snapshot)
        lines.append(f"{domain.name}: {status.text}")
        lines += [f"  {resctrl.path(group)}: {_inside(status, group, snapshot)}" for group in status.groups]
        lines += [f"  no bandwidth counter on L3 cache {cache}" for cache in status.without_bandwidth]
        noted = switches.get(domain.uuid)
        lines += [] if noted is None else [f"  persistently {'enabled' if noted else 'disabled'}"]
    lines += [f"{resctrl.path(group)}: stale" for group in sorted(snapshot.stale & set(outcome.pruned))]
    return "".join(f"{line}\n" for line in lines)


def _inside(status: DomainStatus, group: Group, snapshot: Snapshot) -> str:
    """The threads of a domain that a group counts, in words."""
    counted, process = status.counted.get(group, ()), snapshot.process_of(status.domain.uuid)
    others = snapshot.members.get(group, frozenset()).difference(process.vcpus.values() if process else ())
    if not counted or not others:
        return named(counted)
    return f"{named(counted)} and {len(others)} other thread{'s' if len(others) > 1 else ''}"
