# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A light host: the machine's own files under private copies of what a host writes to, and three daemons."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

from waiting import comes

from emulator.profiles import load

from . import libvirt, mounts, network, ssh
from .command import LAB, PATH, execute, spell
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .state import Settings, State

RESCTRL = "/sys/fs/resctrl"
_LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock"
_SSH_DIRECTORY = "/etc/ssh/lab"
HOME = "/run/root"
_PATIENCE = 60.0


def start(state: State, settings: Settings, address: str) -> None:
    """Makes the host around the calling process, which must be in namespaces of its own."""
    _own_files(state)
    _own_home()
    network.write_hosts(Path("/etc"), settings.name, address)
    ssh.install_sshd(state, address, Path("/"), _SSH_DIRECTORY)
    execute(LAB / "hosts/sys-fs.sh", "yes" if settings.resctrl else "no", architecture(settings))
    if settings.resctrl:
        _start_emulator(state, settings)
    if settings.libvirt:
        libvirt.configure(Path("/"))
        _start_libvirtd(state)
    _start_sshd(state, address)


# -- files -------------------------------------------------------------------------------------------------------------


def _own_files(state: State) -> None:
    """What a host writes to is its own; the rest of the machine is shared, and what could be harmed is read-only."""
    mounts.own_run(state)
    mounts.own_sys()
    scratch = mounts.scratch(state)
    for name in ("etc", "var"):
        mounts.overlay(f"/{name}", scratch / name, f"/{name}")
    execute("mount", "--bind", "/usr", "/usr")
    execute("mount", "-o", "remount,bind,ro", "/usr")
    for name in libvirt.OWN_DIRECTORIES:
        Path("/", name).mkdir(parents=True, exist_ok=True)
        execute("mount", "-t", "tmpfs", "-o", "mode=0755", "lab-libvirt", f"/{name}")
    execute("mount", "--bind", state.log, "/var/log/libvirt")


def _own_home() -> None:
    """Root's home is empty: no shell start-up file of the machine's user changes what a command does over SSH."""
    Path(HOME).mkdir(mode=0o700)
    passwd = Path("/etc/passwd")
    entries = [line.split(":") for line in passwd.read_text().splitlines()]
    for entry in entries:
        if entry[0] == "root":
            entry[5] = HOME
    passwd.write_text("".join(":".join(entry) + "\n" for entry in entries))


# -- daemons -----------------------------------------------------------------------------------------------------------


def emulator_arguments(settings: Settings, control: str) -> list[str]:
    """The emulator's command line after the interpreter."""
    profile = ["--profile", settings.profile] if settings.profile else []
    overrides = [word for override in settings.overrides for word in ("--set", override)]
    return ["-m", "emulator", RESCTRL, *profile, *overrides, "--control", control]


def architecture(settings: Settings) -> str:
    """The architecture of which the host's kernel seems to be, where it is not the machine's, else empty.

    Raises LabError if there is no such profile, or none with these overrides.
    """
    try:
        return load(settings.profile, settings.overrides).architecture if settings.profile else ""
    except ValueError as error:
        raise LabError(str(error)) from error


def _start_emulator(state: State, settings: Settings) -> None:
    argv = [sys.executable, *emulator_arguments(settings, str(state.control)), "--die-with-parent"]
    log = state.log / "emulator.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            argv,
            cwd="/",
            env={**daemon_environment(), "PYTHONPATH": str(LAB)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    ready = select.select([process.stdout], [], [], _PATIENCE)[0]
    line = process.stdout.readline() if ready else b""
    process.stdout.close()
    if line.strip() != b"ready":
        raise LabError(f"the emulator did not start: {tail(log)}")


def _start_libvirtd(state: State) -> None:
    log = state.log / "libvirtd.out"
    process = _spawn(["libvirtd", "--pid-file", "/run/libvirtd.pid"], log)
    _wait(process, log, lambda: accepts(socket.AF_UNIX, _LIBVIRT_SOCKET))
    # The first answer comes when the drivers are up.
    execute("virsh", "--quiet", "--connect", "qemu:///system", "list")


def _start_sshd(state: State, address: str) -> None:
    sshd = shutil.which("sshd", path=PATH)
    log = state.log / "sshd.log"
    # sshd starts itself again for each connection, so it wants its absolute path.
    process = _spawn([sshd or "sshd", "-D", "-e", "-f", f"{_SSH_DIRECTORY}/sshd_config"], log)
    _wait(process, log, lambda: accepts(socket.AF_INET, (address, 22)))


def daemon_environment() -> dict[str, str]:
    """The environment of the host's daemons and commands."""
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": HOME}


def _spawn(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            argv, cwd="/", env=daemon_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    comes(lambda: ready() or process.poll() is not None, _PATIENCE)
    if not ready():
        raise LabError(f"{spell(t.cast('list[str]', process.args))} did not start: {tail(log)}")


def accepts(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    with socket.socket(family, socket.SOCK_STREAM) as client:
        return client.connect_ex(address) == 0


def tail(log: Path) -> str:
    """The end of a log, for an error message."""
    lines = log.read_text(errors="replace").splitlines()
    return "; ".join(lines[-5:]) or f"{os.fspath(log)} is empty"
