# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to tell what each of some real domains uses: resctrl-mon, virsh and libvirt's exporter.

QEMUs with KVM, as small as can be, which idle, on a host of the lab with a libvirtd of its own. resctrl is a plain
directory in memory, which the command is told to take for one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import re
import tempfile
import typing as t

import starting
from agent import METRICS, SCRAPE, STATISTICS, TOTAL, exporter, install, run, take_turns
from reading import CACHES, tree
from report import Costs
from starting import ISOLATED

from hosts import Lab
from hosts.domains import domain_xml
from hosts.errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hosts.host import Host

_URI = "qemu:///system"


def measure(numbers: Sequence[int], turns: int) -> list[Costs]:
    """Start more and more domains, and measure whenever there are so many. Without /dev/kvm nothing is measured."""
    if not os.path.exists("/dev/kvm"):
        return []
    with tempfile.TemporaryDirectory() as name, Lab(pathlib.Path(name, "lab")) as lab:
        host = lab.up(f"bench{os.getpid()}", resctrl=False)
        return [_measure(host, pathlib.Path(name, str(number)), number, turns) for number in sorted(numbers)]


def _measure(host: Host, directory: pathlib.Path, number: int, turns: int) -> Costs:
    directory.mkdir()
    for domain in (f"vm{index}" for index in range(number)):
        if domain not in host.virsh("list", "--name").split():
            host.define(domain_xml(domain))
            host.start(domain)
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(tree(_threads(host, number)))
        root = str(there.root)
        stack.enter_context(_mounted(host, root))
        launcher = [*ISOLATED, str(install(directory, "tmpfs")), "--resctrl-path", root]
        told = host.run([*launcher, "metrics"]).stdout.count("\nlibvirt_domain_llc_occupancy_bytes{")
        if told != number * CACHES:
            raise SystemExit(f"resctrl-mon tells {told} occupancies of {number} domains")
        start = starting.look([*launcher[len(ISOLATED) :], "metrics"], ("resctrl", "command"), host.argv)
        commands = {
            **start.floors(directory / "lib"),
            METRICS: [*launcher, "metrics"],
            STATISTICS: [*launcher, "stats", "--json"],
            TOTAL: ["virsh", "--readonly", "--connect", _URI, "domstats", "--cpu-total"],
        }
        runs: dict[str, Callable[[], float]]
        runs = {name: functools.partial(run, host.argv(argv)) for name, argv in commands.items()}
        # By the network it is reached where it is started
        around = ["nsenter", f"--mount=/proc/{host.record.leader}/ns/mnt"]
        scrape = stack.enter_context(exporter(directory, _URI, around))
        if scrape:
            runs[SCRAPE] = scrape
        return Costs(number, take_turns(runs, _libvirtd(host), turns))


def _threads(host: Host, number: int) -> dict[str, list[int]]:
    """The group of each domain, and the threads of its vCPUs as the host sees them."""
    threads = {}
    for index in range(number):
        status = host.run(["cat", f"/run/libvirt/qemu/vm{index}.xml"]).stdout
        uuid = re.findall("<uuid>(.*)</uuid>", status)[0]
        threads[f"kvmops-{uuid}"] = [int(tid) for tid in re.findall("<vcpu id='[0-9]+' pid='([0-9]+)'", status)]
    return threads


@contextlib.contextmanager
def _mounted(host: Host, root: str) -> Iterator[None]:
    """A directory on the host is a mount as long as the block lasts, as resctrl would be."""
    host.run(["mount", "--bind", root, root])
    try:
        yield
    finally:
        host.run(["umount", root])


def _libvirtd(host: Host) -> int:
    """The process id of the host's libvirtd, as this process sees it."""
    namespace = os.readlink(f"/proc/{host.record.leader}/ns/pid")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text() == "libvirtd\n" and os.readlink(process / "ns/pid") == namespace:
                return int(process.name)
    raise LabError(f"{host.name} has no libvirtd")
