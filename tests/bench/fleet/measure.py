# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures plays over a fleet against each other: the inventory's hosts are so many names for one host of the lab.

All are reached over SSH, through one connection that is up already. Each variant is run once in each round, so that
what else the machine does hits all of them; the best round counts. Seconds are this machine's, ratios say more.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from hosts import Lab
from hosts.domains import domain_xml

_MON = "kvmops.resctrl.resctrl_mon"
_INTERPRETER = "ansible_python_interpreter"
_SETTINGS = {
    "ANSIBLE_PIPELINING": "true",
    "ANSIBLE_FORKS": "10",
    "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=300s",
    "ANSIBLE_LOCALHOST_WARNING": "false",
}


@dataclasses.dataclass(frozen=True, eq=False)  # each is itself, so that it can be a key
class Variant:
    """A play (a list of tasks) under settings: what differs from _SETTINGS, and whether the interpreter is pinned."""

    label: str
    tasks: tuple[dict[str, t.Any], ...]
    settings: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    pinned: bool = True


def _variants(domains: list[str]) -> list[Variant]:
    one_task = ({_MON: {"name": "*"}},)
    return [
        Variant("ping", ({"ansible.builtin.ping": {}},)),
        Variant("resctrl_mon, all domains in one task", one_task),
        Variant("resctrl_stats, all domains in one task", ({"kvmops.resctrl.resctrl_stats": {}},)),
        Variant(f"resctrl_mon, {len(domains)} domains in a loop", ({_MON: {"name": "{{ item }}"}, "loop": domains},)),
        Variant("setup (gather_facts)", ({"ansible.builtin.setup": {}},)),
        Variant("one task without pipelining", one_task, {"ANSIBLE_PIPELINING": "false"}),
        Variant("one task with 2 forks", one_task, {"ANSIBLE_FORKS": "2"}),
        Variant("one task with 5 forks (the default)", one_task, {"ANSIBLE_FORKS": "5"}),
        Variant("one task with 40 forks", one_task, {"ANSIBLE_FORKS": "40"}),
        Variant("one task, interpreter not pinned", one_task, pinned=False),
    ]


def main() -> int:
    """Bring a host up, measure, print a table. The ratios are to the second variant, one task for all domains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=40, help="names in the inventory (%(default)s)")
    parser.add_argument("--domains", type=int, default=5, help="running domains on the host (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each variant is run (%(default)s)")
    options = parser.parse_args()
    with Lab() as lab, tempfile.TemporaryDirectory() as scratch:
        host = lab.up(f"bench{os.getpid()}")
        domains = [f"vm{number}" for number in range(options.domains)]
        for name in domains:
            host.define(domain_xml(name, vcpus=1, max_vcpus=1, kvm=host.has_kvm()))
            host.start(name)
        (reached_by,) = lab.inventory([host.name])["all"]["hosts"].values()
        best = _measure(_variants(domains), reached_by, options.hosts, options.rounds, Path(scratch))
    reference = list(best.values())[1]
    print(f"{options.hosts} hosts, {options.domains} domains each, {os.cpu_count()} cores, best of {options.rounds}")
    for variant, seconds in best.items():
        print(f"{variant.label:40} {seconds:6.1f} s  {seconds / reference:5.2f}")
    return 0


def _measure(
    variants: list[Variant], reached_by: dict[str, str], hosts: int, rounds: int, scratch: Path
) -> dict[Variant, float]:
    """Variant -> seconds of its best round. One run before them all warms the caches and the connection up."""
    _run(variants[1], reached_by, hosts, scratch)
    best = dict.fromkeys(variants, math.inf)
    for _round in range(rounds):
        for variant in variants:
            best[variant] = min(best[variant], _run(variant, reached_by, hosts, scratch))
    return best


def _run(variant: Variant, reached_by: dict[str, str], hosts: int, scratch: Path) -> float:
    """The seconds that a play takes; raises SystemExit with its output if it fails."""
    variables = {key: value for key, value in reached_by.items() if variant.pinned or key != _INTERPRETER}
    inventory, playbook = scratch / "hosts.json", scratch / "play.json"
    inventory.write_text(json.dumps({"all": {"hosts": {f"kvm{n:02}": variables for n in range(hosts)}}}))
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": variant.tasks}]))
    start = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "--inventory", inventory, playbook],
        env={**os.environ, **_SETTINGS, **variant.settings},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{variant.label}: {done.stdout}{done.stderr}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
