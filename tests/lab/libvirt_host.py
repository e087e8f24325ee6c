# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of libvirt's own domains: what their processes and threads are, by other means than the collection's."""

from __future__ import annotations

import abc
import contextlib
import pathlib
import re

from resctrl_host import ResctrlHost

_VCPU = re.compile(r"CPU ([0-9]+)/(?:KVM|TCG)")


class LibvirtHost(ResctrlHost):
    """A libvirt with its QEMUs beside a resctrl. `proc` is the host's /proc, as this process sees it."""

    proc: pathlib.Path

    def __init__(self) -> None:
        self._uuids: dict[str, str] = {}

    @abc.abstractmethod
    def virsh(self, *arguments: str) -> str:
        """What a virsh command prints."""

    def uuid(self, name: str) -> str:
        """The domain's UUID, of libvirt, which is asked once in a test."""
        if name not in self._uuids:
            self._uuids[name] = self.virsh("domuuid", "--domain", name).strip()
        return self._uuids[name]

    def ours(self, name: str) -> str:
        """Where the collection counts a domain whose threads have no allocation group of their own."""
        return f"mon_groups/kvmops-{self.uuid(name)}"

    def pid(self, name: str) -> int:
        """The domain's process, by its command line (and so not from the file that the collection has it from)."""
        guest = f"guest={name.replace(',', ',,')},debug-threads=on"
        (pid,) = self.processes_with({guest})
        return pid

    def processes_with(self, words: set[str]) -> list[int]:
        """The processes that have one of the words on their command line."""
        pids = []
        for path in self.proc.glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if words.intersection(path.read_text().split("\0")):
                    pids.append(int(path.parent.name))
        return pids

    def threads(self, name: str) -> dict[int, str]:
        """Every thread of the domain's process, with the name that QEMU gave it."""
        tasks = self.proc.glob(f"{self.pid(name)}/task/*")
        return {int(task.name): (task / "comm").read_text().strip() for task in tasks}

    def vcpus(self, name: str) -> dict[int, int]:
        """vCPU -> thread, by the threads' names (and so not from where the collection has them)."""
        matches = {tid: _VCPU.fullmatch(comm) for tid, comm in self.threads(name).items()}
        return {int(match[1]): tid for tid, match in matches.items() if match}

    def domstats(self, name: str, *options: str) -> dict[str, str]:
        """`virsh domstats` of one domain."""
        lines = self.virsh("domstats", *options, "--domain", name).splitlines()
        return dict(line.strip().split("=", 1) for line in lines if "=" in line)
