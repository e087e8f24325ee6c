# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of variables: the specifications of playbooks and roles, and the names that are in none of them."""

from __future__ import annotations

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError

from ansible_collections.kvmops.resctrl.plugins.lookup import argument_spec as spec_lookup
from ansible_collections.kvmops.resctrl.plugins.lookup import unknown_variables as unknown_lookup
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.specs import files, known_variables, options_of


def argument_spec(*terms):
    return spec_lookup.LookupModule().run(list(terms), {})


def unknown_variables(variables, **options):
    """Loaded as Ansible does it, with the options that the documentation has."""
    lookup, name = unknown_lookup.LookupModule(), "kvmops.resctrl.unknown_variables"
    documented = yaml.safe_load(unknown_lookup.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", name, documented)
    lookup._load_name = name
    return lookup.run([], variables, **options)


def test_every_playbook_and_role_has_a_specification():
    assert sorted(files()) == [
        "playbooks/disable",
        "playbooks/enable",
        "playbooks/investigate",
        "playbooks/prepare",
        "playbooks/report",
        "playbooks/status",
        "playbooks/values",
        "roles/resctrl_exporter",
        "roles/resctrl_host",
        "roles/resctrl_monitor",
        "roles/resctrl_rules",
    ]


@pytest.mark.parametrize("name", sorted(files()))
def test_every_variable_begins_with_the_collection_s_prefix(name):
    assert options_of(name)
    assert all(option.startswith("resctrl_") for option in options_of(name))


def test_a_specification_comes_without_its_words():
    (role,) = argument_spec("roles/resctrl_monitor")
    assert role["resctrl_monitor_default"] == {
        "type": "str",
        "choices": ["enabled", "disabled", "unmanaged"],
        "default": "unmanaged",
    }
    assert role["resctrl_monitor_domains"]["options"]["name"] == {"type": "str", "required": True}


def test_disable_has_to_be_told_what():
    (playbook,) = argument_spec("playbooks/disable")
    assert playbook["resctrl_name"]["required"] is True


def test_what_has_no_specification_is_refused_with_what_has():
    with pytest.raises(AnsibleLookupError, match="no playbooks/enabel in this collection; there are playbooks"):
        argument_spec("playbooks/enabel")


def test_a_misspelt_variable_is_told_with_what_was_probably_meant():
    assert unknown_variables({"resctrl_nam": "vm3", "inventory_hostname": "kvm1"}) == [
        "resctrl_nam is not a variable of kvmops.resctrl. Did you mean resctrl_name?"
    ]


def test_a_variable_like_no_other_is_told_with_where_the_others_are():
    assert unknown_variables({"resctrl_zzzzzzzzzzzzzzz": 1, "inventory_hostname": "kvm1"}) == [
        "resctrl_zzzzzzzzzzzzzzz is not a variable of kvmops.resctrl. "
        "See docs/docsite/rst/playbooks.rst for those that there are."
    ]


def test_known_variables_facts_results_and_variables_of_others_are_no_mistakes():
    variables = {
        **dict.fromkeys(known_variables(), 1),
        "resctrl_stats": {"domains": {}},
        "ansible_facts": {"resctrl_stats": {"domains": {}}},
        "resctrl_now": {"changed": False, "failed": False, "domains": []},
        "resctrl_skipped": {"changed": False, "skipped": True, "skip_reason": "Conditional result was False"},
        "resctrl_looped": {"changed": False, "results": [], "msg": "All items completed"},
        "__resctrl_result": {},
        "monitor_default": "enabled",
        "inventory_hostname": "kvm1",
    }
    assert unknown_variables(variables) == []


def test_of_many_hosts_those_with_the_mistake_are_named():
    hosts = {"kvm1": {}, "kvm2": {"resctrl_hots": "x"}, "kvm3": {"resctrl_hots": "y"}}
    variables = {"hostvars": hosts, "inventory_hostname": "kvm1"}
    assert unknown_variables(variables, hosts=list(hosts)) == [
        "resctrl_hots (of kvm2, kvm3) is not a variable of kvmops.resctrl. Did you mean resctrl_hosts?"
    ]


def test_a_mistake_of_the_play_is_that_of_all_hosts():
    variables = {"resctrl_hots": "x", "hostvars": {"kvm1": {}, "kvm2": {}}, "inventory_hostname": "kvm1"}
    assert unknown_variables(variables, hosts=["kvm1", "kvm2"]) == [
        "resctrl_hots is not a variable of kvmops.resctrl. Did you mean resctrl_hosts?"
    ]
