# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real domains on a host of the lab, for tests: real libvirtd, QEMU/KVM and threads; resctrl is the lab's emulator.

Hosts are light ones, t-NAME. Where $KVMOPS_LAB_RELEASE names a Debian release they are full ones of it, RELEASE-NAME.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import typing as t
from collections.abc import Iterator, Sequence

import pytest
from emulated_host import groups_of
from libvirt_host import LibvirtHost
from modules import Result, command, install_modules, run_module, succeeded
from waiting import wait_until

from emulator.control import Control
from emulator.faults import Fault
from hosts import Host, Lab, domain_xml

RESCTRL = "/sys/fs/resctrl"


class Hypervisor(LibvirtHost):
    """A host as its operator sees it: `mon`, `info` and `stats` are the collection's modules, the rest is there
    to look at the same things by other means.
    """

    resctrl = RESCTRL

    def __init__(self, lab: Lab, host: Host, control: Control) -> None:
        super().__init__()
        self.lab, self.host, self.control = lab, host, control
        self._root = pathlib.Path(f"/proc/{host.record.leader}/root")
        self.proc = self._root / "proc"

    # -- the modules ---------------------------------------------------------------------------------------------------

    def run(self, module: str, *, check: bool = False, diff: bool = False, **options: t.Any) -> Result:
        """The result of a module's run on this host, whether it failed or not."""
        # Ansible looks whether the arguments are the name of a file first, whose parts must have 255 bytes at most: a
        # slash comes before any long name.
        return run_module(module, {"uri": "qemu:///system", **options}, check=check, diff=diff, inside=self.host.argv)

    def enable(self, *names: str, **options: t.Any) -> Result:
        """The result of resctrl_mon, which must succeed."""
        return succeeded(self.mon(*names, state="enabled", **options))

    def disable(self, *names: str, **options: t.Any) -> Result:
        """The result of resctrl_mon with state=disabled, which must succeed."""
        return succeeded(self.mon(*names, state="disabled", **options))

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
        if {"cachetune", "memorytune", "energytune"} & {key for key, value in tuning.items() if value}:
            self.need_kvm()
        self.host.define(domain_xml(name, **{"kvm": self.host.has_kvm(), **tuning}))
        self.virsh("start", "--domain", name)

    def need_kvm(self, why: str = "libvirt tunes KVM domains alone") -> None:
        """Without /dev/kvm, skips the test, or fails it where nothing may be skipped."""
        if not self.host.has_kvm():
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(f"needs /dev/kvm: {why}")

    def another(self, name: str, **options: t.Any) -> contextlib.AbstractContextManager[Hypervisor]:
        """A second host, of other hardware; `options` are Lab.up's."""
        return hypervisor(name, **options)

    def virsh(self, *arguments: str) -> str:
        """What a virsh command prints."""
        return self.host.virsh(*arguments)

    # -- resctrl -------------------------------------------------------------------------------------------------------

    def seen(self, group: str = "") -> pathlib.Path:
        """The directory of a group, as this process sees it."""
        return self._root / self.path(group).lstrip("/")

    def groups(self) -> dict[str, set[int]]:
        """The groups but the root, and their threads, by the emulator's own word."""
        return groups_of(self.control)

    def fault(self, kind: str = "", **fields: t.Any) -> None:
        """Something that happens at operations on groups of ours: see emulator.faults.Fault."""
        self.control.fault(Fault(kind, path=".*kvmops-.*", **fields))

    # -- libvirtd ------------------------------------------------------------------------------------------------------

    def kill_libvirtd(self) -> None:
        """libvirtd has no chance to tidy up; domains run on without it."""
        self.host.run(["sh", "-c", "kill -9 $(cat /run/libvirtd.pid)"])
        wait_until(lambda: not self._libvirtd_runs(), "libvirtd's end")

    def start_libvirtd(self) -> None:
        """Returns when it answers, and so has found the domains that still run."""
        self.host.run(["libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid"])
        self.virsh("list")

    def _libvirtd_runs(self) -> bool:
        return self.host.run(["pidof", "libvirtd"], check=False).returncode == 0

    def kill_qemu(self, name: str) -> None:
        """The domain's process dies, as by the kernel's out-of-memory killer."""
        pid = self.pid(name)
        self.host.run(["kill", "-9", str(pid)])
        wait_until(lambda: not (self.proc / str(pid)).exists(), f"the end of process {pid}")

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
            self.host.run(["kill", "-9", *map(str, self.processes_with(ended))], check=False)
            wait_until(lambda: not self._listed() & ended, "libvirt notices")
        if kept:
            self._virsh_each("start", kept - self._listed())
        # Those below an allocation group go with it
        for path in sorted(self.groups(), key=lambda path: path.count("/")):
            with contextlib.suppress(FileNotFoundError):
                self.remove_group(path)
        assert self.groups() == {}, "not clean"

    def _listed(self, *which: str) -> set[str]:
        """UUIDs: of the running domains, or of those that options of `virsh list` select."""
        return set(self.virsh("list", "--uuid", *which).split())

    def _virsh_each(self, command: str, uuids: set[str]) -> None:
        if uuids:
            self.virsh("; ".join(f"{command} {uuid}" for uuid in uuids))


class ReleaseHypervisor(Hypervisor):
    """A full host of another Debian release. It has nothing of the machine's files: modules are copied to it."""

    def __init__(self, lab: Lab, host: Host, control: Control) -> None:
        super().__init__(lab, host, control)
        install_modules(self._root)

    def start_libvirtd(self) -> None:
        """Returns when it answers, and so has found the domains that still run."""
        self.host.run(["systemctl", "start", "libvirtd.service"])
        self.virsh("list")


def bring_up(lab: Lab, name: str, **options: t.Any) -> Host:
    """A host of the machine's own release, or of the one that the tests are run on; `options` are Lab.up's."""
    release = os.environ.get("KVMOPS_LAB_RELEASE")
    if release:
        options = {**options, "full": True, "release": release}
    return lab.up(f"{release or 't'}-{name}", **options)


@contextlib.contextmanager
def hypervisor(name: str, **options: t.Any) -> Iterator[Hypervisor]:
    """A host for tests; `options` are Lab.up's."""
    with Lab() as lab:
        host = bring_up(lab, name, **options)
        kind = ReleaseHypervisor if host.record.settings.release else Hypervisor
        with host.control as control:
            yield kind(lab, host, control)


# -- fixtures: a conftest.py imports them ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest) -> Iterator[Hypervisor]:
    """The host of a test file, named after it (t-rfc for test_rfc.py). Its hardware is the file's PROFILE, if any, with
    the changes of its OVERRIDES.
    """
    name = request.path.stem.removeprefix("test_").replace("_", "-")
    profile, overrides = getattr(request.module, "PROFILE", None), getattr(request.module, "OVERRIDES", ())
    with hypervisor(name, profile=profile, overrides=overrides) as host:
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
