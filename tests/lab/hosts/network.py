# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A veth pair per host: no bridge, no names of network namespaces, nothing that outlives the host.

Addresses are from 198.18.0.0/15, which is set aside for such labs (RFC 2544) and never routed. The interface on the
machine's side is the reservation: the kernel makes each name only once, and removes it with the host's namespace.
"""

from __future__ import annotations

import ipaddress
import socket
import typing as t

from waiting import comes

from .command import execute
from .errors import LabError

if t.TYPE_CHECKING:
    from pathlib import Path

_MACHINE = ipaddress.IPv4Address("198.18.0.1")
_HOSTS = 250


def connect(namespace_pid: int) -> tuple[str, int]:
    """Gives the network namespace of a process an eth0. Returns its address and the index of the machine's end."""
    for number in range(1, _HOSTS + 1):
        interface = f"kvmlab{number}"
        if _exists(interface):
            continue
        try:
            execute("ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", str(namespace_pid))
        except LabError:
            if _exists(interface):
                continue  # somebody else was faster
            raise
        address = str(_MACHINE + number)
        execute("ip", "address", "add", f"{_MACHINE}/32", "dev", interface)
        execute("ip", "link", "set", interface, "up")
        execute("ip", "route", "add", f"{address}/32", "dev", interface, "src", str(_MACHINE))
        return address, socket.if_nametoindex(interface)
    raise LabError(f"there are {_HOSTS} hosts already")


def _exists(interface: str) -> bool:
    try:
        socket.if_nametoindex(interface)
    except OSError:
        return False
    return True


def configure(address: str) -> None:
    """The host's end, from inside: the machine is reachable, nothing else is."""
    execute("ip", "link", "set", "lo", "up")
    execute("ip", "address", "add", f"{address}/32", "dev", "eth0")
    execute("ip", "link", "set", "eth0", "up")
    execute("ip", "route", "add", f"{_MACHINE}/32", "dev", "eth0", "src", address)


def write_hosts(etc: Path, name: str, address: str) -> None:
    """Lets a host know its own name, since nobody answers it questions about names."""
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n")


def wait_until_gone(interface_index: int) -> None:
    """Waits until the kernel has removed the pair of a host that died, which it does in the background."""
    if not comes(lambda: interface_index not in [index for index, _name in socket.if_nameindex()], 20):
        raise LabError(f"network interface {interface_index} of a host that is down is still there")
