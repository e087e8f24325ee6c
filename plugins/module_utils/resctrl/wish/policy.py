# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared for the domains of a host, whenever they run, and what was switched ad hoc. Pure.

The declaration is written as a whole by whoever manages the host. Switches are written one by one: each is about one
domain, and wins over the declaration.
"""

from __future__ import annotations

import fnmatch
import re
import types
import typing as t

from ..decide.turns import Turns
from ..decide.wish import BANDWIDTHS, Wish, Wishes
from ..kernel.groups import is_uuid
from ..vms.domain import canonical_uuid

if t.TYPE_CHECKING:
    from ..vms.domain import Domain

_STATES = {"enabled": True, "disabled": False, "unmanaged": None}
_SCOPES = {"vcpus": False, "domain": True}
_KEYS = frozenset(("default", "domains", "reserve_rmids", "scope", "turns"))
_KEYS_OF_A_RULE = frozenset(("name", "state", "priority", "bandwidth"))
# As fnmatch reads it: the first ] of a set is one of its characters
_SETS = re.compile(r"\[(?=(!?\]?))\1[^\]]*\]")


class Rule(t.NamedTuple):
    """What is declared for one name, UUID or shell pattern.

    `enabled` None: left as it is.  `bandwidth`: see decide/wish.py.
    """

    name: str
    enabled: bool | None
    priority: int = 0
    bandwidth: bool | None = None

    def names(self, domain: Domain) -> bool:
        """Whether the rule is for this domain and no other."""
        if self._is_uuid and not domain.uuid_made:
            return canonical_uuid(self.name) == domain.uuid
        return self.name in (domain.name, domain.number)

    @property
    def _is_uuid(self) -> bool:
        """Whether it means a domain by its UUID, and no other one that is called like that."""
        return is_uuid(canonical_uuid(self.name))

    def matches(self, domain: Domain) -> bool:
        """Whether the name of a domain is of the rule's pattern."""
        return not self._is_uuid and fnmatch.fnmatchcase(domain.name, self.name)


class Policy(t.NamedTuple):
    """Everything that is wished on a host.

    `default`: for domains that no rule is for.
    `rules`: a name or UUID wins over patterns, the first pattern over the next.
    `reserve`: RMIDs left untouched for others.
    `whole_process`: what is counted.
    `switches`: UUID -> on or off.
    `turns`: how those of equal priority that do not fit take turns; None: they do not.
    """

    default: bool | None = None
    rules: tuple[Rule, ...] = ()
    reserve: int = 0
    whole_process: bool = False
    switches: t.Mapping[str, bool] = types.MappingProxyType({})
    turns: Turns | None = None

    def rule_for(self, domain: Domain) -> Rule | None:
        """The rule for a domain, its switch apart; None if there is none, so that the default holds."""
        exact = [rule for rule in self.rules if rule.names(domain)]
        patterns = [rule for rule in self.rules if rule.matches(domain)]
        return next(iter(exact + patterns), None)

    def wish_for(self, domain: Domain) -> Wish | None:
        """What is wished for a domain; None: it is left as it is."""
        rule = self.rule_for(domain)
        enabled = self.switches.get(domain.uuid, rule.enabled if rule else self.default)
        if enabled is None:
            return None
        found = rule or Rule("", None)
        return Wish(enabled, self.whole_process, priority=found.priority, bandwidth=found.bandwidth)

    def wishes(self, domains: t.Iterable[Domain]) -> Wishes:
        """The wishes for these domains, of those that are not left as they are."""
        found = {domain.uuid: self.wish_for(domain) for domain in domains}
        return Wishes({uuid: wish for uuid, wish in found.items() if wish is not None}, self.reserve, ration=True)


