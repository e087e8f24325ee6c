# SPDX-License-Identifier: GPL-3.0-or-later
"""The files in which a host keeps what is wished: policy.json, declared as a whole, and switches.json, one by one."""

from __future__ import annotations

import os
import typing as t

from .. import errors
from .place import DIRECTORY
from .policy import Policy, parse_policy, parse_switches
from .store import locked, read_json, write_json

POLICY = "policy.json"
SWITCHES = "switches.json"
# Where systemd notes that the timer, which enforces the policy, starts with the host
_ENFORCER = "/etc/systemd/system/timers.target.wants/kvmops-resctrl.timer"


def load(directory: str = DIRECTORY) -> Policy:
    """What is wished on a host; where nothing was ever declared or switched, nothing.

    Raises PolicyDamaged, and then nothing must be changed: what cannot be read is not a wish to switch anything off.
    """
    declared = read_json(os.path.join(directory, POLICY), parse_policy)
    return (declared or Policy())._replace(switches=load_switches(directory))


def load_switches(directory: str = DIRECTORY) -> dict[str, bool]:
    """UUID -> whether the domain was switched on or off persistently. Raises PolicyDamaged, NotRoot."""
    return read_json(os.path.join(directory, SWITCHES), parse_switches) or {}


def switch(changes: t.Mapping[str, bool], directory: str = DIRECTORY, *, check: bool = False) -> dict[str, bool | None]:
    """Note that domains (by UUID) are to be monitored, or not, whenever they run.

    Returns, for those of them for which that is new, what was noted before (None: nothing). With `check`, only says so.
    Raises PolicyDamaged, Refused, LockTimeout.
    """
    if check or not changes:
        return _news(load_switches(directory), changes)
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
        with locked(directory):
            before = load_switches(directory)
            news = _news(before, changes)
            if news:
                table = {uuid: "enabled" if on else "disabled" for uuid, on in sorted({**before, **changes}.items())}
                write_json(os.path.join(directory, SWITCHES), table)
            return news
    except OSError as exc:
        raise errors.Refused(
            f"Cannot note the switch in {directory}: {exc.strerror}", path=directory, hint="Is the filesystem writable?"
        ) from exc


def _news(before: t.Mapping[str, bool], changes: t.Mapping[str, bool]) -> dict[str, bool | None]:
    return {uuid: before.get(uuid) for uuid, on in changes.items() if before.get(uuid) != on}


def is_enforced() -> bool:
    """Whether something on this host enforces the policy when a domain starts (role resctrl_monitor)."""
    return os.path.lexists(_ENFORCER)
