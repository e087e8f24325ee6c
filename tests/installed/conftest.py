# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users have it: built, installed where nothing else is, and run on a host of the lab.

The host is one of the machine's own release, or of the one that $KVMOPS_LAB_RELEASE names. Ansible is that of the other
tests, or the one in the virtual environment that $KVMOPS_CONTROLLER names.
"""

from __future__ import annotations

import os
import pathlib

import pytest
from hypervisor import hypervisor
from installation import Controller, build, build_older, make_environment


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """A virtual environment with Ansible."""
    if os.environ.get("KVMOPS_CONTROLLER"):
        return pathlib.Path(os.environ["KVMOPS_CONTROLLER"])
    directory = tmp_path_factory.mktemp("environment")
    make_environment(directory)
    return directory


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """The archive of this checkout."""
    return build(tmp_path_factory.mktemp("dist") / "now")


@pytest.fixture(scope="session")
def older_archive(tmp_path_factory):
    """The archive of an older state."""
    return build_older(tmp_path_factory.mktemp("older"))


@pytest.fixture(scope="module")
def hv(request):
    """The host of a test file. It is a light one, or where the file says so (FULL) one with systemd."""
    name = request.path.stem.removeprefix("test_").replace("_", "-")
    options = {"full": True} if getattr(request.module, "FULL", False) else {}
    with hypervisor(f"installed-{name}", **options) as host:
        yield host


@pytest.fixture(scope="module")
def controller(hv, environment, tmp_path_factory):
    """A controller without the collection."""
    return Controller(tmp_path_factory.mktemp("controller"), environment, hv.host)
