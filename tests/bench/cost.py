# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs on a managed host, as ratios to ansible.builtin.ping in the same minutes. Needs root.

Each module's process is the one that Ansible sends (its AnsiballZ file, kept and run again), with the managed host's
interpreter and an emulated resctrl. It is compared with what a user would run instead, and with --before with an
older commit of this collection. Runs take turns, so that a slow moment hits all alike; ratios are taken within a turn.

CPU time is that of the whole process with its children. What libvirtd works for an answer is in none of the figures.
The emulator is a process too: to wait for its answers takes far longer than to read the kernel's files. So the files
that a module reads are read by `cat` as well, in turn with the modules, and what that takes is left out of "own".
What a real kernel adds, an interrupt on another CPU for each counter, is in none of the figures either.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "lab"))

from emulated_host import CHANGES  # noqa: E402  # beside this folder
from modules import PYTHON, collections_path  # noqa: E402
from places import real_domains, standins  # noqa: E402

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from places import Place

PEERS = ROOT / ".work" / "peers"
PING, VIRSH, VIRT = "ping", "virsh domstats", "virt list_vms"
# Module -> the files that it reads, of each group
FILES = {
    "resctrl_mon": ("tasks",),
    "resctrl_info": ("tasks", "cpus_list"),
    "resctrl_stats": ("tasks", "mon_data/*/*"),
}
BEFORE = ", before"
READING, NOTHING = "cat, for ", "cat /dev/null"
# Domains -> CPU time of resctrl_mon's own, as a ratio to ping's
BUDGETS = {1: 1.35, 100: 1.45, 500: 1.80}
REAL_DOMAINS = 4


class Cost(t.NamedTuple):
    """Milliseconds of one process: on the clock, and of the CPU (its own and the kernel's for it)."""

    wall: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured at one place: a cost for each turn, and what runs that change nothing did to resctrl."""

    place: str
    costs: dict[str, list[Cost]]
    changes: int

    def own(self, name: str) -> list[float]:
        """CPU time, turn by turn, without what it takes to wait for the emulator."""
        cpu = [cost.cpu for cost in self.costs[name]]
        reading = READING + name.replace(BEFORE, "")
        if reading not in self.costs:
            return cpu
        waits = zip(self.costs[reading], self.costs[NOTHING], strict=True)
        wait = statistics.median(read.cpu - nothing.cpu for read, nothing in waits)
        return [one - wait for one in cpu]

    def ratios(self, name: str, base: str) -> list[float]:
        """The own CPU time as ratios to that of another, turn by turn."""
        return [one / other for one, other in zip(self.own(name), self.own(base), strict=True)]


def main() -> int:
    """Measure, print, and say which budgets are met. Exit status 1 if a run changed something, which is never noise."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=21, help="of each module at each place (%(default)s)")
    options.add_argument("--domains", type=int, nargs="*", default=(1, 100), help="stand-ins (1 100)")
    options.add_argument("--before", metavar="REV", help="a commit to compare with")
    arguments = options.parse_args()
    places = [*(standins(number) for number in arguments.domains), real_domains(REAL_DOMAINS)]
    print(
        f"Medians of {arguments.runs} runs that took turns, two vCPUs a domain, all domains monitored.",
        "CPU and own are ratios to the CPU time of ping; in brackets the middle half of the turns.",
        "On stand-ins virsh and virt ask libvirt's test driver, and virsh for what that knows.",
        sep="\n",
    )
    print(f"\n{'domains':<13} {'process':<21} {'wall ms':>7} {'CPU ms':>6}  CPU   own                 to before")
    results = []
    with contextlib.ExitStack() as stack:
        before = stack.enter_context(_checkout(arguments.before)) if arguments.before else None
        for there in places:
            with there as place:
                results.append(measure(place, before, arguments.runs))
            _print(results[-1])
    print()
    verdicts = [_verdict(result) for result in results]  # each prints
    return 0 if all(verdicts) else 1


@contextlib.contextmanager
def _checkout(revision: str) -> Iterator[pathlib.Path]:
    """A directory in which the collection is as it was in a commit."""
    with tempfile.TemporaryDirectory() as directory:
        collection = pathlib.Path(directory, "ansible_collections", "kvmops", "resctrl")
        collection.mkdir(parents=True)
        archive = ["git", "-C", str(ROOT), "archive", revision, "plugins", "meta", "galaxy.yml"]
        files = subprocess.run(archive, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "--extract", "--directory", str(collection)], input=files, check=True)
        yield pathlib.Path(directory)


# -- what was measured


