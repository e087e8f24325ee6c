# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tests of the modules in a guest of each kernel: on stand-in domains, or with -A on libvirt's own, with KVM.

The status is 0 if in every guest tests ran and all of them passed. A guest's pytest prints here.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from guest import CHECKOUT, Guest, GuestError, Machine  # noqa: E402  # where the harness is
from products import NotBuilt, kernels  # noqa: E402

# A guest's limit, in seconds
LIMIT = 1800


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-A", "--amd", action="store_true", help="on an AMD CPU, with libvirt's domains and KVM")
    parser.add_argument("-K", "--only", metavar="EXPRESSION", help="only these tests: pytest's option -k")
    parser.add_argument(
        "kernel",
        nargs="*",
        metavar="KERNEL",
        help="default: all, or those that $KVMOPS_KERNELS names; with -A the middle one of these",
    )
    options = parser.parse_args()
    options.kernel = options.kernel or default_kernels(options.amd)
    return options


def default_kernels(amd: bool) -> t.Sequence[str]:
    """What is special with libvirt is not the kernel's: one will do, neither the oldest nor the newest."""
    chosen = kernels()
    middle = len(chosen) // 2
    return chosen[middle : middle + 1] if amd else chosen


def all_passed(output: str) -> bool:
    """Whether pytest's last line says that tests passed, and of no other outcome."""
    lines = output.strip().splitlines()
    summary = lines[-1] if lines else ""
    return re.search(r"\b[1-9][0-9]* passed", summary) is not None and "skipped" not in summary


def run_in_guest(kernel: str, amd: bool, only: str | None) -> str:
    """What came of the tests in a guest of that kernel: "" if all passed, else why not."""
    tests = HERE.relative_to(CHECKOUT) / ("test_libvirt.py" if amd else "test_modules.py")
    command = ["python3", "-m", "pytest", f"--confcutdir={tests.parent}", "--durations=5"]
    command += ["-k", only] if only else []
    try:
        with Guest(Machine(kernel=kernel, amd=amd)) as guest:
            done = guest.run([*command, str(tests)], timeout=LIMIT, echo=True)
            if done.returncode:
                print(guest.console(), file=sys.stderr)
    except subprocess.TimeoutExpired:
        return f"not done after {LIMIT} s"
    except (GuestError, NotBuilt) as error:
        return str(error)
    if done.returncode:
        return f"pytest's status is {done.returncode}"
    return "" if all_passed(done.stdout) else "not all tests ran"


def main() -> int:
    """Runs one guest after the other."""
    options = parse_arguments()
    failed = False
    for kernel in options.kernel:
        start = time.monotonic()
        problem = run_in_guest(kernel, options.amd, options.only)
        failed = failed or bool(problem)
        print(f"kernel {kernel}: {problem or 'passed'} ({time.monotonic() - start:.0f} s)", flush=True)
    return int(failed)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(main())
