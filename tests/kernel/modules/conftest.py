# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests in a guest share. They move threads and fill the table of RMIDs: nowhere else are they collected."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

HERE = pathlib.Path(__file__).resolve().parent
# The harness, as a guest sees it
_IN_GUEST = os.path.exists("/harness/counters.py")
if not _IN_GUEST:
    collect_ignore_glob = ["test_*.py"]
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "lab")]


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[t.Any]:
    """Runs modules."""
    from kernel_host import Modules

    # As systemd does: where a test mounts resctrl anew, the stand-ins' mount namespaces follow
    subprocess.run(["mount", "--make-rshared", "/"], check=True)
    with Modules(tmp_path_factory.mktemp("modules")) as modules:
        yield modules


@pytest.fixture
def host(tmp_path: pathlib.Path, modules: t.Any) -> t.Iterator[t.Any]:
    """Stand-in domains, and the kernel's resctrl without a group in it."""
    from kernel_host import KernelHost, mount, unmount

    mount()
    try:
        with KernelHost(tmp_path, modules) as host:
            yield host
    finally:
        unmount()
