# SPDX-License-Identifier: GPL-3.0-or-later
"""The RFC on a host: what is observed there, and the answers: each domain's status, and what came of a run."""

from __future__ import annotations

import os
import typing as t

from . import domains, errors
from .domains import Domain, Processes, Selected
from .filesystem import OURS, ROOT, Group, Resctrl
from .snapshot import DomainStatus, Running, Snapshot, status_of


class Host:
    """One hypervisor: its domains (a function that lists them), their processes, its resctrl."""

    def __init__(self, list_domains: t.Callable[[], list[Domain]], processes: Processes, resctrl: Resctrl) -> None:
        self._list_domains = list_domains
        self.processes = processes
        self.resctrl = resctrl

    @classmethod
    def of_libvirt(cls, uri: str, resctrl_path: str) -> Host:
        """This host, as libvirt at `uri` knows it."""
        return cls(lambda: domains.list_domains(uri), Processes(domains.state_directory(uri)), Resctrl(resctrl_path))

    def domains(self) -> list[Domain]:
        """Every domain, running or not. Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable."""
        if os.geteuid() != 0:
            raise errors.NotRoot("resctrl and libvirt's status files belong to root", hint="Run as root (become: true)")
        return self._list_domains()

    def observe(self, running: t.Sequence[Running], active: t.Container[str], whole_process: bool = False) -> Snapshot:
        """A snapshot for `running`; `active` holds the UUIDs of all running domains of libvirt's.

        Reads the tasks file of each group of ours once. Only for threads that are in none of them, the kernel is asked
        where it tells, else each other tasks file is read once too.
        """
        groups = self.resctrl.groups()
        members = {group: self.resctrl.tasks(group) for group in groups if group.owner == OURS}
        location = {tid: group for group, tids in members.items() for tid in tids}
        scope = {
            tid: one.process.pid
            for one in running
            for tid in (one.process.threads if whole_process else one.process.vcpus.values())
        }
        others = [group for group in groups if group.owner != OURS]
        location.update(self._locate({tid: pid for tid, pid in scope.items() if tid not in location}, others))
        threads = {one.domain.uuid: one.process.threads for one in running}
        stale = {group for group, tids in members.items() if not self._counts(group, tids, threads, active)}
        return Snapshot(
            tuple(running), location, frozenset(groups), members, frozenset(stale), self.resctrl.num_rmids()
        )

    def _locate(self, wanted: t.Mapping[int, int], others: t.Sequence[Group]) -> dict[int, Group]:
        """The groups among `others` that threads (tid -> pid) are in; a thread in none of them is left out."""
        if not wanted or not others:
            return {}
        if self.resctrl.tells_groups():
            told = {tid: self.resctrl.group_of(pid, tid) for tid, pid in wanted.items()}
            return {tid: group for tid, group in told.items() if group and group != ROOT}
        # A CTRL_MON group's tasks file lists those of its MON groups too: MON groups last
        ordered = sorted(others, key=lambda group: bool(group.mon))
        return {tid: group for group in ordered for tid in self.resctrl.tasks(group) if tid in wanted}

    def _counts(
        self,
        group: Group,
        tids: frozenset[int],
        threads: t.Mapping[str, frozenset[int]],
        active: t.Container[str],
    ) -> bool:
        """Whether a group of ours still counts a live domain. One that this libvirt does not know may be another's."""
        if group.uuid in threads:
            return bool(tids & threads[group.uuid])
        if group.uuid in active:
            return bool(tids)
        return any(self.processes.runs(tid, group.uuid) for tid in tids)

    def find(self, selected: t.Sequence[Selected]) -> tuple[list[Running], dict[str, errors.ResctrlError]]:
        """The processes of the selected running domains, and for those without one the reason (by UUID)."""
        running: list[Running] = []
        gone: dict[str, errors.ResctrlError] = {}
        for domain in (one.domain for one in selected):
            if domain is None or not domain.active:
                continue
            try:
                running.append(Running(domain, self.processes.find(domain)))
            except errors.DomainGone as exc:
                gone[domain.uuid] = exc
        return running, gone


class Result(t.NamedTuple):
    """What came of one entry of the list of domains: what was done (`msg`), and what went wrong (`error`)."""

    asked: str
    status: DomainStatus | None
    changed: bool = False
    error: errors.ResctrlError | None = None
    msg: str = ""


class Outcome(t.NamedTuple):
    """A whole run: a result per domain in the order asked, the snapshots before and after (in check mode: the predicted
    one), the stale groups removed, and warnings.
    """

    results: list[Result]
    before: Snapshot
    after: Snapshot
    pruned: t.Sequence[Group] = ()
    warnings: t.Sequence[str] = ()

    @property
    def changed(self) -> bool:
        """Whether anything on the host was (in check mode: would be) changed."""
        return bool(self.pruned) or any(result.changed for result in self.results)


def query(host: Host, names: t.Sequence[str] | None) -> Outcome:
    """The status of domains (None: of all, the shut-off ones included). On a host that cannot monitor, none is.

    Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable.
    """
    known = host.domains()
    selected = domains.select(names, known) if names is not None else [Selected(one.name, one) for one in known]
    active = {one.uuid for one in known if one.active}
    running, gone = host.find(selected)
    snapshot = host.observe(running, active)
    # One that stopped while we looked is no failure of a query, and has the status of a stopped one
    said = {uuid: str(exc) for uuid, exc in gone.items()}
    return Outcome([result_of(one, snapshot, said) for one in selected], snapshot, snapshot)


def result_of(one: Selected, snapshot: Snapshot, said: t.Mapping[str, str]) -> Result:
    """What a snapshot says of one entry, with the message by UUID."""
    if one.domain:
        return Result(one.asked, status_of(one.domain, snapshot), msg=said.get(one.domain.uuid, ""))
    # libvirt's own sentence
    missing = errors.DomainNotFound(f"Domain not found: no domain with matching name '{one.asked}'")
    return Result(one.asked, None, error=missing)


def failure_message(results: t.Sequence[Result]) -> str:
    """One sentence for all domains that failed: the error itself if they share it; "" if none failed."""
    failed = [result for result in results if result.error]
    sentences = sorted({str(result.error) for result in failed})
    if len(sentences) <= 1:
        return "".join(sentences)
    each = "; ".join(f"{result.asked}: {result.error}" for result in failed)
    return f"{len(failed)} of {len(results)} domains failed: {each}"


def domain_result(result: Result, resctrl: Resctrl) -> dict[str, t.Any]:
    """One item of the return value `domains`."""
    # Where libvirt knows no such domain, there is only what was asked for
    status, error = result.status or DomainStatus(Domain(result.asked, "", False)), result.error
    return {
        "name": status.domain.name,
        "uuid": status.domain.uuid or None,
        "active": status.domain.active,
        "status": status.text if result.status else None,
        "enabled": status.enabled,
        "forced_by": status.forced_by,
        "changed": result.changed,
        "failed": error is not None,
        "msg": str(error) if error else result.msg,
        "code": error.code if error else None,
        "groups": [resctrl.path(group) for group in status.groups],
        "vcpus": {
            "counted": sorted(vcpu for vcpus in status.counted.values() for vcpu in vcpus),
            "uncounted": list(status.uncounted),
        },
    }
