# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this collection's library costs: python3 library.py ROOT PROC ROUNDS, with the library on PYTHONPATH.

Prints the microseconds of CPU time for each value, a line for each round.
"""

from __future__ import annotations

import sys
import time

from resctrl.decide.status import DomainStatus
from resctrl.kernel.filesystem import Resctrl
from resctrl.observe.sampling import sample_all
from resctrl.vms.domain import Domain

resctrl = Resctrl(sys.argv[1], sys.argv[2])
statuses = [
    DomainStatus(Domain(group.mon, group.uuid, True), enabled=True, groups=(group,)) for group in resctrl.groups()
]
for _round in range(int(sys.argv[3])):
    began = time.process_time()
    samples = sample_all(resctrl, statuses)
    took = time.process_time() - began
    values = [
        value for one in samples for part in one.parts.values() for of in part.places.values() for value in of.values()
    ]
    if len(values) != 6 * len(statuses) or any(value.number is None for value in values):
        raise SystemExit("not every value was read")
    print(f"{took * 1e6 / len(values):.4f}")
