# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's configuration on a host of the lab."""

from __future__ import annotations

import shutil
import typing as t

from . import firmware

if t.TYPE_CHECKING:
    from pathlib import Path

# Where a host keeps what is its own; nothing of the machine's may be seen there.
OWN_DIRECTORIES = ("var/lib/libvirt", "var/cache/libvirt", "var/log/libvirt")

_QEMU_CONF = """
# /dev/kvm may be root's alone
user = "root"
group = "root"
# the machine's AppArmor or SELinux know nothing of this host
security_driver = "none"
# no virtlogd
stdio_handler = "file"
# /dev is this host's own, or shared on purpose
namespaces = []
# the cgroups of the machine may be read-only
cgroup_controllers = []
"""

_LIBVIRTD_CONF = """
# root only, and without polkit
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""


def configure(root: Path) -> None:
    """Rewrites etc/libvirt below `root`, a host's private copy: the machine's domains, networks and hooks are gone.

    Also puts the firmware of idle domains in its place.
    """
    (root / firmware.PATH).write_bytes(firmware.image())
    # Of the package; without it, newer libvirt has no place for a key of its own, and does not start
    (root / "var/lib/libvirt/secrets").mkdir(mode=0o700, exist_ok=True)
    etc = root / "etc/libvirt"
    for name in ("hooks", "qemu", "secrets", "storage"):
        shutil.rmtree(etc / name, ignore_errors=True)
        (etc / name).mkdir(mode=0o700)
    (etc / "qemu.conf").write_text(_QEMU_CONF)
    (etc / "libvirtd.conf").write_text(_LIBVIRTD_CONF)
