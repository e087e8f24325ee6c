# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first steps of README, the demonstration and the report, from the archive alone."""

from __future__ import annotations

import json
import re

import examples
import pytest
from modules import ROOT


@pytest.fixture(scope="module")
def installed(controller, archive, hv):
    """A controller with the collection, and a host with the three domains of the proposal."""
    controller.install(archive)
    hv.host.rfc_domains()
    return controller


def test_everything_that_runs_is_out_of_the_archive(installed):
    lines = installed.run("ansible-doc --list_files kvmops.resctrl").splitlines()
    found = dict(line.split() for line in lines)
    assert sorted(found) == [f"kvmops.resctrl.resctrl_{name}" for name in ("info", "mon", "stats")]
    assert all(path.startswith(str(installed.collection)) for path in found.values())
    assert not list(installed.collection.rglob("*.pyc"))
    roles = installed.run("ansible-doc --type role --list kvmops.resctrl")
    assert len(re.findall(r"^kvmops\.resctrl\.resctrl_\w+", roles, re.MULTILINE)) >= 4


def test_no_link_was_installed_and_nothing_that_tests_need(installed):
    inside = list(installed.collection.rglob("*"))
    assert not [path for path in inside if path.is_symlink()]
    names = {path.name for path in installed.collection.iterdir()}
    assert not names & {"tests", ".git", "Makefile", "pyproject.toml"}
    assert not (installed.collection / "extensions/molecule").exists()


def commands(page):
    """The ad-hoc commands and the playbooks of a page. What prepares a host or looks closer has tests of its own."""
    lines = [line.partition("  #")[0].strip() for line in page.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if re.match("ansible(-playbook)? -i hosts.yml ", line)]
    return [line for line in found if not re.search(r"resctrl\.(prepare|investigate)\b", line)]


def test_the_commands_of_the_readme_work_as_written(installed):
    lines = commands(installed.collection / "README.md")
    assert len(lines) >= 3
    for line in lines:
        installed.run(line)


def test_the_playbook_of_the_quick_start_works_as_written(installed):
    blocks = examples.blocks("quickstart", "yaml+jinja", installed.collection / "docs/docsite/rst")
    playbooks = [block for block in blocks if "hosts: hv\n" in block]
    assert playbooks
    for playbook in playbooks:
        (installed.directory / "quickstart.yml").write_text(playbook, encoding="utf-8")
        assert "vm3" in installed.run("ansible-playbook -i hosts.yml quickstart.yml")


def test_the_demonstration_shows_what_the_proposal_does(installed, hv):
    transcript = installed.directory / "transcript"
    # It stops the counters of the lab's host, whose record is where this lab keeps it
    lab = {"KVMOPS_LAB_STATE": str(hv.lab.root)}
    installed.run(f"ansible-playbook -i hosts.yml -e transcript={transcript} {ROOT}/tests/demo/rfc.yml", **lab)
    text = transcript.read_text(encoding="utf-8")
    assert "domain is not running" in text
    assert ("Enabled (forced by cachetune)" in text) == hv.host.has_kvm()


def test_the_report_is_written(installed):
    variables = "-e resctrl_output=report.html -e resctrl_interval=1"
    installed.run(f"ansible-playbook -i hosts.yml kvmops.resctrl.report {variables}")
    assert "vm3" in (installed.directory / "report.html").read_text(encoding="utf-8")
    assert json.loads((installed.directory / "report.json").read_text(encoding="utf-8"))["hosts"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("resctrl_source=nonsense", "value of resctrl_source must be one of: libvirt, processes, got: nonsense."),
        ("resctrl_nam=vm3", "resctrl_nam is not a variable of kvmops.resctrl. Did you mean resctrl_name?"),
    ],
    ids=["a wrong value", "a misspelt name"],
)
def test_wrong_variables_are_refused_in_a_sentence(installed, variables, said):
    told = installed.run(f"ansible-playbook -i hosts.yml kvmops.resctrl.status -e {variables}", status=2)
    assert said in " ".join(told.split())


def test_what_a_play_has_registered_is_no_misspelt_variable(installed):
    """The keys of a result differ with what became of its task, and with the version of Ansible."""
    ping = {"ansible.builtin.ping": {}}
    tasks = [
        {**ping, "register": "resctrl_pinged"},
        {**ping, "register": "resctrl_skipped", "when": False},
        {**ping, "register": "resctrl_looped", "loop": [1, 2]},
        {**ping, "register": "resctrl_looped_over_nothing", "loop": []},
        {"ansible.builtin.debug": {"msg": "{{ query('kvmops.resctrl.unknown_variables') }}"}},
    ]
    play = {"hosts": "hv", "gather_facts": False, "tasks": tasks}
    (installed.directory / "registered.json").write_text(json.dumps([play]), encoding="utf-8")
    assert '"msg": []' in installed.run("ansible-playbook -i hosts.yml registered.json")
