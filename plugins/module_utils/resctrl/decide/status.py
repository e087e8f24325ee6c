# SPDX-License-Identifier: GPL-3.0-or-later
"""What a snapshot says about a domain: the answer to `virsh resctrl DOMAIN`. Pure."""

from __future__ import annotations

import types
import typing as t

from ..errors import DomainStarting, DomainUnseen
from ..vms.domain import CACHETUNE

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from ..vms.domain import Domain
    from .snapshot import Snapshot

# The RFC's texts
ENABLED = "Enabled"
DISABLED = "Disabled"


class DomainStatus(t.NamedTuple):
    """The answer to `virsh resctrl DOMAIN`, and what it rests on.

    `forced_by`: cachetune, memorytune or energytune where a group of libvirt's counts the domain because of it, else
    None.
    `groups`: those that count the domain.
    `counted`: group -> ids of the vCPUs that it counts.
    `uncounted`: ids of the vCPUs that no group of ours or libvirt's counts.
    `gone`: libvirt lists the domain as running, but its process is not there.  `starting`: not yet.
    `without_bandwidth`: the L3 caches on which it has no bandwidth counter, so that its memory bandwidth is not known.
    `unseen`: its process cannot be seen from here, so that nothing is known of it.
    """

    domain: Domain
    enabled: bool = False
    forced_by: str | None = None
    groups: tuple[Group, ...] = ()
    counted: t.Mapping[Group, tuple[int, ...]] = types.MappingProxyType({})
    uncounted: tuple[int, ...] = ()
    gone: bool = False
    starting: bool = False
    unseen: bool = False
    without_bandwidth: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The RFC's words: Enabled, Disabled, Enabled (forced by cachetune); memorytune and energytune likewise."""
        if self.forced_by:
            return f"{ENABLED} (forced by {self.forced_by})"
        return ENABLED if self.enabled else DISABLED


def status_of(domain: Domain, snapshot: Snapshot) -> DomainStatus:
    """The status of a domain: enabled as soon as a thread of it is counted by our group or by libvirt's.

    How much of it is counted is told separately: after a hot-plug a domain is Enabled with an uncounted vCPU until the
    next run.
    """
    process = snapshot.process_of(domain.uuid)
    if process is None:
        why = snapshot.absent.get(domain.uuid)
        starting, unseen = isinstance(why, DomainStarting), isinstance(why, DomainUnseen)
        gone = domain.active and not (starting or unseen)
        return DomainStatus(domain, gone=gone, starting=starting, unseen=unseen)
    ours = snapshot.ours(domain.uuid)
    counted: dict[Group, tuple[int, ...]] = {}
    uncounted: tuple[int, ...] = ()
    for vcpu, tid in process.vcpus.items():
        group = snapshot.group_of(tid)
        counting = group if group in ours else snapshot.libvirts(group)
        if counting:
            counted[counting] = (*counted.get(counting, ()), vcpu)
        else:
            uncounted = (*uncounted, vcpu)
    # With scope=domain a group of ours may hold only threads that are not vCPUs
    populated = {group for group in ours if snapshot.members[group] & process.threads}
    groups = tuple(sorted(populated | set(counted)))
    # The XML alone forces nothing: libvirt's group may have been removed, as by a remount
    forced_by = process.tuning or CACHETUNE if any(group not in ours for group in groups) else None
    lacking = snapshot.bandwidth.lacking(groups) if snapshot.bandwidth else ()
    return DomainStatus(domain, bool(groups), forced_by, groups, counted, uncounted, without_bandwidth=lacking)


def named(vcpus: t.Sequence[int]) -> str:
    """vCPUs in words."""
    return f"vCPU {', '.join(map(str, vcpus))}" if vcpus else "other threads"
