# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: a UNIX socket that speaks one JSON object per line, and its client :class:`Control`.

A request is ``{"command": NAME, "arguments": {...}}``, an answer ``{"result": ...}`` or ``{"error": TEXT}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .faults import Fault, Operation

if TYPE_CHECKING:
    from .model import Resctrl
    from .observer import Observer


class ControlError(Exception):
    """The emulator refused a command."""


# -- server


class Commands:
    """What a client may ask for; arguments and results are JSON values."""

    def __init__(self, resctrl: Resctrl, observer: Observer) -> None:
        self._resctrl = resctrl
        self._commands: dict[str, Callable[..., object]] = {
            "set": self._set,
            "unset": self._unset,
            "not_ready": self._not_ready,
            "freeze": self._freeze,
            "unfreeze": self._unfreeze,
            "advance": resctrl.clock.advance,
            "reset": resctrl.reconfigured,
            "switch": resctrl.switch,
            "leave_rmids": resctrl.monitor.pool.leave,
            "remount": resctrl.remount,
            "place": resctrl.place,
            "snapshot": resctrl.snapshot,
            "fault": lambda fault: observer.add_fault(Fault(**fault)),
            "faults": observer.faults,
            "clear_faults": observer.clear_faults,
            "log": observer.log,
            "clear_log": observer.clear_log,
        }

    def run(self, command: str, arguments: dict[str, Any]) -> object:
        """Execute one command. Raises ControlError, or what the command raises."""
        if command not in self._commands:
            raise ControlError(f"no command {command!r}; there are {', '.join(self._commands)}")
        with self._resctrl.lock:
            return self._commands[command](**arguments)

    def _set(self, group: str, domain: int, event: str, value: float | str) -> None:
        self._resctrl.monitor.pin(self._resctrl.group_at(group), domain, event, value)

    def _not_ready(self, group: str, domain: int, event: str, reads: int) -> None:
        self._resctrl.monitor.not_ready(self._resctrl.group_at(group), domain, event, reads)

    def _unset(self, group: str, domain: int | None, event: str | None) -> None:
        self._resctrl.monitor.unpin(self._resctrl.group_at(group), domain, event)

    def _freeze(self) -> None:
        self._resctrl.monitor.freeze(list(self._resctrl.groups()), self._resctrl.table)

    def _unfreeze(self) -> None:
        self._resctrl.monitor.unfreeze(self._resctrl.groups())


