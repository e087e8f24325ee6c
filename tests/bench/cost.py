# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs on a managed host, measured against ansible.builtin.ping in the same minutes. Needs root.

Each module's process is the one that Ansible sends (its AnsiballZ file, kept and run again), with the managed host's
interpreter, on stand-in domains and an emulated resctrl. Runs take turns, so that a slow moment hits all alike.
The emulator is a process too: to wait for its answers takes far longer than to read the kernel's files. So the files
that a module reads are read by `cat` as well, in turn with the modules, and what that takes is left out of "own".
What a real kernel adds, an interrupt on another CPU for each counter, is in none of these figures.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from emulated_host import EmulatedHost  # noqa: E402  # beside this folder
from modules import PYTHON, collections_path  # noqa: E402

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PING = "ansible.builtin.ping"
MON, STATS, INFO = (f"kvmops.resctrl.resctrl_{name}" for name in ("mon", "stats", "info"))
URI = "test+unix:///default"
# The test driver's domains last as long as a connection
TEACH = """
import sys, time, libvirt
from xml.etree import ElementTree
libvirt.registerErrorHandler(lambda *_: None, None)
for attempt in range(100):
    try:
        connection = libvirt.open("test+unix:///default")
        break
    except libvirt.libvirtError:
        time.sleep(0.1)
connection.lookupByName("test").destroy()
for domain in ElementTree.parse(sys.argv[1]).getroot():
    connection.createXML(ElementTree.tostring(domain).decode())
print("ready", flush=True)
sys.stdin.read()
"""
# Module -> the files that it reads, of each group
FILES = {MON: ("tasks",), STATS: ("tasks", "mon_data/*/*"), INFO: ("tasks",)}
READING, NOTHING = "cat, for ", "cat /dev/null"
PROCESS_BUDGET_MS = 60
PAYLOAD_BUDGET_KB = 40
BUDGET_DOMAINS = 100


@dataclasses.dataclass(frozen=True)
class Cost:
    """Milliseconds of one process: on the clock, and of the CPU (its own and the kernel's for it)."""

    wall: float
    cpu: float


