# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests with real kernels and several kinds of hardware, in which the tests run."""

from __future__ import annotations

import argparse
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from guest import Guest, GuestError, Machine
from products import KERNELS, NotBuilt, kernels

from .record import changes, load
from .rules import rules_of_tests

RECORDED = pathlib.Path(__file__).resolve().parents[1] / "recorded"
LIMIT = 1800
"""Seconds that the tests may take in a guest."""
PLAIN = "plain"
HARDWARE: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "monitor-only": {"rdt": {"l3": 0, "mba": 0}},
    "alloc-only": {"cpu": "Icelake-Server,-cqm"},
    "no-mbm": {"rdt": {"events": 1}},
    "no-cmt": {"rdt": {"events": 6}},
    "few-rmids": {"rdt": {"rmids": 4}},
    "one-domain": {"sockets": 1},
    "wide-ids": {"l3_ids": (0, 8, 9, 112)},
    "snc": {"rdt": {"snc": 2, "rmids": 64}},
    "amd-bmec": {"amd": True, "rdt": {"bmec": 1}},
    "amd-abmc": {"amd": True, "rdt": {"bmec": 1, "abmc": 8}},
}
"""By name, what guest.Machine is told; plain is an Intel with everything that the model has."""
SINCE = {"snc": "6.12", "amd-bmec": "6.12", "amd-abmc": "7.3"}
"""The first of the kernels that knows the hardware."""
RECORD = "/tmp/record.json"  # in the guest
TESTS = "python3 -m pytest -q tests/conformance --resctrl /sys/fs/resctrl --destructive --conformance-record"


def machines(kernels: Sequence[str], hardware: Sequence[str]) -> list[tuple[str, str]]:
    """The kernels with each hardware that they know."""
    return [
        (kernel, name)
        for kernel in kernels
        for name in hardware
        if KERNELS.index(kernel) >= KERNELS.index(SINCE.get(name, KERNELS[0]))
    ]


def file_name(kernel: str, hardware: str) -> str:
    """The name of a guest's record."""
    return f"kernel-{kernel}-{hardware}.json"


def record(kernel: str, hardware: str, directory: pathlib.Path) -> str:
    """Run the tests in one guest and write the record; what is wrong, or nothing."""
    with Guest(Machine(kernel=kernel, **HARDWARE[hardware])) as guest:
        status = guest.run([*TESTS.split(), RECORD, f"--hardware={hardware}"], echo=True, timeout=LIMIT).returncode
        content = guest.shell(f"cat {RECORD}")
    (directory / file_name(kernel, hardware)).write_text(content, encoding="utf-8")
    return f"pytest's status is {status}" if status else ""


def check(kernel: str, hardware: str) -> str:
    """Run the tests in one guest; what is wrong, or what has become another than was recorded, or nothing."""
    known = RECORDED / file_name(kernel, hardware)
    if not known.exists():
        return f"there is no {known}"
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        problem = record(kernel, hardware, pathlib.Path(name))
        now = pathlib.Path(name) / known.name
        rules = rules_of_tests()
        try:
            return problem or "; ".join(changes(load(known, rules), load(now, rules)))
        except ValueError as error:
            return str(error)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Try the rules in guests with real kernels, and record what became of them."
        " The exit status is 1 if a test failed."
    )
    parser.add_argument(
        "--kernel", action="append", choices=KERNELS, help="this kernel only (default: $KVMOPS_KERNELS, or all)"
    )
    parser.add_argument("--hardware", action="append", choices=HARDWARE, help=f"on this hardware (default: {PLAIN})")
    parser.add_argument("--all-hardware", action="store_true", help="on all hardware that the kernels know")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--to", type=pathlib.Path, default=RECORDED, metavar="DIRECTORY", help="for the records")
    where.add_argument(
        "--check", action="store_true", help="write nothing: fail if it differs from what was recorded before"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Try the rules in the guests that are asked for."""
    options = parse_arguments(arguments)
    options.to.mkdir(parents=True, exist_ok=True)
    hardware = list(HARDWARE) if options.all_hardware else options.hardware or [PLAIN]
    failed = False
    for machine in machines(options.kernel or kernels(), hardware):
        start = time.monotonic()
        try:
            problem = check(*machine) if options.check else record(*machine, options.to)
        except (GuestError, NotBuilt, subprocess.SubprocessError) as error:
            problem = str(error)
        failed = failed or bool(problem)
        seconds = time.monotonic() - start
        print(f"rules, kernel {' '.join(machine)}: {problem or 'passed'} ({seconds:.0f} s)", flush=True)
    return int(failed)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(main(sys.argv[1:]))
