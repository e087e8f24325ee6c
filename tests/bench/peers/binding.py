# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libpqos' own binding for Python costs: python3 binding.py ROUNDS PID..., with the binding on PYTHONPATH.

Counts the processes, looks so often, and lets them go. Prints the microseconds of CPU time for each value, a line for
each round.
"""

from __future__ import annotations

import contextlib
import sys
import time

from pqos import Pqos
from pqos.error import PqosError
from pqos.monitoring import PqosMon

rounds, *pids = map(int, sys.argv[1:])
library = Pqos()
library.init("OS", log_file=sys.stderr, verbose="silent")
monitoring = PqosMon()
groups = [monitoring.start_pids([pid], ["l3_occup", "lmem_bw", "tmem_bw"]) for pid in pids]
for _round in range(rounds):
    began = time.process_time()
    monitoring.poll(groups)
    values = [(one.values.llc, one.values.mbm_local, one.values.mbm_total) for one in groups]
    took = time.process_time() - began
    # A group that is new may have counted nothing yet
    if rounds > 1 and any(value == 0 for of in values for value in of):
        raise SystemExit("not every value was read")
    # It adds up what it has read of two caches
    print(f"{took * 1e6 / len(values) / 6:.4f}")
for one in groups:
    # Groups that were made beforehand, as files of a plain directory, cannot be removed
    with contextlib.suppress(PqosError):
        one.stop()
library.fini()
