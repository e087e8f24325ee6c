# SPDX-License-Identifier: GPL-3.0-or-later
"""CTRL_MON groups that are full though RMIDs are free, as on Arm: whether one is, and what is said then. Pure."""

from __future__ import annotations

import collections
import typing as t

from .. import errors

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from .snapshot import Running, Snapshot

# That group itself counts the domain, without a MON group. With a <monitor> only, libvirt takes a place in the root
_ELSEWHERE = "A domain to which libvirt allocates cache (<cachetune> with <cache>) has room of its own"


def shortage_in_a_group(
    created: t.Collection[Group], removed: t.Collection[Group], snapshot: Snapshot
) -> errors.RmidsExhausted | None:
    """RmidsExhausted if a CTRL_MON group has no room for the MON groups to be created in it, after those removed."""
    for ctrl, needed in sorted(collections.Counter(group.ctrl for group in created).items()):
        freed = sum(group.ctrl == ctrl for group in removed)
        room = snapshot.room(ctrl, snapshot.groups)
        free = max(room or 0, 0) + freed
        if room is not None and needed > free:
            return errors.RmidsExhausted(
                f"Out of RMIDs: {needed} needed in {_name(ctrl)}, {free} free: {_words(ctrl, snapshot)}",
                hint="Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer "
                f"domains. {_ELSEWHERE}",
            )
    return None


def full(wanted: t.Iterable[Group], kept: t.Collection[Group], snapshot: Snapshot) -> str | None:
    """The first CTRL_MON group (its name) that has no room for the groups that are wanted beside those kept."""
    for ctrl, needed in sorted(collections.Counter(group.ctrl for group in wanted).items()):
        room = snapshot.room(ctrl, kept)
        if room is not None and needed > room:
            return ctrl
    return None


def waits(running: Running, ctrl: str, snapshot: Snapshot, turn: str) -> errors.RmidsExhausted:
    """A CTRL_MON group is full with domains that come before this one; `turn` says when it is monitored."""
    return errors.RmidsExhausted(
        f"Out of RMIDs: none is left for domain '{running.domain.name}' in {_name(ctrl)}: {_words(ctrl, snapshot)}",
        hint=f"{turn}: give it a higher priority, disable another, or remove groups that nobody needs. {_ELSEWHERE}",
    )


def kept_too_much(running: Running, ctrl: str, snapshot: Snapshot) -> errors.RmidsExhausted:
    """There is no place for the group by way of which threads of a domain would leave another one."""
    return errors.RmidsExhausted(
        f"Domain '{running.domain.name}' stays monitored with more threads than wished: to take some out needs one "
        f"free RMID in {_name(ctrl)} for a moment, and none is free: {_words(ctrl, snapshot)}",
        hint="Disable another domain there, or disable this one and enable it again",
    )


def _name(ctrl: str) -> str:
    return f"the group {ctrl}" if ctrl else "the root group"


def _words(ctrl: str, snapshot: Snapshot) -> str:
    held = collections.Counter(snapshot.owner(group) for group in snapshot.groups if group.mon and group.ctrl == ctrl)
    holders = ", ".join(f"{owner} {count}" for owner, count in sorted(held.items())) or "nobody"
    refused = ", and the kernel has just refused another" if ctrl in snapshot.full else ""
    return (
        f"this CTRL_MON group has room for {snapshot.places(ctrl)} (on Arm each has RMIDs of its own{refused}; "
        f"held by: {holders})"
    )
