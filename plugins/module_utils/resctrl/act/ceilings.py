# SPDX-License-Identifier: GPL-3.0-or-later
"""The most that the sockets of a host were ever seen to move, which stands for the ceiling that nobody configured.

It is kept until the host boots, in a file of ours.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..errors import LockTimeout, PolicyDamaged
from ..judge.situation import CONFIGURED, OBSERVED, Ceiling
from ..wish.store import read_json, update_json

MEMORY = "/run/kvmops-resctrl/highest.json"


def ceilings(moved: t.Mapping[str, float], configured: float | None, path: str, keep: bool) -> dict[str, Ceiling]:
    """The ceiling of each socket, by its key. `moved`: what each of them moves now.

    What is seen now for the first time is no ceiling for itself: a socket whose highest sum is not known yet has none,
    nor has one that never moved anything.
    With `keep` it is noted for the next time; where nothing can be kept, that is no failure.
    """
    if configured is not None:
        return {key: Ceiling(configured, CONFIGURED) for key in moved}
    highest = _seen(path)
    if keep and _higher(highest, moved) != highest:
        with contextlib.suppress(OSError, LockTimeout):
            update_json(path, _parse, lambda seen: {"bytes_per_second": _higher(seen or {}, moved)})
    return {key: Ceiling(number, OBSERVED) for key, number in highest.items() if key in moved and number > 0}


def _higher(highest: t.Mapping[str, float], moved: t.Mapping[str, float]) -> dict[str, float]:
    return {**highest, **{key: max(number, highest.get(key, 0.0)) for key, number in moved.items()}}


def _seen(path: str) -> dict[str, float]:
    try:
        return read_json(path, _parse) or {}
    except PolicyDamaged:
        # It is written anew
        return {}


def _parse(content: t.Any) -> dict[str, float]:  # noqa: ANN401  # what a file holds
    numbers = content.get("bytes_per_second") if isinstance(content, dict) else None
    if not isinstance(numbers, dict):
        raise ValueError("it has no numbers")
    return {str(key): float(number) for key, number in numbers.items()}
