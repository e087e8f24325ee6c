# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command resctrl-mon costs on a host with many domains: against virsh, and against libvirt's exporter.

Processes and threads are real, though they are no QEMUs; libvirtd is real, with its test driver; status files are of
the length that libvirt gives them. resctrl is a plain directory in memory, which the command is told to take for one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "lab"))

import starting  # noqa: E402  # beside this file
from places import TEST_DRIVER, test_driver  # noqa: E402
from readers import LibvirtExporter  # noqa: E402
from reading import tree  # noqa: E402  # beside this file
from report import Costs  # noqa: E402
from standins import Standins  # noqa: E402  # beside this folder
from starting import ISOLATED, PYTHON  # noqa: E402

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ENFORCE, METRICS = "resctrl-mon enforce", "resctrl-mon metrics"
QUERY, STATISTICS = "resctrl-mon status", "resctrl-mon stats"
LIST, SCRAPE = "virsh list", "libvirt exporter, a scrape"
STATS, TOTAL = "virsh domstats --state", "virsh domstats --cpu-total"
_LAUNCHER = """
import sys
sys.path.insert(0, {directory!r})
import resctrl.kernel.mounts
resctrl.kernel.mounts.REAL = {filesystem!r}
from command.main import main
status = main(sys.argv[1:])
# The most memory that this program has had (proc(5))
most = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
with open({memory!r}, "a") as file:
    print(most, file=file)
sys.exit(status)
"""
# As long as those that libvirt 9 writes for a domain with a disk and a network card
_CAPABILITIES = "".join(f"    <flag name='qemu-capability-{number:03}'/>\n" for number in range(160))
_PORTS = "".join(
    f"""    <controller type='pci' index='{number}' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='{number}' port='0x{number:x}'/>
      <alias name='pci.{number}'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x{number % 8}'/>
    </controller>
"""
    for number in range(16)
)


class Crowd(Standins):
    """Many domains, which libvirt's node is told of once."""

    complete = False

    def _write_node(self) -> None:
        if self.complete:
            super()._write_node()

    def add_all(self, number: int) -> None:
        """Start so many domains, with status files as long as libvirt's."""
        for index in range(number):
            self.add(f"vm{index:04}")
        self.complete = True
        self._write_node()
        states = self.path("/run/libvirt/qemu")
        states.mkdir()
        for domain in self._domains.values():
            (states / f"{domain.name}.xml").write_text(_status_file(domain.name, domain.uuid, domain.pid, domain.vcpus))

    def threads(self) -> dict[str, list[int]]:
        """The group of each domain, and the threads of its vCPUs."""
        return {f"kvmops-{domain.uuid}": list(domain.vcpus.values()) for domain in self._domains.values()}


def _status_file(name: str, uuid: str, pid: int, vcpus: dict[int, int]) -> str:
    threads = "".join(f"    <vcpu id='{vcpu}' pid='{tid}'/>\n" for vcpu, tid in vcpus.items())
    return (
        f"<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n\n"
        f"<domstatus state='running' reason='booted' pid='{pid}'>\n"
        f"  <monitor path='/var/lib/libvirt/qemu/{name}/monitor.sock' type='unix'/>\n"
        f"  <vcpus>\n{threads}  </vcpus>\n  <qemuCaps>\n{_CAPABILITIES}  </qemuCaps>\n"
        f"  <domain type='kvm' id='{pid}'>\n    <name>{name}</name>\n    <uuid>{uuid}</uuid>\n"
        f"    <vcpu placement='static'>{len(vcpus)}</vcpu>\n    <devices>\n{_PORTS}    </devices>\n"
        f"  </domain>\n</domstatus>\n"
    )


def take_turns(runs: Mapping[str, Callable[[], float]], libvirtd: int, turns: int) -> dict[str, list[float]]:
    """Name -> milliseconds of CPU time, turn by turn; where libvirtd works for it, its cost with that, too."""
    costs: dict[str, list[float]] = {}
    for turn in range(turns + 1):
        for name, work in runs.items():
            before = cpu_time(libvirtd)
            cpu = work()
            # The first turn warms up
            if turn:
                costs.setdefault(name, []).append(cpu)
            if turn and name in (LIST, STATS, TOTAL, SCRAPE):
                costs.setdefault(f"{name}, with libvirtd's part", []).append(cpu + cpu_time(libvirtd) - before)
    return costs


