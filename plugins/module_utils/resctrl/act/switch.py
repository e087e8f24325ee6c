# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching domains on or off, now or for good, and what a declared policy will make of it."""

from __future__ import annotations

import os
import typing as t

from ..wish.place import DIRECTORY
from .enforcement import enforce

if t.TYPE_CHECKING:
    from ..decide.outcome import Outcome
    from ..decide.wish import Wish
    from ..observe.host import Host
    from ..vms.domain import Domain
    from ..wish.policy import Policy


class Switched(t.NamedTuple):
    """What came of it: the run, whether anything was noted for good, and all warnings."""

    outcome: Outcome
    noted: bool
    warnings: list[str]

    @property
    def changed(self) -> bool:
        """Whether anything on the host was (in check mode: would be) changed."""
        return self.outcome.changed or self.noted


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

    A domain that is shut off is no failure then. Raises what enforce() does, and PolicyDamaged, Refused.
    """
    ignore = ignore_inactive or persistent
    outcome = enforce(host, names, wish, reserve=reserve, prune=prune, ignore_inactive=ignore, check=check)
    noted, warnings = False, list(outcome.warnings)
    found = [result.status.domain for result in outcome.results if result.status and not result.error]
    if persistent or os.path.isdir(DIRECTORY):
        # Not above: most hosts have no policy, and what is imported is compiled on every run
        from ..wish import files

        if persistent:
            noted = files.switch(dict.fromkeys([one.uuid for one in found], wish.enabled), check=check)
        enforced = files.is_enforced()
        if persistent and not enforced:
            warnings.append("Noted, but nothing on this host enforces it: apply the role kvmops.resctrl.monitor")
        if enforced:
            policy = files.load()
            if persistent and check:
                policy = policy._replace(
                    switches={**policy.switches, **dict.fromkeys([one.uuid for one in found], wish.enabled)}
                )
            warnings += contradictions(policy, found, wish)
    return Switched(outcome, noted, warnings)


def contradictions(policy: Policy, domains: t.Iterable[Domain], wish: Wish) -> list[str]:
    """For each domain that the policy will soon make otherwise, a sentence that says so."""
    found = []
    for domain in domains:
        declared = policy.wish_for(domain)
        if declared is None:
            continue
        words = ("monitored" if declared.enabled else "not monitored", _whose(policy, domain))
        if declared.enabled != wish.enabled:
            found.append(
                f"Domain '{domain.name}' will soon be {words[0]} again: {words[1]} says so, and is enforced on this "
                "host. Change that, or switch the domain for good (persistent)"
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
