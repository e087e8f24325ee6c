# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of domains, and beside it what was measured of those that take turns."""

from __future__ import annotations

import os
import time
import typing as t

from ..kernel.events import NOT_ENABLED, WAITING
from ..observe import sampling
from ..wish.place import TURNS

if t.TYPE_CHECKING:
    from ..decide.samples import Sample
    from ..decide.status import DomainStatus
    from ..decide.turns import Queue
    from ..decide.windows import Notes
    from ..kernel.filesystem import Resctrl
    from ..observe.sampling import Statistics
    from .noted_turns import Noted

DIRECTORY, FILE = os.path.split(TURNS)


def statistics(resctrl: Resctrl, statuses: t.Sequence[DomainStatus], interval: float | None) -> list[Statistics]:
    """Sample each domain, see observe/sampling.py, with what is noted of its turns. Raises Unreadable, NotRoot."""
    return with_turns(sampling.statistics(resctrl, statuses, interval))


def with_turns(counted: t.Sequence[Statistics], directory: str = DIRECTORY) -> list[Statistics]:
    """The same with what is noted of the domains that take turns, and nothing believed that is not to be.

    Raises NotRoot.
    """
    noted = _noted(directory)
    return [_with_turn(one, noted) for one in counted] if noted else list(counted)


def queue(directory: str = DIRECTORY) -> Queue | None:
    """Whose turn it is, as it is noted; None where no turns are taken. Raises NotRoot."""
    noted = _noted(directory)
    return noted.queue(noted.settings, time.monotonic()) if noted else None


def _noted(directory: str) -> Noted | None:
    if not os.path.exists(os.path.join(directory, FILE)):
        return None
    # Not above: few hosts have it, and what is imported is compiled on every run
    from .noted_turns import read

    return read(directory)


def _with_turn(one: Statistics, noted: Noted) -> Statistics:
    notes = noted.of.get(one.status.domain.uuid)
    if notes is None or not one.status.domain.active:
        return one
    turned = noted.turned(notes, time.monotonic())
    return one._replace(
        sample=_believed(one.sample, notes, noted),
        before=one.before and _believed(one.before, notes, noted),
        turned=turned,
    )


def _believed(sample: Sample, notes: Notes, noted: Noted) -> Sample:
    # It may have been its turn, or become so, while it was looked at
    lost = notes.waits and not any(part.places for part in sample.parts.values())
    if lost or (notes.group and sample.reason == NOT_ENABLED):
        return sample._replace(parts={}, reason=WAITING)
    ours = any(group.uuid for group in sample.parts)
    if not ours or notes.is_warm(sample.seconds, noted.settings):
        return sample
    from ..decide.windows import without_occupancy

    return without_occupancy(sample)
