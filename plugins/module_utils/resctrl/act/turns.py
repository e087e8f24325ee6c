# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping what is measured of domains that take turns: before a group is given up its last values are taken."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .. import errors
from ..decide.planning import CREATE, REMOVE, UNCOUNT
from ..decide.status import status_of
from ..decide.takers import settle
from ..decide.turns import Turn
from ..decide.windows import Notes, begin, end_bandwidth, end_turn
from ..kernel.counters import read_group
from ..kernel.events import ERROR, L3, L3_EVENTS, OCCUPANCY
from ..kernel.groups import leaving_group
from ..kernel.info import max_threshold_occupancy
from ..observe.sampling import sample_all
from ..wish.store import locked
from .noted_turns import Noted, load, read, save
from .sampled import DIRECTORY

if t.TYPE_CHECKING:
    from ..decide.planning import Operation
    from ..decide.samples import Sample
    from ..decide.snapshot import Snapshot
    from ..decide.turns import Queue, Turns
    from ..decide.wish import Wishes
    from ..errors import ResctrlError
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group


# Another run may wait for RMIDs in limbo
_PATIENCE = 30.0


@contextlib.contextmanager
def keeping(
    resctrl: Resctrl, settings: Turns, directory: str = DIRECTORY, *, check: bool = False
) -> t.Iterator[Keeper]:
    """The notes on turns of a host, for one run: nobody else changes them meanwhile. With `check`, nobody at all does.

    Raises LockTimeout, and Refused where nothing can be noted.
    """
    if check:
        yield Keeper(resctrl, settings, directory, check=True)
        return
    with contextlib.ExitStack() as held:
        try:
            # The mode is that of the last directory only
            with contextlib.suppress(FileExistsError):
                os.makedirs(os.path.dirname(directory), 0o755)
            os.makedirs(directory, 0o700, exist_ok=True)
            held.enter_context(locked(directory, _PATIENCE))
            keeper = Keeper(resctrl, settings, directory)
        except OSError as exc:
            raise errors.Refused(
                f"Cannot note in {directory} whose turn it is: {exc.strerror}",
                path=directory,
                hint="Is the filesystem writable?",
            ) from exc
        yield keeper


