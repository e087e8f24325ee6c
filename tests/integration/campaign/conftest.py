# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which everything is to be done that a plan can hold, laid out anew for each case of the campaign."""

from __future__ import annotations

import collections
import dataclasses
import pathlib

import pytest
from emulated_host import EmulatedHost
from standins import Standin
from tuning import Cachetune

LIBVIRT = "qemu-1-partly-vcpus_0"
PQOS = "COS1"
FOREIGN = "mon_groups/pqos-1-1"
STALE = "mon_groups/kvmops-00000000-0000-4000-8000-000000000099"
# What changes resctrl, and so can be interrupted
CHANGES = ("mkdir", "rmdir", "write")


@dataclasses.dataclass
class Scene:
    """Domains of every kind: `plain`; `partly` tuned by libvirt; `pinned` in pqos' control group; `grown` by a vCPU
    since it was monitored; `moved` to another control group since. Besides, somebody else's monitoring group, and a
    stale one of ours.
    """

    host: EmulatedHost
    domains: dict[str, Standin]
    other: Standin

    def lay_out(self) -> None:
        """Everything as it was before the first run."""
        host = self.host
        host.control.clear_faults()
        for group in sorted(self.groups(), key=lambda path: path.count("/")):
            if "/" not in group or group.startswith("mon_groups/"):
                host.remove_group(group)
        partly, pinned, grown, moved = (self.domains[name] for name in ("partly", "pinned", "grown", "moved"))
        host.make_group(LIBVIRT, partly.vcpus[0])
        host.make_group(PQOS, *pinned.vcpus.values(), *moved.vcpus.values())
        host.make_group(FOREIGN, *self.other.vcpus.values())
        host.make_group(STALE)
        host.make_group(host.group(grown), grown.vcpus[0])
        host.make_group(host.group(moved))
        host.changes()

    def groups(self) -> dict[str, set[int]]:
        """The groups and their threads."""
        return self.host.groups()

    def enable(self, **options: object) -> dict[str, object]:
        """One run for all domains but the foreign one."""
        return self.host.run("resctrl_mon", name=list(self.domains), **options)

    def wished(self) -> dict[str, set[int]]:
        """The groups as they are to be in the end."""
        host, wanted = self.host, {FOREIGN: set(self.other.vcpus.values()), PQOS: set()}
        partly = self.domains["partly"]
        wanted[LIBVIRT] = {partly.vcpus[0]}
        wanted[host.group(partly)] = {partly.vcpus[1]}
        for name, parent in (("plain", ""), ("grown", ""), ("pinned", PQOS), ("moved", PQOS)):
            domain = self.domains[name]
            wanted[host.group(domain, parent)] = set(domain.vcpus.values())
        return wanted

    def changes_of_a_run(self) -> dict[str, int]:
        """Kind of change -> how many of them an undisturbed run makes."""
        self.lay_out()
        assert not self.enable().get("failed")
        return dict(collections.Counter(operation.kind for operation in self.host.changes()))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The scene; it is laid out anew with lay_out()."""
    with EmulatedHost(pathlib.Path(tmp_path_factory.mktemp("campaign"))) as host:
        tuning = {"partly": [Cachetune("0", cache_id=0, size_kib=2048)]}
        names = ("plain", "partly", "pinned", "grown", "moved")
        domains = {name: host.domains.add(name, tuning=tuning.get(name, ())) for name in names}
        yield Scene(host, domains, host.domains.add("other"))
