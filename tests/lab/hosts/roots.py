# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts of other Debian releases start from: a root directory, made once by mmdebstrap and then only read.

It comes from the mirror that the machine itself uses, and has the versions that are there on that day: none is pinned.
Roots lie in $KVMOPS_LAB_ROOTS, by default ~/.cache/kvmops-lab-roots. A directory is called after the release and what
the root is made of; remove it, and the next use makes one of newer packages.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import mirrors

from . import check
from .command import execute, lab_environment
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

RELEASES: t.Final = ("trixie", "sid")
_PACKAGES: t.Final = (
    *("dbus", "fuse3", "iproute2", "openssh-server", "procps", "python3", "systemd", "systemd-sysv", "udev"),
    *("libvirt-clients", "libvirt-daemon-system", "python3-libvirt", "qemu-system-x86"),
    "python3-apt",  # for Ansible
)
_OPTIONS: t.Final = (
    *("--mode=root", "--variant=minbase"),
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale")),
    # How this machine connects is not to stay there.
    '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list.d/*',
)
# What tells releases apart, by the packages that have it
_SHOWN: t.Final = {"libvirt": "libvirt-daemon", "QEMU": "qemu-system-x86", "systemd": "systemd"}
# mmdebstrap ends with this process, and with it all that it has started and mounted.
_NAMESPACES: t.Final = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"),
)
_PATIENCE: t.Final = 1800.0


def home() -> Path:
    """Where roots are kept."""
    return Path(os.environ.get("KVMOPS_LAB_ROOTS") or Path.home() / ".cache" / "kvmops-lab-roots").absolute()


def path(release: str) -> Path:
    """The root of a release, which exists only when it is complete. Raises LabError if there is no such release."""
    if release not in RELEASES:
        raise LabError(f"there are no hosts of {release!r}, but of {' and '.join(RELEASES)}")
    content = hashlib.sha256("\0".join((release, *_PACKAGES, *_OPTIONS)).encode())
    return home() / f"{release}-{content.hexdigest()[:12]}"


def make(release: str) -> Path:
    """The root of a release, which is made if it is not there. Raises LabError with mmdebstrap's last words."""
    root = path(release)
    if root.is_dir():
        return root
    with _alone(release):
        if not root.is_dir():
            with tempfile.TemporaryDirectory(prefix=f"unfinished-{release}-", dir=home()) as directory:
                _bootstrap(release, Path(directory))
                (Path(directory) / "root").rename(root)
    return root


def found(release: str) -> str:
    """The versions in a root that has been made, in a line."""
    versions = [f"{what} {version(release, what)}" for what in _SHOWN]
    versions.append(execute("chroot", path(release), "/usr/bin/python3", "--version").strip())
    return f"Debian {release}: {', '.join(versions)}; Linux {platform.release()} is the machine's"


def version(release: str, what: str) -> str:
    """The version of libvirt, QEMU or systemd in a root that has been made, as Debian spells it."""
    query = ("dpkg-query", f"--admindir={path(release)}/var/lib/dpkg", "--show", "--showformat=${Version}")
    return execute(*query, _SHOWN[what])


@contextlib.contextmanager
def _alone(release: str) -> Iterator[None]:
    """Waits until nobody else makes this root, and removes what an interrupted one has left."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # its holder has a limit
        for unfinished in home().glob(f"unfinished-{release}-*"):
            shutil.rmtree(unfinished)
        yield


def _bootstrap(release: str, directory: Path) -> None:
    if not check.find("mmdebstrap"):
        raise LabError("mmdebstrap: apt-get install mmdebstrap")
    system = platform.freedesktop_os_release()
    if system["ID"] != "debian":
        raise LabError(f"hosts of {release} are made from Debian's mirror, and this machine is no Debian")
    try:
        source = mirrors.rewrite(mirrors.machine_sources(), system.get("VERSION_CODENAME", "sid"), "deb", [release])
    except mirrors.NoMirror as error:
        raise LabError(f"{error}: hosts of {release} are made from its mirror") from error
    sources, connection = directory / "root.sources", directory / "connection.conf"
    sources.write_text(source)
    connection.write_text(mirrors.connection())
    log = home() / f"{release}.log"
    options = [*_OPTIONS, f"--include={','.join(_PACKAGES)}", f"--aptopt={connection}"]
    argv = ["mmdebstrap", *options, release, str(directory / "root"), str(sources)]
    with log.open("wb") as output:
        try:
            subprocess.run(
                [*_NAMESPACES, *argv],
                cwd=directory,
                env=lab_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
                timeout=_PATIENCE,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            last = "; ".join(log.read_text(errors="replace").splitlines()[-5:])
            raise LabError(f"the root of {release} could not be made: {last or error} (see {log})") from error
