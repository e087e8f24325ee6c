# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller and the Pythons of managed hosts, which tests/compatibility/run names:

KVMOPS_CONTROLLER       a virtual environment with Ansible
KVMOPS_MANAGED_PYTHONS  interpreters with libvirt-python, between blanks
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest
from emulated_host import EmulatedHost
from modules import collections_path

# What an interpreter prints about itself, and about the Ansible that it has
_ABOUT = """
import json, platform
from importlib import metadata
about = {"python": platform.python_version()}
for name in ("ansible-core", "libvirt-python"):
    try:
        about[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
if "ansible-core" in about:
    from ansible_test._util.target.common import constants
    about["managed"] = constants.REMOTE_ONLY_PYTHON_VERSIONS + constants.CONTROLLER_PYTHON_VERSIONS
print(json.dumps(about))
"""


def about(python):
    """Versions, and as `managed` the Pythons that its Ansible manages."""
    done = subprocess.run([python, "-c", _ABOUT], check=True, capture_output=True, text=True, cwd="/")
    return json.loads(done.stdout)


def _setting(name):
    if not os.environ.get(name):
        raise pytest.UsageError(f"{name} is not set: use tests/compatibility/run")
    return os.environ[name]


def _controller():
    return pathlib.Path(_setting("KVMOPS_CONTROLLER")) / "bin" / "python"


def pytest_generate_tests(metafunc):
    """Each Python that this Ansible manages."""
    if "managed" in metafunc.fixturenames:
        supported = about(_controller())["managed"]
        pythons = {python: about(python) for python in _setting("KVMOPS_MANAGED_PYTHONS").split()}
        managed = [
            pytest.param(python, id=f"{one['python']} with libvirt-python {one['libvirt-python']}")
            for python, one in pythons.items()
            if one["python"].rpartition(".")[0] in supported
        ]
        metafunc.parametrize("managed", managed)


@pytest.fixture(scope="session", autouse=True)
def told(record_testsuite_property):
    """What the record says of the controller."""
    versions = about(_controller())
    for name in ("ansible-core", "python"):
        record_testsuite_property(name, versions[name])


@pytest.fixture
def host(tmp_path):
    """A host of stand-in domains and an emulated resctrl, on which no other process is seen."""
    with EmulatedHost(tmp_path, own_pids=True) as host:
        yield host


@pytest.fixture
def play(host, tmp_path):
    """Runs a playbook on the host with a managed host's Python, which must succeed; what Ansible printed."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
    }

    def run(python, playbook, *arguments):
        ansible = [str(_controller()), "-m", "ansible", "playbook", "--inventory=localhost,", "--connection=local"]
        argv = ["env", f"--chdir={home}", *ansible, "--extra-vars", f"ansible_python_interpreter={python}", *arguments]
        done = subprocess.run(
            host.domains.argv([*argv, str(playbook)]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
