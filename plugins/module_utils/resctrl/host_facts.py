# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host offers, and what it lacks, as plain data."""

from __future__ import annotations

import typing as t

from .counters import BANDWIDTH, OCCUPANCY, assign_mode, cache_directories
from .filesystem import missing_monitoring

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .snapshot import Snapshot


def problems(resctrl: Resctrl, snapshot: Snapshot) -> list[str]:
    """What is missing on a host, a sentence each, with what to do; empty where everything is there."""
    missing = missing_monitoring(resctrl)
    if missing:
        return [str(missing)]
    found, features = [], resctrl.features()
    if OCCUPANCY not in features:
        found.append("The CPU does not count cache occupancy, so resctrl.cmt is null: use the bandwidth values")
    if not set(BANDWIDTH) & set(features):
        found.append("The CPU does not count memory bandwidth, so these values are null: use the cache occupancy")
    if snapshot.free_rmids <= 0:
        held = ", ".join(f"{owner} {len(groups)}" for owner, groups in sorted(snapshot.held_by().items()))
        found.append(f"All {snapshot.num_rmids} RMIDs are in use ({held}): remove groups that nobody needs")
    return found


def describe_host(resctrl: Resctrl, snapshot: Snapshot) -> dict[str, t.Any]:
    """What the host offers: the return value `host`."""
    mount = resctrl.mount()
    held = snapshot.held_by() if snapshot.num_rmids else {}
    return {
        "supported": missing_monitoring(resctrl) is None,
        "mounted": mount is not None,
        "mount_options": list(mount.options) if mount else [],
        "features": list(resctrl.features()),
        "rmids": {
            **snapshot.rmids(),
            "held_by": [
                {"owner": owner, "rmids": len(groups), "groups": [resctrl.path(group) for group in groups]}
                for owner, groups in sorted(held.items())
            ],
        },
        "caches": list(cache_directories(resctrl)),
        "mbm_assign_mode": assign_mode(resctrl),
        "problems": problems(resctrl, snapshot),
    }
