# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains without libvirtd and QEMU, for whole modules as processes: what the modules look at, made cheaply.

- libvirt's test driver answers at a URI test:///.../node.xml, which lists the domains, running and shut off;
- each running domain has a process with the command line and the thread names of a QEMU (standin_qemu.py);
- its status file lies where libvirt's driver of that name would keep it, in /run/libvirt/test;
- what the collection itself notes in /run/kvmops-resctrl is of this host alone.

All of it in a mount namespace of its own: the machine sees nothing of it, and it goes with its last process. resctrl,
real or emulated, is not part of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import typing as t
import uuid
from xml.etree import ElementTree as ET

from tuning import cputune
from waiting import wait_until

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning import Tuning

_QEMU = pathlib.Path(__file__).with_name("standin_qemu.py")
_TEST_NAMESPACE = "http://libvirt.org/schemas/domain/test/1.0"
_STATE = "/run/libvirt/test"
_SHUT_OFF = "5"
# Longer than any domain's command line
_ROOM = "-" * 1024
_RUN = uuid.uuid4()
# Mounts of the machine that come and go later do so here too; what is mounted here stays here
_NAMESPACE = ("unshare", "--mount", "--propagation", "slave")
# Its first process is the stand-ins' parent, so that all end with it
_OWN_PIDS = ("--pid", "--fork", "--mount-proc")
_OWN_RUN = (
    "for place in libvirt kvmops-resctrl; do "
    "mkdir -p /run/$place; mount -t tmpfs -o mode=0755 standins /run/$place; done; "
    f'mkdir {_STATE}; echo ready; exec "$@"'
)

# The threads of a QEMU that are no vCPUs, its main thread apart
OTHER_THREADS = ("call_rcu", "IO mon_iothread")
# The machine's files, but nothing that the collection or systemd keeps there
_OWN_ETC = """
mkdir "$1"
mount --bind /etc "$1"
mount -t tmpfs -o mode=0755 etc /etc
ln -s "$1"/* /etc/
rm -rf /etc/systemd /etc/libvirt /etc/kvmops-resctrl
mkdir -p /etc/kvmops-resctrl /etc/systemd/system/timers.target.wants
"""


@dataclasses.dataclass
class Standin:
    """A domain. `vcpus` is vCPU id -> thread id, `others` are further threads but the main one; `pid` is 0 if shut off.

    `tuning` is what its <cputune> has. `starting`: libvirt has begun to start it, and it has no vCPUs yet.
    `wrapper` is a process around it, 0 if there is none.
    """

    name: str
    uuid: str
    tuning: Sequence[Tuning] = ()
    starting: bool = False
    pid: int = 0
    vcpus: dict[int, int] = dataclasses.field(default_factory=dict)
    others: list[int] = dataclasses.field(default_factory=list)
    wrapper: int = 0

    @property
    def threads(self) -> set[int]:
        """All threads of the process."""
        return {self.pid, *self.vcpus.values(), *self.others}


@dataclasses.dataclass(frozen=True)
class L3Cache:
    """An L3 cache as sysfs tells of it."""

    id: int
    cpus: tuple[int, ...]
    package: int
    size: int = 32 << 20


