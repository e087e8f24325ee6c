# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching domains on or off, now or persistently, and what a declared policy will make of it."""

from __future__ import annotations

import os
import typing as t

from ..errors import PolicyDamaged, ResctrlError
from ..wish.place import DIRECTORY
from .enforcement import enforce

if t.TYPE_CHECKING:
    from ..decide.outcome import Outcome
    from ..decide.wish import Wish
    from ..observe.host import Host
    from ..vms.domain import Domain
    from ..wish.policy import Policy


class Switched(t.NamedTuple):
    """What came of it: the run, the persistent switches that are new, and all warnings.

    `noted`: UUID -> what was noted before, None for nothing (see wish/files.py).
    """

    outcome: Outcome
    noted: t.Mapping[str, bool | None]
    warnings: list[str]

    @property
    def changed(self) -> bool:
        """Whether anything on the host was (in check mode: would be) changed."""
        return self.outcome.changed or bool(self.noted)


def switch(
    host: Host,
    names: t.Sequence[str],
    wish: Wish,
    *,
    persistent: bool = False,
    ignore_inactive: bool = False,
    reserve: int = 0,
    prune: bool = True,
    check: bool = False,
) -> Switched:
    """Make the wish true for the domains named; with `persistent` note it for whenever they run (see enforce()).

    A domain that is shut off is no failure then, but it is one if that cannot be noted. Raises what enforce() does, and
    PolicyDamaged.
    """
    if persistent:
        from ..wish import files

        # What is damaged is told before anything is changed
        files.switch({}, check=True)
    ignore = ignore_inactive or persistent
    outcome = enforce(host, names, wish, reserve=reserve, prune=prune, ignore_inactive=ignore, check=check)
    if not persistent and not os.path.isdir(DIRECTORY):
        return Switched(outcome, {}, list(outcome.warnings))
    # Not above: most hosts have no policy, and what is imported is compiled on every run
    from ..wish import files

    noted: dict[str, bool | None] = {}
    warnings = list(outcome.warnings)
    found = [result.status.domain for result in outcome.results if result.status and not result.error]
    switches = dict.fromkeys([one.uuid for one in found], wish.enabled) if persistent else {}
    switched = _switched(outcome, wish)
    try:
        noted = files.switch(switches, check=check) if switches else {}
    except ResctrlError as exc:
        # It was switched by now, which is to be told, too
        outcome = _failed(outcome, exc)
        if switched:
            warnings.append("Switched until the domain stops, but not persistently: that could not be noted")
        switches = {}
    if files.is_enforced():
        warnings += _against_policy(files.load, switches, switched, wish)
    elif switches:
        role = "kvmops.resctrl.resctrl_monitor"
        noting = "Would be noted" if check else "Noted"
        warnings.append(f"{noting}, but nothing on this host enforces it: apply the role {role}")
    return Switched(outcome, noted, warnings)


def _failed(outcome: Outcome, exc: ResctrlError) -> Outcome:
    """The same, with an error for each domain that had none."""
    return outcome._replace(results=[one._replace(error=one.error or exc) for one in outcome.results])


def _switched(outcome: Outcome, wish: Wish) -> list[Domain]:
    """The domains for which the switch means something now: not those that are off, nor those that libvirt counts
    wholly.
    """
    statuses = [result.status for result in outcome.results if result.status and not result.error]
    forced = [one.domain for one in statuses if one.forced_by and not one.uncounted and not wish.enabled]
    return [one.domain for one in statuses if one.domain.active and one.domain not in forced]


def _against_policy(
    load: t.Callable[[], Policy], switches: t.Mapping[str, bool], domains: t.Iterable[Domain], wish: Wish
) -> list[str]:
    """What the policy will make of the switch; `switches` are noted now, or would be but for check mode."""
    try:
        policy = load()
    except PolicyDamaged as exc:
        return [f"The policy of this host cannot be enforced: {exc.message}"]
    return contradictions(policy._replace(switches={**policy.switches, **switches}), domains, wish)


def contradictions(policy: Policy, domains: t.Iterable[Domain], wish: Wish) -> list[str]:
    """For each domain that the policy will soon make otherwise, a sentence that says so."""
    found = []
    for domain in domains:
        declared = policy.wish_for(domain)
        if declared is None:
            continue
        if declared.enabled != wish.enabled:
            soon = "be monitored again" if declared.enabled else "no longer be monitored"
            found.append(
                f"Domain '{domain.name}' will soon {soon}: {_whose(policy, domain)} says so, and is enforced on this "
                "host. Change that, or make this switch persistent"
            )
        elif wish.enabled and declared.whole_process != wish.whole_process:
            scope = "domain" if declared.whole_process else "vcpus"
            found.append(
                f"Domain '{domain.name}' will soon be monitored with scope {scope}: the policy of this host says so"
            )
    return found


def _whose(policy: Policy, domain: Domain) -> str:
    if domain.uuid in policy.switches:
        return "a persistent switch"
    rule = policy.rule_for(domain)
    return f"the rule '{rule.name}' of the policy" if rule else "the default of the policy"
