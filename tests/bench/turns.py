# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand stand-in domains that take turns with a hundred RMIDs: how long a run of the agent takes. Needs root.

Most of the time goes into starting the domains, some minutes. The status is 0 if in each turn others were counted.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

from agents import Agent  # beside this folder
from emulated_host import EmulatedHost

DOMAINS, RMIDS, ROTATIONS = 1000, 100, 11
WINDOW = 3


def main() -> int:
    """Starts them, and lets the agent run whenever turns are over."""
    seen: set[str] = set()
    with (
        tempfile.TemporaryDirectory(prefix="turns-") as directory,
        EmulatedHost(pathlib.Path(directory), "intel-6.12", [f"num_rmids={RMIDS + 1}"]) as host,
    ):
        for number in range(DOMAINS):
            host.domains.add(f"vm{number:04}", vcpus=1)
        agent = Agent(host)
        agent.declare(default="enabled", turns={"window": WINDOW, "warm_up": 1})
        for rotation in range(ROTATIONS):
            began = time.monotonic()
            status, _said, complaints = agent.run("enforce", "--quiet")
            seconds = time.monotonic() - began
            counted = set(host.groups())
            seen |= counted
            print(f"run {rotation}: {seconds:.1f} s, {len(counted)} counted, {len(seen)} seen", flush=True)
            if status or complaints or len(counted) != RMIDS or len(seen) != min(DOMAINS, RMIDS * (rotation + 1)):
                print(f"That is not right: {complaints}", file=sys.stderr)
                return 1
            time.sleep(max(0.0, began + seconds + WINDOW - time.monotonic()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
