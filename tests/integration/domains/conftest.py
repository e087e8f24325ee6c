# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real domains on a light host of the lab: real libvirtd, QEMU/KVM and threads; resctrl is the lab's emulator."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import time
import typing as t
from collections.abc import Callable, Iterator, Sequence

import pytest
from modules import command, run_module

from emulator.control import Control
from emulator.faults import Fault
from hosts import Host, Lab, domain_xml

RESCTRL = "/sys/fs/resctrl"
_PATIENCE = 20.0
_VCPU = re.compile(r"CPU ([0-9]+)/(?:KVM|TCG)")

Json = dict[str, t.Any]


class Hypervisor:
    """A light host as its operator sees it: `mon`, `info` and `stats` are the collection's modules, the rest is there
    to look at the same things by other means.

    Groups are called by their paths below /sys/fs/resctrl.
    """

    def __init__(self, lab: Lab, host: Host, control: Control) -> None:
        self.lab, self.host, self.control = lab, host, control
        self.virsh, self.run = host.virsh, host.run
        self.proc = pathlib.Path(f"/proc/{host.record.leader}/root/proc")
        self._uuids: dict[str, str] = {}

    @staticmethod
    def wait_until(true: Callable[[], object], what: str) -> None:
        """Waits for something that takes its time; fails the test if it does not come."""
        deadline = time.monotonic() + _PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"{what}: not within {_PATIENCE:.0f} seconds"
            time.sleep(0.02)

    # -- the modules ---------------------------------------------------------------------------------------------------

    def mon(self, *names: str, check: bool = False, diff: bool = False, **options: t.Any) -> Json:
        """The result of resctrl_mon, whether it failed or not."""
        return self._module("resctrl_mon", {"name": list(names), **options}, check=check, diff=diff)

    def enable(self, *names: str, **options: t.Any) -> Json:
        """The result of resctrl_mon, which must succeed."""
        return _succeeded(self.mon(*names, state="enabled", **options))

    def disable(self, *names: str, **options: t.Any) -> Json:
        """The result of resctrl_mon with state=disabled, which must succeed."""
        return _succeeded(self.mon(*names, state="disabled", **options))

    def info(self, *names: str) -> Json:
        """The result of resctrl_info for some domains, or for all; it must succeed."""
        return _succeeded(self._module("resctrl_info", {"name": list(names)} if names else {}))

    def query(self, name: str) -> Json:
        """What resctrl_info says about one domain."""
        (domain,) = self.info(name)["domains"]
        return t.cast(Json, domain)

    def stats(self, name: str, **options: t.Any) -> Json:
        """What resctrl_stats says about one domain."""
        return t.cast(Json, self.all_stats(name=[name], **options)[name])

    def all_stats(self, **options: t.Any) -> Json:
        """What resctrl_stats says about the domains, by name."""
        result = _succeeded(self._module("resctrl_stats", options))
        return t.cast(Json, result["ansible_facts"]["resctrl_stats"]["domains"])

    def _module(self, module: str, arguments: Json, **modes: bool) -> Json:
        # Ansible looks whether the arguments are the name of a file first, whose parts must have 255 bytes at most: a
        # slash comes before any long name.
        return run_module(module, {"uri": "qemu:///system", **arguments}, inside=self.host.argv, **modes)

    @contextlib.contextmanager
    def background(self, *names: str, **options: t.Any) -> Iterator[subprocess.Popen[str]]:
        """A run of resctrl_mon that goes on meanwhile."""
        argv = self.host.argv(command("resctrl_mon", {"name": list(names), **options}))
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    # -- domains -------------------------------------------------------------------------------------------------------

    def start(self, name: str, **tuning: t.Any) -> None:
        """Defines and starts a domain of two vCPUs, with room for a third; `tuning` is domain_xml's."""
        if tuning.get("cachetune") or tuning.get("memorytune"):
            self.need_kvm()
        self.host.define(domain_xml(name, **{"kvm": self.host.has_kvm(), **tuning}))
        self.virsh("start", "--domain", name)

    def need_kvm(self, why: str = "libvirt gives <cachetune> and <memorytune> to KVM domains alone") -> None:
        """Without /dev/kvm, skips the test, or fails it where nothing may be skipped."""
        if not self.host.has_kvm():
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(f"needs /dev/kvm: {why}")

    def another(self, name: str, **options: t.Any) -> contextlib.AbstractContextManager[Hypervisor]:
        """A second host, of other hardware; `options` are Lab.up's."""
        return hypervisor(name, **options)

    def uuid(self, name: str) -> str:
        """The domain's UUID, of libvirt, which is asked once in a test."""
        if name not in self._uuids:
            self._uuids[name] = self.virsh("domuuid", "--domain", name).strip()
        return self._uuids[name]

    def pid(self, name: str) -> int:
        """The domain's process, by its command line (and so not from the file that the collection has it from)."""
        guest = f"guest={name.replace(',', ',,')},debug-threads=on"
        (pid,) = self._processes_with({guest})
        return pid

    def _processes_with(self, words: set[str]) -> list[int]:
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

    # -- resctrl -------------------------------------------------------------------------------------------------------

    def groups(self) -> dict[str, set[int]]:
        """Every group but the root, with its own threads, as the emulator has them."""
        groups = self.control.snapshot()["groups"]
        return {path: set(group["tasks"]) for path, group in groups.items() if path}

    def ours(self, name: str) -> str:
        """Where the collection counts a domain whose threads have no allocation group of their own."""
        return f"mon_groups/kvmops-{self.uuid(name)}"

    def make_group(self, path: str, *tids: int) -> None:
        """What another program does: a group made by hand, and threads in it."""
        self.run(["mkdir", f"{RESCTRL}/{path}"])
        for tid in tids:
            self.run(["tee", f"{RESCTRL}/{path}/tasks"], input=str(tid))

    def remove_group(self, path: str) -> None:
        """What another program does: a group removed by hand."""
        self.run(["rmdir", f"{RESCTRL}/{path}"])

    def fault(self, kind: str = "", **fields: t.Any) -> None:
        """Something that happens at operations on groups of ours: see emulator.faults.Fault."""
        self.control.fault(Fault(kind, path=".*kvmops-.*", **fields))

    # -- libvirtd ------------------------------------------------------------------------------------------------------

    def kill_libvirtd(self) -> None:
        """libvirtd has no chance to tidy up; domains run on without it."""
        self.run(["sh", "-c", "kill -9 $(cat /run/libvirtd.pid)"])
        self.wait_until(lambda: not self._libvirtd_runs(), "libvirtd's end")

    def start_libvirtd(self) -> None:
        """Returns when it answers, and so has found the domains that still run."""
        self.run(["libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid"])
        self.virsh("list")

    def _libvirtd_runs(self) -> bool:
        return self.run(["pidof", "libvirtd"], check=False).returncode == 0

    def kill_qemu(self, name: str) -> None:
        """The domain's process dies, as by the kernel's out-of-memory killer."""
        pid = self.pid(name)
        self.run(["kill", "-9", str(pid)])
        self.wait_until(lambda: not (self.proc / str(pid)).exists(), f"the end of process {pid}")

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def clean(self, domains: Sequence[str]) -> None:
        """No faults, no groups, and of the domains only these, running: as the host was when it came up."""
        self.control.clear_faults()
        self.control.unfreeze()
        if not self._libvirtd_runs():
            self.start_libvirtd()
        self._uuids.clear()
        kept = {self.uuid(name) for name in domains}
        self._virsh_each("undefine --managed-save", self._listed("--all", "--persistent") - kept)
        ended = self._listed() - kept
        if ended:
            # Faster than libvirt's destroy, which waits after its first signal
            self.run(["kill", "-9", *map(str, self._processes_with(ended))], check=False)
            self.wait_until(lambda: not self._listed() & ended, "libvirt notices")
        if kept:
            self._virsh_each("start", kept - self._listed())
        # Those below an allocation group go with it
        for path in sorted(self.groups(), key=lambda path: path.count("/")):
            self.run(["rmdir", f"{RESCTRL}/{path}"], check=False)
        assert self.groups() == {}, "not clean"

    def _listed(self, *which: str) -> set[str]:
        """UUIDs: of the running domains, or of those that options of `virsh list` select."""
        return set(self.virsh("list", "--uuid", *which).split())

    def _virsh_each(self, command: str, uuids: set[str]) -> None:
        if uuids:
            self.virsh("; ".join(f"{command} {uuid}" for uuid in uuids))


