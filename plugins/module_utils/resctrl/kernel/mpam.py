# SPDX-License-Identifier: GPL-3.0-or-later
"""Arm MPAM: how many MON groups fit in a CTRL_MON group.

An RMID is a pair there: a PARTID, which is the CTRL_MON group's CLOSID, and a PMG. The group itself has one PMG of its
PARTID, each of its MON groups another, and nobody can use those of other PARTIDs (drivers/resctrl/mpam_resctrl.c and
resctrl_find_free_rmid() in fs/resctrl/monitor.c, read in Linux 7.3).
"""

from __future__ import annotations

import typing as t

from .files import number_in

if t.TYPE_CHECKING:
    from .filesystem import Resctrl

# The resources that can be allocated; each that there is has num_closids, which is the number of PARTIDs
_ALLOCATING = ("L3", "L2", "MB")


def rmids_of_each(resctrl: Resctrl) -> int | None:
    """How many RMIDs each CTRL_MON group of an Arm host has, its own included; None where that is not known.

    They are num_rmids / num_closids where mbm_assign_mode has the mode mbm_event and no other, because the driver with
    that mode multiplies so. Drivers of vendors before it called other numbers num_rmids. Where only occupancy is
    counted, or nothing can be allocated, no file tells. Then only the kernel's refusal tells.
    """
    if resctrl.info("L3_MON/mbm_assign_mode") != "[mbm_event]":
        return None
    rmids = number_in(resctrl.info("L3_MON/num_rmids"))
    texts = [text for text in (resctrl.info(f"{name}/num_closids") for name in _ALLOCATING) if text]
    closids = [number_in(text) or 0 for text in texts]
    if not rmids or not closids or not all(closids) or rmids % min(closids):
        return None
    return rmids // min(closids)
