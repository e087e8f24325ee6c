# SPDX-License-Identifier: GPL-3.0-or-later
"""One hypervisor: its domains, its resctrl, and a snapshot of both."""

from __future__ import annotations

import time
import types
import typing as t
import zlib

from .. import errors
from ..decide.outcome import Outcome, result_of
from ..decide.snapshot import Running, Snapshot
from ..kernel.filesystem import Resctrl
from ..kernel.info import num_rmids
from ..vms.domain import Selected, machine_name, select, unmatched
from ..vms.processes import Processes
from .bandwidth import bandwidth_of
from .cpu_groups import groups_of_cpus
from .location import locate

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from ..vms.domain import Domain
    from ..vms.source import Source
    from .location import Location


# Where domains come from, in the modules' and the command's words
LIBVIRT = "libvirt"
PROCESSES = "processes"
SOURCES = (LIBVIRT, PROCESSES)


class Host:
    """One hypervisor: where its domains come from, and its resctrl. `clock` gives seconds."""

    def __init__(self, source: Source, resctrl: Resctrl, clock: t.Callable[[], float] = time.time) -> None:
        self.source = source
        self.resctrl = resctrl
        self._clock = clock

    @classmethod
    def of_libvirt(cls, uri: str, resctrl_path: str) -> Host:
        """This host, as the libvirt daemon at `uri` knows it."""
        from ..vms.daemon import Daemon

        resctrl = Resctrl(resctrl_path)
        return cls(Daemon(uri, Processes(), lambda: resctrl.sees_every_thread), resctrl)

    @classmethod
    def of_files(cls, resctrl_path: str) -> Host:
        """This host, as libvirt's files tell of it; libvirt itself is not asked."""
        from ..vms.files import Files

        resctrl = Resctrl(resctrl_path)
        return cls(Files(Processes(), lambda: resctrl.sees_every_thread), resctrl)

    @classmethod
    def of_processes(cls, resctrl_path: str) -> Host:
        """This host, as its QEMU processes tell of it; whoever manages them is not asked."""
        from ..vms.qemu import Qemu

        resctrl = Resctrl(resctrl_path)
        return cls(Qemu(Processes(), lambda: resctrl.sees_every_thread), resctrl)

    @classmethod
    def of_source(cls, source: str, uri: str, resctrl_path: str) -> Host:
        """This host, as a module is told to look at it: by libvirt's daemon, or by its processes."""
        return cls.of_processes(resctrl_path) if source == PROCESSES else cls.of_libvirt(uri, resctrl_path)

    def look(
        self,
        selected: t.Sequence[Selected],
        known: t.Sequence[Domain],
        whole: t.Container[str] = (),
        most_rmids: int | None = None,
        full_caches: t.Container[int] = (),
        *,
        full: t.Mapping[str, int] = types.MappingProxyType({}),
    ) -> Snapshot:
        """A snapshot for the selected domains; `known` are all of the source's.

        `whole`: the UUIDs of those of which every thread is in question, not only the vCPUs'.
        `most_rmids`: no more RMIDs than that can be had, since the kernel has just refused another.
        `full`: see Snapshot.
        `full_caches`: the L3 caches on which it has just refused a bandwidth counter.
        Raises Unreadable.
        """
        self.source.look()
        running, absent = self._find(selected)
        active = {domain.uuid for domain in known if domain.active}
        # One that has just ended, or has not started yet, may have left a group
        location = locate(self.resctrl, running, active - absent.keys(), whole, turn=_turn(self._clock()))
        stale, unjudged = self._judge(location, running, absent, active)
        rmids = num_rmids(self.resctrl)
        mount, driver = self.resctrl.mount, self.source.driver
        return Snapshot(
            running=tuple(running),
            absent=absent,
            location=location.of,
            groups=frozenset(location.groups),
            members=location.members,
            listed=location.listed,
            stale=frozenset(stale),
            unjudged=frozenset(unjudged),
            num_rmids=rmids if most_rmids is None else min(rmids, most_rmids),
            named_rmids=rmids,
            machines=frozenset(machine_name(domain, driver) for domain in known if domain.active),
            cpu_groups=groups_of_cpus(self.resctrl, self.source.processes, running, location),
            is_arm=self.resctrl.is_arm,
            rmids_of_each=self._rmids_of_each(),
            full=full,
            throttles=mount is not None and mount.throttles,
            bandwidth=bandwidth_of(self.resctrl, _counting(location), full_caches),
            warnings=tuple(location.warnings),
        )

    def _rmids_of_each(self) -> int | None:
        if not self.resctrl.is_arm:
            return None
        # Not above: what is imported is compiled on every run
        from ..kernel.mpam import rmids_of_each

        return rmids_of_each(self.resctrl)

    def _find(self, selected: t.Sequence[Selected]) -> tuple[list[Running], dict[str, errors.ResctrlError]]:
        """The processes of the selected running domains, and for those without one the reason (by UUID)."""
        running: list[Running] = []
        absent: dict[str, errors.ResctrlError] = {}
        for domain in (one.domain for one in selected):
            if domain is None or not domain.active:
                continue
            try:
                running.append(Running(domain, self.source.find(domain)))
            except (errors.DomainGone, errors.DomainStarting, errors.DomainUnseen) as exc:
                absent[domain.uuid] = exc
        return running, absent

    def _judge(
        self,
        location: Location,
        running: t.Sequence[Running],
        absent: t.Container[str],
        active: t.Container[str],
    ) -> tuple[set[Group], set[Group]]:
        """Which groups of ours certainly count no domain any more, and of which that cannot be said."""
        threads = {one.domain.uuid: one.process.threads for one in running}
        stale: set[Group] = set()
        unjudged: set[Group] = set()
        for group, tids in location.members.items():
            if group.uuid in threads:
                lives: bool | None = bool(tids & threads[group.uuid])
            elif group.uuid in location.unread and group.uuid in active:
                continue
            else:
                lives = None if group.uuid in absent and tids else self._lives(group, tids)
            if lives is None or group in location.unreadable:
                unjudged.add(group)
            elif not lives:
                stale.add(group)
        return stale, unjudged

    def _lives(self, group: Group, tids: frozenset[int]) -> bool | None:
        """Whether a group counts a thread of its domain, which may be one of another libvirt; None: cannot be said."""
        processes = self.source.processes
        if any(processes.runs(tid, group.uuid) for tid in tids):
            return True
        # What is not seen is not gone
        if not self.source.sees_all() or not all(processes.is_there(tid) for tid in tids):
            return None
        return False


def _counting(location: Location) -> set[Group]:
    """The groups of ours, and those that count the domains in question; a CTRL_MON group counts for those in it."""
    others = {one for group in location.of.values() for one in (group, group.parent) if one.path}
    return others | set(location.members)


def _turn(seconds: float) -> int:
    """A number that chooses the group whose turn it is.

    The seconds themselves would choose the same few groups for ever where runs come at even intervals.
    """
    return zlib.crc32(b"%d" % int(seconds))


def query(host: Host, names: t.Sequence[str] | None) -> Outcome:
    """The status of domains (None: of all, the shut-off ones included). On a host that cannot monitor, none is.

    Raises NotRoot, UriRefused, LibvirtMissing, LibvirtUnreachable, Unreadable.
    """
    known = host.source.domains()
    selected = select(names, known) if names is not None else [Selected(one.name, one) for one in known]
    snapshot = host.look(selected, known)
    # One that stopped or starts while we look is no failure of a query
    said = {uuid: str(exc) for uuid, exc in snapshot.absent.items()}
    results = [result_of(one, snapshot, said) for one in selected]
    return Outcome(results, snapshot, snapshot, warnings=unmatched(names or (), known), known=known)