class Standins:
    """A set of stand-in domains, by name; a context manager. `directory` is for its files, and exists.

    With `own_pids` the namespace has processes of its own, too: nothing else that the machine runs is seen in it.
    """

    def __init__(self, directory: pathlib.Path, *, own_pids: bool = False) -> None:
        self.directory = directory
        self.own_pids = own_pids
        self._domains: dict[str, Standin] = {}
        self._farm: subprocess.Popen[str] | None = None

    def __enter__(self) -> Standins:
        namespaces = [*_NAMESPACE, *(_OWN_PIDS if self.own_pids else ())]
        command = [*namespaces, "sh", "-ec", _OWN_RUN, "sh", sys.executable, "-Es", str(_QEMU), _ROOM]
        self._farm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        assert self._farm.stdout
        # Whoever enters the namespace too early would be in the machine's own
        if self._farm.stdout.readline() != "ready\n":
            self.__exit__()
            raise RuntimeError("the stand-ins did not start: it takes root, and unshare(1) of util-linux")
        self._write_node()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._farm:
            self._farm.communicate()

    def __getitem__(self, name: str) -> Standin:
        return self._domains[name]

    @property
    def uri(self) -> str:
        """The libvirt URI at which the domains are; in the namespace only."""
        return f"test://{self._node}"

    @property
    def _node(self) -> pathlib.Path:
        return self.directory / "node.xml"

    # -- the namespace

    @property
    def _namespace(self) -> str:
        assert self._farm, "use it in a with statement"
        return f"/proc/{self._farm.pid}"

    def argv(self, command: Sequence[str]) -> list[str]:
        """A command line that runs `command` in the namespace."""
        pids = [f"--pid={self._namespace}/ns/pid_for_children"] if self.own_pids else []
        return ["nsenter", f"--mount={self._namespace}/ns/mnt", *pids, *command]

    def path(self, inside: str) -> pathlib.Path:
        """From outside, the absolute path `inside` of the namespace."""
        return pathlib.Path(f"{self._namespace}/root{inside}")

    def cover(self, path: str, text: str) -> None:
        """Let a file of the machine, such as /proc/cpuinfo, have another content in the namespace."""
        cover = self.directory / path.strip("/").replace("/", "-")
        cover.write_text(text, encoding="utf-8")
        subprocess.run(self.argv(["mount", "--bind", str(cover), path]), check=True)

    def seem_crowded(self, threads: int) -> None:
        """Let the namespace seem to run so many threads, by which it is chosen how they are looked for."""
        self.cover("/proc/loadavg", f"0.00 0.00 0.00 1/{threads} {threads}\n")

    def have_caches(self, caches: Sequence[L3Cache]) -> None:
        """Let the namespace see CPUs with these L3 caches, whatever the machine has."""
        system = self.directory / "cpu"
        for cache in caches:
            for cpu in cache.cpus:
                index, topology = system / f"cpu{cpu}/cache/index3", system / f"cpu{cpu}/topology"
                index.mkdir(parents=True)
                topology.mkdir()
                cpus = ",".join(map(str, cache.cpus))
                files = {"level": "3", "id": cache.id, "size": f"{cache.size >> 10}K", "shared_cpu_list": cpus}
                for name, content in files.items():
                    (index / name).write_text(f"{content}\n", encoding="ascii")
                (topology / "physical_package_id").write_text(f"{cache.package}\n", encoding="ascii")
        subprocess.run(self.argv(["mount", "--bind", str(system), "/sys/devices/system/cpu"]), check=True)

    def own_etc(self) -> None:
        """Give the namespace an /etc in which a policy and a timer can be laid down."""
        script = ["sh", "-ec", _OWN_ETC, "sh", str(self.directory / "etc")]
        subprocess.run(self.argv(script), check=True)

    # -- domains

    def define(self, name: str, *, uuid: str = "", tuning: Sequence[Tuning] = ()) -> Standin:
        """A domain that is shut off. Its UUID is derived from its name unless given."""
        domain = Standin(name, uuid or uuid_of(name), tuning)
        self._domains[name] = domain
        self._write_node()
        return domain

    def add(self, name: str, vcpus: int = 2, *, tuning: Sequence[Tuning] = ()) -> Standin:
        """A domain that runs."""
        self.define(name, tuning=tuning)
        return self.start(name, vcpus)

    def start(self, name: str, vcpus: int = 2) -> Standin:
        """Start a domain, or start it anew: with another process."""
        domain = self[name]
        if domain.pid:
            self.kill(name)
        argv = ["/usr/bin/qemu-system-x86_64", *_command_line(domain)]
        names = [*(_vcpu_name(vcpu) for vcpu in range(vcpus)), *OTHER_THREADS]
        answer = self._ask(do="start", argv=argv, threads=names)
        domain.pid, tids = answer["pid"], answer["tids"]
        domain.vcpus, domain.others = dict(enumerate(tids[:vcpus])), tids[vcpus:]
        self.write(domain)
        return domain

    def begin(self, name: str) -> Standin:
        """Begin to start a domain: it has a process, but no vCPUs yet."""
        self.define(name).starting = True
        return self.start(name, vcpus=0)

    def come_up(self, name: str, vcpus: int = 2) -> None:
        """Let a domain that was begun be up."""
        self[name].starting = False
        for vcpu in range(vcpus):
            self.plug(name, vcpu)

    def wrap(self, name: str) -> int:
        """Let libvirt have started a wrapper, whose child is the domain's process; the wrapper's pid.

        A wrapper is given QEMU's command line. It is what libvirt knows as the domain's process from then on.
        """
        domain = self[name]
        answer = self._ask(do="start", argv=["/bin/sh", "/usr/local/bin/qemu", *_command_line(domain)], threads=[])
        domain.wrapper = answer["pid"]
        self.write(domain)
        return domain.wrapper

    def stop(self, name: str) -> None:
        """Stop a domain; libvirt knows."""
        domain = self[name]
        self.kill(name)
        domain.pid, domain.vcpus, domain.others, domain.starting = 0, {}, [], False
        self.write(domain)

    def kill(self, name: str) -> None:
        """End a domain's process with SIGKILL behind libvirt's back: its status file says that it runs."""
        domain = self[name]
        pids = {domain.pid, domain.wrapper} - {0}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), f"the end of processes {pids}")
        domain.wrapper = 0

    def hide(self, name: str) -> None:
        """Let a domain run on, unknown to this libvirt: as if it were another one's."""
        domain = self._domains.pop(name)
        self._status(domain).unlink()
        self._write_node()

    def plug(self, name: str, vcpu: int, *, busy: bool = False) -> int:
        """Add a vCPU, which may be busy all the time; its thread's id."""
        domain = self[name]
        domain.vcpus[vcpu] = self._ask(do="add", pid=domain.pid, thread=_vcpu_name(vcpu), busy=busy)["tid"]
        self.write(domain)
        return domain.vcpus[vcpu]

    def unplug(self, name: str, vcpu: int) -> None:
        """Remove a vCPU with its thread."""
        domain = self[name]
        self._ask(do="end", pid=domain.pid, tid=domain.vcpus.pop(vcpu))
        self.write(domain)

    def add_thread(self, name: str, thread: str) -> int:
        """Start one more thread in a domain's process, with this name; its id."""
        domain = self[name]
        tid: int = self._ask(do="add", pid=domain.pid, thread=thread)["tid"]
        domain.others.append(tid)
        return tid

    def _ask(self, **request: object) -> dict[str, t.Any]:
        assert self._farm
        assert self._farm.stdin
        assert self._farm.stdout
        self._farm.stdin.write(json.dumps(request) + "\n")
        self._farm.stdin.flush()
        line = self._farm.stdout.readline()
        answer: dict[str, t.Any] = json.loads(line) if line else {"error": "the stand-ins have ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    # -- what libvirt would write

    def write(self, domain: Standin) -> None:
        """Write of a domain what libvirt would now, be it another's process."""
        if domain.pid:
            self._write_status(domain)
        else:
            self._status(domain).unlink(missing_ok=True)
        self._write_node()

    def _status(self, domain: Standin) -> pathlib.Path:
        return self.path(f"{_STATE}/{domain.name}.xml")

    def _write_status(self, domain: Standin) -> None:
        """As virDomainObjFormat() of libvirt has it, cut down to what tells the process and the tuning."""
        state, reason = ("paused", "starting up") if domain.starting else ("running", "booted")
        status = ET.Element("domstatus", state=state, reason=reason, pid=str(domain.wrapper or domain.pid))
        ET.SubElement(status, "monitor", path="/var/lib/libvirt/qemu/monitor.sock", type="unix")
        vcpus = ET.SubElement(status, "vcpus")
        for vcpu, tid in domain.vcpus.items():
            ET.SubElement(vcpus, "vcpu", id=str(vcpu), pid=str(tid))
        status.append(_domain_xml(domain))
        path = self._status(domain)
        new = path.with_name(path.name + ".new") if len(path.name.encode()) < 250 else path.with_name("new")
        new.write_bytes(ET.tostring(status))
        new.rename(path)

    def _write_node(self) -> None:
        node = ET.Element("node")
        node.extend(_domain_xml(domain) for domain in self._domains.values())
        self._node.write_bytes(ET.tostring(node))


def uuid_of(name: str) -> str:
    """The UUID of the domain of that name, unless it was given another one.

    Another one in each test run: a domain's process is told by its UUID, and two runs may share a machine.
    """
    return str(uuid.uuid5(_RUN, name))


def _command_line(domain: Standin) -> list[str]:
    """The words that libvirt passes to a QEMU, or to what it takes for one."""
    return [
        *("-name", f"guest={domain.name.replace(',', ',,')},debug-threads=on"),
        *("-S", "-uuid", domain.uuid, "-nodefaults"),
    ]


def _vcpu_name(vcpu: int) -> str:
    return f"CPU {vcpu}/KVM"


def _domain_xml(domain: Standin) -> ET.Element:
    element = ET.Element("domain", type="test")
    ET.SubElement(element, "name").text = domain.name
    ET.SubElement(element, "uuid").text = domain.uuid
    ET.SubElement(element, "memory").text = "32768"
    ET.SubElement(element, "vcpu").text = "16"
    if domain.tuning:
        element.append(cputune(domain.tuning))
    ET.SubElement(ET.SubElement(element, "os"), "type").text = "hvm"
    if not domain.pid:
        ET.SubElement(element, f"{{{_TEST_NAMESPACE}}}runstate").text = _SHUT_OFF
    return element
