# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the C loop does, in Python, which is as fast as a reader in Python can be: python3 loop.py ROOT ROUNDS.

Opens, reads and closes each counter by system calls, the number parsed and kept. Prints as the C loop does.
"""

from __future__ import annotations

import os
import sys
import time

root, rounds = f"{sys.argv[1]}/mon_groups", int(sys.argv[2])
events = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
files = [f"mon_data/mon_L3_{cache}/{event}" for cache in ("00", "01") for event in events]
groups = os.listdir(root)
for _round in range(rounds):
    began = time.process_time()
    values = []
    for group in groups:
        for file in files:
            descriptor = os.open(f"{root}/{group}/{file}", os.O_RDONLY)
            values.append(int(os.read(descriptor, 64)))
            os.close(descriptor)
    print(f"{(time.process_time() - began) * 1e6 / len(values):.4f}")
