# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process that looks like a QEMU to whoever asks the kernel: by its program, command line, threads, user and files.

Run by an interpreter that is called like a QEMU, with ROOM as its only argument (see standin_qemu.py). It takes a
request on stdin, a JSON object in a line, answers with an empty line when it is so, and lives until stdin ends:

    {"argv": [...], "threads": [...], "uid": 0, "kvm": false}
"""

from __future__ import annotations

import fcntl
import json
import os
import sys

from standin_qemu import Machine, name_thread, set_command_line

_KVM_CREATE_VM = 0xAE01  # linux/kvm.h


def main() -> None:
    """Be it."""
    request = json.loads(sys.stdin.readline())
    set_command_line(request["argv"])
    name_thread(os.getpid(), "qemu-system-x86")
    machine = Machine()
    for name in request["threads"]:
        machine.add(name)
    if request["kvm"]:
        with open("/dev/kvm", "rb", buffering=0) as device:
            fcntl.ioctl(device, _KVM_CREATE_VM, 0)  # stays open as long as the process lives
    if request["uid"]:
        os.setgroups([])
        os.setresgid(request["uid"], request["uid"], request["uid"])
        os.setresuid(request["uid"], request["uid"], request["uid"])
    print(flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
