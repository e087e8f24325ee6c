# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full host: systemd as its first process, over a copy-on-write image of the machine's own root, or of the root of
another Debian release.

What a host has of its own (the machine's units, mounts, logs, homes) is hidden; programs and their configuration stay.
The hardware is made by two files on the host's disk: a unit that lets the kernel offer resctrl, and mount.resctrl,
which mount(8) calls for `mount -t resctrl`. A line in /etc/fstab mounts it at boot, as on a real host.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import socket
import stat
import subprocess
import sys
import time
import typing as t
import uuid
from pathlib import Path

from . import cgroups, libvirt, light, mounts, network, roots, ssh
from .command import LAB
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .state import Record, State

_SCRIPTS = Path(__file__).resolve().parent
_LAB = "/opt/kvmops-lab"
_SSH_DIRECTORY = "/etc/ssh/lab"
_NOTIFY = "/run/lab-notify"
_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE = 120.0
_REBOOT = 133  # systemd-nspawn --keep-unit: "start me again"

# What the host has at the top: shared with the machine, or its own and empty. Nothing else is there.
_SHARED = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "var")
_EMPTY = (
    *("boot", "dev", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp"),
    "etc/systemd/system",
    "usr/local",
    "var/backups",
    "var/cache",
    "var/lib/systemd",
    "var/log",
    "var/mail",
    "var/spool",
    *libvirt.OWN_DIRECTORIES,
)

# Unit -> the target that wants it.
_ENABLED = {
    "kvmops-lab-kernel.service": "sysinit.target",
    "kvmops-lab-sshd.service": "multi-user.target",
}
_ENABLED_FOR_LIBVIRT = {
    "libvirtd.service": "multi-user.target",
    "libvirtd.socket": "sockets.target",
    "libvirtd-ro.socket": "sockets.target",
    "virtlockd.socket": "sockets.target",
    "virtlogd.socket": "sockets.target",
}
_UNITS = {
    "kvmops-lab-kernel.service": """\
[Unit]
Description=The kernel of this host of the lab
DefaultDependencies=no
After=systemd-remount-fs.service
Before=sys-fs-resctrl.mount local-fs-pre.target
Wants=local-fs-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/lab-sys-fs {offers_resctrl} {architecture}
""",
    "kvmops-lab-sshd.service": """\
[Unit]
Description=SSH into this host of the lab
After=network.target

[Service]
ExecStart=/usr/sbin/sshd -D -f /etc/ssh/lab/sshd_config
RuntimeDirectory=sshd
KillMode=process
""",
}
# libvirtd delays a reboot while a domain runs, and would do so for the default of 5 seconds.
_LOGIND_CONF = """\
[Login]
InhibitDelayMaxSec=1
"""


class FullHost:
    """A full host in the calling process's namespaces. `machine_proc` is a descriptor of the machine's /proc."""

    def __init__(self, state: State, record: Record, machine_proc: int) -> None:
        mounts.own_run(state)
        mounts.own_sys()
        cgroups.mount(_CGROUPS)
        self._state = state
        self._settings = record.settings
        self._address = record.address
        self._machine_proc = machine_proc
        self._lower = roots.path(self._settings.release) if self._settings.release else Path("/")
        self._root = mounts.scratch(state) / "root"
        self._cgroup = _CGROUPS / cgroups.cgroup_name(state.name, record.supervisor)
        self._cgroup.mkdir()
        self._make_disk()

    # -- the disk ------------------------------------------------------------------------------------------------------

    def _make_disk(self) -> None:
        self._root.mkdir()
        upper = self._root.parent / "disk" / "upper"
        upper.mkdir(parents=True)
        for name in _EMPTY:
            _make_empty(upper, self._lower, name)
        for name in set(os.listdir(self._lower)).difference(_SHARED, _EMPTY):
            os.mknod(upper / name, stat.S_IFCHR, os.makedev(0, 0))  # overlayfs's "not there"
        for name in ("usr/local/bin", "usr/local/lib", "usr/local/sbin", "usr/local/share", "var/log/journal"):
            (upper / name).mkdir()
        mounts.overlay(self._lower, upper.parent, self._root)
        etc = self._root / "etc"
        (etc / "machine-id").unlink(missing_ok=True)
        (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")  # an empty one would be a first boot, with all presets
        (etc / "hostname").write_text(f"{self._settings.name}\n")
        network.write_hosts(etc, self._settings.name, self._address)
        ssh.install_sshd(self._state, self._address, self._root, _SSH_DIRECTORY)
        if self._settings.libvirt:
            libvirt.configure(self._root)
        (etc / "systemd/logind.conf.d").mkdir(exist_ok=True)
        (etc / "systemd/logind.conf.d/lab.conf").write_text(_LOGIND_CONF)
        self._install_units(etc / "systemd/system")
        self._install_resctrl()

    def _install_units(self, directory: Path) -> None:
        for name, text in _UNITS.items():
            offers_resctrl = "yes" if self._settings.resctrl else "no"
            architecture = light.architecture(self._settings)
            (directory / name).write_text(text.format(offers_resctrl=offers_resctrl, architecture=architecture))
        enabled = {**_ENABLED, **(_ENABLED_FOR_LIBVIRT if self._settings.libvirt else {})}
        for unit, target in enabled.items():
            if unit not in _UNITS and not (self._root / "usr/lib/systemd/system" / unit).exists():
                continue  # newer libvirt has fewer in this package
            wants = directory / f"{target}.wants"
            wants.mkdir(exist_ok=True)
            (wants / unit).symlink_to(f"{'/etc' if unit in _UNITS else '/usr/lib'}/systemd/system/{unit}")
        (directory / "console-getty.service").symlink_to("/dev/null")

    def _install_resctrl(self) -> None:
        sbin = self._root / "usr/sbin"
        _install(sbin / "lab-sys-fs", (_SCRIPTS / "sys-fs.sh").read_text())
        fstab = self._root / "etc/fstab"
        fstab.write_text("")
        if self._settings.resctrl:
            emulator = light.emulator_arguments(self._settings, f"{_LAB}/control/{self._state.control.name}")
            # The interpreter of this program may not be there, or not run, in another release
            python = "/usr/bin/python3" if self._settings.release else os.path.realpath(sys.executable)
            argv = ["env", f"PYTHONPATH={_LAB}", python, *emulator]
            _install(sbin / "lab-emulator", f"#!/bin/sh\nexec {shlex.join(argv)}\n")
            _install(sbin / "mount.resctrl", (_SCRIPTS / "mount-resctrl.sh").read_text())
            fstab.write_text("resctrl /sys/fs/resctrl resctrl defaults 0 0\n")

    # -- boot ----------------------------------------------------------------------------------------------------------

    def boot(self, ready: Callable[[int], None]) -> bool:
        """Boots the host, calls `ready` with the process id of its systemd, and waits until it ends.

        Returns whether it wants to be booted again. Raises LabError if it does not come up.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            Path(_NOTIFY).unlink(missing_ok=True)
            notifications.bind(_NOTIFY)
            process = self._start_nspawn()
            leader = self._wait_until_booted(process, notifications)
        ready(self._as_the_machine_sees(leader))
        while True:
            pid, status = os.wait()
            if pid == process.pid:
                return os.waitstatus_to_exitcode(status) == _REBOOT

    def _start_nspawn(self) -> subprocess.Popen[bytes]:
        devices = [path for path in ("/dev/kvm", "/dev/fuse") if Path(path).exists()]
        argv = [
            *("systemd-nspawn", "--quiet", "--directory", str(self._root), "--machine", self._settings.name),
            *("--register=no", "--keep-unit", "--settings=no", "--capability=all", "--notify-ready=yes"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=read-only"),
            *(f"--bind={path}" for path in devices),
            *(f"--bind={source}:{target}" for source, target in self._writable().items()),
            *(f"--bind-ro={source}:{target}" for source, target in self._readable().items()),
            *("--boot", "systemd.unit=multi-user.target"),
        ]
        # systemd wants a cgroup that only it is in.
        join = f'echo 0 >{self._cgroup}/cgroup.procs && exec "$@"'
        with (self._state.log / "console.log").open("ab") as log:
            return subprocess.Popen(
                ["sh", "-c", join, "sh", *argv],
                env={**light.daemon_environment(), "NOTIFY_SOCKET": _NOTIFY},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _writable(self) -> dict[str | Path, str]:
        state = self._state
        return {state.control.parent: f"{_LAB}/control", state.log: f"{_LAB}/log"}

    def _readable(self) -> dict[str | Path, str]:
        """What the emulator runs on: itself, mfusepy, and its interpreter where that is none of the host's own."""
        if not self._settings.resctrl:
            return {}
        found: dict[str | Path, str] = {LAB / "emulator": f"{_LAB}/emulator"}
        module = importlib.util.find_spec("mfusepy")
        if module and module.origin:
            found[module.origin] = f"{_LAB}/{os.path.basename(module.origin)}"
        if sys.base_prefix != "/usr" and not self._settings.release:
            found[sys.base_prefix] = sys.base_prefix
        return found

    def _wait_until_booted(self, process: subprocess.Popen[bytes], notifications: socket.socket) -> int:
        """Returns the process id of systemd in this process's namespace."""
        leader = 0
        deadline = time.monotonic() + _PATIENCE
        notifications.settimeout(0.2)
        while process.poll() is None and time.monotonic() < deadline:
            try:
                message = notifications.recv(4096).decode().splitlines()
            except TimeoutError:
                continue
            fields = dict(line.split("=", 1) for line in message if "=" in line)
            leader = int(fields.get("X_NSPAWN_LEADER_PID", leader))
            if fields.get("READY") == "1" and light.accepts(socket.AF_INET, (self._address, 22)):
                return leader
        raise LabError(f"systemd did not boot: {light.tail(self._state.log / 'console.log')}")

    def _as_the_machine_sees(self, leader: int) -> int:
        namespace = os.readlink(f"/proc/{leader}/ns/pid")
        for name in os.listdir(self._machine_proc):
            if not name.isdigit():
                continue
            try:
                same = os.readlink(f"{name}/ns/pid", dir_fd=self._machine_proc) == namespace
                status = Path(f"/proc/self/fd/{self._machine_proc}/{name}/status").read_text()
            except OSError:
                continue  # it ended
            if same and any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines()):
                return int(name)
        raise LabError("systemd ended")


def _make_empty(upper: Path, lower: Path, name: str) -> None:
    """Lets a directory of the lower root appear empty in the overlay, with its mode."""
    directory = upper / name
    for parent in reversed(directory.relative_to(upper).parents):
        (upper / parent).mkdir(mode=0o755, exist_ok=True)
    directory.mkdir(exist_ok=True)
    own = lower / name
    directory.chmod(stat.S_IMODE(own.stat().st_mode) if own.is_dir() else 0o755)
    os.setxattr(directory, "trusted.overlay.opaque", b"y")


def _install(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)
