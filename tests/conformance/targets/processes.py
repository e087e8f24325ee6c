# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes and threads to be moved between groups. They are forked, so that a test may use what it has imported."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from .syscalls import die_with_parent

NOBODY = 65534


class Process:
    """A process whose main thread does what it is asked to and otherwise sleeps. Its number is ``pid``."""

    def __init__(self) -> None:
        self._pipe, there = Pipe()
        self.pid = os.fork()
        if not self.pid:
            _serve(there)
        there.close()

    def _ask(self, method: str, *arguments: Any) -> int:
        self._pipe.send((method, arguments))
        result: int | OSError = self._pipe.recv()
        if isinstance(result, OSError):
            raise result
        return result

    def thread(self) -> int:
        """Make a thread that sleeps; its number."""
        return self._ask("thread")

    def end_thread(self, tid: int) -> None:
        """Let a thread end, and wait for it."""
        self._ask("end_thread", tid)

    def fork(self) -> int:
        """Fork a process that sleeps; its number."""
        return self._ask("fork")

    def spin(self, seconds: float) -> None:
        """Use CPU time in the main thread."""
        self._ask("spin", seconds)

    def write(self, path: str, text: str) -> None:
        """Let the main thread do one write(2). Raises OSError."""
        self._ask("write", path, text)

    def end(self) -> None:
        """End the process and what it has forked, and wait for it."""
        if not self._pipe.closed:
            self._pipe.close()
            os.waitpid(self.pid, 0)


def _serve(pipe: Connection) -> NoReturn:
    warnings.simplefilter("ignore")
    die_with_parent(signal.SIGKILL)
    # What else is open here is the tests': pipes to other processes, the lock.
    os.closerange(3, pipe.fileno())
    os.closerange(pipe.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    servant = _Servant(pipe)
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            method, arguments = pipe.recv()
            try:
                pipe.send(getattr(servant, method)(*arguments) or 0)
            except OSError as error:
                pipe.send(OSError(error.errno, error.strerror))
    servant.end_children()
    os._exit(0)


class _Servant:
    """What a process can do; the methods are Process's."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._threads: dict[int, tuple[threading.Thread, threading.Event]] = {}
        self._children: list[int] = []

    def thread(self) -> int:
        end = threading.Event()
        thread = threading.Thread(target=end.wait, daemon=True)
        thread.start()
        assert thread.native_id is not None
        self._threads[thread.native_id] = thread, end
        return thread.native_id

    def end_thread(self, tid: int) -> None:
        thread, end = self._threads.pop(tid)
        end.set()
        thread.join()

    def fork(self) -> int:
        pid = os.fork()
        if not pid:
            self._pipe.close()
            die_with_parent(signal.SIGKILL)
            while True:
                signal.pause()
        self._children.append(pid)
        return pid

    def spin(self, seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    def write(self, path: str, text: str) -> None:
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, os.fsencode(text))
        finally:
            os.close(fd)

    def end_children(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def in_child(action: Callable[[], object]) -> None:
    """Do something in a forked process. Raises the OSError that it raises there."""
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        code = 255
        try:
            action()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os.write(there, bytes([code]))
            os._exit(0)
    os.close(there)
    os.waitpid(pid, 0)
    code = os.read(here, 1)[0]
    os.close(here)
    assert code != 255, "the action failed in the child"
    if code:
        raise OSError(code, os.strerror(code))


def as_nobody(action: Callable[[], object]) -> None:
    """Do something in a forked process of an unprivileged user. Raises the OSError that it raises there."""

    def drop_and_act() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        action()

    in_child(drop_and_act)


@contextlib.contextmanager
def zombie() -> Iterator[int]:
    """The number of a process that has ended and is not reaped before the block ends."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        yield pid
    finally:
        os.waitpid(pid, 0)
