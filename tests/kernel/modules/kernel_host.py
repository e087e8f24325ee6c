# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with its kernel's own resctrl: a host of stand-in domains, or of libvirt's, on which modules run."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import typing as t

import system_calls
from counters import Counter
from libvirt_host import LibvirtHost
from modules import Result, command, run_module
from resctrl_host import ResctrlHost
from standin_host import StandinHost
from waiting import PATIENCE

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from emulator.faults import Operation

RESCTRL = pathlib.Path("/sys/fs/resctrl")
_NAMES = (str(RESCTRL), "mon_data/", "cpu_resctrl_groups")
_SERVER = pathlib.Path(__file__).with_name("module_server.py")


def mount() -> None:
    """Mount resctrl, where the modules expect it."""
    subprocess.run(["mount", "-t", "resctrl", "resctrl", RESCTRL], check=True)


def unmount() -> None:
    """Unmount it: the kernel removes every group."""
    subprocess.run(["umount", RESCTRL], check=True)


def tasks(group: pathlib.Path) -> set[int]:
    """What a group's `tasks` file lists."""
    return {int(line) for line in (group / "tasks").read_text().split()}


def number(group: str, event: str) -> int:
    """The sum of a counter over the caches, by the kernel's own files."""
    return sum(int(path.read_text()) for path in (RESCTRL / group).glob(f"mon_data/mon_L3_*/{event}"))


@contextlib.contextmanager
def every_rmid(event: str, raw: int, cpu: int) -> Iterator[None]:
    """As long as the block lasts, the hardware gives `raw` for each RMID in the L3 domain of a CPU."""
    rmids = int((RESCTRL / "info/L3_MON/num_rmids").read_text())
    counters = [Counter(cpu, rmid, event) for rmid in range(rmids)]
    for counter in counters:
        counter.force(raw)
    try:
        yield
    finally:
        for counter in counters:
            counter.release()


class Modules:
    """Runs modules, and keeps the system calls by which they open files and change them; a context manager."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._trace = directory / "trace"
        self._seen = 0

    def __enter__(self) -> Self:
        *environment, _module, _arguments = command("resctrl_mon", {})
        words = ["strace", "-f", "--seccomp-bpf", "-o", str(self._trace), "-e", f"trace={system_calls.TRACED}"]
        self._server = subprocess.Popen(
            [*words, *environment, str(_SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready\n"
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.communicate()

    def _line(self) -> str:
        assert self._server.stdout
        return self._server.stdout.readline()

    def run(self, module: str, arguments: dict[str, t.Any], namespace: str, *, check: bool, diff: bool) -> Result:
        """The result of a run in a mount namespace. Raises AssertionError if it did not end as modules do."""
        argv = command(module, arguments, check=check, diff=diff)[-2:]
        self.forget()
        assert self._server.stdin
        self._server.stdin.write(json.dumps({"namespace": namespace, "argv": argv}) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._line())
        try:
            result: Result = json.loads(answer["stdout"])
        except ValueError:
            raise AssertionError(f"{module} did not end well: {answer}") from None
        assert bool(result.get("failed")) == bool(answer["status"]), answer
        return result

    def forget(self) -> None:
        """Forget the system calls so far."""
        self._seen = self._trace.stat().st_size

    def calls(self) -> list[str]:
        """The system calls of the last run that named something in resctrl or a thread's groups.

        Counters are named relative to the root of resctrl.
        """
        with self._trace.open(encoding="utf-8") as file:
            file.seek(self._seen)
            return [line for line in file if any(name in line for name in _NAMES)]


class KernelResctrl(ResctrlHost):
    """The groups of the kernel's resctrl."""

    resctrl = str(RESCTRL)

    def seen(self, group: str = "") -> pathlib.Path:
        """The directory of a group."""
        return RESCTRL / group

    def groups(self) -> dict[str, set[int]]:
        """The groups but the root, and their threads; a MON group's are not listed for its CTRL_MON group too."""
        found: dict[str, set[int]] = {}
        for control in [RESCTRL, *RESCTRL.iterdir()]:
            if not (control / "mon_groups").is_dir():
                continue
            monitors = {path: tasks(path) for path in (control / "mon_groups").iterdir()}
            found.update({str(path.relative_to(RESCTRL)): tids for path, tids in monitors.items()})
            if control != RESCTRL:
                found[control.name] = tasks(control).difference(*monitors.values())
        return found


class KernelHost(KernelResctrl, StandinHost):
    """Stand-in domains beside the kernel's resctrl."""

    def __init__(self, directory: pathlib.Path, modules: Modules) -> None:
        super().__init__(directory)
        self.modules = modules

    def __enter__(self) -> Self:
        super().__enter__()
        # A guest runs so few that the threads of each group would be listed
        self.domains.seem_crowded(20000)
        self.modules.forget()
        return self

    def run(self, module: str, *, check: bool = False, diff: bool = False, **options: t.Any) -> Result:
        """The result of a module's run on this host, whether it failed or not."""
        arguments = {"uri": self.domains.uri, **options}
        namespace = f"{self.domains.path('/').parent}/ns/mnt"
        return self.modules.run(module, arguments, namespace, check=check, diff=diff)

    def changes(self) -> list[Operation]:
        """What the last run of a module did to resctrl, or tried to."""
        calls = self.modules.calls()
        assert any(f"{RESCTRL}/info/" in line for line in calls), "not even what each run reads was seen"
        return system_calls.changes(calls, self.resctrl)

    def kill_at(self, call: str, path: pathlib.Path, nth: int, module: str, **options: t.Any) -> None:
        """Run a module and kill it with SIGKILL as it begins its nth system call of that name on that path."""
        words = ["strace", "-f", "-P", str(path), "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}"]
        argv = self.domains.argv([*words, *command(module, {"uri": self.domains.uri, **options})])
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd="/")
        assert (done.returncode, done.stdout) == (-9, ""), done.stderr


class KernelLibvirtHost(KernelResctrl, LibvirtHost):
    """The guest's own libvirt beside the kernel's resctrl."""

    proc = pathlib.Path("/proc")

    def virsh(self, *arguments: str) -> str:
        """What a virsh command prints."""
        command = ["virsh", "--quiet", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=180).stdout

    def run(self, module: str, *, check: bool = False, diff: bool = False, **options: t.Any) -> Result:
        """The result of a module's run in this guest, whether it failed or not."""
        return run_module(module, options, check=check, diff=diff)