def _succeeded(result: Json) -> Json:
    assert not result.get("failed"), json.dumps(result, indent=1)
    return result


@contextlib.contextmanager
def hypervisor(name: str, **options: t.Any) -> Iterator[Hypervisor]:
    """A light host of that name; `options` are Lab.up's."""
    with Lab() as lab:
        host = lab.up(f"t-{name}", **options)
        with host.control as control:
            yield Hypervisor(lab, host, control)


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest) -> Iterator[Hypervisor]:
    """The host of a test file, named after it (t-rfc for test_rfc.py). Its hardware is the file's PROFILE, if any."""
    name = request.path.stem.removeprefix("test_")
    with hypervisor(name, profile=getattr(request.module, "PROFILE", None)) as host:
        yield host


@pytest.fixture(scope="module")
def domains(request: pytest.FixtureRequest, host: Hypervisor) -> list[str]:
    """The names of the domains that run all the time, for every test of the file: its DOMAINS, if any."""
    names: list[str] = getattr(request.module, "DOMAINS", [])
    for name in names:
        host.start(name)
    return names


@pytest.fixture
def hv(host: Hypervisor, domains: list[str]) -> Iterator[Hypervisor]:
    """The host of the test file, with `domains` only, and no groups."""
    yield host
    host.clean(domains)
