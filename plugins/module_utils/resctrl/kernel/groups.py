# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of resctrl: their names, whose they are, and what the kernel's files say about them. Pure.

Rules are those of the kernel's Documentation/filesystems/resctrl.rst (x86/resctrl.rst before 6.17).
"""

from __future__ import annotations

import functools
import re
import typing as t

# Our groups are MON groups named after the domain's UUID: a domain's name may hold anything, and libvirt's own names
# (qemu-ID-NAME-vcpus_SET) would be adopted or removed by libvirt.
PREFIX = "kvmops-"
# A group of ours by way of which threads leave another one of ours, see decide/planning.py
LEAVING = "-leaving"

OURS = "kvmops"
LIBVIRT = "libvirt"
PQOS = "pqos"
OTHER = "other"
DEFAULT = "default"

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# libvirt: MACHINE or MACHINE-ID (virResctrlDeterminePath). MACHINE is qemu-ID-NAME, with a user's name or embed-HASH
# before the id where the daemon is not the system's. Only a hint: see owner_of()
_LIBVIRT = re.compile(r"(?:qemu|ch)-(?:embed-[0-9a-f]{8}-|[^-]+-)?[0-9]+-.+")
# pqos -I: COS<n> for its classes, pqos-<pid>-<n> for its monitoring groups
_PQOS = re.compile(r"COS[0-9]+|pqos-.+")

_CPUS = re.compile(r"([0-9]+)(?:-([0-9]+))?")


class Group(t.NamedTuple):
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

    @property
    def uuid(self) -> str:
        """The UUID of the domain that a group of ours counts; "" if the group is not ours."""
        return _uuid_in(self.mon)


# A look asks for that of each group again and again
@functools.lru_cache(maxsize=4096)
def _uuid_in(name: str) -> str:
    if not name.startswith(PREFIX):
        return ""
    uuid = name[len(PREFIX) : -len(LEAVING) if name.endswith(LEAVING) else None]
    return uuid if is_uuid(uuid) else ""


ROOT = Group()


def is_uuid(text: str) -> bool:
    """Whether it is a UUID as libvirt prints it: lower case, with dashes."""
    return _UUID.fullmatch(text) is not None


def group_for(uuid: str, parent: Group) -> Group:
    """Our group for the domain `uuid` in the CTRL_MON group `parent`.

    A thread can enter a MON group only below its own CTRL_MON group (EINVAL otherwise), so a domain with threads in
    several of them has one group of ours in each.
    Raises ValueError if `uuid` is not in libvirt's canonical form: no path is built from anything else.
    """
    if not is_uuid(uuid):
        raise ValueError(f"not a UUID in canonical form: {uuid!r}")
    return Group(parent.ctrl, PREFIX + uuid)


def leaving_group(group: Group) -> Group:
    """The group of ours by way of which threads leave `group`."""
    return Group(group.ctrl, group_for(group.uuid, group).mon + LEAVING)


def owner_of(group: Group, machines: t.Container[str] = ()) -> str:
    """Whose group it is: kvmops, libvirt, pqos, other, or default for the root.

    `machines` are the machine names of libvirt's live domains: a group is libvirt's if it is called after one of them,
    alone or with a suffix. Where no live domain tells, a name of libvirt's form is a hint, and enough to keep away.
    """
    if group.uuid:
        return OURS
    name = group.mon or group.ctrl
    if not name:
        return DEFAULT
    if _LIBVIRT.fullmatch(name) or _called_after(name, machines):
        return LIBVIRT
    return PQOS if _PQOS.fullmatch(name) else OTHER


def _called_after(name: str, machines: t.Container[str]) -> bool:
    """Whether a name is one of the machines' or begins with one and a dash. A machine's name may have dashes itself."""
    ends = [match.start() for match in re.finditer("-", name)]
    return name in machines or any(name[:end] in machines for end in ends)


def parse_thread_groups(text: str) -> Group | None:
    """The group in a /proc/PID/task/TID/cpu_resctrl_groups; None where resctrl is not mounted (`res:` is empty).

    A group's name may hold any character but a newline and a slash, U+2028 and the like included.
    """
    fields = dict(line.split(":", 1) for line in text.split("\n") if ":" in line)
    if not fields.get("res"):
        return None
    return Group("" if fields["res"] == "/" else fields["res"], fields.get("mon", ""))


def parse_tasks(text: str) -> frozenset[int]:
    """The thread ids of a `tasks` file (one a line; 0 stands for a thread outside of the reader's PID namespace).

    Raises ValueError.
    """
    return frozenset(int(line) for line in text.split() if line != "0")


def parse_cpus(text: str) -> frozenset[int]:
    """The CPUs of a list such as 0-3,8 (cpus_list, Cpus_allowed_list); empty for an empty list, and for no list."""
    cpus: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        match = _CPUS.fullmatch(part)
        if not match:
            return frozenset()
        cpus.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(cpus)
