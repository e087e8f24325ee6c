# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible against the full host of a module of tests, its fixture `host`."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from modules import collections_path

from hosts import Host, Lab

if t.TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def play(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, str]]:
    """Runs a play on the host, over SSH; its exit status and what Ansible printed."""
    directory = tmp_path_factory.mktemp("ansible")
    (variables,) = Lab().inventory([host.name])["all"]["hosts"].values()
    (directory / "inventory.json").write_text(json.dumps({"all": {"hosts": {"hv": variables}}}))
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_HOME": str(directory),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def run(**keys: t.Any) -> tuple[int, str]:
        (directory / "play.json").write_text(json.dumps([{"hosts": "hv", "gather_facts": False, **keys}]))
        argv = ["ansible-playbook", "--inventory=inventory.json", "play.json"]
        done = subprocess.run(
            argv, env=env, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def apply(play: Callable[..., tuple[int, str]]) -> Callable[..., str]:
    """Applies the role with these variables, which must succeed; what Ansible printed."""

    def run(**variables: t.Any) -> str:
        status, out = play(roles=[{"role": "kvmops.resctrl.resctrl_monitor", "vars": variables}])
        assert status == 0, out
        return out

    return run
