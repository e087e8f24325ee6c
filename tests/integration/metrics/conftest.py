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

# Thresholds of somebody's own
OWN = {
    "resctrl_rules_bandwidth_ceiling": 4 * 10**9,
    "resctrl_rules_labels": {"team": "kvm"},
    "resctrl_rules_rmids_left": 0.5,
}
# What a test can wait for
AT_ONCE = {"resctrl_rules_for": "0s", "resctrl_rules_window": "20s"}


@pytest.fixture(scope="session")
def apply_rules(tmp_path_factory):
    """Applies role resctrl_rules on this machine, once with each of these variables, in one run of Ansible:
    apply_rules(variables...) gives the status, and what Ansible printed. It is a dear thing: a run takes seconds.
    """
    home = tmp_path_factory.mktemp("ansible")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def apply(*applications, options=()):
        tasks = [
            {
                "ansible.builtin.include_role": {"name": "kvmops.resctrl.resctrl_rules"},
                "vars": {"resctrl_rules_service": "", **variables},
            }
            for variables in applications
        ]
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
        (home / "play.json").write_text(json.dumps([play]))
        argv = ["ansible-playbook", "--inventory=localhost,", *options, "play.json"]
        done = subprocess.run(
            argv, env=env, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=180
        )
        return done.returncode, done.stdout + done.stderr

    return apply


@pytest.fixture(scope="session")
def installed(apply_rules, tmp_path_factory):
    """The rules were installed in a directory that was not there: kvmops-resctrl.rules, twice, and with other
    thresholds own.rules and at-once.rules. The directory, and what Ansible printed.
    """
    directory = tmp_path_factory.mktemp("rules") / "new"
    kinds = [("kvmops-resctrl", {}), ("kvmops-resctrl", {}), ("own", OWN), ("at-once", AT_ONCE)]
    status, out = apply_rules(*({"resctrl_rules_file": f"{directory}/{name}.rules", **own} for name, own in kinds))
    assert status == 0, out
    return directory, out


@pytest.fixture(scope="session")
def rules(installed):
    """The file of rules with the thresholds that the role has by itself."""
    return installed[0] / "kvmops-resctrl.rules"


@pytest.fixture(scope="session")
def own_rules(installed):
    """The file of rules with other thresholds."""
    return installed[0] / "own.rules"


@pytest.fixture(scope="session")
def rules_at_once(installed):
    """The file of rules whose alerts wait for nothing, with rates over seconds."""
    return installed[0] / "at-once.rules"