@dataclasses.dataclass(frozen=True)
class Crowded(Costs):
    """What so many domains cost: name -> milliseconds of CPU time, turn by turn; the most memory of ours in MiB.

    `start` is what resctrl-mon metrics does before it works.
    """

    bytes_of_a_status_file: int
    memory: float
    start: starting.Start


def measure(domains: int, turns: int) -> Crowded:
    """Run each command in turn on a host with so many domains, all of them monitored as is declared."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        crowd = Crowd(directory)
        stack.enter_context(crowd)
        crowd.own_etc()
        crowd.add_all(domains)
        crowd.path("/etc/kvmops-resctrl/policy.json").write_text('{"default": "enabled"}\n')
        threads = crowd.threads()
        there = stack.enter_context(tree(threads))
        subprocess.run(crowd.argv(["mount", "--bind", str(there.root), str(there.root)]), check=True)
        libvirtd = stack.enter_context(test_driver(crowd))
        launcher = [*ISOLATED, str(install(directory, "tmpfs")), "--resctrl-path", str(there.root)]
        virsh = ["virsh", "--readonly", "--connect", TEST_DRIVER]
        start = starting.look([*launcher[len(ISOLATED) :], "metrics"], ("resctrl", "command"), crowd.argv)
        commands = {
            **start.floors(directory / "lib"),
            ENFORCE: [*launcher, "enforce", "--quiet"],
            METRICS: [*launcher, "metrics"],
            QUERY: [*launcher, "status"],
            LIST: [*virsh, "list"],
            STATS: [*virsh, "domstats", "--state"],
        }
        runs: dict[str, Callable[[], float]]
        runs = {name: functools.partial(run, crowd.argv(argv)) for name, argv in commands.items()}
        scrape = stack.enter_context(exporter(directory, TEST_DRIVER, crowd.argv([])))
        if scrape:
            runs[SCRAPE] = scrape
        costs = take_turns(runs, libvirtd, turns)
        memory = max(map(int, (directory / "memory").read_text().split())) / 1024
        return Crowded(domains, costs, len(_status_file("vm0000", "0" * 36, 1, {0: 1, 1: 2})), memory, start)


def install(directory: pathlib.Path, filesystem: str = "resctrl") -> pathlib.Path:
    """The command as the role installs it, compiled, and what starts it. It takes this filesystem for resctrl."""
    place = directory / "lib"
    shutil.copytree(ROOT / "plugins/module_utils/resctrl", place / "resctrl")
    shutil.copytree(ROOT / "roles/resctrl_monitor/files/command", place / "command")
    # Whatever the environment says of it: as root Python does so at the first run
    subprocess.run([PYTHON, "-m", "compileall", "-q", str(place)], check=True)
    launcher = directory / "launcher.py"
    launcher.write_text(_LAUNCHER.format(directory=str(place), filesystem=filesystem, memory=str(directory / "memory")))
    return launcher


def run(command: Sequence[str]) -> float:
    """Milliseconds of CPU time. A command that fails, or has something to complain of, is not what is measured."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode or done.stderr:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


@contextlib.contextmanager
def exporter(directory: pathlib.Path, uri: str, around: Sequence[str]) -> Iterator[Callable[[], float] | None]:
    """What scrapes libvirt's exporter and says what that cost it in milliseconds; None where it is not installed.

    `around` is put before its command.
    """
    if not shutil.which("prometheus-libvirt-exporter"):
        yield None
        return
    with LibvirtExporter(directory / "exporter", uri, around) as daemon:
        process = daemon.pid

        def scrape() -> float:
            before = cpu_time(process)
            text = daemon.get("/metrics")
            if not re.search(r"^libvirt_domain_info_vcpus|^libvirt_domain_state", text, re.MULTILINE):
                raise SystemExit(f"the exporter says nothing of domains: {text[:500]}")
            return cpu_time(process) - before

        yield scrape


def cpu_time(pid: int) -> float:
    """Milliseconds of CPU time that a process has had, to the nanosecond: its CPU clock (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2) * 1000
