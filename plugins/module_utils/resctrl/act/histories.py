# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in which earlier looks at a host's domains are kept, until the host boots."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..errors import LockTimeout, PolicyDamaged
from ..judge.history import History, Look
from ..wish.store import locked, read_json, update_json

MEMORY = "/run/kvmops-resctrl/usage.json"


def read(path: str, keep: bool) -> tuple[dict[str, History], list[str]]:
    """What is known of the domains, by UUID, and warnings.

    A damaged file is as good as none; with `keep` it is set aside. Raises NotRoot.
    """
    try:
        return read_json(path, _parse) or {}, []
    except PolicyDamaged as exc:
        what = "No domain has a history"
        if keep and _set_aside(path):
            what = f"It was set aside as {path}.damaged, and the history of all domains begins anew"
        return {}, [f"{exc.message}. {what}"]


def _set_aside(path: str) -> bool:
    """Whether a damaged file was set aside, unless another run has done so meanwhile, and has written a new one."""
    try:
        with locked(os.path.dirname(path)):
            try:
                read_json(path, _parse)
            except PolicyDamaged:
                os.replace(path, f"{path}.damaged")
            return True
    except (OSError, LockTimeout):
        return False


def note(path: str, change: t.Callable[[t.Mapping[str, History]], t.Mapping[str, History]]) -> None:
    """Keep for the next time what `change` makes of what is known by now.

    Where nothing can be kept, that is no failure. Raises NotRoot.
    """
    with contextlib.suppress(OSError, LockTimeout):
        update_json(path, _parse, lambda known: _all_plain(change(known or {})))


def _all_plain(histories: t.Mapping[str, History]) -> dict[str, t.Any]:
    return {uuid: _plain(history) for uuid, history in histories.items()}


def _plain(history: History) -> dict[str, t.Any]:
    looks = [[look.at, dict(look.moved), dict(look.held), look.partial, sorted(look.found)] for look in history.looks]
    return {"identity": history.identity, "looks": looks}


def _parse(content: t.Any) -> dict[str, History]:  # noqa: ANN401  # what a file holds
    return {
        str(uuid): History(str(one["identity"]), tuple(_look(*look) for look in one["looks"]))
        for uuid, one in content.items()
    }


def _look(at: float, moved: t.Any, held: t.Any, partial: bool, found: t.Iterable[str]) -> Look:  # noqa: ANN401  # as above
    return Look(float(at), _numbers(moved), _numbers(held), bool(partial), frozenset(map(str, found)))


def _numbers(content: t.Any) -> dict[str, float]:  # noqa: ANN401  # as above
    return {str(key): float(number) for key, number in content.items()}
