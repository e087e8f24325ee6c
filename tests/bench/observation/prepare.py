# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest: makes the domains, their groups and further threads, and then measures with look.py."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))

from modules import PYTHON, ansible_path, collections_path  # noqa: E402  # beside the emulator
from standins import Standin, Standins  # noqa: E402

RESCTRL = pathlib.Path("/sys/fs/resctrl")
# A process with so many threads that wait
_IDLE = """
import sys, threading
threading.stack_size(64 << 10)
end = threading.Event()
for _thread in range(int(sys.argv[1])):
    threading.Thread(target=end.wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def count_threads() -> int:
    """The threads in the whole system; kernel threads too."""
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


@contextlib.contextmanager
def idle_threads(number: int) -> t.Iterator[None]:
    """So many threads more, as long as the block lasts."""
    argv = [PYTHON, "-I", "-c", _IDLE, str(max(number, 0))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if not process.stdout or process.stdout.readline() != "ready\n":
                raise SystemExit("the idle threads did not start")
            yield
        finally:
            process.kill()


def monitor(domain: Standin, scope: str) -> None:
    """Let a domain be as a run of resctrl_mon leaves it."""
    group = RESCTRL / f"mon_groups/kvmops-{domain.uuid}"
    group.mkdir()
    with (group / "tasks").open("w", encoding="ascii", buffering=1) as tasks:
        for tid in domain.threads if scope == "domain" else domain.vcpus.values():
            tasks.write(f"{tid}\n")


def main() -> None:
    """Prepare, and print what was measured there: JSON."""
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
            environment = {**os.environ, "PYTHONPATH": f"{collections_path()}:{ansible_path()}"}
            look = [PYTHON, "-B", str(HERE / "look.py"), domains.uri, options.scope, str(options.looks)]
            done = subprocess.run(
                domains.argv(look), check=True, env=environment, cwd="/", stdout=subprocess.PIPE, text=True
            )
            print(json.dumps({"threads": count_threads(), "ways": json.loads(done.stdout)}))


if __name__ == "__main__":
    main()
