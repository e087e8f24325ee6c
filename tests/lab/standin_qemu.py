# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that look like QEMU's under libvirt, and do nothing: their command line and their threads' names.

``python3 standin_qemu.py ROOM`` takes requests on stdin, a JSON object a line, and answers each with one on stdout:

    {"do": "start", "argv": [...], "threads": [...]} -> {"pid": PID, "tids": [...]}  a process, its threads' names
    {"do": "add", "pid": PID, "thread": NAME}        -> {"tid": TID}                 one more thread; with "busy": true
                                                                                     it runs all the time
    {"do": "end", "pid": PID, "tid": TID}            -> {}                           the thread ends

Each process is a fork of this one, so that a hundred of them take two seconds; one may be killed at any time. All end
when stdin does. ROOM is any argument that is longer than the longest command line wished for: it is written over.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import typing as t

from waiting import wait_until

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def set_command_line(argv: t.Sequence[str]) -> None:
    """Make /proc/PID/cmdline show these words, by writing over our own; bytes of value 0 follow them.

    Raises ValueError if there is no room.
    """
    with open("/proc/self/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    words = b"".join(word.encode() + b"\0" for word in argv)
    room = end - start
    if len(words) > room:
        raise ValueError(f"{len(words)} bytes of command line need a longer ROOM")
    ctypes.memmove(start, words.ljust(room, b"\0"), room)


def name_thread(tid: int, name: str) -> None:
    """Set a thread's name, of which the kernel keeps 15 bytes."""
    with open(f"/proc/self/task/{tid}/comm", "w", encoding="utf-8") as file:
        file.write(name)


class Machine:
    """One stand-in, seen from inside of its process."""

    def __init__(self) -> None:
        self._threads: dict[int, tuple[threading.Thread, threading.Event]] = {}

    def add(self, name: str, *, busy: bool = False) -> int:
        """Start a thread that waits, or runs all the time; its id."""
        end = threading.Event()

        def run() -> None:
            while not end.is_set():
                pass

        thread = threading.Thread(target=run if busy else end.wait, daemon=True)
        thread.start()
        tid = t.cast("int", thread.native_id)
        name_thread(tid, name)
        self._threads[tid] = (thread, end)
        return tid

    def end(self, tid: int) -> None:
        """End a thread, and wait until the kernel shows it no more."""
        thread, end = self._threads.pop(tid)
        end.set()
        thread.join()
        wait_until(lambda: not os.path.exists(f"/proc/self/task/{tid}"), f"the end of thread {tid}")

    def serve(self, requests: t.TextIO, answers: t.TextIO) -> None:
        """Answer what the parent hands on, for ever: the parent's end is ours."""
        for line in requests:
            request = json.loads(line)
            if request["do"] == "add":
                answer = {"tid": self.add(request["thread"], busy=request.get("busy", False))}
            else:
                self.end(request["tid"])
                answer = {}
            print(json.dumps(answer), file=answers, flush=True)


def _run_machine(request: dict[str, t.Any], parent: int, link: socket.socket) -> t.NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    threading.stack_size(64 << 10)
    set_command_line(request["argv"])
    name_thread(os.getpid(), os.path.basename(request["argv"][0]))
    machine = Machine()
    tids = [machine.add(name) for name in request["threads"]]
    with link.makefile("r") as requests, link.makefile("w") as answers:
        print(json.dumps({"pid": os.getpid(), "tids": tids}), file=answers, flush=True)
        machine.serve(requests, answers)
    os._exit(0)


class _Farm:
    """The parent: the stand-ins by pid, each with the socket that leads to it."""

    def __init__(self) -> None:
        self._links: dict[int, socket.socket] = {}

    def start(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Fork a stand-in. Its answer comes when all its threads are there."""
        ours, theirs = socket.socketpair()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            for link in (ours, *self._links.values()):
                link.close()
            try:
                _run_machine(request, parent, theirs)
            except (OSError, ValueError) as error:
                print(f"stand-in: {error}", file=sys.stderr)
            finally:
                os._exit(1)
        theirs.close()
        self._links[pid] = ours
        return self._answer(pid)

    def hand_on(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Let the stand-in do it."""
        self._links[request["pid"]].sendall(json.dumps(request).encode() + b"\n")
        return self._answer(request["pid"])

    def _answer(self, pid: int) -> dict[str, t.Any]:
        with self._links[pid].makefile("r") as stream:
            line = stream.readline()
        return dict(json.loads(line)) if line else {"error": f"stand-in {pid} has ended"}


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are gone at once, as when a daemon reaps them
    farm = _Farm()
    for line in sys.stdin:
        request = json.loads(line)
        answer = farm.start(request) if request["do"] == "start" else farm.hand_on(request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
