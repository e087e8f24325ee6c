# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a query or a run, for each domain and as a whole. Pure."""

from __future__ import annotations

import types
import typing as t

from ..errors import DomainNotFound, ResctrlError
from .status import DomainStatus, status_of

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from ..vms.domain import Domain, Selected
    from .snapshot import Snapshot
    from .windows import Notes


_EMPTY = "Give a name, a UUID or a shell pattern, or leave the item out"


class Result(t.NamedTuple):
    """What came of one entry of the list of domains: what was done (`msg`), and what went wrong (`error`)."""

    asked: str
    status: DomainStatus | None
    changed: bool = False
    error: ResctrlError | None = None
    msg: str = ""

    @property
    def name(self) -> str:
        """The domain's name; where libvirt knows no such domain, what was asked for."""
        return self.status.domain.name if self.status else self.asked


class Outcome(t.NamedTuple):
    """A whole run: a result per domain in the order asked, the snapshots before and after (in check mode: the predicted
    one), the stale groups removed, warnings, all domains of the host, the notes on those that take turns (by UUID), and
    the UUIDs of those that are starting and to be monitored then.
    """

    results: list[Result]
    before: Snapshot
    after: Snapshot
    pruned: t.Sequence[Group] = ()
    warnings: t.Sequence[str] = ()
    known: t.Sequence[Domain] = ()
    turns: t.Mapping[str, Notes] = types.MappingProxyType({})
    starting: t.Collection[str] = ()

    @property
    def changed(self) -> bool:
        """Whether anything on the host was (in check mode: would be) changed."""
        return bool(self.pruned) or any(result.changed for result in self.results)

    @property
    def statuses(self) -> list[DomainStatus]:
        """The status of each domain that libvirt knows."""
        return [result.status for result in self.results if result.status]


def result_of(one: Selected, snapshot: Snapshot, said: t.Mapping[str, str]) -> Result:
    """What a snapshot says of one entry, with the message by UUID."""
    if one.domain:
        return Result(one.asked, status_of(one.domain, snapshot), msg=said.get(one.domain.uuid, ""))
    if not one.asked:
        return Result(one.asked, None, error=DomainNotFound("The name of a domain is empty ('')", hint=_EMPTY))
    hint = f"Did you mean '{one.nearest}'?" if one.nearest else ""
    # libvirt's own sentence
    missing = DomainNotFound(f"Domain not found: no domain with matching name '{one.asked}'", hint=hint)
    return Result(one.asked, None, error=missing)
