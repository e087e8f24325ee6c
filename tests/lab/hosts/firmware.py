# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A firmware for guests that have nothing to do.

A BIOS would spend seconds of a core on looking for a disk where KVM has to interpret real mode, in every domain that a
test starts. This one sets the timer to its slowest (18.2 Hz) and halts between the ticks, so that the vCPU uses little
time and yet some, as the emulator's counters want to see.
"""

from __future__ import annotations

PATH = "var/lib/libvirt/idle.rom"  # on a host
_SIZE = 64 * 1024
_TICK = 0x60  # where the handler begins

_START = bytes.fromhex(
    "fa"  # cli
    "31c0 8ed8 8ed0 bc0070"  # xor ax, ax; mov ds, ax; mov ss, ax; mov sp, 0x7000
    "c70680006000 c706820000f0"  # interrupt 0x20 is at f000:_TICK
    "66b91b000000 0f32 80e4f7 0f30"  # turn the local APIC off (bit 11 of MSR 0x1b): the PIC reaches the CPU
    "b011 e620 b020 e621 b004 e621 b001 e621"  # PIC: its interrupts begin at 0x20
    "b0fe e621"  # PIC: nothing but the timer
    "b034 e643 b000 e640 e640"  # PIT: channel 0, rate generator, divisor 65536
    "fb"  # sti
    "f4 ebfd"  # hlt; jmp to it
)
_HANDLER = bytes.fromhex("50 b020 e620 58 cf")  # push ax; end of interrupt; pop ax; iret


def image() -> bytes:
    """The ROM: code at its beginning, the reset vector 16 bytes before its end."""
    code = _START.ljust(_TICK, b"\x90") + _HANDLER
    reset = b"\xe9" + (_SIZE - 0xFFF3).to_bytes(2, "little")  # jmp near to 0
    return code.ljust(0xFFF0, b"\x00") + reset.ljust(16, b"\x00")