class Keeper:
    """What is noted of turns, and the taking of values for it. `warnings`: what was wrong with the notes."""

    def __init__(
        self,
        resctrl: Resctrl,
        settings: Turns,
        directory: str,
        clock: t.Callable[[], float] = time.monotonic,
        *,
        check: bool = False,
    ) -> None:
        self._resctrl, self._settings, self._directory, self._clock = resctrl, settings, directory, clock
        self.noted, self.warnings = (read(directory), []) if check else load(directory, clock())
        # Those for which groups were made: whether a cache held lines of others; and those whose turn goes on
        self._made: dict[str, bool] = {}
        self._goes_on: set[str] = set()

    def queue(self) -> Queue:
        """Who stands where, now."""
        return self.noted.queue(self._settings, self._clock())

    def leaving(self, steps: t.Sequence[Operation], snapshot: Snapshot) -> None:
        """Note what was measured for those whose turn ends with these steps, which are not carried out yet."""
        removed = {step.group for step in steps if step.kind == REMOVE}
        touched = {step.uuid for step in steps if step.kind in (CREATE, REMOVE)}
        # One whose threads were moved to another allocation gets another group, and keeps its turn
        stays = {step.uuid for step in steps if step.kind == CREATE}
        stays |= {uuid for uuid in touched if snapshot.ours(uuid) - removed}
        self._goes_on |= {uuid for uuid in stays if snapshot.ours(uuid)}
        gone = {uuid for uuid in touched - stays if uuid in self.noted.of and self.noted.of[uuid].group}
        uncounted = {(step.uuid, step.cache) for step in steps if step.kind == UNCOUNT and step.uuid not in gone}
        uncounted &= {(uuid, cache) for uuid, notes in self.noted.of.items() for cache in notes.counters}
        samples = self._samples(snapshot, gone | {uuid for uuid, _cache in uncounted})
        if not samples:
            return
        queue, of = self.queue(), dict(self.noted.of)
        for uuid in gone & samples.keys():
            of[uuid] = end_turn(of[uuid], samples[uuid], queue)
        for uuid, cache in uncounted:
            if uuid in samples:
                of[uuid] = end_bandwidth(of[uuid], samples[uuid], cache, queue)
        self._note(self.noted._replace(of=of))

    def made(self, group: Group) -> None:
        """Look at the caches for a group that was made just now, and holds no thread yet: whose lines are in them?"""
        if group == leaving_group(group):
            # It is for threads of the domain that are not to be counted
            return
        self._made[group.uuid] = self._made.get(group.uuid, False) or self._is_unclean(group)

    def _is_unclean(self, group: Group) -> bool:
        """Whether a cache holds more lines of others than the kernel takes for none, or that cannot be told.

        Of an RMID that has not run on a cache AMD may know nothing (unavailable): then there is nothing that could be
        told as the domain's.
        """
        try:
            values = read_group(self._resctrl, group, L3_EVENTS[:1])
        except OSError:
            return True
        most = max_threshold_occupancy(self._resctrl) or 0
        occupied = [one[OCCUPANCY] for place, one in values.items() if place.resource == L3]
        return any(one.reason == ERROR if one.number is None else one.number > most for one in occupied)

    def settle(self, snapshot: Snapshot, wishes: Wishes, failures: t.Mapping[str, ResctrlError]) -> None:
        """Note who takes turns from now on, and where what they count begins."""
        of, now = dict(self.noted.of), self._clock()
        for uuid in {*self._made, *self._goes_on}:
            # Of one that is new here nothing is noted yet
            of[uuid] = self._counted_otherwise(uuid, of.get(uuid, Notes(Turn(None, now))), now)
        of = settle(of, snapshot, wishes, failures, now)
        fresh = {uuid for uuid, notes in of.items() if not notes.starts or self._is_counted_anew(uuid, notes)}
        for uuid, sample in self._samples(snapshot, fresh).items():
            of[uuid] = begin(of[uuid], sample)
        limbo = sum(isinstance(failure, errors.RmidsInLimbo) for failure in failures.values())
        # It is forgotten little by little: the next turns end all at once otherwise
        limbo = max(limbo, self.noted.in_limbo // 2)
        self._note(Noted(of, self._settings, limbo))

    def _counted_otherwise(self, uuid: str, notes: Notes, now: float) -> Notes:
        """The notes on a domain for which a group was made, or of which one was removed."""
        if uuid in self._made:
            unclean = self._made[uuid] or (notes.unclean and uuid in self._goes_on)
            notes = notes._replace(unclean=unclean, made=now)
        if notes.group and uuid not in self._goes_on:
            notes = notes._replace(group=notes.group._replace(began=None))
        return notes._replace(starts={})

    def _is_counted_anew(self, uuid: str, notes: Notes) -> bool:
        before = self.noted.of.get(uuid)
        return before is None or before.counters != notes.counters

    def _samples(self, snapshot: Snapshot, uuids: t.Collection[str]) -> dict[str, Sample]:
        """What is shown by the groups that count these domains. Of one that is not counted there is nothing."""
        statuses = [status_of(one.domain, snapshot) for one in snapshot.running if one.domain.uuid in uuids]
        statuses = [status for status in statuses if status.groups]
        if not statuses:
            return {}
        return {status.domain.uuid: sample for status, sample in zip(statuses, sample_all(self._resctrl, statuses))}

    def _note(self, noted: Noted) -> None:
        """Note something. Where that fails the run goes on: to enforce what is declared matters more."""
        if noted == self.noted:
            return
        self.noted = noted
        try:
            save(noted, self._directory)
        except OSError as exc:
            warning = f"Cannot note in {self._directory} what was measured in turns: {exc.strerror}"
            self.warnings = list(dict.fromkeys([*self.warnings, warning]))