def main() -> int:
    """Measure, print, and say which budgets are met. Exit status 1 if one that does not depend on time is not."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=15, help="of each module and number of domains (%(default)s)")
    options.add_argument("--domains", type=int, nargs="+", default=[1, 25, 50, 100, 200], help="(%(default)s)")
    arguments = options.parse_args()
    print(
        f"Medians of {arguments.runs} runs that took turns; milliseconds more than {PING},",
        "and CPU time as a share of its. Two vCPUs a domain, all domains monitored.",
        "own: CPU time without what it takes to wait for the emulator.",
        sep="\n",
    )
    print(f"{'domains':>7}  {'module':<14} {'wall':>7} {'CPU':>7} {'own':>7} {'share':>7} {'payload':>9}")
    numbers = sorted({*arguments.domains, BUDGET_DOMAINS})
    results = {number: _measure(number, arguments.runs) for number in numbers}
    for number, (costs, sizes, _changes) in results.items():
        for module in (MON, STATS, INFO):
            more, own, size = _more(costs, module), _own(costs, module), (sizes[module] - sizes[PING]) / 1000
            share = own / statistics.median(cost.cpu for cost in costs[PING])
            short = module.rpartition(".")[2]
            times = f"{more.wall:>+7.1f} {more.cpu:>+7.1f} {own:>+7.1f} {share:>+7.0%}"
            print(f"{number:>7}  {short:<14} {times} {size:>+6.1f} KB")
    return _verdicts(results)


Measured = tuple[dict[str, list[Cost]], dict[str, int], int]


def _verdicts(results: dict[int, Measured]) -> int:
    costs, sizes, changes = results[BUDGET_DOMAINS]
    print()
    for module in (MON, STATS, INFO):
        own = _own(costs, module)
        _say(own <= PROCESS_BUDGET_MS, f"{module} at {BUDGET_DOMAINS} domains: {own:+.1f} ms of {PROCESS_BUDGET_MS}")
    payload = max(sizes[module] - sizes[PING] for module in (MON, STATS, INFO)) / 1000
    met = [
        _say(payload <= PAYLOAD_BUDGET_KB, f"payload: {payload:+.1f} KB of {PAYLOAD_BUDGET_KB}"),
        _say(changes == 0, f"a run that changes nothing: {changes} writes, mkdirs and the like in resctrl"),
    ]
    numbers = sorted(results)
    base, middle, most = numbers[0], BUDGET_DOMAINS, numbers[-1]
    if base < middle < most:
        low, mid, high = (_own(results[number][0], MON) for number in (base, middle, most))
        slopes = (mid - low) / (middle - base), (high - mid) / (most - middle)
        print(f"CPU per domain: {slopes[0]:.3f} ms up to {middle} domains, {slopes[1]:.3f} ms from there to {most}")
    return 0 if all(met) else 1


def _say(met: bool, what: str) -> bool:
    print(f"{'met    ' if met else 'NOT MET'} {what}")
    return met


def _more(costs: dict[str, list[Cost]], module: str) -> Cost:
    """What a module's process takes more than ping's beside it: the median of the differences, pair by pair."""
    pairs = list(zip(costs[module], costs[PING], strict=True))
    return Cost(
        statistics.median(ours.wall - ping.wall for ours, ping in pairs),
        statistics.median(ours.cpu - ping.cpu for ours, ping in pairs),
    )


def _own(costs: dict[str, list[Cost]], module: str) -> float:
    """Milliseconds of CPU that a module takes more than ping, without those of waiting for the emulator."""
    reading = [read.cpu - nothing.cpu for read, nothing in zip(costs[READING + module], costs[NOTHING], strict=True)]
    return _more(costs, module).cpu - statistics.median(reading)


def _measure(number: int, runs: int) -> Measured:
    """Costs and payload sizes of the modules at `number` domains, and how many changes unchanging runs made."""
    with _host(number) as host, tempfile.TemporaryDirectory() as kept:
        where = f"uri={URI} resctrl_path={host.resctrl}"
        payloads = {
            PING: _payload(host, PING, "", pathlib.Path(kept)),
            MON: _payload(host, MON, f"name=* {where}", pathlib.Path(kept)),
            STATS: _payload(host, STATS, where, pathlib.Path(kept)),
            INFO: _payload(host, INFO, where, pathlib.Path(kept)),
        }
        commands: dict[str, list[str]] = {module: [PYTHON, str(path)] for module, path in payloads.items()}
        commands[NOTHING] = ["cat", "/dev/null"]
        for module in FILES:
            commands[READING + module] = ["cat", *_files(host, module)]
        for command in commands.values():
            _run(host, command)
        host.changes()
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _run_number in range(runs):
            for name, command in commands.items():
                costs[name].append(_run(host, command))
        return costs, {module: path.stat().st_size for module, path in payloads.items()}, len(host.changes())


@contextlib.contextmanager
def _host(number: int) -> Iterator[EmulatedHost]:
    """A host with so many domains, all monitored."""
    with tempfile.TemporaryDirectory() as directory:
        settings = [f"num_rmids={number + 8}"]
        with EmulatedHost(pathlib.Path(directory), settings=settings) as host:
            for index in range(number):
                host.domains.add(f"vm{index:04}")
            with _daemon(host):
                result = host.run("resctrl_mon", name=["*"], uri=URI)
                if result.get("failed") or len(result["domains"]) != number:
                    raise SystemExit(f"the host could not be prepared: {result.get('msg')}")
                yield host


@contextlib.contextmanager
def _daemon(host: EmulatedHost) -> Iterator[None]:
    """A real libvirtd that knows the stand-ins, in its test driver: so that listing costs what it costs on a host."""
    cover = "for name in lib cache log; do mount -t tmpfs bench /var/$name/libvirt; done; exec libvirtd"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemon = subprocess.Popen(host.domains.argv(["unshare", "--mount", "sh", "-ec", cover]), **quiet)
    node = str(host.domains.directory / "node.xml")
    teacher = subprocess.Popen(
        host.domains.argv([PYTHON, "-c", TEACH, node]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        if not teacher.stdout or teacher.stdout.readline() != "ready\n":
            raise SystemExit("libvirtd did not start")
        yield
    finally:
        teacher.communicate()
        daemon.terminate()
        daemon.wait()


def _payload(host: EmulatedHost, module: str, arguments: str, kept: pathlib.Path) -> pathlib.Path:
    """The file that Ansible sends for one run of a module."""
    temporary = kept / module
    temporary.mkdir()
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_KEEP_REMOTE_FILES": "1",
        "ANSIBLE_REMOTE_TMP": str(temporary),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_PYTHON_INTERPRETER": PYTHON,
    }
    command: Sequence[str] = [
        *("ansible", "localhost", "--connection", "local", "--extra-vars", f"ansible_python_interpreter={PYTHON}"),
        *("--module-name", module, "--args", arguments),
    ]
    done = subprocess.run(
        host.domains.argv(command), env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    found = list(temporary.rglob("AnsiballZ_*.py"))
    if done.returncode or len(found) != 1:
        raise SystemExit(f"{module}: {done.stdout}{done.stderr}")
    return found[0]


def _files(host: EmulatedHost, module: str) -> list[str]:
    """The paths of FILES, as a process on the host has them."""
    root = host.seen()
    found = [path for pattern in FILES[module] for path in root.glob(f"mon_groups/*/{pattern}")]
    return [host.path(str(path.relative_to(root))) for path in found]


def _run(host: EmulatedHost, command: Sequence[str]) -> Cost:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(host.domains.argv(command), stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall * 1000, cpu * 1000)


if __name__ == "__main__":
    sys.exit(main())
