# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pqos of intel-cmt-cat, and its binding for Python, take a directory for the kernel's resctrl.

They want it at /sys/fs/resctrl, of a kernel that knows resctrl, and learn from sysfs which caches there are. They count
processes: for each they make a MON group, which they name after their own process id and a number. In a PID namespace
that id can be told beforehand, so that groups with counters may be there already in a directory that makes none.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import resource
import shlex
import shutil
import subprocess
import tempfile
import typing as t

from standins import L3Cache, Standins

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
_PACKAGES = HERE.parents[1] / ".work/peers/python"
HAS_PQOS = bool(shutil.which("pqos"))
# The process id that they have where their groups are made beforehand
_PID = 10000
_CACHES = [L3Cache(0, (0,), 0), L3Cache(1, (1,), 1)]
_COVER = 'mount -t tmpfs bench /sys/fs; mkdir /sys/fs/resctrl; mount --bind "$1" /sys/fs/resctrl'
_SLEEPERS = """
import json, os, signal, sys
pids = []
for _number in range(int(sys.argv[1])):
    pids.append(os.fork())
    if not pids[-1]:
        signal.pause()
print(json.dumps(pids), flush=True)
sys.stdin.read()
"""


def groups(number: int) -> list[str]:
    """What they call so many groups that are made beforehand."""
    return [f"pqos-{_PID}-{index}" for index in range(number)]


def be_the_kernels(place: Standins, resctrl: pathlib.Path | str) -> None:
    """Let a directory be at a place what pqos takes for the kernel's resctrl."""
    place.cover("/proc/filesystems", pathlib.Path("/proc/filesystems").read_text() + "nodev\tresctrl\n")
    place.have_caches(_CACHES)
    subprocess.run(place.argv(["sh", "-ec", _COVER, "sh", str(resctrl)]), check=True)


def pqos(pids: Sequence[int], seconds: int, tenths: int = 1) -> list[str]:
    """The command line of pqos that looks every so many tenths of a second: 1 is as often as it can."""
    which = ";".join(f"{event}:{','.join(map(str, pids))}" for event in ("llc", "mbl", "mbt"))
    often = ["-i", str(tenths), "-t", str(seconds)]
    return ["pqos", "-I", "--disable-mon-ipc", "--disable-mon-llc_miss", "-p", which, "-u", "csv", *often]


def binding(pids: Sequence[int], rounds: int) -> list[str]:
    """The command line of a program that looks so often by the binding."""
    program = [PYTHON, str(HERE / "peers/binding.py"), str(rounds)]
    return ["env", f"PYTHONPATH={_PACKAGES}", *program, *map(str, pids)]


class Sleepers:
    """Processes that sleep, and what reads the groups that were made for them beforehand."""

    def __init__(self, place: Standins, pids: Sequence[int]) -> None:
        self._place = place
        self._pids = pids

    def _argv(self, command: Sequence[str]) -> list[str]:
        """A command line that runs a command as the process after which the groups are named."""
        pin = self._place.argv(["sh", "-c", f"echo {_PID - 1} >/proc/sys/kernel/ns_last_pid"])
        return ["sh", "-ec", f"{shlex.join(pin)}; exec {shlex.join(self._place.argv(command))}"]

    def binding(self, rounds: int) -> list[str]:
        """The command line of the binding."""
        return self._argv(binding(self._pids, rounds))

    def pqos(self) -> float:
        """Microseconds of CPU time that pqos takes to look at a group: what it takes longer if it looks more often."""
        (short, few), (long, many) = (self._run(seconds) for seconds in (1, 2))
        return (long - short) * 1e6 / (many - few)

    def _run(self, seconds: int) -> tuple[float, int]:
        """Seconds of CPU time, and how many groups pqos has looked at."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(self._argv(pqos(self._pids, seconds)), capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows = len(re.findall(r"^[0-9]{4}-.*[0-9]$", done.stdout, re.MULTILINE))
        if done.returncode or rows < len(self._pids):
            raise SystemExit(f"pqos: {done.stdout[:500]}{done.stderr[:500]}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, rows


@contextlib.contextmanager
def sleepers(number: int, resctrl: pathlib.Path) -> Iterator[Sleepers]:
    """So many processes where a directory is the kernel's resctrl."""
    with tempfile.TemporaryDirectory() as directory, Standins(pathlib.Path(directory), own_pids=True) as place:
        be_the_kernels(place, resctrl)
        argv = place.argv([PYTHON, "-c", _SLEEPERS, str(number)])
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout
            yield Sleepers(place, json.loads(parent.stdout.readline()))
