# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine must have for the lab."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

from .command import PATH

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_TOOLS = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}
_EMULATOR_TOOLS = {"fusermount3": "fuse3"}
_LIBVIRT_TOOLS = {
    "libvirtd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "virsh": "libvirt-clients",
}
_FULL_TOOLS = {"dbus-daemon": "dbus", "systemd-nspawn": "systemd-container"}

NO_KVM = "there is no /dev/kvm: domains run emulated, and cannot have cachetune (libvirt allows it for KVM alone)"


def missing(*, full: bool, resctrl: bool = True, libvirt: bool = True, release: bool = False) -> list[str]:
    """What a host of that kind needs and the machine does not have, one line each. One of another release brings its
    own libvirt.
    """
    tools = {
        **_TOOLS,
        **(_EMULATOR_TOOLS if resctrl else {}),
        **(_LIBVIRT_TOOLS if libvirt and not release else {}),
        **(_FULL_TOOLS if full else {}),
    }
    found = [f"{tool}: apt-get install {package}" for tool, package in sorted(tools.items()) if not find(tool)]
    if os.geteuid() != 0:
        found.append("root: the lab makes namespaces and mounts")
    if resctrl:
        found += _missing_for_emulator()
    if full and not Path("/lib/systemd/systemd").exists():
        found.append("systemd: apt-get install systemd systemd-sysv")
    return found


def _missing_for_emulator() -> Iterator[str]:
    if not Path("/dev/fuse").exists():
        yield "/dev/fuse: the kernel's fuse module (modprobe fuse), or the container's device"
    try:
        import mfusepy  # noqa: F401  # loads the library
    except ImportError:
        yield "mfusepy: pip install -r tests/lab/requirements.txt, for the interpreter that runs the lab"
    except OSError as error:
        yield f"libfuse ({error}): apt-get install fuse3"


def find(tool: str) -> str | None:
    """Where the lab finds a program."""
    return shutil.which(tool, path=PATH)
