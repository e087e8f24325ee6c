# Copyright (c) 2026 the kvmops.resctrl authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wished for the domains of a host, whenever they run: declared in one file, switched ad hoc in another.

Both lie in one directory and are JSON. The declaration (policy.json) is written as a whole by whoever manages the host;
the switches (switches.json) are changed one by one, under a lock, so that two writers never lose each other's change.
A switch speaks of one domain by its UUID and wins over the declaration.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import fnmatch
import json
import os
import tempfile
import typing as t

from . import errors
from .planning import Wish

if t.TYPE_CHECKING:
    from .domains import Domain

DIRECTORY = "/etc/kvmops-resctrl"
DECLARED = "policy.json"
SWITCHES = "switches.json"

_STATES = {"enabled": True, "disabled": False, "unmanaged": None}
_SCOPES = {"vcpus": False, "domain": True}


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is declared for one name, UUID or shell pattern. `enabled` None: left as it is."""

    name: str
    enabled: bool | None
    priority: int = 0


@dataclasses.dataclass(frozen=True)
class Policy:
    """Everything that is wished on a host.

    `default`: for domains that no rule speaks of.
    `rules`: a name or UUID wins over patterns, the first pattern over the next.
    `reserve`: RMIDs left untouched for others.
    `whole_process`: what is counted.
    `switches`: UUID -> on or off.
    """

    default: bool | None = None
    rules: tuple[Rule, ...] = ()
    reserve: int = 0
    whole_process: bool = False
    switches: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)

    def rule_for(self, domain: Domain) -> Rule:
        """The rule that a domain falls under, its switch apart."""
        exact = [rule for rule in self.rules if rule.name in (domain.name, domain.uuid)]
        patterns = [rule for rule in self.rules if fnmatch.fnmatchcase(domain.name, rule.name)]
        return next(iter(exact + patterns), Rule("*", self.default))

    def wishes(self, domains: t.Iterable[Domain]) -> tuple[dict[str, Wish], dict[str, int]]:
        """The wish and the priority of each domain that is not left as it is, by UUID."""
        wishes, priorities = {}, {}
        for domain in domains:
            rule = self.rule_for(domain)
            enabled = self.switches.get(domain.uuid, rule.enabled)
            if enabled is not None:
                wishes[domain.uuid] = Wish(enabled, self.whole_process)
                priorities[domain.uuid] = rule.priority
        return wishes, priorities


def load(directory: str = DIRECTORY) -> Policy:
    """The policy of a host; where nothing was ever declared or switched, an empty one.

    Raises PolicyDamaged, and then nothing must be changed: what cannot be read is not a wish to switch anything off.
    """
    declared = _read(os.path.join(directory, DECLARED), _declaration)
    return dataclasses.replace(declared or Policy(), switches=_switches(directory))


def _switches(directory: str) -> dict[str, bool]:
    return _read(os.path.join(directory, SWITCHES), _switch_table) or {}


_Parsed = t.TypeVar("_Parsed")


def _read(path: str, parse: t.Callable[[t.Any], _Parsed]) -> _Parsed | None:
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


def _declaration(content: t.Any) -> Policy:  # noqa: ANN401  # what a file holds
    unknown = set(content) - {"default", "domains", "reserve_rmids", "scope"}
    if unknown:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
    rules = [
        Rule(str(one["name"]), _STATES[one.get("state", "enabled")], int(one.get("priority", 0)))
        for one in content.get("domains", [])
    ]
    return Policy(
        _STATES[content.get("default", "unmanaged")],
        tuple(rules),
        int(content.get("reserve_rmids", 0)),
        _SCOPES[content.get("scope", "vcpus")],
    )


def _switch_table(content: t.Any) -> dict[str, bool]:  # noqa: ANN401  # what a file holds
    return {str(uuid): {"enabled": True, "disabled": False}[state] for uuid, state in content.items()}


def switch(changes: t.Mapping[str, bool], directory: str = DIRECTORY) -> bool:
    """Note that domains (by UUID) are to be monitored, or not, whenever they run. Whether anything was changed.

    Raises PolicyDamaged, Refused.
    """
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
        with _locked(directory):
            before = _switches(directory)
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
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f".{SWITCHES}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
