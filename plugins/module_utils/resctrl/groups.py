# Copyright (c) 2026 the kvmops.resctrl authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a resctrl group is, and to whom it belongs by its name. Pure: nothing here touches a file."""

from __future__ import annotations

import dataclasses
import functools
import re

# Our groups are MON groups named after the domain's UUID: a domain's name may hold anything, and libvirt's own names
# (qemu-ID-NAME-vcpus_SET) would be adopted or removed by libvirt.
PREFIX = "kvmops-"

OURS = "kvmops"
LIBVIRT = "libvirt"
PQOS = "pqos"
OTHER = "other"
DEFAULT = "default"

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# libvirt: <machine name>-<id of the allocation or monitor> (virResctrlDeterminePath), e.g. qemu-1-vm2-vcpus_0-3
_LIBVIRT = re.compile(r"(?:qemu|ch)-.+-vcpus_[0-9][0-9,^-]*")
# pqos -I: COS<n> for its classes, pqos-<pid>-<n> for its monitoring groups
_PQOS = re.compile(r"COS[0-9]+|pqos-.+")


@dataclasses.dataclass(frozen=True, order=True)
class Group:
    """A group of resctrl.

    `ctrl` names its CTRL_MON group ("" is the root, the default group), `mon` its MON group ("" is the CTRL_MON group
    itself). So Group("", "") is the root, Group("COS1", "") a CTRL_MON group, Group("COS1", "m") a MON group of it.
    """

    ctrl: str = ""
    mon: str = ""

    @property
    def path(self) -> str:
        """The directory, relative to the root of resctrl; "" for the root."""
        parts = [self.ctrl] if self.ctrl else []
        return "/".join([*parts, "mon_groups", self.mon] if self.mon else parts)

    @property
    def parent(self) -> Group:
        """The CTRL_MON group it belongs to (a CTRL_MON group: itself)."""
        return Group(self.ctrl)

    @functools.cached_property
    def uuid(self) -> str:
        """The UUID of the domain that a group of ours counts; "" if the group is not ours."""
        name = self.mon[len(PREFIX) :] if self.mon.startswith(PREFIX) else ""
        return name if _UUID.fullmatch(name) else ""

    @functools.cached_property
    def owner(self) -> str:
        """Who made it, by its name: kvmops, libvirt, pqos, other, or default for the root."""
        if self.uuid:
            return OURS
        name = self.mon or self.ctrl
        if not name:
            return DEFAULT
        if _LIBVIRT.fullmatch(name):
            return LIBVIRT
        return PQOS if _PQOS.fullmatch(name) else OTHER


ROOT = Group()


def group_for(uuid: str, parent: Group) -> Group:
    """Our group for the domain `uuid` in the CTRL_MON group `parent`.

    The kernel lets a thread enter a MON group only below its own CTRL_MON group (EINVAL otherwise), so a domain whose
    threads are spread over several CTRL_MON groups has one group of ours in each.
    Raises ValueError if `uuid` is not in libvirt's canonical form: no path is built from anything else.
    """
    if not _UUID.fullmatch(uuid):
        raise ValueError(f"not a UUID in canonical form: {uuid!r}")
    return Group(parent.ctrl, PREFIX + uuid)
