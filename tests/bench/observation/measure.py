# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what one look at a host costs: which groups there are, and where the threads of the domains are.

In guests with real kernels, where a `tasks` file is what it is: its reader visits every thread of the system. A guest's
CPUs are emulated, so its milliseconds say nothing about hardware. The ratios do: to a read of a single `tasks` file in
the same minute, and to `cat` of it, which is a process too.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shlex
import sys

from guest import CHECKOUT, Guest, Machine
from products import KERNELS

HERE = pathlib.Path(__file__).resolve().parent
# RMIDs beside those of the domains: the root's, and what else holds one
_SPARE_RMIDS = 8


def main() -> int:
    """Measure in one guest after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-k", "--kernel", action="append", choices=KERNELS, help="the kernel; may be repeated (default: all)")
    add("--domains", type=int, default=100, help="running domains, each with a group of ours (%(default)s)")
    add("--vcpus", type=int, default=2, help="of each domain (%(default)s)")
    add("--threads", type=int, default=6000, help="threads in the whole system (%(default)s)")
    add("--looks", type=int, default=15, help="of which the median is taken (%(default)s)")
    options = parser.parse_args()
    print("$", shlex.join(["tests/bench/observation/run", *sys.argv[1:]]))
    print(f"On a machine with {os.cpu_count()} CPUs; load average {os.getloadavg()[0]:.1f}")
    numbers = [f"--{name}={getattr(options, name)}" for name in ("domains", "vcpus", "threads", "looks")]
    command = ["python3", "-B", str(HERE.relative_to(CHECKOUT) / "prepare.py"), *numbers]
    for kernel in options.kernel or KERNELS:
        machine = Machine(
            kernel=kernel,
            memory=max(2048, options.threads // 4),  # it limits the number of threads
            rdt={"rmids": options.domains + _SPARE_RMIDS},
        )
        with Guest(machine) as guest:
            status = guest.run(command, echo=True).returncode
        if status:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
