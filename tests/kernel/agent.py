# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's side of guest.py: runs the commands that come over the virtio port, one after the other.

Both sides send lines of JSON. At first the agent sends {"ready": seconds since the kernel's start}. A request is
{"argv", "cwd", "env", "input": base64, "timeout": seconds}; the answer is any number of {"stream": 1 or 2, "data":
base64} and at the end {"status": as subprocess gives it} or {"timeout": true}. As with a login, a process that was left
running in the background does not delay the end.
"""

from __future__ import annotations

# What is imported here is waited for at every start of a guest: binascii for base64, no pathlib, tempfile, typing.
import binascii
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

PORTS = "/sys/class/virtio-ports"
PORT = "kvmops.agent"


def open_port() -> int:
    """The virtio port of this name."""
    for device in os.listdir(PORTS):
        with open(f"{PORTS}/{device}/name") as file:
            if file.read().strip() == PORT:
                return os.open(f"/dev/{device}", os.O_RDWR)
    raise FileNotFoundError(f"There is no virtio port {PORT}")


class Port:
    """Lines of JSON over the port."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._pending = b""

    def send(self, message: dict[str, t.Any]) -> None:
        """Sends one message."""
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(self.descriptor, line) :]

    def write(self, stream: int, data: bytes) -> None:
        """Sends what a command has written."""
        self.send({"stream": stream, "data": binascii.b2a_base64(data).decode()})

    def receive(self) -> dict[str, t.Any]:
        """Waits for one message. Ends the program when the host has gone."""
        while b"\n" not in self._pending:
            data = os.read(self.descriptor, 1 << 16)
            if not data:
                sys.exit()
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        message: dict[str, t.Any] = json.loads(line)
        return message


class Timeout(Exception):
    """The command's time is over."""


class Command:
    """One command that runs."""

    def __init__(self, port: Port, request: dict[str, t.Any]) -> None:
        self._port = port
        self._end = time.monotonic() + request["timeout"]
        with open(os.memfd_create("input"), "w+b") as stdin:
            stdin.write(binascii.a2b_base64(request["input"]))
            stdin.seek(0)
            self._process = subprocess.Popen(
                request["argv"], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=request["cwd"],
                env={**os.environ, **request["env"]}, start_new_session=True,
            )  # fmt: skip

    def follow(self) -> int:
        """Passes its output on until it has ended, and returns its status. Raises Timeout."""
        process = self._process
        assert process.stdout
        assert process.stderr
        with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
            ended = os.pidfd_open(process.pid)
            selector.register(ended, selectors.EVENT_READ)
            selector.register(self._port.descriptor, selectors.EVENT_READ)
            for number, stream in ((1, process.stdout), (2, process.stderr)):
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, number)
            try:
                self._pass_on(selector, ended)
            finally:
                os.close(ended)
        return process.wait()

    def _pass_on(self, selector: selectors.BaseSelector, ended: int) -> None:
        while True:
            ready = selector.select(max(0, self._end - time.monotonic()))
            if not ready:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                raise Timeout
            keys = [key for key, _events in ready]
            for key in keys:
                if key.fd == self._port.descriptor:  # the host sends nothing now: it has gone
                    sys.exit()
                if key.data and self._copy(key.fd, key.data) == b"":
                    selector.unregister(key.fileobj)
            if any(key.fd == ended for key in keys):
                for key in list(selector.get_map().values()):
                    if key.data:  # one read takes all that a pipe can hold
                        self._copy(key.fd, key.data)
                return

    def _copy(self, descriptor: int, number: int) -> bytes | None:
        """Sends what can be read now, and returns it: b"" at the end, None if there is nothing yet."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return None
        if data:
            self._port.write(number, data)
        return data


def answer(port: Port, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Runs a command, and returns the last message of the answer."""
    try:
        return {"status": Command(port, request).follow()}
    except Timeout:
        return {"timeout": True}
    except OSError as error:  # as a shell does
        port.write(2, f"{error.filename}: {error.strerror}\n".encode())
        return {"status": 127 if isinstance(error, FileNotFoundError) else 126}


def main() -> None:
    """Serves until the host closes the port."""
    port = Port(open_port())
    port.send({"ready": time.clock_gettime(time.CLOCK_BOOTTIME)})
    while True:
        port.send(answer(port, port.receive()))


if __name__ == "__main__":
    main()
