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
from products import KERNELS, NotBuilt, kernels  # noqa: E402

# A guest's limit, in seconds
LIMIT = 1800
# pytest's status if no test was chosen
NO_TESTS = 5
NONE_CHOSEN = "no test was chosen"


class Suite(t.NamedTuple):
    """Tests, and the fields of the Machine in which they run. `since` is the first kernel that knows its hardware."""

    files: tuple[str, ...]
    machine: t.Mapping[str, t.Any]
    since: str = KERNELS[0]


SUITES = (
    Suite(("test_modules.py", "test_surprises.py", "test_usage.py"), {}),
    Suite(("test_turns.py",), {"rdt": {"rmids": 5}}),
    Suite(("test_nodes.py",), {"rdt": {"snc": 2}}, since="6.12"),
    Suite(("test_assignment.py",), {"amd": True, "rdt": {"abmc": 8}}, since="7.3"),
)
LIBVIRT = Suite(("test_libvirt.py",), {"amd": True})


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


def suites(kernel: str, amd: bool) -> list[Suite]:
    """What is to be run on a kernel."""
    if amd:
        return [LIBVIRT]
    return [suite for suite in SUITES if KERNELS.index(suite.since) <= KERNELS.index(kernel)]


def run_in_guest(kernel: str, suite: Suite, only: str | None) -> str:
    """What came of a suite in a guest of that kernel: "" if all of its tests passed, else why not."""
    directory = HERE.relative_to(CHECKOUT)
    command = ["python3", "-m", "pytest", f"--confcutdir={directory}", "--durations=5"]
    command += ["-k", only] if only else []
    try:
        with Guest(Machine(kernel=kernel, **suite.machine)) as guest:
            done = guest.run([*command, *(f"{directory}/{name}" for name in suite.files)], timeout=LIMIT, echo=True)
            if only and done.returncode == NO_TESTS:
                return NONE_CHOSEN
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
    problems = []
    for kernel in options.kernel:
        for suite in suites(kernel, options.amd):
            start = time.monotonic()
            problem = run_in_guest(kernel, suite, options.only)
            problems.append(problem)
            what = f"kernel {kernel}, {', '.join(suite.files)}"
            print(f"{what}: {problem or 'passed'} ({time.monotonic() - start:.0f} s)", flush=True)
    failed = any(problem not in ("", NONE_CHOSEN) for problem in problems)
    return int(failed or "" not in problems)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(main())
