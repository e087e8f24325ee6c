# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller on which nothing is but Ansible and what ansible-galaxy installed from an archive."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import sys
import tarfile
import typing as t

from modules import ROOT

if t.TYPE_CHECKING:
    from hosts import Host

# What is upgraded from: the state of the project before 1.0.0 was made ready
OLDER = "e897946ebb467f50544a2000fa480010bcc5ce51"


class Controller:
    """A directory outside of any checkout, with an environment and collections of its own. It manages `host`."""

    def __init__(self, directory: pathlib.Path, environment: pathlib.Path, host: Host) -> None:
        self.directory = directory
        self.collections = directory / "collections"
        self._bin = environment / "bin"
        (variables,) = _inventory(host).values()
        inventory = {"hv": {"hosts": {host.name: variables}}}
        # JSON is YAML
        (directory / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")

    @property
    def collection(self) -> pathlib.Path:
        """Where the collection is once it is installed."""
        return self.collections / "ansible_collections" / "kvmops" / "resctrl"

    def install(self, archive: pathlib.Path) -> None:
        """Install the collection, in the place of the one that is there."""
        path = f"--collections-path={self.collections}"
        self.run(shlex.join(["ansible-galaxy", "collection", "install", "--offline", "--force", path, str(archive)]))

    def run(self, line: str, status: int = 0, **environment: str) -> str:
        """What a command line prints, which must end with that status."""
        env = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{self._bin}:/usr/sbin:/usr/bin:/sbin:/bin",
            **environment,
        }
        done = subprocess.run(
            shlex.split(line),
            env=env,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == status, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout


def _inventory(host: Host) -> dict[str, t.Any]:
    from hosts import Lab

    hosts: dict[str, t.Any] = Lab().inventory([host.name])["all"]["hosts"]
    return hosts


def make_environment(directory: pathlib.Path) -> None:
    """A virtual environment with ansible-core, of the version that the other tests have, and what that needs itself."""
    # `base_prefix` and not the interpreter of this process, which has the test tools
    python = pathlib.Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    subprocess.run([python, "-m", "venv", directory], check=True)
    constraint = ROOT / "tests" / "requirements" / "dev.txt"
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"--constraint={constraint}", "ansible-core"], check=True)


def build(directory: pathlib.Path) -> pathlib.Path:
    """The archive of this checkout."""
    subprocess.run([ROOT / "tests" / "ci" / "build.sh", directory], check=True, stdout=subprocess.DEVNULL)
    (archive,) = directory.glob("kvmops-resctrl-*.tar.gz")
    return archive


def build_older(directory: pathlib.Path) -> pathlib.Path:
    """The archive of OLDER. Git must have it: a shallow clone does not do."""
    tree = directory / "tree"
    packed = directory / "tree.tar"
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "archive", "--format=tar", f"--output={packed}"]
    subprocess.run([*git, OLDER], check=True)
    with tarfile.open(packed) as file:
        file.extractall(tree, filter="data")
    galaxy = str(pathlib.Path(sys.executable).with_name("ansible-galaxy"))
    command = [galaxy, "collection", "build", f"--output-path={directory}", str(tree)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})
    (archive,) = directory.glob("kvmops-resctrl-*.tar.gz")
    return archive
