# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``info`` directory."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from .kernfs import Caller, Node, Store
from .kstr import UINT, fail, kstrto
from .profiles import LOCAL, TOTAL

if TYPE_CHECKING:
    from .model import Resctrl


def build_info(resctrl: Resctrl) -> None:
    """Make ``info`` and all below it; these files belong to no group."""
    info = resctrl.root.directory("info")
    info.group = None
    _file(info, "last_cmd_status", resctrl.status.show)
    profile = resctrl.profile
    if "L3" in profile.alloc:
        _build_l3(resctrl, info.directory("L3"))
    if "MB" in profile.alloc:
        _build_mb(resctrl, info.directory("MB"))
    if profile.events:
        _build_l3_mon(resctrl, info.directory("L3_MON"))
    if profile.telemetry:
        _build_other_mon(info.directory("PERF_PKG_MON"), profile.telemetry_rmids, profile.telemetry)
    if profile.mb_mon:
        _build_other_mon(info.directory("MB_MON"), profile.rmids, (TOTAL,))


def _file(where: Node, name: str, show: str | Callable[[], str], store: Store | None = None) -> Node:
    mode = 0o444 if store is None else 0o644
    if isinstance(show, str):
        return where.file(name, mode, lambda _caller: str(show), store)
    return where.file(name, mode, lambda _caller: show(), store)


def _build_other_mon(where: Node, num_rmids: int, events: Iterable[str]) -> None:
    _file(where, "num_rmids", f"{num_rmids}\n")
    _file(where, "mon_features", "".join(f"{event}\n" for event in events))


def _build_l3(resctrl: Resctrl, l3: Node) -> None:
    profile = resctrl.profile
    _file(l3, "num_closids", f"{profile.num_closids}\n")
    _file(l3, "cbm_mask", f"{profile.full_mask:x}\n")
    _file(l3, "min_cbm_bits", "1\n")
    _file(l3, "shareable_bits", f"{profile.shared_mask:x}\n")
    _file(l3, "bit_usage", resctrl.allocation.bit_usage)
    if profile.era.sparse_masks:
        _file(l3, "sparse_masks", f"{int(not profile.contiguous)}\n")


def _build_mb(resctrl: Resctrl, mb: Node) -> None:
    band = resctrl.allocation.bandwidth
    _file(mb, "num_closids", f"{resctrl.profile.num_closids}\n")
    _file(mb, "min_bandwidth", f"{band.minimum}\n")
    _file(mb, "bandwidth_gran", f"{band.granularity}\n")
    _file(mb, "delay_linear", f"{band.linear}\n")
    if resctrl.profile.vendor == "Intel":
        _file(mb, "thread_throttle_mode", "max\n")


def _build_l3_mon(resctrl: Resctrl, l3_mon: Node) -> None:
    profile, monitor = resctrl.profile, resctrl.monitor
    _file(l3_mon, "num_rmids", f"{profile.rmids}\n")
    _file(l3_mon, "mon_features", lambda: _features(resctrl))
    _file(
        l3_mon,
        "max_threshold_occupancy",
        lambda: f"{monitor.threshold}\n",
        lambda text, _caller: _write_threshold(resctrl, text),
    )
    configs = [BandwidthConfig(resctrl, event, l3_mon) for event in monitor.assignments.events if profile.bmec]
    if profile.era.assign_mode:
        _file(l3_mon, "mbm_assign_mode", monitor.assignments.show_mode, partial(_write_assign_mode, resctrl, configs))
    if profile.abmc_counters:
        _build_assignable(resctrl, l3_mon)


def _features(resctrl: Resctrl) -> str:
    """``mon_features``: with configurable events one more line for each; mbm_event mode has no such configuration."""
    configurable = resctrl.profile.bmec and not resctrl.monitor.assignments.enabled
    lines = ""
    for event in resctrl.profile.events:
        lines += f"{event}\n"
        if configurable and event in (TOTAL, LOCAL):
            lines += f"{event}_config\n"
    return lines


def _write_threshold(resctrl: Resctrl, text: str) -> None:
    profile = resctrl.profile
    says = resctrl.status.printf if profile.era.any_clears else lambda _text: None
    try:
        value = kstrto(text, 0, UINT)
    except OSError:
        says("max_threshold_occupancy: Invalid input\n")
        raise
    if value > profile.threshold_limit:
        says(f"max_threshold_occupancy: Exceeds limit (before adjustment) of {profile.threshold_limit} bytes\n")
        fail(errno.EINVAL)
    resctrl.monitor.threshold = value // profile.scale * profile.scale


def _write_assign_mode(resctrl: Resctrl, configs: list[BandwidthConfig], text: str, _caller: Caller) -> None:
    resctrl.monitor.assignments.write_mode(resctrl.line("mbm_assign_mode", text), list(resctrl.groups()))
    for config in configs:
        config.show_or_hide()


def _build_assignable(resctrl: Resctrl, l3_mon: Node) -> None:
    assignments = resctrl.monitor.assignments
    _file(l3_mon, "num_mbm_cntrs", assignments.show_total)
    _file(l3_mon, "available_mbm_cntrs", assignments.show_free)
    _file(
        l3_mon,
        "mbm_assign_on_mkdir",
        assignments.show_on_mkdir,
        lambda text, _caller: assignments.write_on_mkdir(text),
    )
    configs = l3_mon.directory("event_configs")
    for event in assignments.events:
        _file(
            configs.directory(event),
            "event_filter",
            partial(assignments.show_filter, event),
            None if assignments.fixed else partial(_write_filter, resctrl, event),
        )


def _write_filter(resctrl: Resctrl, event: str, text: str, _caller: Caller) -> None:
    resctrl.monitor.assignments.write_filter(event, resctrl.line("event_filter", text))


class BandwidthConfig:
    """``mbm_*_bytes_config`` of AMD's configurable events, per domain a mask of what is counted."""

    def __init__(self, resctrl: Resctrl, event: str, l3_mon: Node) -> None:
        self._resctrl = resctrl
        self._masks = dict.fromkeys(resctrl.profile.l3_ids, 0x7F if event == TOTAL else 0x15)
        self._node = _file(l3_mon, f"{event}_config", self._show, self._write)
        self.show_or_hide()

    def show_or_hide(self) -> None:
        """In mbm_event mode there is no such file."""
        self._node.alive = not self._resctrl.monitor.assignments.enabled

    def _show(self) -> str:
        return ";".join(f"{i}=0x{self._masks[i]:02x}" for i in self._resctrl.domains.l3_ids) + "\n"

    def _write(self, text: str, _caller: Caller) -> None:
        line = self._resctrl.line(self._node.name, text)
        for word in line.split(";"):
            number, equals, value = word.partition("=")
            l3_id, mask = kstrto(number, 10, UINT), kstrto(value, 16, UINT)
            if not equals or l3_id not in self._resctrl.domains.l3_ids or mask > 0x7F:
                fail(errno.EINVAL)
            self._masks[l3_id] = mask
            self._resctrl.reconfigured(l3_id)
