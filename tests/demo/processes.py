# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command resctrl-mon on a host of QEMU processes that no libvirt has started; see tests/demo/processes."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

from emulated_host import EmulatedHost
from emulators import NAMELESS, Emulators
from modules import AGENT

UUIDS = [f"c0ffee00-0000-4000-8000-00000000000{number}" for number in range(4)]
# "*" is the last: it fails for the machine whose vCPUs cannot be told
COMMANDS = [["status"], ["enable", "100"], ["enable", "--scope", "domain", "old"], ["enable", "*"], ["top", "--once"]]


def main() -> None:
    """Start the processes, and show what the command makes of them."""
    with tempfile.TemporaryDirectory() as directory:
        host = EmulatedHost(pathlib.Path(directory), own_pids=True, tells_groups=True)
        with host, Emulators(host.domains) as emulators:
            start_all(emulators)
            run(host, ["pgrep", "--list-full", "qemu|kvm"])
            for words in COMMANDS:
                print(f"\n# resctrl-mon --source processes {' '.join(words)}", flush=True)
                run(host, [*AGENT, "--source", "processes", "--resctrl-path", host.resctrl, *words])


def start_all(emulators: Emulators) -> None:
    """One machine of each kind."""
    emulators.start(
        *("-id", "100", "-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={UUIDS[0]}", "-daemonize"),
        program="kvm",
    )
    emulators.start("-id", "101", "-name", "old", "-smbios", f"type=1,uuid={UUIDS[1]}", program="kvm", threads=NAMELESS)
    emulators.start(
        *("-name", "guest=default_vmi,debug-threads=on", "-S", "-uuid", UUIDS[2]),
        program="qemu-kvm",
        uid=107,
        pod=True,
    )
    emulators.start("-S", "-name", "incus-vm", "-uuid", UUIDS[3], "-daemonize", threads=NAMELESS)
    emulators.start_real("-name", "by-hand,debug-threads=on")


def run(host: EmulatedHost, argv: list[str]) -> None:
    """Run a command on the host; what it prints is shown."""
    subprocess.run(host.domains.argv(argv), check=False, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    main()
