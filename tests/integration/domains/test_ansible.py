# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way: Ansible's command line, SSH, the modules on the host, libvirt, QEMU, resctrl and back."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import sys

import pytest
from modules import collections_path

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
