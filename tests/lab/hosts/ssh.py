# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH into a host: keys that live as long as it does, sshd's configuration, and what a client needs to know."""

from __future__ import annotations

import shlex
import typing as t

from .command import execute

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .state import State

_SSHD_CONFIG = """\
ListenAddress {address}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PidFile none
PrintMotd no
MaxStartups 200
SetEnv LC_ALL=C.UTF-8
Subsystem sftp internal-sftp
"""


def make_keys(state: State) -> None:
    """The host's key, and the one that may log in."""
    for name in ("host_key", "client_key"):
        execute("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{state.name} {name}", "-f", state.ssh / name)


def write_known_hosts(state: State, address: str) -> None:
    """What a client checks the host by."""
    key = " ".join((state.ssh / "host_key.pub").read_text().split()[:2])
    (state.ssh / "known_hosts").write_text(f"{address} {key}\n")


def install_sshd(state: State, address: str, root: Path, directory: str) -> None:
    """Puts sshd_config and keys in `directory` (absolute, as the host sees it) below `root`, and unlocks root."""
    target = root / directory.lstrip("/")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for source, name in (("host_key", "host_key"), ("client_key.pub", "authorized_keys")):
        (target / name).write_bytes((state.ssh / source).read_bytes())
        (target / name).chmod(0o600)
    (target / "sshd_config").write_text(_SSHD_CONFIG.format(address=address, directory=directory))
    shadow = root / "etc/shadow"
    # Without PAM, sshd refuses an account whose password begins with "!"; "*" matches no password either.
    lines = [f"root:*:{line.split(':', 2)[2]}" if line.startswith("root:") else line for line in _lines(shadow)]
    shadow.write_text("".join(f"{line}\n" for line in lines))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def options(state: State) -> list[str]:
    """Options of ssh(1) that know this host, and nothing of the user's own configuration."""
    settings = {
        "UserKnownHostsFile": state.ssh / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }
    return ["-F", "/dev/null", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]


def client_argv(state: State, address: str, argv: Sequence[str]) -> list[str]:
    """The ssh command line that runs `argv` on the host, word for word; a login shell if it is empty."""
    login = ["ssh", *options(state), "-i", str(state.ssh / "client_key"), f"root@{address}"]
    return [*login, "--", shlex.join(argv)] if argv else login


def inventory_variables(state: State, address: str) -> dict[str, str]:
    """Ansible's view of the host. Values are strings without blanks but for the SSH options."""
    return {
        "ansible_host": address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(state.ssh / "client_key"),
        "ansible_ssh_common_args": " ".join(options(state)),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
