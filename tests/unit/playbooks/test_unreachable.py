# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report and a ranking tell of hosts that cannot be reached: nothing listens on their port."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys

import pytest
from modules import ansible_environment

REASON = "Failed to connect to the host via ssh: ssh: connect to host 127.0.0.1 port "


@pytest.fixture(name="play")
def play_fixture(tmp_path):
    """Runs a playbook on the hosts kvm1 and kvm2, neither of which answers: (status, what Ansible says)."""
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        host = {"ansible_host": "127.0.0.1", "ansible_port": nobody_listens.getsockname()[1]}
        inventory = {"all": {"hosts": {"kvm1": host, "kvm2": host}}}
        (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
        environment = ansible_environment(tmp_path)

        def run(*words):
            argv = [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.json", *words]
            done = subprocess.run(
                argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
            )
            return done.returncode, done.stdout + done.stderr

        yield run


def told(path):
    """Host -> why nothing is known of it, as a file of the playbooks has it."""
    return json.loads(path.read_text(encoding="utf-8"))["failed"]


@pytest.mark.parametrize("words", [(), ("--limit", "kvm1,kvm2")], ids=["all", "limited"])
def test_where_no_host_answers_the_page_says_so_of_each(play, tmp_path, words):
    status, output = play("kvmops.resctrl.report", *words)
    assert status == 4, output
    assert len(re.findall("(?m)^kvm[12] .* unreachable=1 .* failed=0 ", output)) == 2, output
    page = (tmp_path / "resctrl-report.html").read_text(encoding="utf-8")
    assert "Nothing was measured, so nothing can be said." in page
    reasons = told(tmp_path / "resctrl-report.json")
    assert list(reasons) == ["kvm1", "kvm2"]
    for host, reason in reasons.items():
        assert f'<td class="name">{host}</td><td class="w">{reason}</td>' in page
        assert f'"{host}: {reason}"' in output


def test_where_no_host_answers_the_ranking_says_so_of_each(play, tmp_path):
    status, output = play("kvmops.resctrl.values", "-e", "resctrl_output=values.json")
    assert status == 4, output
    reasons = told(tmp_path / "values.json")
    assert list(reasons) == ["kvm1", "kvm2"]
    for host, reason in reasons.items():
        assert f'"{host}: {reason}"' in output


def test_a_reason_is_one_line_and_the_same_to_both(play, tmp_path):
    play("kvmops.resctrl.report")
    play("kvmops.resctrl.values", "-e", "resctrl_output=values.json")
    reasons = told(tmp_path / "resctrl-report.json")
    assert reasons == told(tmp_path / "values.json")
    for reason in reasons.values():
        assert re.fullmatch(re.escape(REASON) + r"\d+: Connection refused", reason), reason