class _Handler(socketserver.StreamRequestHandler):
    server: ControlServer

    def handle(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for line in self.rfile:
                self.wfile.write(json.dumps(self._answer(line)).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
            return {"result": self.server.commands.run(request["command"], request["arguments"])}
        except (ControlError, OSError, TypeError, ValueError, KeyError) as error:
            return {"error": f"{type(error).__name__}: {error}"}


class ControlServer(socketserver.ThreadingUnixStreamServer):
    """Serves the commands in threads of its own, so that a slow filesystem operation does not hold them up."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: str, commands: Commands) -> None:
        self.commands = commands
        Path(path).unlink(missing_ok=True)
        super().__init__(path, _Handler)
        os.chmod(path, 0o600)

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, name="control", daemon=True).start()

    def stop(self) -> None:
        """Take no more clients; the threads end with the process."""
        Path(str(self.server_address)).unlink(missing_ok=True)


# -- client


@dataclass
class Control:
    """Steers an emulator through its socket. Group paths are relative to the mount point; "" is the root group.

    Methods raise ControlError with the emulator's reason, OSError if it cannot be reached.
    """

    path: str
    _socket: socket.socket | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; the next call connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _call(self, command: str, **arguments: object) -> object:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(self.path)
        self._socket.sendall(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        with self._socket.makefile("rb") as stream:
            line = stream.readline()
        if not line:
            self.close()
            raise ConnectionResetError("the emulator has gone")
        answer = json.loads(line)
        if "error" in answer:
            raise ControlError(answer["error"])
        return cast("object", answer["result"])

    def set(self, group: str, domain: int, event: str, value: float | str) -> None:
        """Make a counter of the group's own RMID read a number, or "Unavailable", "Error", "Unassigned".

        The domain is an L3 cache, and for an event of telemetry a package. A CTRL_MON group's file shows the sum over
        its MON groups all the same. The setting goes with the group; the number stays behind as what its RMID owns.
        """
        self._call("set", group=group, domain=domain, event=event, value=value)

    def not_ready(self, group: str, domain: int, event: str, reads: int = 1) -> None:
        """On Arm, let a counter of the group's own RMID read 0 so many times, because the hardware is not ready."""
        self._call("not_ready", group=group, domain=domain, event=event, reads=reads)

    def unset(self, group: str, domain: int | None = None, event: str | None = None) -> None:
        """Let counters move again, from the number they were set to; None means all."""
        self._call("unset", group=group, domain=domain, event=event)

    def freeze(self) -> None:
        """Stop all counters, and the fading of what freed RMIDs own."""
        self._call("freeze")

    def unfreeze(self) -> None:
        """Let the counters go on from where they are."""
        self._call("unfreeze")

    def advance(self, seconds: float) -> None:
        """Let time pass for the limbo's workers and for what RMIDs without threads own."""
        self._call("advance", seconds=seconds)

    def reset(self, cache: int) -> None:
        """Let the bandwidth counts of an L3 cache start anew for all groups, as a new event configuration does."""
        self._call("reset", l3_id=cache)

    def offline(self, cache: int, node: int | None = None) -> None:
        """Switch off all CPUs of an L3 cache, or of one of its sub-NUMA nodes: its directory is in no group then."""
        self._call("switch", l3_id=cache, node=node, online=False)

    def online(self, cache: int, node: int | None = None) -> None:
        """Switch them on again: the directory is back, the counts start at 0."""
        self._call("switch", l3_id=cache, node=node, online=True)

    def leave_rmids(self, count: int | None) -> None:
        """Let only so many more groups be made, whatever num_rmids says; None gives back what was held."""
        self._call("leave_rmids", count=count)

    def remount(self) -> None:
        """Unmount and mount again: no group is left, and from 6.7 on the next ones have the inodes of the old ones.

        The root's times are those of the new mount. For clients nothing is unmounted in between.
        """
        self._call("remount")

    def place(self, tid: int) -> str:
        """What the kernel's /proc/PID/task/TID/cpu_resctrl_groups would read for a thread."""
        return cast("str", self._call("place", tid=tid))

    def fault(self, fault: Fault) -> None:
        """Arm a fault; several may be armed at a time."""
        self._call("fault", fault=asdict(fault))

    def faults(self) -> list[Fault]:
        """The armed faults, each with the number of operations it has ``seen``."""
        return [Fault(**fields) for fields in cast("list[dict[str, Any]]", self._call("faults"))]

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._call("clear_faults")

    def log(self, *kinds: str) -> list[Operation]:
        """The operations since the log was cleared, oldest first; of some kinds only, if given."""
        operations = [Operation(**fields) for fields in cast("list[dict[str, Any]]", self._call("log"))]
        return [operation for operation in operations if not kinds or operation.kind in kinds]

    def clear_log(self) -> None:
        """Forget the logged operations."""
        self._call("clear_log")

    def snapshot(self) -> dict[str, Any]:
        """The emulator's state.

        ``profile``, ``era``, ``frozen``; ``status`` (last_cmd_status, without clearing it); ``rmids``: ``total``, and
        the lists ``free`` and ``limbo``; ``groups``: by path ``kind`` (CTRL_MON, MON), ``control`` (path), ``closid``,
        ``rmid``, ``inode``, ``mode`` and ``tasks``, those whose own place it is; the root's are not listed.
        """
        return cast("dict[str, Any]", self._call("snapshot"))
