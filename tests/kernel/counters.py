# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the counters of the model, from the inside of a guest: see qemu/rdt-model.c.

    with forced(Counter(cpu=0, rmid=1, event="llc_occupancy"), UNAVAILABLE):
        ...  # the group with RMID 1 reads "Unavailable" in the L3 domain of CPU 0

The RMID of a group: info/../mon_hw_id on a mount with the option debug (from 6.7 on); otherwise the first groups after
the guest's start get 1, 2, ...
"""

from __future__ import annotations

import contextlib
import os
import struct
import typing as t

# The flags of IA32_QM_CTR.
ERROR: t.Final = 1 << 63
UNAVAILABLE: t.Final = 1 << 62

EVENTS: t.Final = {"llc_occupancy": 1, "mbm_total_bytes": 2, "mbm_local_bytes": 3}
SELECT: t.Final = 0x4F5D0000
FORCE: t.Final = SELECT + 1
UNFORCE: t.Final = SELECT + 2
SET: t.Final = SELECT + 3
FREEZE: t.Final = SELECT + 4


class Counter(t.NamedTuple):
    """The counter of one event of one RMID in the L3 domain of a CPU."""

    cpu: int
    rmid: int
    event: str

    def write(self, register: int, value: int) -> None:
        """Writes one of the model's registers for this counter. Raises OSError (EIO) if there is no such counter."""
        _write(self.cpu, SELECT, self.rmid << 32 | EVENTS[self.event])
        _write(self.cpu, register, value)

    def force(self, raw: int) -> None:
        """From now on the hardware gives this value: a number of units, or one of the flags."""
        self.write(FORCE, raw)

    def release(self) -> None:
        """It counts again."""
        self.write(UNFORCE, 0)

    def set(self, count: int) -> None:
        """Makes the count so many bytes."""
        self.write(SET, count)


@contextlib.contextmanager
def forced(counter: Counter, raw: int) -> t.Iterator[None]:
    """The counter gives this value as long as the block lasts."""
    counter.force(raw)
    try:
        yield
    finally:
        counter.release()


@contextlib.contextmanager
def frozen() -> t.Iterator[None]:
    """No counter of any domain counts as long as the block lasts."""
    _write(0, FREEZE, 1)
    try:
        yield
    finally:
        _write(0, FREEZE, 0)


def _write(cpu: int, register: int, value: int) -> None:
    descriptor = os.open(f"/dev/cpu/{cpu}/msr", os.O_WRONLY)
    try:
        os.pwrite(descriptor, struct.pack("<Q", value), register)
    finally:
        os.close(descriptor)
