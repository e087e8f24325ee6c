# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that are measured on: many stand-ins of domains, or a few real ones. All domains are monitored."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import subprocess
import tempfile
import typing as t

from emulated_host import EmulatedHost
from modules import PYTHON, run_module, succeeded

from emulator.control import Control
from hosts import Lab
from hosts.domains import domain_xml

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from standins import Standins

TEST_DRIVER = "test+unix:///default"
# The test driver's domains last as long as a connection
_TEACH = """
import sys, time, libvirt
from xml.etree import ElementTree
libvirt.registerErrorHandler(lambda *_: None, None)
for attempt in range(100):
    try:
        connection = libvirt.open("test+unix:///default")
        break
    except libvirt.libvirtError:
        time.sleep(0.1)
connection.lookupByName("test").destroy()
for domain in ElementTree.parse(sys.argv[1]).getroot():
    connection.createXML(ElementTree.tostring(domain).decode())
print("ready", flush=True)
sys.stdin.read()
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """A host with so many running domains, all of them monitored; `argv` makes a command line run there."""

    domains: int
    real: bool
    uri: str
    resctrl: str
    control: Control
    argv: Callable[[Sequence[str]], list[str]]

    @property
    def name(self) -> str:
        """The place in a table."""
        return f"{self.domains} {'real' if self.real else 'stand-in'}"

    def prepare(self) -> None:
        """Have all domains monitored."""
        arguments = {"name": ["*"], "uri": self.uri, "resctrl_path": self.resctrl}
        result = succeeded(run_module("resctrl_mon", arguments, inside=self.argv))
        if len(result["domains"]) != self.domains:
            raise SystemExit(f"{self.domains} domains were started, {len(result['domains'])} are monitored")


@contextlib.contextmanager
def standins(number: int) -> Iterator[Place]:
    """Stand-ins, which a real libvirtd lists: its test driver."""
    with tempfile.TemporaryDirectory() as directory:
        settings = [f"num_rmids={number + 8}"]
        with EmulatedHost(pathlib.Path(directory), settings=settings) as host:
            for index in range(number):
                host.domains.add(f"vm{index:04}")
            with test_driver(host.domains):
                yield Place(number, False, TEST_DRIVER, host.resctrl, host.control, host.domains.argv)


@contextlib.contextmanager
def test_driver(domains: Standins) -> Iterator[int]:
    """A real libvirtd that knows the stand-ins, so that to list them costs what it costs on a host: its process."""
    # The stand-ins' status files are for others: its driver of QEMU would try to reach them
    cover = (
        "for place in /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /run/libvirt/qemu; do "
        "[ ! -d $place ] || mount -t tmpfs bench $place; done; exec libvirtd"
    )
    daemon = subprocess.Popen(
        domains.argv(["unshare", "--mount", "sh", "-ec", cover]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    node = str(domains.directory / "node.xml")
    teacher = subprocess.Popen(
        domains.argv([PYTHON, "-c", _TEACH, node]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        if not teacher.stdout or teacher.stdout.readline() != "ready\n":
            raise SystemExit("libvirtd did not start")
        yield daemon.pid
    finally:
        teacher.communicate()
        daemon.terminate()
        daemon.wait()


@contextlib.contextmanager
def real_domains(number: int) -> Iterator[Place]:
    """Real domains that idle, on a light host of the lab with a libvirtd of its own."""
    with tempfile.TemporaryDirectory() as directory, Lab(pathlib.Path(directory)) as lab:
        host = lab.up("bench")
        for index in range(number):
            host.define(domain_xml(f"vm{index}", kvm=host.has_kvm()))
            host.start(f"vm{index}")
        with contextlib.closing(host.control) as control:
            yield Place(number, True, "qemu:///system", "/sys/fs/resctrl", control, host.argv)
