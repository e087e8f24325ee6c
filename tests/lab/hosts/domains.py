# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains without disk, network or display, which cost next to nothing while they idle; and the three of the RFC.

The RFC "Support RDT/CMT" (libvir-list, June 2018) shows its commands on vm3, which runs, vm2, which runs with
cachetune, and vm1, which is shut off.
"""

from __future__ import annotations

import typing as t
from pathlib import Path
from xml.etree import ElementTree as ET

from tuning import cputune

from . import check, firmware
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning import Cachetune, Energytune, Memorytune

    from .host import Host

_XML = Path(__file__).resolve().parent.parent / "domains"
_KIB = {"B": 1 / 1024, "KiB": 1, "MiB": 1024}


def domain_xml(
    name: str,
    *,
    uuid: str | None = None,
    vcpus: int = 2,
    max_vcpus: int = 3,
    kvm: bool = True,
    cachetune: Sequence[Cachetune] = (),
    memorytune: Sequence[Memorytune] = (),
    energytune: Sequence[Energytune] = (),
) -> str:
    """The XML of a domain of 32 MiB that idles. Any name that libvirt accepts will do."""
    domain = ET.Element("domain", type="kvm" if kvm else "qemu")
    ET.SubElement(domain, "name").text = name
    if uuid:
        ET.SubElement(domain, "uuid").text = uuid
    ET.SubElement(domain, "memory", unit="MiB").text = "32"
    ET.SubElement(domain, "vcpu", current=str(vcpus)).text = str(max_vcpus)
    if cachetune or memorytune or energytune:
        domain.append(cputune([*cachetune, *memorytune, *energytune]))
    system = ET.SubElement(domain, "os")
    ET.SubElement(system, "type", arch="x86_64", machine="pc").text = "hvm"
    ET.SubElement(system, "loader", readonly="yes", type="rom").text = f"/{firmware.PATH}"
    ET.SubElement(ET.SubElement(domain, "features"), "acpi")
    devices = ET.SubElement(domain, "devices")
    ET.SubElement(devices, "emulator").text = "/usr/bin/qemu-system-x86_64"
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "memballoon", model="none")
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode") + "\n"


def allocation(host: Host) -> tuple[int, int] | None:
    """The id of an L3 cache that libvirt can allocate, and a small size in KiB that it can; None if there is none."""
    capabilities = ET.fromstring(host.virsh("capabilities"))  # noqa: S314  # libvirt's own
    for bank in capabilities.iterfind("./host/cache/bank[@level='3']"):
        control = bank.find("control[@type='both']")
        if control is not None:
            size = max(int(control.get("min", "0")), 2 * int(control.get("granularity", "0")))
            return int(bank.get("id", "0")), int(size * _KIB[control.get("unit", "KiB")])
    return None


def make_rfc_domains(host: Host) -> list[str]:
    """Defines vm1, vm2 and vm3 on a host and starts vm3 and vm2. Returns what the host cannot have, in sentences."""
    kvm = host.has_kvm()
    for name in ("vm1", "vm3"):
        host.define(_rfc_xml(name, kvm=kvm))
    host.start("vm3")
    if not kvm:
        return [f"vm2 is left out: {check.NO_KVM}"]
    if not host.record.settings.resctrl:
        return ["vm2 is left out: the host has no resctrl"]
    found = allocation(host)
    host.define(_rfc_xml("vm2", kvm=True, cache=found))
    try:
        host.start("vm2")
    except LabError as error:
        # libvirt starts no tuned domain where memory bandwidth has limits in AMD's units
        return [f"vm2 is shut off: {error}"]
    return [] if found else ["vm2 has a monitor and no cache of its own: the host's resctrl cannot allocate"]


def _rfc_xml(name: str, *, kvm: bool, cache: tuple[int, int] | None = None) -> str:
    """The domain as the file has it, fitted to the host: its type, and the id and size in KiB of the cache, if any."""
    domain = ET.parse(_XML / f"{name}.xml").getroot()  # noqa: S314  # our own
    domain.set("type", "kvm" if kvm else "qemu")
    for cachetune in domain.iterfind("./cputune/cachetune"):
        for element in cachetune.findall("cache"):
            if cache is None:
                cachetune.remove(element)
            else:
                element.attrib.update(id=str(cache[0]), size=str(cache[1]), unit="KiB")
    return ET.tostring(domain, encoding="unicode")
