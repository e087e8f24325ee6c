# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a host's PID namespace: makes the host, and takes everything with it when it dies.

Run by lab.py as `python3 -m hosts.supervisor DIRECTORY CHANNEL SETTINGS` in new mount, PID, UTS and IPC namespaces.
CHANNEL is the descriptor of its end of the channel, SETTINGS a JSON object.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import signal
import socket
import sys
import traceback
import typing as t
from pathlib import Path

from . import full, light, mounts, network
from .channel import Channel
from .command import execute
from .errors import LabError
from .state import Record, Settings, State

_CLONE_NEWNET = 0x40000000


def _enter_network_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")


def supervise(state: State, settings: Settings, channel: Channel) -> None:
    """Makes the host and stays. Returns when a full host was powered off."""
    mounts.keep_mounts_private()
    supervisor = int(os.readlink("/proc/self"))  # /proc still is the machine's
    machine_proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    execute("mount", "-t", "proc", "proc", "/proc")
    _enter_network_namespace()
    channel.send("pid", supervisor)
    address, interface_index = channel.receive("address")
    network.configure(address)
    socket.sethostname(settings.name)

    record = Record(settings, address, interface_index, supervisor)
    state.write(record)

    def ready(leader: int) -> None:
        state.write(dataclasses.replace(record, leader=leader))
        channel.send("ready")

    if not settings.full:
        light.start(state, settings, address)
        ready(supervisor)
        _rest()
    host = full.FullHost(state, record, machine_proc)
    while host.boot(ready):
        state.write(record)


def _rest() -> t.NoReturn:
    """What is left of daemons, and of commands that ran in the host, becomes a child of this process: let it vanish."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        signal.pause()


def main(argv: t.Sequence[str]) -> int:
    """Entry point; the exit status is 1 if the host did not come up."""
    directory, descriptor, fields = Path(argv[0]), int(argv[1]), json.loads(argv[2])
    channel = Channel(socket.socket(fileno=descriptor))
    settings = Settings(**{**fields, "overrides": tuple(fields["overrides"])})
    try:
        supervise(State(directory.parent, directory.name), settings, channel)
    except (LabError, OSError) as error:
        traceback.print_exc()
        channel.send("error", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
