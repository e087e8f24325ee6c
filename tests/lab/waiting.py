# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the tests and the lab wait for something that takes its time."""

from __future__ import annotations

import errno
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Container

PATIENCE = 120.0
"""Seconds. Only what never comes takes so long."""
_LONGEST_PAUSE = 0.02


def comes(
    true: Callable[[], object], patience: float = PATIENCE, sleep: Callable[[float], object] = time.sleep
) -> bool:
    """Whether something is true now, or becomes so within `patience` seconds."""
    deadline, pause = time.monotonic() + patience, 0.001
    while not true():
        if time.monotonic() >= deadline:
            return False
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True


def wait_until(true: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Returns as soon as something is true. Raises AssertionError, which names it, if it does not become so."""
    assert comes(true, patience), f"{what}: not within {patience:.0f} seconds"


def while_busy(
    action: Callable[[], object],
    patience: float = PATIENCE,
    sleep: Callable[[float], object] = time.sleep,
    codes: Container[int | None] = (errno.EBUSY,),
) -> None:
    """Does something, and does it again as long as it fails with EBUSY, or one of these. Raises its last OSError."""

    def is_done() -> bool:
        try:
            action()
        except OSError as error:
            if error.errno not in codes:
                raise
            return False
        return True

    if not comes(is_done, patience, sleep):
        action()
