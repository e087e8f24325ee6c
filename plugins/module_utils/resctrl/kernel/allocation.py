# SPDX-License-Identifier: GPL-3.0-or-later
"""What groups may use of a cache or of memory bandwidth. It is read only: nothing here is ever changed."""

from __future__ import annotations

import typing as t

from .files import number_in, numbers_in, read_if_there
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
    mask = number_in(resctrl.info("L3/cbm_mask"), 16)
    least = number_in(resctrl.info("L3/min_cbm_bits"))
    lowest, step = (number_in(resctrl.info(f"MB/{name}")) for name in ("min_bandwidth", "bandwidth_gran"))
    # AMD counts in eighths of a GB/s, and mba_MBps in MB/s: without a limit their numbers are larger
    numbers = set(schemata(resctrl, ROOT).get("MB", {}).values())
    is_percent = bool(numbers) and numbers <= set(range(101))
    bandwidth = (lowest, max(1, step)) if lowest is not None and step is not None and is_percent else None
    return Rules(mask or 0, least or 1, bandwidth)


def schemata(resctrl: Resctrl, group: Group) -> dict[str, dict[int, int]]:
    """Resource (L3, MB) -> id of a cache or node -> what a CTRL_MON group may use there; empty if it is gone."""
    return parse_schemata(read_if_there(resctrl.path(group, "schemata")))


def parse_schemata(text: str) -> dict[str, dict[int, int]]:
    """The same from the file's text, such as `L3:0=fff;1=ff0`. Masks are hexadecimal, all else is decimal.

    What is no number, such as `max`, is left out.
    """
    found: dict[str, dict[int, int]] = {}
    for line in text.split("\n"):
        name, colon, values = line.strip().partition(":")
        if colon:
            found[name] = numbers_in(values, 16 if name.startswith(_HEXADECIMAL) else 10)
    return found
