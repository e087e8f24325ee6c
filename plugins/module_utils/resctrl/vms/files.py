# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as libvirt's own files tell of them, for where libvirt itself is not to be asked.

A running domain has a status file, a defined one a configuration file; both hold its name and UUID.
"""

from __future__ import annotations

import os
import typing as t

from .domain import Domain
from .source import STATE_DIRECTORY, Source

if t.TYPE_CHECKING:
    from .domain_xml import Status
    from .processes import Processes

CONFIG_DIRECTORY = "/etc/libvirt/qemu"


class Files(Source):
    """The domains of the system's libvirt, by its files in `state` and `config`."""

    def __init__(
        self,
        processes: Processes,
        sees_all: t.Callable[[], bool],
        state: str = STATE_DIRECTORY,
        config: str = CONFIG_DIRECTORY,
    ) -> None:
        super().__init__(state, processes, sees_all)
        self.config = config

    def list(self) -> t.Iterable[Domain]:
        """Every domain that runs or is defined.

        A status file may be stale, so a domain runs if its process does, if it is starting, or if neither can be seen.
        """
        running = {file: one for file, one in self._parse(self.state) if self._runs(one)}
        # A name is one domain's, so that nothing more is to be learned of one that runs
        defined = {
            one.uuid: Domain(one.name, one.uuid, active=False) for _file, one in self._parse(self.config, but=running)
        }
        return {
            **defined,
            **{one.uuid: Domain(one.name, one.uuid, active=True, id=one.id) for one in running.values()},
        }.values()

    def _runs(self, status: Status) -> bool:
        if self.processes.runs(status.pid, status.uuid) or self._starts(status):
            return True
        # The number may be one of another PID namespace
        return bool(self.processes.with_uuid(status.uuid)) or not self.sees_all()

    def _parse(self, directory: str, but: t.Container[bytes] = ()) -> t.Iterator[tuple[bytes, Status]]:
        """Name -> what it says, of the files of a directory."""
        path = os.fsencode(directory)
        try:
            names = sorted(name for name in os.listdir(path) if name.endswith(b".xml") and name not in but)
        except OSError:
            return
        for name in names:
            try:
                status = self.parse_file(os.path.join(path, name))
            except OSError:
                continue
            if status:
                yield name, status


def changed_at(state: str = STATE_DIRECTORY) -> int:
    """When a status file was last made, replaced or removed (nanoseconds); 0 where there is no directory."""
    try:
        return os.stat(state).st_mtime_ns
    except OSError:
        return 0
