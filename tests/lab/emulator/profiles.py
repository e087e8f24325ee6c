# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be emulated: hardware and kernel eras, and the named combinations of them."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .telemetry import EVENTS as TELEMETRY

LLC = "llc_occupancy"
TOTAL = "mbm_total_bytes"
LOCAL = "mbm_local_bytes"
EVENTS = (LLC, TOTAL, LOCAL)
AMD_L2_SIZE = 512 << 10
MASK_WIDTHS = (16, 12, 11, 15, 20, 10, 8)
SYSFS_CPU = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Era:
    """A kernel release and the rules that differ between releases; in brackets the first release with the rule.

    - ``task_lists`` (6.7): comma lists in ``tasks``, empty writes, more error text
    - ``rename`` (6.5): MON groups can be renamed
    - ``debug`` (6.7): the mount option that shows hardware ids
    - ``always_limbo`` (6.9): CLOSID before RMID, and every freed RMID waits for the limbo's worker
    - ``info_mkdir``: errno of mkdir below ``info``, ENODEV from 6.16 on
    - ``any_clears`` (7.3): every operation on a group's file, reads too, clears last_cmd_status; info writes explain
      themselves there
    - ``padded``: schemata values have a common width, until 6.15
    - ``mb_first`` (5.15): the MB line of schemata stands before the L3 line
    - ``bmec`` (6.3): configurable bandwidth events; ``sparse_masks`` (6.7); ``snc`` (6.11): mon_sub_L3_*
    - ``assign_mode`` (6.18): mbm_assign_mode, and ABMC; ``telemetry`` (7.0): mon_PERF_PKG_*
    - ``inodes_repeat`` (6.7): the tree is made anew by every mount, and so the inode numbers of groups repeat
    """

    name: str
    task_lists: bool = False
    rename: bool = False
    debug: bool = False
    always_limbo: bool = False
    info_mkdir: int = errno.EPERM
    any_clears: bool = False
    padded: bool = True
    mb_first: bool = True
    bmec: bool = False
    sparse_masks: bool = False
    snc: bool = False
    assign_mode: bool = False
    telemetry: bool = False
    inodes_repeat: bool = False


_MODERN = Era(
    "6.12",
    task_lists=True,
    rename=True,
    debug=True,
    always_limbo=True,
    bmec=True,
    sparse_masks=True,
    snc=True,
    inodes_repeat=True,
)
ERAS = {
    era.name: era
    for era in (
        Era("5.10", mb_first=False),
        Era("6.1"),
        _MODERN,
        dataclasses.replace(
            _MODERN,
            name="7.3",
            info_mkdir=errno.ENODEV,
            any_clears=True,
            padded=False,
            assign_mode=True,
            telemetry=True,
        ),
    )
}


def machine_l3() -> tuple[tuple[int, ...], int]:
    """Ids of the machine's L3 caches and the size of one in bytes; one of 32 MiB where the machine shows none."""
    ids = {int(p.read_text()) for p in SYSFS_CPU.glob("cpu[0-9]*/cache/index3/id")}
    sizes = [p.read_text().strip() for p in SYSFS_CPU.glob("cpu[0-9]*/cache/index3/size")]
    if not ids or not sizes:
        return (0,), 32 << 20
    return tuple(sorted(ids)), int(sizes[0].rstrip("K")) << 10


def mask_width(l3_size: int) -> int:
    """Bits of the capacity mask: one bit is a whole number of KiB, since libvirt counts in KiB."""
    return next((bits for bits in MASK_WIDTHS if l3_size % (bits << 10) == 0), 8)


