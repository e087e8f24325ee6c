# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook refuses, in a sentence, before a host is asked anything: the host of these tests is not there."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.kvmops.resctrl.plugins.plugin_utils.specs import files, options_of

PLAYBOOKS = sorted(name.partition("/")[2] for name in files() if name.startswith("playbooks/"))
COLLECTIONS = pathlib.Path(__file__).parents[3] / ".work/collections"


def required(name):
    """The variables that a playbook cannot do without."""
    return sorted(option for option, one in options_of(f"playbooks/{name}").items() if one.get("required"))


@pytest.fixture
def play(tmp_path):
    """Runs a playbook with these variables; what Ansible says."""

    def run(name, *options, inventory="kvm1,", **variables):
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_HOME": str(tmp_path),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
        }
        words = [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
        playbook = [sys.executable, "-m", "ansible", "playbook", "-i", inventory, *options]
        argv = [*playbook, f"kvmops.resctrl.{name}", *words]
        done = subprocess.run(
            argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "unreachable=0" in done.stdout, done.stdout
        return " ".join((done.stdout + done.stderr).split())

    return run


def test_each_playbook_has_a_specification():
    written = {path.name for path in (COLLECTIONS / "ansible_collections/kvmops/resctrl/playbooks").glob("*.yml")}
    assert written == {f"{name}{ending}" for name in PLAYBOOKS for ending in (".yml", ".meta.yml")}


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(play, name):
    said = play(name, resctrl_hots="hv")
    assert "resctrl_hots is not a variable of kvmops.resctrl. Did you mean resctrl_hosts?" in said


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_value_that_is_none_of_the_choices_is_refused_with_these(play, name):
    spec = options_of(f"playbooks/{name}")
    chosen = next((option for option, one in spec.items() if one.get("choices")), "resctrl_monitor_default")
    said = play(name, **{chosen: "perhaps"})
    assert f"value of {chosen} must be one of: " in said
    assert "got: perhaps" in said


@pytest.mark.parametrize("name", [name for name in PLAYBOOKS if required(name)])
def test_what_is_required_is_asked_for(play, name):
    assert f"missing required arguments: {', '.join(required(name))}" in play(name)


def test_a_host_that_is_not_in_the_inventory_is_not_looked_at_in_vain(play, tmp_path):
    said = play("investigate", resctrl_host="kvm11", resctrl_directory=tmp_path)
    assert "resctrl_host is kvm11. Give the name of one host of the inventory." in said


def test_a_host_that_a_limit_leaves_out_is_not_looked_at_in_vain(play, tmp_path):
    asked = {"resctrl_host": "kvm2", "resctrl_directory": tmp_path}
    said = play("investigate", "--limit", "kvm1", inventory="kvm1,kvm2", **asked)
    assert "resctrl_host is kvm2, which --limit leaves out." in said


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"resctrl_monitor_source": "processes"},
            "resctrl_host_source is libvirt, and resctrl_monitor_source is processes. Give all of them the same value.",
        ),
        (
            {"resctrl_source": "processes"},
            "resctrl_host_source is libvirt, and resctrl_monitor_source is libvirt, and resctrl_source, which other "
            "playbooks read, is processes. Give all of them the same value.",
        ),
    ],
    ids=["one of two roles", "none of the roles"],
)
def test_domains_are_not_told_by_another_source_to_one_role_than_to_the_other(play, variables, said):
    assert said in play("prepare", **variables)
