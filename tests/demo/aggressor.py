# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets vm3 of a lab host seem to stream: it holds most of the cache and moves 9 GB/s, until this program ends.

PYTHONPATH=tests/lab python tests/demo/aggressor.py HOST
"""

from __future__ import annotations

import itertools
import re
import sys
import time

from hosts.lab import Lab

_VM3 = "c0ffee00-0000-4000-8000-000000000003"
_STEP = 0.1
_BYTES_PER_SECOND = 9 * 10**9


def main(host: str) -> None:
    """Count on for ever. "ready" on stdout says that it has begun."""
    with Lab().host(host).control as control:
        groups = control.snapshot()["groups"]
        (ours,) = (path for path in groups if path.endswith(f"kvmops-{_VM3}"))
        size, cache = _cache()
        control.set(ours, cache, "llc_occupancy", size * 85 // 100)
        control.set("", cache, "llc_occupancy", size * 10 // 100)
        control.set("", cache, "mbm_total_bytes", 0)
        start = time.monotonic()
        for step in itertools.count():
            moved = int((time.monotonic() - start) * _BYTES_PER_SECOND)
            for event in ("mbm_total_bytes", "mbm_local_bytes"):
                control.set(ours, cache, event, moved)
            if step == 0:
                print("ready", flush=True)
            time.sleep(_STEP)


def _cache() -> tuple[int, int]:
    """The size of the machine's first L3 cache in bytes, and its id; the emulator has the same."""
    from emulator.profiles import machine_l3

    ids, size = machine_l3()
    return size, ids[0]


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"[a-z0-9-]+", sys.argv[1]):
        sys.exit(__doc__)
    main(sys.argv[1])