@dataclass(frozen=True)
class Profile:
    """One emulated machine.

    Sizes are bytes. ``alloc`` and ``events`` may be empty (no such hardware). ``num_rmids`` is the hardware's, with the
    root's; sub-NUMA clustering divides it. ``cbm_bits`` and ``root_mask`` of 0 mean: computed (a width that divides
    the cache; the lower half, so that libvirt finds room to allocate). ``threshold`` of -1 means the kernel's default.
    ``abmc_counters`` is per L3 domain. ``pmgs`` is for Arm, where an RMID is a pair of a PARTID, which is the CLOSID,
    and of one of so many PMGs: there are ``num_closids`` times ``pmgs`` of them, and ``num_rmids`` does not count.
    ``run_on`` are the L3 caches on whose CPUs the threads of all groups but the root's run; empty means all.
    ``telemetry`` are the events of packages; they have RMIDs of their own, ``telemetry_rmids`` with the root's.
    ``mb_mon`` shows the files of a vendor's kernel that counts bandwidth at the memory controllers. ``debug`` and
    ``ro`` are mount options.
    """

    name: str
    era: Era = ERAS["6.1"]
    vendor: str = "Intel"
    alloc: tuple[str, ...] = ("L3", "MB")
    events: tuple[str, ...] = EVENTS
    l3_ids: tuple[int, ...] = (0,)
    l3_size: int = 32 << 20
    cpus: int = 2
    num_rmids: int = 32
    num_closids: int = 8
    cbm_bits: int = 0
    root_mask: int = 0
    shareable_bits: int = 0
    scale: int = 65536
    threshold: int = -1
    snc_nodes: int = 1
    abmc_counters: int = 0
    pmgs: int = 0
    bmec: bool = False
    run_on: tuple[int, ...] = ()
    telemetry: tuple[str, ...] = ()
    telemetry_rmids: int = 576
    packages: int = 1
    mb_mon: bool = False
    debug: bool = False
    ro: bool = False

    @property
    def monitoring(self) -> bool:
        """Whether there is anything to monitor with."""
        return bool(self.events or self.telemetry)

    @property
    def mask_bits(self) -> int:
        """Bits of the L3 capacity mask."""
        return self.cbm_bits or mask_width(self.l3_size)

    @property
    def full_mask(self) -> int:
        """The mask of the whole cache."""
        return (1 << self.mask_bits) - 1

    @property
    def initial_mask(self) -> int:
        """The root group's mask after the mount."""
        return self.root_mask or (1 << self.mask_bits // 2) - 1

    @property
    def architecture(self) -> str:
        """What /proc/sys/kernel/arch says on such a machine; empty for the architecture of this one."""
        return "aarch64" if self.vendor == "Arm" else ""

    @property
    def shared_mask(self) -> int:
        """``shareable_bits``: devices may use every bit on Arm, where nothing keeps them from it."""
        return self.full_mask if self.vendor == "Arm" else self.shareable_bits

    @property
    def contiguous(self) -> bool:
        """Whether the bits of a mask must be consecutive."""
        return self.vendor == "Intel"

    @property
    def rmids(self) -> int:
        """What info/L3_MON/num_rmids says: on Arm all pairs of PARTID and PMG."""
        return self.num_closids * self.pmgs if self.pmgs else self.num_rmids // self.snc_nodes

    @property
    def usable_rmids(self) -> int:
        """The RMIDs that groups can have, the root's included: as many as every resource knows."""
        counts = [self.rmids] if self.events else []
        counts += [self.telemetry_rmids] if self.telemetry else []
        return min(counts, default=0)

    @property
    def initial_threshold(self) -> int:
        """max_threshold_occupancy after boot, in bytes."""
        if self.threshold >= 0:
            return self.threshold // self.scale * self.scale
        return self.threshold_limit // self.rmids // self.scale * self.scale

    @property
    def threshold_limit(self) -> int:
        """The most that max_threshold_occupancy takes, in bytes: /proc/cpuinfo's cache size, which AMD's L2 gives."""
        return AMD_L2_SIZE if self.vendor == "AMD" else self.l3_size

    @property
    def unit(self) -> int:
        """Bytes per unit of a counter: sub-NUMA clustering divides it, but not the unit of max_threshold_occupancy."""
        return self.scale // self.snc_nodes

    def nodes(self, l3_id: int) -> tuple[int, ...]:
        """Where counters of an L3 cache live: its sub-NUMA nodes, or the one domain with the cache's own id."""
        if self.snc_nodes == 1:
            return (l3_id,)
        first = self.l3_ids.index(l3_id) * self.snc_nodes
        return tuple(range(first, first + self.snc_nodes))

    @property
    def all_nodes(self) -> tuple[int, ...]:
        """Every node of every cache."""
        return tuple(node for l3_id in self.l3_ids for node in self.nodes(l3_id))

    def problems(self) -> list[str]:
        """Why such a machine cannot be; empty if it can."""
        wrong = [
            ("sub-NUMA clustering is known from 6.11 on", self.snc_nodes > 1 and not self.era.snc),
            ("ABMC is known from 6.18 on", self.abmc_counters > 0 and not self.era.assign_mode),
            ("telemetry of packages is known from 7.0 on", bool(self.telemetry) and not self.era.telemetry),
            ("configurable bandwidth events are known from 6.3 on", self.bmec and not self.era.bmec),
            ("the debug option is known from 6.7 on", self.debug and not self.era.debug),
            (f"events must be in this order: {', '.join(EVENTS)}", not _is_ordered_part(self.events, EVENTS)),
            (
                f"telemetry must be in this order: {', '.join(TELEMETRY)}",
                not _is_ordered_part(self.telemetry, tuple(TELEMETRY)),
            ),
            ("run_on names a cache that is not in l3_ids", not set(self.run_on) <= set(self.l3_ids)),
            ("vendors are Intel, AMD and Arm", self.vendor not in ("Intel", "AMD", "Arm")),
            ("Arm has pmgs, and nobody else", (self.vendor == "Arm") != (self.pmgs > 0)),
            ("Arm is known from 7.3 on", self.vendor == "Arm" and not self.era.assign_mode),
            (
                "Arm counts mbm_total_bytes, by abmc_counters, and never mbm_local_bytes",
                self.vendor == "Arm" and (LOCAL in self.events or (TOTAL in self.events) != (self.abmc_counters > 0)),
            ),
            ("root_mask is wider than cbm_bits", self.root_mask > self.full_mask),
            ("only L3 and MB can be allocated", not _is_ordered_part(self.alloc, ("L3", "MB"))),
            ("a machine with neither allocation nor monitoring has no resctrl", not self.alloc and not self.monitoring),
            ("at least one L3 id, each once", not self.l3_ids or len(set(self.l3_ids)) != len(self.l3_ids)),
            ("num_rmids and num_closids are at least 1", self.rmids < 1 or self.num_closids < 1),
            ("telemetry_rmids and packages are at least 1", self.telemetry_rmids < 1 or self.packages < 1),
        ]
        return [text for text, is_wrong in wrong if is_wrong]


def _is_ordered_part(part: Iterable[str], whole: tuple[str, ...]) -> bool:
    chosen = tuple(part)
    return chosen == tuple(x for x in whole if x in chosen)


def _named() -> dict[str, Profile]:
    ids, size = machine_l3()
    base = Profile("intel-6.1", l3_ids=ids, l3_size=size, cpus=os.cpu_count() or 1)

    def variant(name: str, **changes: object) -> Profile:
        return dataclasses.replace(base, name=name, **changes)  # type: ignore[arg-type]

    profiles = (
        base,
        variant("intel-5.10", era=ERAS["5.10"]),
        variant("intel-6.12", era=ERAS["6.12"]),
        variant("intel-7.3", era=ERAS["7.3"]),
        variant("monitor-only", alloc=()),
        variant("alloc-only", events=()),
        variant("no-mbm", events=(LLC,)),
        variant("no-cmt", events=(TOTAL, LOCAL)),
        variant("snc", era=ERAS["6.12"], snc_nodes=2, num_rmids=64),
        variant("amd-bmec", era=ERAS["6.12"], vendor="AMD", scale=64, num_closids=16, bmec=True),
        variant("amd-abmc", era=ERAS["7.3"], vendor="AMD", scale=64, num_closids=16, abmc_counters=8, bmec=True),
        variant(
            "arm-mpam",
            era=ERAS["7.3"],
            vendor="Arm",
            events=(LLC, TOTAL),
            scale=1,
            num_closids=16,
            pmgs=4,
            abmc_counters=8,
        ),
        variant("intel-aet", era=ERAS["7.3"], packages=2, telemetry=tuple(TELEMETRY)),
        variant("telemetry-only", era=ERAS["7.3"], events=(), packages=2, telemetry=tuple(TELEMETRY)),
        variant("wide-ids", l3_ids=(8, 9, 10, 112)),
        variant("few-rmids", num_rmids=4),
    )
    return {profile.name: profile for profile in profiles}


PROFILES = _named()
"""The named profiles, with the L3 ids, L3 size and CPUs of this machine where the profile does not fix them."""


def _convert(field: dataclasses.Field[object], text: str) -> object:
    parts = tuple(part for part in text.split(",") if part)
    match field.type:
        case "Era":
            return ERAS[text]
        case "int":
            return int(text, 0)
        case "bool":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        case "tuple[int, ...]":
            return tuple(int(part, 0) for part in parts)
        case "tuple[str, ...]":
            return parts
    return text


def load(name: str, settings: Iterable[str] = ()) -> Profile:
    """A named profile with ``KEY=VALUE`` settings laid over it; lists are separated by commas.

    Raises ValueError with a sentence that says what is wrong.
    """
    if name not in PROFILES:
        raise ValueError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    fields = {field.name: field for field in dataclasses.fields(Profile)}
    changes: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in fields or not equals:
            raise ValueError(f"{setting!r} is not KEY=VALUE with one of {', '.join(fields)}")
        try:
            changes[key] = _convert(fields[key], value)
        except (ValueError, KeyError) as error:
            raise ValueError(f"bad value in {setting!r}") from error
    profile = dataclasses.replace(PROFILES[name], **changes)  # type: ignore[arg-type]
    if problems := profile.problems():
        raise ValueError("; ".join(problems))
    return profile
