# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest: makes the domains, their groups and further threads, and then measures with look.py.

Prints JSON. "opened" is how many files a run of resctrl-mon metrics opened there, of resctrl, of /proc and of libvirt's
files; "repeated" those that it opened more than once: what they are called -> [how many these are, how often each].
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))

from modules import AGENT, PYTHON, ansible_path, collections_path  # noqa: E402  # beside the emulator
from standins import Standin, Standins  # noqa: E402
from visits import count_threads, idle_threads  # noqa: E402  # beside this file

RESCTRL = pathlib.Path("/sys/fs/resctrl")
# What is relative is relative to the root of resctrl
_PLACES = ("/sys/fs/resctrl/", "mon_groups/", "mon_data/", "/proc/", "/run/libvirt/")
# What differs from domain to domain: a process's number, a group's name
_NAMES = re.compile(r"(?<=/)([0-9]+|kvmops-[^/]*)(?=/)")


def monitor(domain: Standin, scope: str) -> None:
    """Let a domain be as a run of resctrl_mon leaves it."""
    group = RESCTRL / f"mon_groups/kvmops-{domain.uuid}"
    group.mkdir()
    for tid in domain.threads if scope == "domain" else domain.vcpus.values():
        (group / "tasks").write_text(f"{tid}\n", encoding="ascii")


def look(domains: Standins, scope: str, looks: int) -> dict[str, t.Any]:
    """What look.py prints."""
    environment = {**os.environ, "PYTHONPATH": f"{collections_path()}:{ansible_path()}"}
    argv = [PYTHON, "-B", str(HERE / "look.py"), scope, str(looks)]
    done = subprocess.run(domains.argv(argv), check=True, env=environment, cwd="/", stdout=subprocess.PIPE, text=True)
    told: dict[str, t.Any] = json.loads(done.stdout)
    return told


def scrape(domains: Standins) -> list[str]:
    """What a run of resctrl-mon metrics opens, as often as it does so."""
    domains.own_etc()
    domains.path("/run/libvirt/qemu").symlink_to("test")
    log = domains.directory / "opened"
    *environment, python, program = AGENT
    argv = [*environment, python, "-B", str(ROOT / "tests/lab/opened.py"), str(log), program, "metrics"]
    subprocess.run(domains.argv(argv), check=True, cwd="/", stdout=subprocess.DEVNULL)
    return [path for path in log.read_text(encoding="utf-8").splitlines() if path.startswith(_PLACES)]


def main() -> None:
    """Prepare, and print what was measured there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scope", choices=("vcpus", "domain"), required=True)
    for name in ("domains", "vcpus", "threads", "looks"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    subprocess.run(["mount", "-t", "resctrl", "resctrl", RESCTRL], check=True)
    with tempfile.TemporaryDirectory() as directory, Standins(pathlib.Path(directory)) as domains:
        for number in range(options.domains):
            monitor(domains.add(f"vm{number:04}", options.vcpus), options.scope)
        with idle_threads(options.threads - count_threads()):
            threads = count_threads()
            found = look(domains, options.scope, options.looks)
            opened = collections.Counter(scrape(domains))
    repeated: dict[str, list[int]] = {}
    for path, times in opened.items():
        if times > 1:
            repeated.setdefault(_NAMES.sub("*", path), []).append(times)
    told = {pattern: [len(times), max(times)] for pattern, times in sorted(repeated.items())}
    print(json.dumps({"threads": threads, "ways": found, "opened": len(opened), "repeated": told}))


if __name__ == "__main__":
    main()