def _print(result: Measured) -> None:
    for name, costs in result.costs.items():
        if name == NOTHING or name.startswith(READING):
            continue
        wall, cpu = (statistics.median(values) for values in zip(*costs, strict=True))
        plain = statistics.median(cost.cpu / ping.cpu for cost, ping in zip(costs, result.costs[PING], strict=True))
        before = _spread(result.ratios(name, name + BEFORE)) if name + BEFORE in result.costs else ""
        own = _spread(result.ratios(name, PING))
        print(f"{result.place:<13} {name:<21} {wall:>7.1f} {cpu:>6.1f}  {plain:.2f}  {own:<18}  {before}".rstrip())


def _spread(values: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _verdict(result: Measured) -> bool:
    mon = statistics.median(result.ratios("resctrl_mon", PING))
    for number, budget in BUDGETS.items():
        if result.place == f"{number} stand-in":
            _say(mon <= budget, f"{result.place}: resctrl_mon takes {mon:.2f} of ping's CPU time, of {budget}")
    for module in FILES:
        if module + BEFORE in result.costs:
            # Noise is no verdict: it is slower if it was so in three turns of four
            low, middle, _high = statistics.quantiles(result.ratios(module, module + BEFORE), n=4)
            _say(low <= 1, f"{result.place}: {module} takes {middle:.2f} of what it took before")
    return _say(result.changes == 0, f"{result.place}: runs that change nothing made {result.changes} changes")


def _say(met: bool, what: str) -> bool:
    print(f"{'met    ' if met else 'NOT MET'} {what}")
    return met


# -- measuring


def measure(place: Place, before: pathlib.Path | None, runs: int) -> Measured:
    """The costs of all processes at a place."""
    place.prepare()
    with tempfile.TemporaryDirectory() as kept:
        commands = {name: place.argv(command) for name, command in _commands(place, before, pathlib.Path(kept)).items()}
        for command in commands.values():
            _run(command)
        place.control.clear_log()
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _turn in range(runs):
            for name, command in commands.items():
                costs[name].append(_run(command))
        return Measured(place.name, costs, len(place.control.log(*CHANGES)))


def _commands(place: Place, before: pathlib.Path | None, kept: pathlib.Path) -> dict[str, Sequence[str]]:
    """Name -> command line of each process."""
    where = f"uri={place.uri} resctrl_path={place.resctrl}"
    # The test driver knows no CPU time
    stats = "--cpu-total" if place.real else "--state"
    sent = Sent(place, kept)
    commands: dict[str, Sequence[str]] = {
        PING: sent.module("ansible.builtin.ping"),
        VIRSH: sent.module("ansible.builtin.command", f"virsh --connect {place.uri} domstats {stats}"),
        VIRT: sent.module("community.libvirt.virt", f"command=list_vms uri={place.uri}", PEERS),
    }
    for module, patterns in FILES.items():
        arguments = f"name=* {where}" if module == "resctrl_mon" else where
        commands[module] = sent.module(f"kvmops.resctrl.{module}", arguments)
        if before:
            commands[module + BEFORE] = sent.module(f"kvmops.resctrl.{module}", arguments, before)
        globs = " ".join(f"{place.resctrl}/mon_groups/*/{pattern}" for pattern in patterns)
        listed = subprocess.run(
            place.argv(["sh", "-c", f"ls -d {globs}"]), stdout=subprocess.PIPE, text=True, check=True
        )
        commands[READING + module] = ["cat", *listed.stdout.split()]
    commands[NOTHING] = ["cat", "/dev/null"]
    return commands


class Sent:
    """Makes the command lines by which Ansible runs modules at a place. `kept` is for what it sends."""

    def __init__(self, place: Place, kept: pathlib.Path) -> None:
        self._place = place
        self._kept = kept

    def module(self, module: str, arguments: str = "", collections: pathlib.Path | None = None) -> list[str]:
        """The command line of one run of a module, of the collections in that directory or of this checkout."""
        temporary = pathlib.Path(tempfile.mkdtemp(dir=self._kept))
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(collections or collections_path()),
            "ANSIBLE_KEEP_REMOTE_FILES": "1",
            "ANSIBLE_REMOTE_TMP": str(temporary),
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_PYTHON_INTERPRETER": PYTHON,
        }
        libraries = [f"PYTHONPATH={PEERS / 'python'}"] if collections == PEERS else []
        command = [
            *("env", *(f"{name}={value}" for name, value in environment.items()), *libraries),
            *(str(pathlib.Path(sys.executable).with_name("ansible")), "localhost", "--connection", "local"),
            *("--extra-vars", f"ansible_python_interpreter={PYTHON}", "--module-name", module, "--args", arguments),
        ]
        done = subprocess.run(self._place.argv(command), capture_output=True, text=True, check=False)
        found = list(temporary.rglob("AnsiballZ_*.py"))
        if done.returncode or len(found) != 1:
            raise SystemExit(f"{module}: {done.stdout}{done.stderr}")
        return ["env", *libraries, PYTHON, str(found[0])]


def _run(command: Sequence[str]) -> Cost:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall * 1000, cpu * 1000)


if __name__ == "__main__":
    sys.exit(main())
