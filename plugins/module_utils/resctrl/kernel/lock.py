# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a lock, never without a limit."""

from __future__ import annotations

import fcntl
import time


def acquire(descriptor: int, patience: float) -> bool:
    """Take an exclusive flock(2), which ends with the descriptor. False: another held it for `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True
