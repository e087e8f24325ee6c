# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unknown_variables
short_description: Find misspelt variables of this collection
version_added: 1.0.0
description:
  - Looks for variables whose names begin with C(resctrl_) and that no playbook and no role of this collection reads.
    The names that there are come from the argument specifications.
  - Facts that modules return, and results that a task has registered, are not looked at, so that
    C(register=resctrl_now) is no mistake. What C(set_fact) sets is a variable.
  - Playbooks and roles of this collection refuse such variables before they do anything.
options:
  hosts:
    description:
      - The hosts whose variables to look at, such as C(ansible_play_hosts_all).
      - Without it, the variables of the host that the task is for.
    type: list
    elements: str
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Refuse misspelt variables
  ansible.builtin.assert:
    that: mistakes == []
    fail_msg: "{{ mistakes | join(' ') }}"
  vars:
    mistakes: "{{ query('kvmops.resctrl.unknown_variables') }}"
"""

RETURN = r"""
_raw:
  description: A sentence for each such variable, with the name that was probably meant.
  type: list
  elements: str
  sample:
    - resctrl_nam is not a variable of kvmops.resctrl. Did you mean resctrl_name?
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.kvmops.resctrl.plugins.plugin_utils import specs


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """The lookup."""

    def run(
        self,
        terms: t.Sequence[str],  # noqa: ARG002  # Ansible passes it
        variables: t.Mapping[str, t.Any] | None = None,
        **kwargs: t.Any,  # noqa: ANN401  # the options
    ) -> list[str]:
        """A sentence for each unknown variable."""
        self.set_options(var_options=variables, direct=kwargs)
        known, own = specs.known_variables(), variables or {}
        here = specs.unknown_variables(own, known)
        hosts = self.get_option("hosts")
        if not hosts:
            return specs.sentences({own.get("inventory_hostname", ""): here}, known)
        unknown = {host: specs.unknown_variables(own["hostvars"][host], known) for host in hosts}
        # What is no variable of the host itself is one of the play, and holds for all.
        of_play = set(here) - set(own["hostvars"][own["inventory_hostname"]])
        return specs.sentences({host: [*names, *of_play] for host, names in unknown.items()}, known)
