# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to have many domains counted: the first time, when nothing is to be done, and from first to last.

Stand-ins of domains of four vCPUs on an emulated resctrl, which all programs change alike. The emulator is a process of
its own, whose time is in no figure; to wait for it takes longer than for a kernel, for each file that is opened.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
import typing as t

import intel
from agent import install, run
from agents import Agent
from cost import Sent
from emulated_host import EmulatedHost
from places import TEST_DRIVER, Place, test_driver
from reading import BINDING, PQOS
from report import Costs
from starting import ISOLATED

if t.TYPE_CHECKING:
    from collections.abc import Sequence

VCPUS = 4
LOOP, ENFORCE, MODULE = "shell loop", "resctrl-mon enforce", "resctrl_mon"
AGAIN, MODULE_AGAIN, LIST, PING = "resctrl-mon enforce, again", "resctrl_mon, again", "virsh list", "ping"
JOB = "resctrl-mon enable, metrics, disable"
_LOOP = """
while read -r group tids; do
    mkdir "$1/$group"
    for tid in $tids; do
        echo "$tid" >"$1/$group/tasks"
    done
done <"$2"
"""


@dataclasses.dataclass(frozen=True)
class Enabling(Costs):
    """What so many domains cost: name -> milliseconds of CPU time, turn by turn; name -> operations on resctrl."""

    operations: dict[str, int]

    def more(self, name: str) -> list[str]:
        """The operations."""
        return [str(self.operations[name])]


def measure(domains: int, turns: int) -> Enabling:
    """Let each program do the same in turn, on a host with so many domains."""
    # What is counted is what is there to be told, and an RMID takes its time until it is free again
    settings = ["l3_ids=0,1", "alloc=", f"num_rmids={domains * 20}"]
    with tempfile.TemporaryDirectory() as name, EmulatedHost(pathlib.Path(name), settings=settings) as host:
        directory = pathlib.Path(name)
        for index in range(domains):
            host.domains.add(f"vm{index:04}", VCPUS)
        agent = Agent(host)
        with test_driver(host.domains):
            return _Turns(agent, domains, directory).measure(turns)


class _Turns:
    """All programs on one host."""

    def __init__(self, agent: Agent, domains: int, directory: pathlib.Path) -> None:
        self._agent, self._host = agent, agent.host
        host = agent.host
        self._cost = Enabling(domains, {}, {})
        self._here = host.domains.argv
        self._standins = [host.domains[f"vm{index:04}"] for index in range(domains)]
        place = Place(domains, False, TEST_DRIVER, host.resctrl, host.control, self._here)
        kept = directory / "kept"
        kept.mkdir()
        self._sent = Sent(place, kept)
        self._arguments = f"name=* uri={TEST_DRIVER} resctrl_path={host.resctrl}"
        self._command = [*ISOLATED, str(install(directory)), "--resctrl-path", host.resctrl]
        self._list = directory / "groups"
        lines = (" ".join([host.group(one), *map(str, one.vcpus.values())]) for one in self._standins)
        self._list.write_text("".join(f"{line}\n" for line in lines))

    def measure(self, turns: int) -> Enabling:
        """The first turn warms up, and is not counted."""
        firsts = {
            LOOP: [["bash", "-ec", _LOOP, "bash", self._host.resctrl, str(self._list)]],
            ENFORCE: [[*self._command, "enforce", "--quiet"]],
            MODULE: [self._sent.module("kvmops.resctrl.resctrl_mon", self._arguments)],
        }
        agains = {
            AGAIN: firsts[ENFORCE],
            MODULE_AGAIN: firsts[MODULE],
            LIST: [self._sent.module("ansible.builtin.command", f"virsh --connect {TEST_DRIVER} list")],
            PING: [self._sent.module("ansible.builtin.ping")],
        }
        jobs = self._jobs()
        for turn in range(turns + 1):
            self._agent.declare(default="enabled")
            for name, commands in firsts.items():
                self._forget()
                self._take(name, commands, turn)
                self._expect(name, len(self._standins))
            for name, commands in agains.items():
                self._take(name, commands, turn)
            self._undeclare()
            # These take so long that every second turn has to do
            for name, commands in jobs.items() if turn % 2 == 0 else ():
                self._forget()
                self._take(name, commands, turn)
                self._expect(name, 0)
        return self._cost

    def _jobs(self) -> dict[str, list[list[str]]]:
        """Programs that count all domains, tell what was counted, and let them go."""
        jobs = {JOB: [[*self._command, *words] for words in (["enable", "*"], ["metrics"], ["disable", "*"])]}
        if intel.HAS_PQOS:
            intel.be_the_kernels(self._host.domains, self._host.resctrl)
            pids = [one.pid for one in self._standins]
            jobs[PQOS] = [intel.pqos(pids, 1, tenths=10)]
            jobs[BINDING] = [intel.binding(pids, 1)]
        return jobs

    def _undeclare(self) -> None:
        self._host.domains.path("/etc/kvmops-resctrl/policy.json").unlink()

    def _forget(self) -> None:
        """Let no domain be counted."""
        for group in self._host.groups():
            self._host.remove_group(group)

    def _take(self, name: str, commands: Sequence[Sequence[str]], turn: int) -> None:
        """Run what a name stands for; the first turn warms up."""
        self._host.control.clear_log()
        cost = sum(run(self._here(command)) for command in commands)
        if turn:
            self._cost.costs.setdefault(name, []).append(cost)
        else:
            self._cost.operations[name] = len(self._host.control.log())

    def _expect(self, name: str, groups: int) -> None:
        """A program that has not done what it is measured for is not measured."""
        counted = [threads for threads in self._host.groups().values() if len(threads) == VCPUS]
        if len(counted) != groups or len(self._host.groups()) != groups:
            raise SystemExit(f"{name}: {len(counted)} domains are counted instead of {groups}")
