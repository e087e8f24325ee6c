# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role resctrl_monitor installs where no libvirt tells which domains there are (resctrl_monitor_source)."""

from __future__ import annotations

import os
import pathlib
import re

import jinja2
import pytest
import yaml

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act import enforcement, turns, upkeep
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel import changes
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import SOURCES
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.qemu import WATCHED
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.source import STATE_DIRECTORY
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.specs import options_of

ROLES = pathlib.Path(__file__).parents[3] / "roles"
ROLE = ROLES / "resctrl_monitor"


def values(unit, key, source, role="resctrl_monitor"):
    """What a unit of a role says for a key, once or several times."""
    # As Ansible sets them
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    environment.filters["basename"] = os.path.basename
    template = environment.from_string((ROLES / role / f"templates/{unit}.j2").read_text())
    text = template.render(
        ansible_managed="",
        resctrl_monitor_source=source,
        resctrl_monitor_python="/usr/bin/python3",
        __resctrl_monitor_command="/usr/local/sbin/resctrl-mon",
        __resctrl_monitor_path="/sys/fs/resctrl",
        __resctrl_monitor_memory="/run/kvmops-resctrl",
        __resctrl_exporter_into="/var/lib/prometheus/node-exporter",
        __resctrl_exporter_file="/var/lib/prometheus/node-exporter/resctrl.prom",
    )
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def test_the_sources_are_those_of_the_library():
    assert options_of("roles/resctrl_monitor")["resctrl_monitor_source"]["choices"] == list(SOURCES)


def test_what_is_watched_is_what_a_run_looks_at_again_before_it_ends():
    assert values("kvmops-resctrl.path", "PathChanged", "processes") == list(WATCHED)
    assert values("kvmops-resctrl.path", "PathChanged", "libvirt") == [STATE_DIRECTORY]


@pytest.mark.parametrize("role", ["resctrl_monitor", "resctrl_exporter"])
def test_the_capability_to_see_what_others_run_is_given_only_where_it_is_needed(role):
    unit = {"resctrl_monitor": "kvmops-resctrl.service", "resctrl_exporter": "kvmops-resctrl-exporter.service"}[role]
    assert values(unit, "CapabilityBoundingSet", "libvirt", role) == ["CAP_DAC_OVERRIDE"]
    assert values(unit, "CapabilityBoundingSet", "processes", role) == ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]


@pytest.mark.parametrize("source", SOURCES)
def test_the_command_knows_the_source_of_its_host(source):
    """The task that installs it replaces what stands there once."""
    tasks = yaml.safe_load((ROLE / "tasks/command.yml").read_text())
    (task,) = (task for task in tasks if task["name"] == "Install the command")
    start = task["vars"]["__resctrl_monitor_start"]
    old, before, after = re.search(r"replace\('(.*)', '(.*)' ~ resctrl_monitor_source ~ '(.*)'\)", start).groups()
    agent = (ROLE / "files/agent.py").read_text()
    assert agent.count(old) == 1
    assert f'\nSOURCE = "{source}"\n' in agent.replace(old, f"{before}{source}{after}")


def test_a_run_of_the_agent_that_hangs_is_ended_but_none_that_waits_for_others():
    """A unit of type oneshot has no limit of its own (systemd.service(5))."""
    waits = turns._PATIENCE + changes._LOCK_PATIENCE + enforcement._PATIENCE + upkeep._LOOK_EVERY
    (limit,) = values("kvmops-resctrl.service", "TimeoutStartSec", "libvirt")
    assert int(limit) > upkeep._MOST_LOOKS * waits
