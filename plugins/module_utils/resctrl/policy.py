# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wished for the domains of a host, whenever they run: declared in one file, switched ad hoc in another.

Both lie in one directory and are JSON. The declaration (policy.json) is written as a whole by whoever manages the host,
the switches (switches.json, see switches.py) one by one. A switch speaks of one domain and wins over the declaration.
"""

from __future__ import annotations

import fnmatch
import os
import types
import typing as t

from .planning import Wish
from .switches import DIRECTORY, read_json, read_switches

if t.TYPE_CHECKING:
    from .domains import Domain

DECLARED = "policy.json"

_STATES = {"enabled": True, "disabled": False, "unmanaged": None}
_SCOPES = {"vcpus": False, "domain": True}


class Rule(t.NamedTuple):
    """What is declared for one name, UUID or shell pattern. `enabled` None: left as it is."""

    name: str
    enabled: bool | None
    priority: int = 0


class Policy(t.NamedTuple):
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
    switches: t.Mapping[str, bool] = types.MappingProxyType({})

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
    declared = read_json(os.path.join(directory, DECLARED), _declaration)
    return (declared or Policy())._replace(switches=read_switches(directory))


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
