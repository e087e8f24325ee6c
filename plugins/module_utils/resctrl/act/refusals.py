# SPDX-License-Identifier: GPL-3.0-or-later
"""What it means on Arm that the kernel has no RMID for a group though the numbers said so."""

from __future__ import annotations

import typing as t

from .. import errors
from ..decide.planning import REMOVE
from ..kernel.mpam import rmids_of_each

if t.TYPE_CHECKING:
    from ..decide.planning import Operation
    from ..kernel.filesystem import Resctrl


def passing(
    resctrl: Resctrl, step: Operation, refusal: errors.RmidsExhausted, done: t.Iterable[Operation]
) -> errors.RmidsInLimbo | None:
    """The refusal as one that passes by time, if the CTRL_MON group is not full; None if it is, or that is not known.

    While an RMID of its own waits in the limbo and any of other CTRL_MON groups is free, the kernel says ENOSPC, as if
    all were held (resctrl_find_free_rmid(), Linux 7.3). `done` is what this run has done: where no file tells how many
    there are, an RMID waits if the run has freed one there. Raises Unreadable.
    """
    ctrl, each = step.group.ctrl, rmids_of_each(resctrl)
    if each is None:
        waits = any(one.kind == REMOVE and one.group.ctrl == ctrl for one in done)
    else:
        waits = sum(bool(group.mon) and group.ctrl == ctrl for group in resctrl.groups()) < each - 1
    if not waits:
        return None
    return errors.RmidsInLimbo(
        refusal.message,
        path=refusal.path,
        hint="This CTRL_MON group is not full: a freed RMID of its own waits until the cache has lost its lines. Try "
        "again in some seconds. If that does not help, a MON group was renamed to another CTRL_MON group, and its RMID "
        "is lost until resctrl is mounted anew",
    )
