# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
short_description: Sum up what came of a playbook on each host of a fleet
version_added: 1.0.0
description:
  - Returns the lines of a table with a line for each host, and below it what there is to say about hosts.
  - The playbooks of this collection end with it.
positional: name_domains, planned
options:
  _input:
    description:
      - A dictionary with the host's name as key, and as value what M(kvmops.resctrl.resctrl_mon) or
        M(kvmops.resctrl.resctrl_info) returned there.
    type: dict
    required: true
  name_domains:
    description: Whether to write a line for each domain below that of its host.
    type: bool
    default: false
  planned:
    description:
      - Show how the domains will stand, instead of how they stand now. Only what M(kvmops.resctrl.resctrl_info)
        returned can be shown so.
      - V(policy) is when what is declared for them is enforced, V(removal) is when all that is not libvirt's own ends.
    type: str
    choices: [policy, removal]
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Ask each host how its domains stand
  kvmops.resctrl.resctrl_info:
  register: monitoring

- name: Show the state of each host
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | kvmops.resctrl.summary }}"
  run_once: true
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'monitoring') }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.kvmops.resctrl.plugins.plugin_utils.filters import told
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.summary import summary_of


@told
def summary(
    results: t.Mapping[str, t.Mapping[str, t.Any]], name_domains: bool = False, planned: str | None = None
) -> list[str]:
    """See summary_of()."""
    return summary_of(results, name_domains, planned)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name and function."""
        return {"summary": summary}
