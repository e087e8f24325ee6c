# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains were switched on or off for good: a table of UUIDs, beside the declared policy of a host.

It is changed under a lock, so that two writers never lose each other's change, and replaced atomically.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t

from . import errors

if t.TYPE_CHECKING:
    from .monitoring import Outcome

DIRECTORY = "/etc/kvmops-resctrl"
SWITCHES = "switches.json"
# Where systemd notes that the timer, which enforces the policy, starts with the host
_ENFORCER = "/etc/systemd/system/timers.target.wants/kvmops-resctrl.timer"

_Parsed = t.TypeVar("_Parsed")


def read_json(path: str, parse: t.Callable[[t.Any], _Parsed]) -> _Parsed | None:
    """A file of the policy, parsed; None where there is none. Raises PolicyDamaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(json.load(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise errors.PolicyDamaged(
            f"Cannot understand {path}: {type(exc).__name__}: {exc}",
            path=path,
            hint="Nothing was changed because of it. Write the file anew, or remove it",
        ) from exc


def read_switches(directory: str = DIRECTORY) -> dict[str, bool]:
    """UUID -> whether the domain is to be monitored whenever it runs. Raises PolicyDamaged."""
    return read_json(os.path.join(directory, SWITCHES), _switch_table) or {}


def _switch_table(content: t.Any) -> dict[str, bool]:  # noqa: ANN401  # what a file holds
    return {str(uuid): {"enabled": True, "disabled": False}[state] for uuid, state in content.items()}


def switch(changes: t.Mapping[str, bool], directory: str = DIRECTORY, *, check: bool = False) -> bool:
    """Note that domains (by UUID) are to be monitored, or not, whenever they run. Whether that changes anything.

    With `check`, only says so. Raises PolicyDamaged, Refused.
    """
    if check:
        before = read_switches(directory)
        return {**before, **changes} != before
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
        with _locked(directory):
            before = read_switches(directory)
            after = {**before, **changes}
            if after != before:
                _write(os.path.join(directory, SWITCHES), after)
            return after != before
    except OSError as exc:
        raise errors.Refused(
            f"Cannot note the switch in {directory}: {exc.strerror}", path=directory, hint="Is the filesystem writable?"
        ) from exc


@contextlib.contextmanager
def _locked(directory: str) -> t.Iterator[None]:
    """Hold the lock of the switches: a flock on a file of its own, since the table itself is replaced."""
    descriptor = os.open(os.path.join(directory, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: str, switches: t.Mapping[str, bool]) -> None:
    """Replace the table atomically: a reader sees the old one or the new one, also after a crash."""
    table = {uuid: "enabled" if on else "disabled" for uuid, on in sorted(switches.items())}
    temporary = f"{path}.new"  # nobody else's: the lock is held
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(table, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def note(outcome: Outcome, enabled: bool, *, check: bool = False) -> bool:
    """Switch the domains of a run for good, but those that failed. Whether that changes anything."""
    found = [result.status.domain.uuid for result in outcome.results if result.status and not result.error]
    return switch(dict.fromkeys(found, enabled), check=check)


def is_enforced() -> bool:
    """Whether something on this host makes the policy so when a domain starts (role monitor)."""
    return os.path.lexists(_ENFORCER)
