# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests with real kernels and several kinds of hardware, in which the tests run."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from guest import Guest, Machine
from products import KERNELS

HERE = pathlib.Path(__file__).resolve().parents[1]
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


def record(kernel: str, hardware: str, directory: pathlib.Path) -> int:
    """Run the tests in one guest and write the record; the exit status is that of the tests."""
    with Guest(Machine(kernel=kernel, **HARDWARE[hardware])) as guest:
        status = guest.run([*TESTS.split(), RECORD, f"--hardware={hardware}"], echo=True).returncode
        content = guest.shell(f"cat {RECORD}")
    (directory / f"kernel-{kernel}-{hardware}.json").write_text(content, encoding="utf-8")
    return status


def main(arguments: Sequence[str]) -> int:
    """Try the rules in the guests that are asked for; the exit status is 1 if a test failed."""
    parser = argparse.ArgumentParser(
        description="Try the rules in guests with real kernels, and record what became of them."
    )
    parser.add_argument("--kernel", action="append", choices=KERNELS, help="this kernel only")
    parser.add_argument("--hardware", action="append", choices=HARDWARE, help=f"on this hardware (default: {PLAIN})")
    parser.add_argument("--all-hardware", action="store_true", help="on all hardware that the kernels know")
    parser.add_argument(
        "--to", type=pathlib.Path, default=HERE / "recorded", metavar="DIRECTORY", help="for the records"
    )
    options = parser.parse_args(arguments)
    options.to.mkdir(parents=True, exist_ok=True)
    hardware = list(HARDWARE) if options.all_hardware else options.hardware or [PLAIN]
    failed = []
    for machine in machines(options.kernel or KERNELS, hardware):
        print(f"== kernel {' '.join(machine)}", flush=True)
        if record(*machine, options.to):
            failed.append(" ".join(machine))
    if failed:
        print(f"record: tests failed with kernel {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
