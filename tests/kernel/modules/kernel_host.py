# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with its kernel's own resctrl, and stand-in domains in it, on which modules run as processes."""

from __future__ import annotations

import contextlib
import errno
import json
import pathlib
import subprocess
import time
import typing as t

from counters import Counter
from modules import command
from standins import Standin, Standins

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESCTRL = pathlib.Path("/sys/fs/resctrl")
CACHETUNE = '<cachetune vcpus="{vcpus}"><cache id="0" level="3" type="both" size="3" unit="MiB"/></cachetune>'
# The test's own patience with the kernel and with other processes, in seconds
_PATIENCE = 120
_SERVER = pathlib.Path(__file__).with_name("module_server.py")
# The system calls that change resctrl (an openat does if it is not for reading)
_CALLS = ("mkdir", "mkdirat", "rmdir", "unlinkat", "rename", "renameat", "renameat2", "openat", "chmod", "chown")


def mount() -> None:
    """Mount resctrl, where the modules expect it."""
    subprocess.run(["mount", "-t", "resctrl", "resctrl", RESCTRL], check=True)


def unmount() -> None:
    """Unmount it: the kernel removes every group."""
    subprocess.run(["umount", RESCTRL], check=True)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so; the test's own patience is the limit."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def make_group(group: str) -> pathlib.Path:
    """Make a group as another program would. RMIDs that an earlier test has freed are waited for."""
    path = RESCTRL / group

    def made() -> bool:
        try:
            path.mkdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    wait_for(made)
    return path


def tasks(group: pathlib.Path) -> set[int]:
    """What a group's `tasks` file lists."""
    return {int(line) for line in (group / "tasks").read_text().split()}


def groups() -> dict[str, set[int]]:
    """The groups, by their paths, and their threads; a MON group's are not listed for its CTRL_MON group too."""
    found: dict[str, set[int]] = {}
    for control in [RESCTRL, *RESCTRL.iterdir()]:
        if not (control / "mon_groups").is_dir():
            continue
        monitors = {path: tasks(path) for path in (control / "mon_groups").iterdir()}
        found.update({str(path.relative_to(RESCTRL)): tids for path, tids in monitors.items()})
        if control != RESCTRL:
            found[control.name] = tasks(control).difference(*monitors.values())
    return found


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

    def __enter__(self) -> Modules:
        *environment, _module, _arguments = command("resctrl_mon", {})
        calls = ",".join(f"?{name}" for name in _CALLS)
        words = ["strace", "-f", "--seccomp-bpf", "-o", str(self._trace), "-e", f"trace={calls}"]
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

    def run(
        self, module: str, arguments: dict[str, t.Any], namespace: str, *, check: bool, diff: bool
    ) -> dict[str, t.Any]:
        """The result of a run in a mount namespace. Raises AssertionError if it did not end as modules do."""
        argv = command(module, arguments, check=check, diff=diff)[-2:]
        self.forget()
        assert self._server.stdin
        self._server.stdin.write(json.dumps({"namespace": namespace, "argv": argv}) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._line())
        try:
            result: dict[str, t.Any] = json.loads(answer["stdout"])
        except ValueError:
            raise AssertionError(f"{module} did not end well: {answer}") from None
        assert bool(result.get("failed")) == bool(answer["status"]), answer
        return result

    def forget(self) -> None:
        """Forget the system calls so far."""
        self._seen = self._trace.stat().st_size

    def calls(self) -> list[str]:
        """The system calls of the last run that named something in resctrl or a thread's groups."""
        with self._trace.open(encoding="utf-8") as file:
            file.seek(self._seen)
            return [line for line in file if str(RESCTRL) in line or "cpu_resctrl_groups" in line]


class KernelHost:
    """Domains (`domains`) beside the kernel's resctrl; a context manager. `directory` is for its files, and exists."""

    def __init__(self, directory: pathlib.Path, modules: Modules) -> None:
        self.domains = Standins(directory)
        self.modules = modules

    def __enter__(self) -> KernelHost:
        self.domains.__enter__()
        self.modules.forget()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.domains.__exit__()

    def run(self, module: str, *, check: bool = False, diff: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """The result of a module's run."""
        arguments = {"uri": self.domains.uri, **options}
        namespace = f"{self.domains.path('/').parent}/ns/mnt"
        return self.modules.run(module, arguments, namespace, check=check, diff=diff)

    def changes(self) -> list[str]:
        """The system calls by which the last run has changed resctrl, or tried to."""
        calls = self.modules.calls()
        assert any(f"{RESCTRL}/info/" in line for line in calls), "not even what each run reads was seen"
        return [line for line in calls if "openat(" not in line or "O_RDONLY" not in line]

    def kill_at(self, call: str, path: pathlib.Path, nth: int, module: str, **options: t.Any) -> None:
        """Run a module and kill it with SIGKILL as it begins its nth system call of that name on that path."""
        words = ["strace", "-f", "-P", str(path), "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}"]
        argv = self.domains.argv([*words, *command(module, {"uri": self.domains.uri, **options})])
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_PATIENCE, cwd="/")
        assert (done.returncode, done.stdout) == (-9, ""), done.stderr

    def group(self, domain: Standin, parent: str = "") -> str:
        """The group of ours that counts a domain, in the CTRL_MON group `parent`."""
        return f"{parent}/mon_groups/kvmops-{domain.uuid}".lstrip("/")

    def make_group(self, group: str, *tids: int) -> str:
        """Make a group as another program would, and move threads into it."""
        path = make_group(group)
        for tid in tids:
            (path / "tasks").write_text(f"{tid}\n")
        return group

    def enable(self, domain: Standin) -> str:
        """Let a domain be as a run of resctrl_mon leaves it; its group."""
        return self.make_group(self.group(domain), *domain.vcpus.values())

    def tuned(self, name: str, vcpus: str) -> Standin:
        """A domain of two vCPUs of which libvirt allocates for some, `vcpus`, in a CTRL_MON group made as it would."""
        domain = self.domains.add(name, cputune=CACHETUNE.format(vcpus=vcpus))
        first, last = int(vcpus[0]), int(vcpus[-1])
        self.make_group(f"qemu-1-{name}-vcpus_{vcpus}", *(domain.vcpus[vcpu] for vcpu in range(first, last + 1)))
        return domain


def only(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """The result of the one domain."""
    domain: dict[str, t.Any]
    (domain,) = result["domains"]
    return domain


def texts(result: dict[str, t.Any]) -> list[str]:
    """The texts of the warnings; ansible-core 2.19 wraps them."""
    return [one if isinstance(one, str) else one["event"]["msg"] for one in result.get("warnings", ())]
