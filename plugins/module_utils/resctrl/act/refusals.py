# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done and said when the kernel refuses something, or a run comes to no end."""

from __future__ import annotations

import contextlib
import typing as t

from .. import errors
from ..kernel.mpam import rmids_of_each

if t.TYPE_CHECKING:
    from ..decide.planning import Plan
    from ..errors import ResctrlError
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group


def held_in(ctrl: str, groups: t.Iterable[Group]) -> int:
    """How many of the groups are MON groups in a CTRL_MON group (by name)."""
    return sum(bool(group.mon) and group.ctrl == ctrl for group in groups)


def passing(resctrl: Resctrl, refused: Group, refusal: errors.RmidsExhausted, seen: int) -> errors.RmidsInLimbo | None:
    """The refusal of a group as one that passes by time, if its CTRL_MON group is not full; None if it is.

    While an RMID of its own waits in the limbo, and any of other CTRL_MON groups is free, the kernel says ENOSPC, as if
    all were held (resctrl_find_free_rmid(), Linux 7.3). Where no file tells how many MON groups fit, it is at least as
    many as this run has `seen` there. Raises Unreadable.
    """
    each = rmids_of_each(resctrl)
    if held_in(refused.ctrl, resctrl.groups()) >= (seen if each is None else each - 1):
        return None
    return errors.RmidsInLimbo(
        refusal.message,
        path=refusal.path,
        hint="This CTRL_MON group is not full: a freed RMID of its own waits until the cache has lost its lines. Try "
        "again in some seconds. If that does not help, a MON group was renamed to another CTRL_MON group, and its RMID "
        "is lost until resctrl is mounted anew",
    )


def take_back(resctrl: Resctrl, made: t.Iterable[Group]) -> None:
    """Remove groups that this run has made. One that the kernel keeps is empty, and the next run's."""
    for group in sorted(made):
        with contextlib.suppress(errors.Refused):
            resctrl.changes.remove(group)


def unsettled(planned: Plan, passing: t.Mapping[str, ResctrlError], seconds: float) -> dict[str, ResctrlError]:
    """For each domain for which something is left to do after so long, why."""
    not_settled = errors.NotSettled(
        f"The threads to be counted kept changing for {seconds:g} seconds", hint="Run again"
    )
    return {step.uuid: passing.get(step.uuid, not_settled) for step in planned.operations}
