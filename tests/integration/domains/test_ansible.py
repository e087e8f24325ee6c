# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way: Ansible's command line, SSH, the modules on the host, libvirt, QEMU, resctrl and back."""

from __future__ import annotations

import ast
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import examples
import pytest
import yaml
from modules import ROOT, collections_path

DOMAINS = ["vm3"]


PLAYBOOK = """\
- name: Monitor a domain
  hosts: hv
  gather_facts: false
  module_defaults:
    group/kvmops.resctrl.resctrl:
      name: vm3
  tasks:
    - name: Switch it on
      kvmops.resctrl.resctrl_mon:
      register: monitoring

    - name: Say it as virsh would
      ansible.builtin.assert:
        that: "monitoring.domains[0].status == 'Enabled'"

    - name: Switch it on again
      kvmops.resctrl.resctrl_mon:
      register: monitoring

    - name: Nothing was left to do
      ansible.builtin.assert:
        that: monitoring is not changed

    - name: Read the counters
      kvmops.resctrl.resctrl_stats:

    - name: The facts are there for the tasks that follow, and numbers are numbers
      ansible.builtin.assert:
        that:
          - ansible_facts['resctrl_stats']['domains'].keys() | list == ['vm3']
          - ansible_facts['resctrl_stats']['domains']['vm3']['cmt'] is integer
          - ansible_facts['resctrl_stats']['domains']['vm3']['mbm_total_bytes'] is integer

    - name: Switch it off
      kvmops.resctrl.resctrl_mon:
        state: disabled
      register: monitoring

    - name: It is off
      ansible.builtin.assert:
        that: "monitoring.domains[0].status == 'Disabled'"
"""

CONFIGURATION = """\
[defaults]
collections_path = {collections}
home = {directory}
inventory = {directory}/inventory.json
nocolor = true

[ssh_connection]
# The connection is kept for the next command, but not for long
ssh_args = -o ControlMaster=auto -o ControlPersist=2s
"""


@pytest.fixture(scope="module")
def ansible(host, tmp_path_factory):
    """Runs a command line of Ansible's, in which `hv` is the host."""
    directory = tmp_path_factory.mktemp("ansible")
    configuration = directory / "ansible.cfg"
    configuration.write_text(CONFIGURATION.format(collections=collections_path(), directory=directory))
    (variables,) = host.lab.inventory([host.host.name])["all"]["hosts"].values()
    (directory / "inventory.json").write_text(json.dumps({"all": {"hosts": {"hv": variables}}}))
    (directory / "playbook.yml").write_text(PLAYBOOK)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(configuration),
        "LC_ALL": "C.UTF-8",
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def run(line):
        return subprocess.run(
            shlex.split(line),
            env=env,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def said(done):
    """What an ad-hoc command printed about the host: a word, and the module's result."""
    head, _arrow, result = done.stdout.partition(" => ")
    assert result, done.stdout + done.stderr
    return head.splitlines()[-1], json.loads(result)


def test_ad_hoc_commands(hv, ansible):
    """Without become, since the connection is root's."""
    word, result = said(ansible('ansible hv -m kvmops.resctrl.resctrl_mon -a "name=vm3 state=enabled"'))
    assert word == "hv | CHANGED"
    assert result["domains"][0]["status"] == "Enabled"
    assert hv.groups() == {hv.ours("vm3"): set(hv.vcpus("vm3").values())}

    hv.control.set(hv.ours("vm3"), 0, "llc_occupancy", 180224)
    word, result = said(ansible("ansible hv -m kvmops.resctrl.resctrl_stats"))
    assert word == "hv | SUCCESS"
    assert result["ansible_facts"]["resctrl_stats"]["domains"]["vm3"]["cmt"] == 180224

    word, result = said(ansible('ansible hv -m kvmops.resctrl.resctrl_info -a "name=vm3"'))
    assert word == "hv | SUCCESS"
    assert result["domains"][0]["status"] == "Enabled"
    assert result["host"]["supported"]


def test_failure(hv, ansible):
    hv.start("vm1")
    hv.virsh("destroy", "vm1")
    done = ansible('ansible hv -m kvmops.resctrl.resctrl_mon -a "name=vm1 state=disabled"')
    assert done.returncode == 2
    word, result = said(done)
    assert word == "hv | FAILED!"
    assert result["msg"] == "Requested operation is not valid: domain is not running"


def test_check_mode_and_diff(hv, ansible):
    done = ansible('ansible hv -m kvmops.resctrl.resctrl_mon -a "name=vm3 state=enabled" --check --diff')
    word, result = said(done)
    assert word == "hv | CHANGED"
    assert result["domains"][0]["status"] == "Enabled"
    assert hv.groups() == {}
    changed = [line for line in done.stdout.splitlines() if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]
    assert changed == ["-vm3: Disabled", "+vm3: Enabled", f"+  /sys/fs/resctrl/{hv.ours('vm3')}: vCPU 0, 1"]


def test_playbook(hv, ansible):
    """With the modules' common options in the action group's defaults."""
    done = ansible("ansible-playbook playbook.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    (recap,) = (line.split() for line in done.stdout.splitlines() if line.startswith("hv  "))
    assert {"ok=8", "changed=2", "failed=0", "unreachable=0"} <= set(recap)
    assert hv.groups() == {}


# -- the documentation -------------------------------------------------------------------------------------------------


COMMANDS = ("README.md", "docs/docsite/rst/quickstart.rst", "docs/docsite/rst/playbooks.rst")


def commands_of(page):
    """Ansible's command lines in a page, for the host of these tests.

    What prepares a host is molecule's to try, and what looks closer has tests of its own.
    """
    lines = [line.partition("  #")[0].strip() for line in (ROOT / page).read_text().splitlines()]
    found = [line for line in lines if line.startswith(("ansible -i", "ansible-playbook -i"))]
    found = [line for line in found if not re.search(r"resctrl\.(prepare|investigate)\b", line)]
    assert found
    return [re.sub("-i (hosts.yml|INVENTORY) ", "", line) for line in found]


@pytest.mark.parametrize("line", [line for page in COMMANDS for line in commands_of(page)])
def test_a_command_of_the_documentation_works_as_written(hv, ansible, line):
    assert hv.query("vm3")["active"]
    done = ansible(line)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_playbook_of_the_quick_start_works_as_written(hv, ansible, tmp_path):
    (playbook,) = (block for block in examples.blocks("quickstart", "yaml+jinja") if "hosts: hv\n" in block)
    (tmp_path / "quickstart.yml").write_text(playbook)
    done = ansible(f"ansible-playbook {tmp_path}/quickstart.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"vm3 +[0-9.]+[BKMG]", done.stdout)
    assert hv.ours("vm3") in hv.groups()


@pytest.mark.parametrize("module", ["resctrl_mon", "resctrl_stats", "resctrl_info"])
def test_the_examples_of_a_module_work_as_written(hv, ansible, tmp_path, module):
    source = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text())
    assignments = (node for node in source.body if isinstance(node, ast.Assign))
    texts = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assignments}
    hv.enable("vm3")
    for name in re.findall("[0-9a-f]{8}-[0-9a-f-]{27}", texts["EXAMPLES"]):
        hv.start("by-uuid", uuid=name)
    play = {"name": "Examples", "hosts": "hv", "gather_facts": False, "tasks": yaml.safe_load(texts["EXAMPLES"])}
    (tmp_path / "examples.yml").write_text(yaml.safe_dump([play]))
    done = ansible(f"ansible-playbook {tmp_path}/examples.yml")
    assert done.returncode == 0, done.stdout + done.stderr
