# SPDX-License-Identifier: GPL-3.0-or-later
"""What groups may use of a cache or of memory bandwidth. It is read only: nothing here is ever changed."""

from __future__ import annotations

import typing as t

from .files import read_if_there
from .groups import ROOT, Group

if t.TYPE_CHECKING:
    from .filesystem import Resctrl

_HEXADECIMAL = ("L3", "L2")


class Rules(t.NamedTuple):
    """How the L3 cache and memory bandwidth can be allocated.

    `mask`: the bits that stand for a whole cache, 0 where it cannot be allocated.  `least`: how many bits at least.
    `bandwidth`: the least percentage of memory bandwidth, and the step; None where it is not allocated in percent.
    """

    mask: int = 0
    least: int = 1
    bandwidth: tuple[int, int] | None = None


def rules(resctrl: Resctrl) -> Rules:
    """The rules of a host. With L3CODE and L3DATA (CDP) instead of L3 nothing is told."""
    mask = _read(resctrl, "L3/cbm_mask")
    least = _read(resctrl, "L3/min_cbm_bits") or "1"
    lowest, step = _read(resctrl, "MB/min_bandwidth"), _read(resctrl, "MB/bandwidth_gran")
    # AMD counts in eighths of a GB/s, and mba_MBps in MB/s: without a limit their numbers are larger
    percent = set(schemata(resctrl, ROOT).get("MB", {}).values()) <= set(range(101))
    bandwidth = (int(lowest), max(1, int(step))) if lowest and step and percent else None
    return Rules(int(mask, 16) if mask else 0, int(least), bandwidth)


def schemata(resctrl: Resctrl, group: Group) -> dict[str, dict[int, int]]:
    """Resource (L3, MB) -> id of a cache or node -> what a CTRL_MON group may use there; empty if it is gone."""
    return parse_schemata(read_if_there(resctrl.path(group, "schemata")))


def parse_schemata(text: str) -> dict[str, dict[int, int]]:
    """The same from the file's text, such as `L3:0=fff;1=ff0`. Masks are hexadecimal, all else is decimal."""
    found: dict[str, dict[int, int]] = {}
    for line in text.split("\n"):
        name, colon, values = line.strip().partition(":")
        pairs = [part.partition("=") for part in values.split(";") if "=" in part]
        if colon:
            base = 16 if name.startswith(_HEXADECIMAL) else 10
            found[name] = {int(number): int(value, base) for number, _equals, value in pairs}
    return found


def _read(resctrl: Resctrl, name: str) -> str:
    return read_if_there(resctrl.path(ROOT, "info", name)).strip()