def parse_policy(content: t.Any) -> Policy:  # noqa: ANN401  # what a file holds
    """The policy in a JSON document. Raises ValueError with a sentence."""
    _check_keys(content, _KEYS, "the policy")
    domains = content.get("domains", [])
    if not isinstance(domains, list):
        raise ValueError("domains is not a list")
    rules = tuple(_rule(one) for one in domains)
    _check_matches(rules)
    return Policy(
        _choice(content.get("default", "unmanaged"), _STATES, "default"),
        rules,
        _number(content.get("reserve_rmids", 0), "reserve_rmids", least=0),
        bool(_choice(content.get("scope", "vcpus"), _SCOPES, "scope")),
        turns=None if content.get("turns") is None else _turns(content["turns"]),
    )


def _turns(content: t.Any) -> Turns:  # noqa: ANN401  # what a file holds
    _check_keys(content, frozenset(Turns._fields), "turns")
    defaults = Turns()._asdict()
    numbers = {key: _number(content.get(key, default), f"turns.{key}", least=0) for key, default in defaults.items()}
    turns = Turns(**numbers)
    if turns.window < 1 or turns.warm_up >= turns.window:
        raise ValueError(
            f"turns: a window of {turns.window} seconds with a warm_up of {turns.warm_up} leaves nothing to be "
            "measured: warm_up has to be less than window"
        )
    return turns


def _rule(one: t.Any) -> Rule:  # noqa: ANN401  # what a file holds
    _check_keys(one, _KEYS_OF_A_RULE, "a rule")
    name = one.get("name")
    if not name and name != 0:
        raise ValueError(f"a rule has no name: {one}")
    if not isinstance(name, str):
        raise ValueError(f"the name of a rule is {name}, and has to be a text: write it in quotation marks")
    state = _choice(one.get("state", "enabled"), _STATES, f"state of '{name}'")
    priority = _number(one.get("priority", 0), f"priority of '{name}'")
    return Rule(name, state, priority, _bandwidth(one.get("bandwidth", "auto"), f"bandwidth of '{name}'"))


def _check_matches(rules: t.Sequence[Rule]) -> None:
    """Refuse what a rule cannot be meant to match: a pattern with an open [, and the same as a rule before it.

    fnmatch takes such a [ for itself.
    """
    first: dict[str, int] = {}
    for number, rule in enumerate(rules, 1):
        if "[" in _SETS.sub("", rule.name):
            raise ValueError(
                f"rule '{rule.name}' has a [ that is not closed: close it with ], or give the UUID of a domain of that "
                "name"
            )
        before = first.setdefault(canonical_uuid(rule.name), number)
        if before != number:
            raise ValueError(
                f"rules {before} and {number} are both for '{rule.name}': the first of them holds, so take the other "
                "out"
            )


def _bandwidth(value: t.Any, what: str) -> bool | None:  # noqa: ANN401  # what a file holds
    return value if isinstance(value, bool) else _choice(value, BANDWIDTHS, what)


def _check_keys(content: t.Any, known: t.AbstractSet[str], what: str) -> None:  # noqa: ANN401  # what a file holds
    if not isinstance(content, dict):
        raise ValueError(f"{what} is not a mapping: {content!r}")
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(f"{what} has unknown keys: {', '.join(unknown)} (known are {', '.join(sorted(known))})")


def _choice(value: t.Any, choices: t.Mapping[str, bool | None], what: str) -> bool | None:  # noqa: ANN401
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{what} is {value!r}: it can be {', '.join(choices)}")
    return choices[value]


def _number(value: t.Any, what: str, least: int | None = None) -> int:  # noqa: ANN401  # what a file holds
    # JSON's true is an int to Python
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{what} is {value!r}: it has to be a whole number")
    if least is not None and value < least:
        raise ValueError(f"{what} is {value}: it cannot be less than {least}")
    return value


def parse_switches(content: t.Any) -> dict[str, bool]:  # noqa: ANN401  # what a file holds
    """UUID -> whether the domain is to be monitored whenever it runs. Raises ValueError with a sentence."""
    if not isinstance(content, dict):
        raise ValueError("the switches are not a mapping")
    states = {"enabled": True, "disabled": False}
    found = {uuid: _choice(state, states, f"the switch of {uuid}") for uuid, state in content.items()}
    return {canonical_uuid(uuid): bool(state) for uuid, state in found.items()}
