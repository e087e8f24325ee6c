# SPDX-License-Identifier: GPL-3.0-or-later
"""Collecting what a host counts, time after time: what a reader that keeps a history, such as Prometheus, is told."""

from __future__ import annotations

import os
import time
import typing as t
from decimal import Decimal

from .. import errors
from ..decide.baselines import Baseline, Baselines, Key, follow
from ..kernel.events import Place
from ..kernel.preflight import missing_monitoring
from ..observe.host import query
from ..wish.store import locked, read_json, write_json
from .sampled import statistics

if t.TYPE_CHECKING:
    from ..decide.outcome import Outcome
    from ..kernel.groups import Group
    from ..observe.host import Host
    from ..observe.sampling import Statistics

# Gone after a reboot, as all groups are
DIRECTORY = "/run/kvmops-resctrl"
_BASELINES = "baselines.json"


class Collection(t.NamedTuple):
    """One look at a host.

    `statistics`: of the domains that run.  `counters`: UUID -> (event, where it is counted) -> what it has come to
    (see decide/baselines.py).  `began`: Unix time.  `seconds`: what the look took.
    """

    outcome: Outcome
    statistics: list[Statistics]
    counters: t.Mapping[str, t.Mapping[Key, Decimal]]
    began: float
    seconds: float
    warnings: list[str]


def collect(host: Host, directory: str = DIRECTORY) -> Collection:
    """Look at a host, and note where the counters of its domains begin.

    Of a host that cannot monitor there is nothing but its domains. Raises NotRoot, LockTimeout, Refused, Unreadable.
    """
    began, clock = time.time(), time.monotonic()
    outcome = query(host, None)
    running = [status for status in outcome.statuses if status.domain.active]
    counted: list[Statistics] = []
    counters: dict[str, dict[Key, Decimal]] = {}
    warnings: list[str] = []
    # One that looked at a wrong place has seen no counter begin anew
    if not missing_monitoring(host.resctrl):
        counted = statistics(host.resctrl, running, None)
        counters, warnings = _follow_all(counted, outcome.after.groups, directory)
    return Collection(outcome, counted, counters, began, time.monotonic() - clock, warnings)


def _follow_all(
    counted: t.Sequence[Statistics], groups: t.Iterable[Group], directory: str
) -> tuple[dict[str, dict[Key, Decimal]], list[str]]:
    """The counters of each domain by UUID, and what is wrong with what is noted.

    What is noted of a domain that was not seen is kept as long as one of its groups is among `groups`.
    """
    path = os.path.join(directory, _BASELINES)
    warnings: list[str] = []
    counters: dict[str, dict[Key, Decimal]] = {}
    kept: dict[str, Baselines] = {}
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
        with locked(directory):
            before = _baselines(path, warnings)
            for one in counted:
                uuid = one.status.domain.uuid
                counters[uuid], kept[uuid] = follow(None if before is None else before.get(uuid, {}), one.sample)
            kept = {uuid: baselines for uuid, baselines in kept.items() if baselines}
            kept.update(_of_unseen(before or {}, counters, {group.path for group in groups}))
            if kept != before:
                write_json(path, _plain(kept))
    except OSError as exc:
        raise errors.Refused(
            f"Cannot note in {directory} where counters begin: {exc.strerror}",
            path=directory,
            hint="Is the filesystem writable?",
        ) from exc
    return counters, warnings


def _of_unseen(
    before: t.Mapping[str, Baselines], seen: t.Container[str], paths: t.AbstractSet[str]
) -> dict[str, Baselines]:
    return {
        uuid: noted
        for uuid, noted in before.items()
        if uuid not in seen and any(paths & groups.keys() for groups in noted.values())
    }


def _baselines(path: str, warnings: list[str]) -> dict[str, Baselines] | None:
    """What was noted the last time; None where that is damaged. It is set aside then."""
    try:
        return read_json(path, _parse) or {}
    except errors.PolicyDamaged as exc:
        os.replace(path, f"{path}.damaged")
        warnings.append(f"{exc.message}. It was set aside as {path}.damaged, and all counters begin anew")
        return None


def _plain(kept: t.Mapping[str, Baselines]) -> dict[str, t.Any]:
    return {
        uuid: [
            [event, *place, group, one.identity, str(one.start), str(one.last), *sorted(one.summed)]
            for (event, place), groups in baselines.items()
            for group, one in groups.items()
        ]
        for uuid, baselines in kept.items()
    }


def _parse(content: t.Any) -> dict[str, Baselines]:  # noqa: ANN401  # what a file holds
    found: dict[str, Baselines] = {}
    for uuid, rows in content.items():
        for event, resource, number, group, identity, start, last, *summed in rows:
            baselines = found.setdefault(uuid, {}).setdefault((str(event), Place(str(resource), int(number))), {})
            baselines[group] = Baseline(str(identity), Decimal(start), Decimal(last), frozenset(map(str, summed)))
    return found
