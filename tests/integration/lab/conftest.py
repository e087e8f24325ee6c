# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the lab, in a directory of this run so that no other host is met."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from hosts import Host, Lab

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LAB = Path(__file__).resolve().parents[2] / "lab"


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hosts of this run are kept."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(root: Path) -> Iterator[Lab]:
    with Lab(root) as lab:
        yield lab


@pytest.fixture(scope="module")
def light(lab: Lab) -> Host:
    """A light host."""
    return lab.up("light")


@pytest.fixture(scope="session")
def run_lab(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command `lab` on the hosts of this run; the arguments are its own, and subprocess.run's by name."""

    def run(*arguments: str, **options: t.Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KVMOPS_LAB_STATE": str(root), "PYTHONPATH": str(_LAB)}
        argv = [sys.executable, "-m", "hosts.cli", *arguments]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, **options)

    return run


@pytest.fixture
def kvm() -> None:
    """libvirt gives <cachetune> to KVM domains alone."""
    if not os.path.exists("/dev/kvm"):
        if os.environ.get("CI") == "true":
            pytest.fail("needs /dev/kvm")
        pytest.skip("needs /dev/kvm")
