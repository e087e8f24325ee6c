# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that a run was to enable, and that do not run, have not started yet, or cannot be seen."""

from __future__ import annotations

import typing as t

from .. import errors

if t.TYPE_CHECKING:
    from ..decide.snapshot import Snapshot
    from ..decide.wish import Wishes
    from ..observe.host import Host
    from ..vms.domain import Domain


def starting(after: Snapshot) -> dict[str, str]:
    """What is said of domains that have not started yet: whoever enforces again later will find them running."""
    return {uuid: exc.message for uuid, exc in after.absent.items() if isinstance(exc, errors.DomainStarting)}


def absences(
    host: Host, known: t.Iterable[Domain], needed: t.AbstractSet[str], wishes: Wishes, after: Snapshot
) -> dict[str, errors.ResctrlError]:
    """Why domains that have to run (`needed`), or to be seen, are a failure, by UUID."""
    # The RFC's sentence, which is libvirt's VIR_ERR_OPERATION_INVALID
    shut_off = errors.DomainNotRunning("Requested operation is not valid: domain is not running")
    active = {one.uuid for one in known if one.active}
    failures: dict[str, errors.ResctrlError] = dict.fromkeys(needed - active, shut_off)
    must_run = {uuid for uuid in needed if wishes.enables(uuid)}
    unseen = {uuid for uuid, exc in after.absent.items() if isinstance(exc, errors.DomainUnseen)}
    failed = after.absent.keys() & (must_run | unseen)
    stopped = active - _running(host, active) if failed else set()
    failures.update({uuid: after.absent[uuid] for uuid in failed - stopped})
    failures.update(dict.fromkeys(failed & stopped & must_run, shut_off))
    return failures


def _running(host: Host, active: set[str]) -> set[str]:
    """The domains that run now; those that ran when libvirt was asked first, if it does not answer any more."""
    try:
        return {one.uuid for one in host.source.domains() if one.active}
    except errors.ResctrlError:
        # What was done is to be told all the same
        return active
