# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of stand-in domains, on which modules run as processes. What its resctrl is, emulated_host.py and
tests/kernel/modules/kernel_host.py say.
"""

from __future__ import annotations

import abc
import subprocess
import typing as t

from resctrl_host import ResctrlHost
from standins import Standin, Standins
from tuning import Cachetune, Memorytune, Tuning

if t.TYPE_CHECKING:
    import pathlib
    from collections.abc import Sequence
    from typing import Self

    from emulator.faults import Operation


class StandinHost(ResctrlHost):
    """Stand-in domains (`domains`) beside a resctrl; a context manager. `directory` is for its files, and exists.

    With `own_pids` no other process of the machine is seen on it.
    """

    def __init__(self, directory: pathlib.Path, *, own_pids: bool = False) -> None:
        self.domains = Standins(directory, own_pids=own_pids)

    def __enter__(self) -> Self:
        self.domains.__enter__()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.domains.__exit__()

    @abc.abstractmethod
    def changes(self) -> Sequence[Operation]:
        """What modules did to resctrl, or tried to, since the last call; what tests did themselves is not told.

        On a real kernel, whose system calls are traced run by run, what the last run did.
        """

    def unmount(self) -> None:
        """Leave the host without resctrl. Nobody else sees that."""
        command = ["umount", "--all", "--lazy", "--types", "resctrl,fuse.resctrl"]
        subprocess.run(self.domains.argv(command), check=True)

    def group(self, domain: Standin, parent: str = "") -> str:
        """The group of ours that counts a domain, in the CTRL_MON group `parent`."""
        return f"{parent}/mon_groups/kvmops-{domain.uuid}".lstrip("/")

    def enable(self, domain: Standin) -> str:
        """Let a domain be as a run of resctrl_mon leaves it; its group."""
        return self.make_group(self.group(domain), *domain.vcpus.values())

    def tuned(self, name: str, vcpus: str = "0-1", kind: str = "cachetune") -> Standin:
        """A domain of two vCPUs of which libvirt allocates for some, `vcpus`, or counts them, with the group that
        libvirt would make. `kind` is "cachetune", "memorytune", or "monitor": this one's is below the default group.
        """
        kinds: dict[str, Tuning] = {
            "cachetune": Cachetune(vcpus, cache_id=0, size_kib=2048),
            "monitor": Cachetune(vcpus, monitors=[vcpus]),
            "memorytune": Memorytune(vcpus, node=0, bandwidth=50),
        }
        domain = self.domains.add(name, tuning=[kinds[kind]])
        first, last = int(vcpus[0]), int(vcpus[-1])
        parent = "mon_groups/" if kind == "monitor" else ""
        tids = [domain.vcpus[vcpu] for vcpu in range(first, last + 1)]
        self.make_group(f"{parent}qemu-1-{name}-vcpus_{vcpus}", *tids)
        return domain
