# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the lab is on the machine, and whether it is gone."""

from __future__ import annotations

import os
import socket
import typing as t
from pathlib import Path

from waiting import wait_until

if t.TYPE_CHECKING:
    from hosts import Host


class Traces:
    """The processes and the network interface of a host that is up."""

    def __init__(self, host: Host) -> None:
        record = host.record
        self._host = host
        self._interface_index = record.interface_index
        self._processes = _processes_in_network_of(record.supervisor)
        assert len(self._processes) > 3

    def assert_gone(self) -> None:
        """Waits until no process, no interface and no mount is left."""
        wait_until(lambda: not self._host.state.alive(), "the end of the host")
        wait_until(lambda: not any(_start(pid) == start for pid, start in self._processes), "the end of its processes")
        wait_until(
            lambda: self._interface_index not in [index for index, _name in socket.if_nameindex()], "its interface"
        )
        assert str(self._host.state.directory) not in Path("/proc/self/mountinfo").read_text()


def _processes_in_network_of(pid: int) -> set[tuple[int, str]]:
    """Each process in the network namespace of `pid`: its id, and when it started (ids come again)."""
    namespace = os.readlink(f"/proc/{pid}/ns/net")
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/ns/net") == namespace:
                found.add((int(name), _start(int(name))))
        except OSError:
            continue  # it ended
    return found


def _start(pid: int) -> str:
    """When a process started, in ticks since boot; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
