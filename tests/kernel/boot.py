# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command as root in a guest with the resctrl of a real Linux kernel, and ends the guest.

The command's output comes out here. Its status is this program's; 124 is that of a command that took too long, 125 that
of a guest that did not start or ended by itself. One word with blanks is given to bash. In the guest proc, sys, dev,
debugfs, tracefs, cgroup2 and file systems of memory are mounted, resctrl is not. There is no network and no systemd.
"""

from __future__ import annotations

import argparse
import pathlib
import signal
import subprocess
import sys

from guest import CHECKOUT, Guest, GuestError, Machine
from products import KERNELS, NotBuilt


def knobs(text: str) -> dict[str, int]:
    """KEY=NUMBER,..."""
    return {name: int(value, 0) for name, _equals, value in (word.partition("=") for word in text.split(",") if word)}


def numbers(text: str) -> tuple[int, ...]:
    """N,N,..."""
    return tuple(int(word) for word in text.split(","))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="run", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("-k", "--kernel", choices=KERNELS, default=KERNELS[0], help="the kernel (default: %(default)s)")
    add("-s", "--share", type=lambda text: pathlib.Path(text).resolve(), default=CHECKOUT, metavar="DIR",
        help="the host's directory that the guest sees under the same path and as /share, and where the command starts "
        "(default: this checkout)")  # fmt: skip
    add("-w", "--writable", action="store_true", help="the guest may write to that directory")
    add("-t", "--timeout", type=float, default=600, metavar="S", help="limit for the command (default: 600)")
    add("-c", "--cpus", type=int, default=4, metavar="N", help="CPUs, divided among the sockets (default: 4)")
    add("-S", "--sockets", type=int, default=2, metavar="N", help="sockets; each is an L3 domain (default: 2)")
    add("-l", "--l3-ids", type=numbers, default=(), metavar="0,N,...", help="instead: sockets with these L3 ids")
    add("-m", "--memory", type=int, default=2048, metavar="MIB", help="memory (default: 2048)")
    add("-r", "--rdt", type=knobs, default={}, metavar="KEY=N,...", help="the RDT features; keys: see README.md")
    add("-C", "--cpu", default="Icelake-Server", metavar="MODEL",
        help="QEMU's CPU model and flags (default: %(default)s); without monitoring: Icelake-Server,-cqm")  # fmt: skip
    add("-A", "--amd", action="store_true", help="an AMD CPU instead, where KVM works after `modprobe kvm_amd`")
    add("-a", "--append", default="", metavar="ARGS", help="to the kernel's command line, as in rdt='!mba'")
    add("-i", "--icount", action="store_true", help="the guest's time goes by instructions, not by the clock")
    add("-v", "--console", action="store_true", help="show the kernel's console at the end")
    add("command", nargs="+", metavar="COMMAND")
    return parser.parse_args()


def main() -> int:
    """Runs the guest."""
    options = vars(parse_arguments())
    command, timeout, console = (options.pop(name) for name in ("command", "timeout", "console"))
    if len(command) == 1 and " " in command[0]:
        command = ["bash", "-c", *command]
    try:
        machine = Machine(**options)
        with Guest(machine) as guest:
            try:
                return guest.run(command, timeout=timeout, echo=True).returncode
            except subprocess.TimeoutExpired:
                print(f"run: time limit of {timeout:g} s", file=sys.stderr)
                return 124
            finally:
                if console:
                    print(guest.console(), file=sys.stderr)
    except (GuestError, NotBuilt, ValueError) as error:
        print(f"run: {error}", file=sys.stderr)
        return 125


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    status = main()
    sys.exit(128 - status if status < 0 else status)
