# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook kvmops.resctrl.prepare on a host whose libvirtd does not run: nothing is changed there."""

from __future__ import annotations

import sys

import pytest
from modules import ansible_environment


@pytest.fixture(name="prepare")
def prepare_fixture(host, tmp_path):
    """Runs the playbook in check mode: prepare(words...) -> (status, output as one line)."""
    home = tmp_path / "home"
    home.mkdir()
    environment = ansible_environment(home)

    def run(*words):
        argv = ["env", f"--chdir={home}", sys.executable, "-m", "ansible", "playbook", "--inventory", "localhost,"]
        argv += ["--connection", "local", "--check", "-e", f"resctrl_path={host.resctrl}", *words]
        status, output = host.run_program([*argv, "kvmops.resctrl.prepare"], environment, 120)
        return status, " ".join(output.split())

    return run


def test_the_reason_why_a_host_cannot_be_asked_is_the_message_of_the_failure(prepare):
    status, output = prepare()
    assert status == 2, output
    assert '"msg": "libvirt does not answer at qemu:///system' in output, output
    assert "failed_when" not in output
