# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules as role resctrl_rules writes them, and Debian's Prometheus."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from modules import collections_path


@pytest.fixture(scope="session")
def apply_rules(tmp_path_factory):
    """Applies role resctrl_rules on this machine: apply_rules(variables...) gives the status and what Ansible printed."""
    home = tmp_path_factory.mktemp("ansible")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    role = {"role": "kvmops.resctrl.resctrl_rules"}
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": [role]}]
    (home / "play.json").write_text(json.dumps(play))

    def apply(file, *options, **variables):
        extra = json.dumps({"resctrl_rules_file": str(file), "resctrl_rules_service": "", **variables})
        argv = ["ansible-playbook", "--inventory=localhost,", f"--extra-vars={extra}", *options, "play.json"]
        done = subprocess.run(
            argv, env=env, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    return apply


@pytest.fixture(scope="session")
def rules(apply_rules, tmp_path_factory):
    """The file of rules with the thresholds that the role has by itself."""
    file = tmp_path_factory.mktemp("rules") / "new" / "kvmops-resctrl.rules"
    status, out = apply_rules(file)
    assert status == 0, out
    return file
