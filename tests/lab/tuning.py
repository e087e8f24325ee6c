# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt is told to allocate for vCPUs, and to count of them: the content of a domain's <cputune>."""

from __future__ import annotations

import dataclasses
import typing as t
from xml.etree import ElementTree as ET

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Cachetune:
    """A <cachetune>. Without `cache_id` it allocates nothing; each of `monitors` is a set of vCPUs."""

    vcpus: str
    cache_id: int | None = None
    size_kib: int = 0
    monitors: Sequence[str] = ()

    def xml(self) -> ET.Element:
        """The element."""
        element = ET.Element("cachetune", vcpus=self.vcpus)
        if self.cache_id is not None:
            cache = {"id": str(self.cache_id), "level": "3", "type": "both", "size": str(self.size_kib), "unit": "KiB"}
            ET.SubElement(element, "cache", cache)
        for vcpus in self.monitors:
            ET.SubElement(element, "monitor", level="3", vcpus=vcpus)
        return element


@dataclasses.dataclass(frozen=True)
class Memorytune:
    """A <memorytune>: `bandwidth` percent of the memory bandwidth of node `node`."""

    vcpus: str
    node: int
    bandwidth: int

    def xml(self) -> ET.Element:
        """The element."""
        element = ET.Element("memorytune", vcpus=self.vcpus)
        ET.SubElement(element, "node", id=str(self.node), bandwidth=str(self.bandwidth))
        return element


@dataclasses.dataclass(frozen=True)
class Energytune:
    """An <energytune> (libvirt 12.4 and newer), which only monitors: each of `monitors` is a set of vCPUs."""

    vcpus: str
    monitors: Sequence[str] = ()

    def xml(self) -> ET.Element:
        """The element."""
        element = ET.Element("energytune", vcpus=self.vcpus)
        for vcpus in self.monitors:
            ET.SubElement(element, "monitor", vcpus=vcpus)
        return element


Tuning = Cachetune | Memorytune | Energytune


def cputune(tuning: Iterable[Tuning]) -> ET.Element:
    """The <cputune> of a domain that is tuned so."""
    element = ET.Element("cputune")
    element.extend(one.xml() for one in tuning)
    return element
