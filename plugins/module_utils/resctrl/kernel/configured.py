# SPDX-License-Identifier: GPL-3.0-or-later
"""What an event of memory bandwidth counts, where that can be changed (AMD BMEC and ABMC). Pure."""

from __future__ import annotations

import re
import typing as t

from .events import ALL_CACHES

# Event -> L3 cache id, or ALL_CACHES -> the kernel's words, see info.configurations()
Configurations = t.Mapping[str, t.Mapping[int, str]]

# The kinds of transactions as event_filter names them, in the order of the bits of a mask (linux/resctrl_types.h)
KINDS = (
    "local_reads",
    "remote_reads",
    "local_non_temporal_writes",
    "remote_non_temporal_writes",
    "local_reads_slow_memory",
    "remote_reads_slow_memory",
    "dirty_victim_writes_all",
)
_SLOW = frozenset(kind for kind in KINDS if kind.endswith("_slow_memory"))
_DEFAULTS = {
    "mbm_total_bytes": frozenset(KINDS),
    "mbm_local_bytes": frozenset(kind for kind in KINDS if kind.startswith("local_")),
}


def parse_kinds(text: str) -> tuple[str, ...]:
    """What an event counts: from a mask (0x7f), or from names with commas between them; nothing if there is none.

    A bit that is not known stays a number, and a name that is not known stays.
    """
    text = text.strip()
    if not re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return tuple(name for name in text.split(",") if name)
    mask = int(text, 16)
    known = [kind for bit, kind in enumerate(KINDS) if mask >> bit & 1]
    rest = mask >> len(KINDS) << len(KINDS)
    return (*known, *([f"{rest:#x}"] if rest else []))


def is_default(event: str, kinds: t.Iterable[str]) -> bool:
    """Whether an event counts what it counts when the kernel starts: everything, or everything local.

    Hardware without slow memory lacks those kinds from the beginning (CPUID 0x80000020), which cannot be told from a
    change.
    """
    default = _DEFAULTS.get(event, frozenset())
    return set(kinds) in (default, default - _SLOW)


def kinds_of(configured: Configurations, event: str, caches: t.Collection[int]) -> dict[int, tuple[str, ...]]:
    """L3 cache id -> what an event counts there, of those of `caches` on which that can be changed."""
    texts = configured.get(event, {})
    found = {cache: texts.get(cache, texts.get(ALL_CACHES)) for cache in sorted(caches)}
    return {cache: parse_kinds(text) for cache, text in found.items() if text is not None}


def changed(configured: Configurations, caches: t.Collection[int]) -> dict[str, dict[int, tuple[str, ...]]]:
    """Event -> L3 cache id -> what it counts there, only where that is not the default."""
    found = {}
    for event in configured:
        kinds = kinds_of(configured, event, caches)
        differing = {cache: one for cache, one in kinds.items() if not is_default(event, one)}
        if differing:
            found[event] = differing
    return found


def in_words(kinds: t.Mapping[int, t.Sequence[str]]) -> str:
    """What an event counts on each cache, such as `local_reads, remote_reads on L3 cache 0; nothing on L3 cache 2`."""
    caches: dict[str, list[str]] = {}
    for cache, one in kinds.items():
        caches.setdefault(", ".join(one) or "nothing", []).append(str(cache))
    return "; ".join(f"{words} on L3 cache {', '.join(ids)}" for words, ids in caches.items())


def file_of(configured: Configurations, event: str) -> str:
    """The file below info/L3_MON in which an event is configured."""
    return f"event_configs/{event}/event_filter" if ALL_CACHES in configured.get(event, ()) else f"{event}_config"
