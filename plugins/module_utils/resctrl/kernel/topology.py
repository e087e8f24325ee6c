# SPDX-License-Identifier: GPL-3.0-or-later
"""The L3 caches of a host: how large they are, which CPUs share each, and in which package (socket) it is."""

from __future__ import annotations

import glob
import re
import typing as t

from .files import read_if_there
from .groups import parse_cpus


class Cache(t.NamedTuple):
    """An L3 cache: its bytes, its online CPUs, and the id of the package that it is in; None where it is not known."""

    size: int | None = None
    cpus: frozenset[int] = frozenset()
    package: int | None = None


def caches(system: str = "/sys/devices/system/cpu") -> dict[int, Cache]:
    """L3 cache id -> the cache, of those whose CPUs are online (Documentation/ABI/testing/sysfs-devices-system-cpu)."""
    found: dict[int, Cache] = {}
    seen: set[int] = set()
    directories = {int(path.rpartition("cpu")[2]): path for path in glob.glob(f"{system}/cpu[0-9]*")}
    for cpu, directory in sorted(directories.items()):
        if cpu in seen:
            # Its cache is that of a CPU before it
            continue
        for index in glob.glob(f"{directory}/cache/index[0-9]*"):
            number = read_if_there(f"{index}/id").strip()
            if read_if_there(f"{index}/level").strip() == "3" and number.isdigit():
                cache = Cache(_size(index), _cpus(index), _package(directory))
                found[int(number)] = cache
                seen |= cache.cpus
    return dict(sorted(found.items()))


def cache_sizes(system: str = "/sys/devices/system/cpu") -> dict[int, int]:
    """L3 cache id -> its size in bytes, of those whose CPUs are online and whose size is known."""
    return {number: cache.size for number, cache in caches(system).items() if cache.size is not None}


def _size(index: str) -> int | None:
    match = re.fullmatch(r"([0-9]+)K", read_if_there(f"{index}/size").strip())
    return int(match.group(1)) * 1024 if match else None


def _cpus(index: str) -> frozenset[int]:
    return parse_cpus(read_if_there(f"{index}/shared_cpu_list"))


def _package(directory: str) -> int | None:
    text = read_if_there(f"{directory}/topology/physical_package_id").strip()
    return int(text) if text.isdigit() else None
