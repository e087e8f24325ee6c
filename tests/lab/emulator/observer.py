# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of the operations on the mount and the faults injected into them."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .kstr import fail

if TYPE_CHECKING:
    from .faults import Fault, Operation
    from .kernfs import Caller
    from .model import Resctrl

LOG_LENGTH = 100_000


class Observer:
    """The log and the faults. No lock is held while a fault waits."""

    def __init__(self, resctrl: Resctrl) -> None:
        self._resctrl = resctrl
        self._lock = threading.Lock()
        self._log: deque[Operation] = deque(maxlen=LOG_LENGTH)
        self._faults: list[Fault] = []

    def before(self, kind: str, path: str, caller: Caller) -> None:
        """Let the faults that are due at an operation happen. Raises their OSError."""
        if not self._faults:
            return
        with self._lock:
            due = [fault for fault in self._faults if fault.strikes(kind, path)]
        for fault in due:
            self._happen(fault, caller)

    def _happen(self, fault: Fault, caller: Caller) -> None:
        time.sleep(fault.delay)
        if fault.remove is not None:
            with self._resctrl.lock, contextlib.suppress(FileNotFoundError):
                self._resctrl.rmdir(fault.remove)
        if fault.kill:
            os.kill(caller.tid, signal.SIGKILL)
            fail(errno.EINTR)
        if fault.errno:
            fail(fault.errno)

    def record(self, operation: Operation) -> None:
        """Add an operation to the log."""
        with self._lock:
            self._log.append(operation)

    def log(self) -> list[dict[str, Any]]:
        """The operations since the log was cleared, oldest first."""
        with self._lock:
            return [asdict(operation) for operation in self._log]

    def clear_log(self) -> None:
        """Forget the operations."""
        with self._lock:
            self._log.clear()

    def add_fault(self, fault: Fault) -> None:
        """Arm a fault."""
        with self._lock:
            self._faults.append(fault)

    def faults(self) -> list[dict[str, Any]]:
        """The armed faults."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear_faults(self) -> None:
        """Disarm all faults."""
        with self._lock:
            self._faults.clear()
