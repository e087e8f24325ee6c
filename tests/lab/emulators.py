# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU processes that no libvirt has started, on a host of stand-ins: each as its manager would have it.

Most are stand-ins (standin_process.py), which look like a QEMU to whoever asks the kernel. One can be a real QEMU.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import typing as t

from modules import PYTHON
from waiting import wait_until

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from standins import Standins

_PROCESS = pathlib.Path(__file__).with_name("standin_process.py")
# Longer than any command line
_ROOM = "-" * 1024
# As the runtime of containers does for a pod
_POD = ("unshare", "--pid", "--fork", "--mount-proc")
VCPUS = ("CPU 0/KVM", "CPU 1/KVM")
# Without debug-threads=on
NAMELESS = ("qemu-system-x86", "qemu-system-x86")


@dataclasses.dataclass
class Emulator:
    """A process, by the numbers of the host's PID namespace: `names` are its threads with their names."""

    pid: int
    names: dict[int, str]

    @property
    def threads(self) -> set[int]:
        """All of them."""
        return set(self.names)

    @property
    def vcpus(self) -> set[int]:
        """Those that run vCPUs."""
        return {tid for tid, name in self.names.items() if re.fullmatch("CPU [0-9]+/(KVM|TCG)", name)}


class Emulators:
    """The QEMU processes of a host of stand-ins that has processes of its own. A context manager."""

    def __init__(self, domains: Standins) -> None:
        assert domains.own_pids, "other QEMUs of the machine would be seen"
        self._domains = domains
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Emulators:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self._started:
            process.communicate()

    def start(
        self,
        *words: str,
        threads: Sequence[str] = VCPUS,
        program: str = "qemu-system-x86_64",
        uid: int = 0,
        kvm: bool = False,
        pod: bool = False,
    ) -> Emulator:
        """A stand-in that runs until stop(), with these words on its command line.

        `kvm`: it holds a virtual machine. `pod`: in a PID namespace of its own.
        """
        before = self._pids()
        argv = [*(_POD if pod else ()), self._program(program), "-Es", str(_PROCESS), _ROOM]
        env = {**os.environ, "PYTHONHOME": "/usr"}
        process = subprocess.Popen(
            self._domains.argv(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", env=env
        )
        self._started.append(process)
        assert process.stdin
        assert process.stdout
        request = {"argv": [f"/usr/bin/{program}", *words], "threads": threads, "uid": uid, "kvm": kvm}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "\n":
            raise RuntimeError(f"the stand-in of {program} did not start")
        (pid,) = (pid for pid in self._pids() - before if self._runs(pid, program))
        return Emulator(pid, self._names(pid))

    def start_real(self, *words: str) -> Emulator:
        """A real QEMU, with KVM where there is KVM, which goes into the background as Proxmox VE's do."""
        pidfile = self._domains.directory / "qemu.pid"
        machine = ["-S", "-nodefaults", "-no-user-config", "-display", "none", "-M", "microvm", "-m", "32", "-smp", "2"]
        accelerators = ["-accel", "kvm", "-accel", "tcg"]
        argv = ["/usr/bin/qemu-system-x86_64", *machine, *accelerators, "-daemonize", "-pidfile", str(pidfile), *words]
        subprocess.run(self._domains.argv(argv), check=True, capture_output=True, timeout=60, cwd="/")
        pid = int(pidfile.read_text(encoding="ascii"))
        return Emulator(pid, self._names(pid))

    def stop(self, emulator: Emulator) -> None:
        """End a process with SIGKILL."""
        subprocess.run(self._domains.argv(["kill", "-9", str(emulator.pid)]), check=True)
        wait_until(lambda: emulator.pid not in self._pids(), f"the end of process {emulator.pid}")

    def _program(self, name: str) -> str:
        """The interpreter under another name: the kernel tells which file a process runs."""
        program = self._domains.directory / "bin" / name
        program.parent.mkdir(exist_ok=True)
        if not program.exists():
            shutil.copy(PYTHON, program)
        return str(program)

    @property
    def _proc(self) -> pathlib.Path:
        # A host may have another /proc over its own, see emulated_host.py
        covered = self._domains.path(str(self._domains.directory / "proc"))
        return covered if (covered / "1").exists() else self._domains.path("/proc")

    def _pids(self) -> set[int]:
        return {int(name) for name in os.listdir(self._proc) if name.isdigit()}

    def _runs(self, pid: int, program: str) -> bool:
        try:
            return os.readlink(self._proc / str(pid) / "exe").endswith(f"/bin/{program}")
        except OSError:
            return False

    def _names(self, pid: int) -> dict[int, str]:
        tasks = (self._proc / str(pid) / "task").iterdir()
        return {int(task.name): (task / "comm").read_text(encoding="utf-8").strip() for task in tasks}
