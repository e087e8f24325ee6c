# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an older archive to the one of this checkout, and away: neither a group nor a wish is lost, and nothing stays.
The tests build on each other.
"""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml

# All of them after the upgrade
pytestmark = pytest.mark.usefixtures("before")

# The roles need systemd
FULL = True

# What is wished of each domain, and by which way
BY_RULE, BY_SWITCH, BY_HAND, OFF = "vm-rule", "vm-switch", "vm-hand", "vm-off"
DECLARED = {
    "resctrl_monitor_default": "unmanaged",
    "resctrl_monitor_domains": [{"name": "vm-rul*", "priority": 20}, {"name": OFF, "state": "enabled"}],
    "resctrl_monitor_reserve_rmids": 2,
    "resctrl_exporter": True,
    "resctrl_exporter_directory": "/var/lib/prometheus/node-exporter",
}
# Where the roles write
PLACES = ("/etc", "/usr/local", "/var/lib", "/var/cache", "/run/systemd", "/run/kvmops-resctrl")
# What systemd, apt and libvirt note for themselves
THEIRS = "/(systemd/(timers|units|inhibit|journal|transient|sessions|users|propagate)|apt|dpkg|libvirt)"


def traces(host):
    """The files that there are where the roles may leave one."""
    argv = ["find", *PLACES, "-regextype", "posix-extended", "-regex", f".*{THEIRS}.*", "-prune", "-o", "-print"]
    return set(host.run(argv, check=False).stdout.splitlines())


def read(host, path):
    return host.run(["cat", path]).stdout


def status(host):
    """What the agent says of each domain."""
    said = json.loads(host.run(["/usr/local/sbin/resctrl-mon", "status", "--json"]).stdout)
    return {one["name"]: one["status"] for one in said}


def done_to_groups(hv):
    """What was done to groups of ours since the log was cleared."""
    return [one for one in hv.control.log("mkdir", "rmdir", "write", "rename") if "kvmops-" in one.path]


def apply_roles(controller, **variables):
    """By a playbook of one's own. The playbook `prepare` of the older collection needs ansible-core 2.19."""
    roles = [{"role": f"kvmops.resctrl.resctrl_{name}"} for name in ("exporter", "monitor")]
    play = {"hosts": "hv", "gather_facts": False, "roles": roles, "vars": {**DECLARED, **variables}}
    (controller.directory / "roles.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    controller.run("ansible-playbook -i hosts.yml roles.yml")


def prepare(controller):
    (controller.directory / "declared.json").write_text(json.dumps(DECLARED), encoding="utf-8")
    return controller.run("ansible-playbook -i hosts.yml kvmops.resctrl.prepare -e @declared.json")


class Before(t.NamedTuple):
    """How the host was: its files before the older collection came, the groups and the switches before the upgrade."""

    files: set[str]
    groups: dict[str, set[int]]
    switches: str


@pytest.fixture(scope="module")
def before(hv, controller, older_archive, archive):
    """A host that was upgraded, on which the older collection was at work, with wishes of every kind."""
    hv.host.run(["mkdir", "-p", DECLARED["resctrl_exporter_directory"]])
    files = traces(hv.host)
    for name in (BY_RULE, BY_SWITCH, BY_HAND, OFF):
        hv.start(name)
    controller.install(older_archive)
    apply_roles(controller)
    for verb, name in (("enable", BY_SWITCH), ("disable", OFF)):
        variables = f"-e resctrl_name={name} -e resctrl_persistent=true"
        controller.run(f"ansible-playbook -i hosts.yml kvmops.resctrl.{verb} {variables}")
    controller.run(f"ansible -i hosts.yml hv -m kvmops.resctrl.resctrl_mon -a name={BY_HAND}")
    before = Before(files, hv.groups(), read(hv.host, "/etc/kvmops-resctrl/switches.json"))

    hv.control.clear_log()
    controller.install(archive)
    prepare(controller)
    return before


def test_no_group_is_made_anew_and_no_thread_leaves_one(before, hv):
    assert before.groups.keys() == {hv.ours(name) for name in (BY_RULE, BY_SWITCH, BY_HAND)}
    assert hv.groups() == before.groups
    assert done_to_groups(hv) == []


def test_every_wish_is_kept(before, hv):
    assert read(hv.host, "/etc/kvmops-resctrl/switches.json") == before.switches
    said = status(hv.host)
    assert {name: said[name] for name in (BY_RULE, BY_SWITCH, BY_HAND, OFF)} == {
        BY_RULE: "Enabled",
        BY_SWITCH: "Enabled",
        BY_HAND: "Enabled",
        OFF: "Disabled",
    }
    policy = json.loads(read(hv.host, "/etc/kvmops-resctrl/policy.json"))
    assert policy["reserve_rmids"] == 2
    assert [rule["name"] for rule in policy["domains"]] == ["vm-rul*", OFF]


def test_the_agent_is_the_new_one_and_finds_nothing_to_do(controller, hv):
    for path in sorted((controller.collection / "plugins/module_utils/resctrl").rglob("*.py")):
        name = path.relative_to(controller.collection / "plugins/module_utils")
        assert read(hv.host, f"/usr/local/lib/kvmops-resctrl/{name}") == path.read_text(encoding="utf-8")
    hv.control.clear_log()
    hv.host.run(["/usr/local/sbin/resctrl-mon", "enforce"])
    assert done_to_groups(hv) == []
    for unit in ("kvmops-resctrl.timer", "kvmops-resctrl.path", "kvmops-resctrl-exporter.timer"):
        assert hv.host.run(["systemctl", "is-active", unit]).stdout == "active\n"


def test_a_second_run_changes_nothing(controller):
    assert " changed=0 " in prepare(controller)


def test_a_domain_that_was_switched_by_the_older_one_is_counted_when_it_starts_again(hv):
    hv.virsh("destroy", BY_SWITCH)
    hv.virsh("start", BY_SWITCH)
    hv.host.run(["/usr/local/sbin/resctrl-mon", "enforce"])
    assert hv.groups()[hv.ours(BY_SWITCH)] == set(hv.vcpus(BY_SWITCH).values())


def test_what_is_taken_away_leaves_nothing(before, controller, hv):
    apply_roles(controller, resctrl_exporter_state="absent", resctrl_monitor_state="absent")
    assert hv.groups() == {}
    assert traces(hv.host) == before.files
    units = hv.host.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "kvmops-resctrl*"]).stdout
    assert units == ""


def test_the_controller_keeps_nothing_but_the_collection_itself(controller):
    kept = [path for path in controller.directory.rglob("*") if "kvmops" in path.name or "resctrl" in path.name]
    assert [path for path in kept if not path.is_relative_to(controller.collections)] == []
