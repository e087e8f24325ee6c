# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only Ansible itself can show: options as words, defaults of the action group, facts and where they go."""

from __future__ import annotations

import sys

import pytest
import yaml
from modules import ansible_environment


@pytest.fixture
def ansible(host, tmp_path):
    """Runs an Ansible command on the host, as on a managed one: its exit status and output."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **ansible_environment(home),
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }

    def run(command, *arguments):
        argv = ["env", f"--chdir={home}", sys.executable, "-m", "ansible", command, "--inventory", "localhost,"]
        argv += ["--connection", "local", *arguments]
        return host.run_program(argv, environment, 60)

    run.environment = environment
    return run


@pytest.fixture
def play(host, ansible, tmp_path):
    """Runs a play with these keys on the host; the modules' defaults lead to its libvirt and resctrl."""
    path = tmp_path / "play.yml"

    def run(*arguments, **keys):
        defaults = {"group/kvmops.resctrl.resctrl": {"uri": host.domains.uri, "resctrl_path": host.resctrl}}
        keys = {"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, **keys}
        path.write_text(yaml.safe_dump([keys]), encoding="utf-8")
        status, output = ansible("playbook", str(path), *arguments)
        assert status == 0, output
        return output

    return run


def test_the_ad_hoc_command_switches_monitoring_on_and_fails_in_the_rfcs_words(host, ansible):
    vm3 = host.domains.add("vm3")
    host.domains.define("vm1")
    words = f"name=vm3,vm1 state=enabled uri={host.domains.uri} resctrl_path={host.resctrl}"
    status, output = ansible("adhoc", "localhost", "-m", "kvmops.resctrl.resctrl_mon", "-a", words)
    assert status == 2
    assert '"msg": "Requested operation is not valid: domain is not running"' in output
    assert '"status": "Enabled"' in output
    assert host.groups() == {host.group(vm3): set(vm3.vcpus.values())}


def test_a_play_in_check_mode_shows_the_diff_and_changes_nothing(host, play):
    vm3 = host.domains.add("vm3")
    tasks = [{"kvmops.resctrl.resctrl_mon": {"name": ["vm3"]}}] * 2
    output = play("--check", "--diff", tasks=tasks)
    assert f"+  {host.path(host.group(vm3))}: vCPU 0, 1" in output
    assert "changed=2" in output
    assert host.changes() == []
    assert "changed=1" in play(tasks=tasks)


def test_the_defaults_of_the_action_group_reach_every_module_and_the_redirect(host, play):
    host.enable(host.domains.add("vm3"))
    play(
        tasks=[
            {"kvmops.resctrl.resctrl_mon": {"name": "vm3"}},
            {"kvmops.resctrl.resctrl_info": {}, "register": "info"},
            {"ansible.builtin.assert": {"that": ["info.domains[0].status == 'Enabled'", "info.host.supported"]}},
            {"kvmops.resctrl.resctrl_facts": {}},
            {"ansible.builtin.assert": {"that": "ansible_facts['resctrl_stats']['domains']['vm3']['active']"}},
        ]
    )


def test_the_statistics_can_be_gathered_with_the_facts_and_are_cached(host, ansible, play, tmp_path):
    host.control.set(host.enable(host.domains.add("vm3")), host.cache, "llc_occupancy", 180224)
    ansible.environment["ANSIBLE_CACHE_PLUGIN"] = "jsonfile"
    fact = "ansible_facts['resctrl_stats']['domains']['vm3']['cmt']"
    play(
        gather_facts=True,
        vars={"ansible_facts_modules": ["kvmops.resctrl.resctrl_stats"]},
        tasks=[{"ansible.builtin.assert": {"that": f"{fact} == 180224"}}],
    )
    (cached,) = [path for path in (tmp_path / "facts").iterdir() if path.name.endswith("localhost")]
    assert "180224" in cached.read_text(encoding="utf-8")
    play(tasks=[{"ansible.builtin.assert": {"that": f"{fact} == 180224"}}])  # nothing is gathered: out of the cache
