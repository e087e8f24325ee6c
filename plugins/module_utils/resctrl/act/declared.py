# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared for the domains of a host beside what is: the answer to "why is this one not monitored?"."""

from __future__ import annotations

import os
import time
import types
import typing as t

from .. import errors
from ..kernel.preflight import missing_monitoring
from ..vms.domain import Selected
from ..wish.place import DIRECTORY

if t.TYPE_CHECKING:
    from ..decide.outcome import Outcome
    from ..decide.snapshot import Snapshot
    from ..decide.status import DomainStatus
    from ..decide.wish import Wishes
    from ..kernel.groups import Group
    from ..observe.host import Host
    from ..wish.policy import Policy

# How a domain stands
COUNTED = "counted"
WAITING = "waiting"
FAILING = "failing"
STARTING = "starting"
PENDING = "pending"
UNMONITORED = "unmonitored"
OFF = "off"
_IN_WORDS = {
    PENDING: "pending, the next run of the agent will monitor it",
    UNMONITORED: "not monitored",
    OFF: "shut off",
}
_SWITCHED = {"enabled": "on", "disabled": "off"}


class Declared(t.NamedTuple):
    """What is declared for a domain, and how it stands.

    `state`: what the policy declares: enabled, disabled or unmanaged; `rule`: the name of its rule, None for the
    default.  `switch`: enabled or disabled where it was switched persistently, else None.
    `condition`: counted, waiting (for an RMID, or its turn), failing, starting, pending (the next run of the agent
    will monitor it), unmonitored or off; `why`: the reason for waiting and failing, else "".
    `takes_turns`: what it waits for is its turn.
    """

    state: str
    rule: str | None
    switch: str | None
    priority: int
    condition: str
    why: str
    takes_turns: bool = False

    @property
    def is_said(self) -> bool:
        """Whether anything is declared or switched for this domain."""
        return bool(self.rule or self.switch) or self.state != _word(None)

    def in_words(self) -> str:
        """A line for a reader."""
        rule = f"rule '{self.rule}'" if self.rule else "the default"
        switched = f", but switched {_SWITCHED[self.switch]} persistently" if self.switch else ""
        because = f" ({self.why})" if self.why else ""
        return (
            f"Declared: {self.state} by {rule}{switched}. Now: {_IN_WORDS.get(self.condition, self.condition)}{because}"
        )


class Declarations(t.NamedTuple):
    """What is declared for the domains of a query.

    `of`: by UUID; empty on a host without a policy, and where the policy cannot be understood, which is then a warning.
    `reserve`: the RMIDs that the policy leaves free; None where it cannot be understood.
    `there`: whether the host has a policy, or what was switched there persistently.
    """

    of: t.Mapping[str, Declared] = types.MappingProxyType({})
    reserve: int | None = 0
    warnings: t.Sequence[str] = ()
    there: bool = False


def draft_of(content: t.Mapping[str, t.Any]) -> Policy:
    """A policy that a host is about to be given. Raises ValueError with a sentence."""
    from ..wish.policy import parse_policy

    return parse_policy(content)


def declarations(host: Host, outcome: Outcome, directory: str = DIRECTORY, draft: Policy | None = None) -> Declarations:
    """What is declared for the domains of a query. A damaged policy hides nothing but itself.

    `draft`: a policy to look at instead of the one that the host has; what was switched persistently there holds.
    Raises NotRoot, Unreadable.
    """
    if draft is None and not os.path.isdir(directory):
        return Declarations()
    # Not above: most hosts have no policy, and what is imported is compiled on every run of a module
    from ..wish.files import load, load_switches

    policy = draft
    warnings: tuple[str, ...] = ()
    try:
        policy = load(directory) if draft is None else draft._replace(switches=load_switches(directory))
    except errors.PolicyDamaged as exc:
        # What was switched is then not known, and a draft is looked at without it
        warnings = (str(exc),)
    if policy is None:
        return Declarations(reserve=None, warnings=warnings, there=True)
    return Declarations(_declarations(host, outcome, policy), policy.reserve, warnings, there=True)


def _declarations(host: Host, outcome: Outcome, policy: Policy) -> dict[str, Declared]:
    # Not above, as for declarations()
    from ..decide.planning import plan

    wishes = policy.wishes(one for one in outcome.known if one.active)
    waiting: dict[str, errors.ResctrlError] = {}
    if policy.turns:
        from .noted_turns import read

        noted = read()
        wishes = wishes._replace(turns=noted.queue(policy.turns, time.monotonic()))
        # Where another's turn is over the next run of the agent may begin its own
        next_one = errors.WaitsForTurn("It is not counted now", hint="Its turn comes next")
        waiting = {uuid: next_one for uuid, notes in noted.of.items() if notes.waits}
    snapshot = _snapshot(host, outcome, wishes)
    missing = missing_monitoring(host.resctrl)
    failures = dict.fromkeys(wishes.of, missing) if missing else plan(snapshot, wishes).failures
    unseen = {uuid: why for uuid, why in snapshot.absent.items() if isinstance(why, errors.DomainUnseen)}
    failures = {**waiting, **failures, **unseen}
    return {
        status.domain.uuid: _declared(policy, status, failures.get(status.domain.uuid)) for status in outcome.statuses
    }


def _snapshot(host: Host, outcome: Outcome, wishes: Wishes) -> Snapshot:
    """What the agent would see: its look is at those domains that something is wished of. Raises Unreadable.

    What the query saw is enough where that was every domain, and of none every thread is in question.
    """
    seen, active = outcome.after, {one.uuid for one in outcome.known if one.active}
    if wishes.whole or not active <= {one.domain.uuid for one in seen.running} | seen.absent.keys():
        selected = [Selected(one.name, one, by_name=False) for one in outcome.known if one.uuid in wishes.of]
        return host.look(selected, outcome.known, wishes.whole)

    def judged(groups: frozenset[Group]) -> frozenset[Group]:
        return frozenset(group for group in groups if group.uuid in wishes.of or group.uuid not in active)

    return seen._replace(
        running=tuple(one for one in seen.running if one.domain.uuid in wishes.of),
        absent={uuid: why for uuid, why in seen.absent.items() if uuid in wishes.of},
        stale=judged(seen.stale),
        unjudged=judged(seen.unjudged),
    )


def _declared(policy: Policy, status: DomainStatus, failure: errors.ResctrlError | None) -> Declared:
    rule = policy.rule_for(status.domain)
    switch = policy.switches.get(status.domain.uuid)
    wish = policy.wish_for(status.domain)
    condition = _condition(status, wish is not None and wish.enabled, failure)
    return Declared(
        _word(rule.enabled if rule else policy.default),
        rule.name if rule else None,
        None if switch is None else _word(switch),
        rule.priority if rule else 0,
        condition,
        str(failure) if failure and condition in (WAITING, FAILING) else "",
        condition == WAITING and isinstance(failure, errors.WaitsForTurn),
    )


def _word(enabled: bool | None) -> str:
    return {True: "enabled", False: "disabled", None: "unmanaged"}[enabled]


def _condition(status: DomainStatus, wished: bool, failure: errors.ResctrlError | None) -> str:
    if not status.domain.active or status.gone:
        return OFF
    if status.starting:
        return STARTING
    # One of which new threads cannot be counted is not as declared
    fails = wished and failure is not None and not isinstance(failure, errors.RmidsExhausted)
    if status.enabled and not (fails and status.uncounted):
        return COUNTED
    if not wished:
        return UNMONITORED
    if failure is None:
        return PENDING
    return WAITING if isinstance(failure, errors.RmidsExhausted) else FAILING
