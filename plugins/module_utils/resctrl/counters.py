# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel counts for a group: the files below mon_data, read and never believed to be numbers."""

from __future__ import annotations

import os
import re
import typing as t

from .filesystem import ROOT, Group, Resctrl, read_text

# The kernel's names. llc_occupancy: bytes in the cache now; mbm_*: bytes moved since the group was made.
OCCUPANCY = "llc_occupancy"
BANDWIDTH = ("mbm_total_bytes", "mbm_local_bytes")
EVENTS = (OCCUPANCY, *BANDWIDTH)

_CACHE_DIRECTORY = re.compile(r"mon_L3_([0-9]+)")

# Why a value is missing
NOT_ENABLED = "disabled"
UNSUPPORTED = "unsupported"
GONE = "gone"
ERROR = "error"
_WORDS = {"Unavailable": "unavailable", "Unassigned": "unassigned", "Error": ERROR}


class Value(t.NamedTuple):
    """Bytes, or None and why not (disabled, unavailable, unassigned, error, unsupported, gone)."""

    number: int | None = None
    reason: str | None = None


Values = t.Dict[str, Value]


def parse_counter(text: str) -> Value:
    """A file of mon_data: a number, or the kernel's word for why there is none (the read itself succeeds then)."""
    word = text.strip()
    # isdecimal() would also take other scripts' digits
    if word.isdigit() and word.isascii():
        return Value(int(word))
    return Value(None, _WORDS.get(word, ERROR))


def read_counter(directory: str, event: str) -> Value:
    """The value of an event in a directory of mon_data. Never raises: ENOENT and ENODEV mean that it went away."""
    try:
        return parse_counter(read_text(f"{directory}/{event}"))
    except OSError:
        return Value(None, GONE)


def cache_directories(resctrl: Resctrl, group: Group = ROOT) -> dict[int, str]:
    """L3 cache id -> its directory in `group`, in the order of the ids; empty where the group is gone.

    Ids are sparse, come and go with CPU hot-plug and are zero-padded (mon_L3_08 is 8, not a bad octal number).
    Directories of other resources (mon_PERF_PKG_NN) are not caches.
    """
    try:
        names = os.listdir(resctrl.path(group, "mon_data"))
    except OSError:
        return {}
    matches = [(name, _CACHE_DIRECTORY.fullmatch(name)) for name in names]
    found = {int(match.group(1), 10): resctrl.path(group, "mon_data", name) for name, match in matches if match}
    return dict(sorted(found.items()))


def generation(resctrl: Resctrl, group: Group) -> int | None:
    """A number that another group of the same name will not have (the inode); None if the group is gone."""
    try:
        return os.stat(resctrl.path(group)).st_ino
    except OSError:
        return None


def assign_mode(resctrl: Resctrl) -> str | None:
    """How MBM counters are given out: `default` or `mbm_event`; None on kernels that do not say (before 6.18)."""
    try:
        text = read_text(resctrl.path(ROOT, "info/L3_MON/mbm_assign_mode"))
    except OSError:
        return None
    match = re.search(r"\[(.+)\]", text)
    return match.group(1) if match else None
