# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: argument_spec
short_description: Read the argument specification of a playbook or role of this collection
version_added: 1.0.0
description:
  - Returns the options of playbooks and roles of this collection, in the form that
    M(ansible.builtin.validate_argument_spec) takes.
  - The playbooks of this collection begin with it. They cannot leave it to Ansible, which does that only from
    ansible-core 2.20 on.
options:
  _terms:
    description: Playbooks and roles, as V(playbooks/NAME) and V(roles/NAME).
    type: list
    elements: str
    required: true
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Check the variables of a role before anything is done
  ansible.builtin.validate_argument_spec:
    argument_spec: "{{ lookup('kvmops.resctrl.argument_spec', 'roles/resctrl_monitor') }}"
"""

RETURN = r"""
_raw:
  description: The options of each playbook or role, by their names.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.kvmops.resctrl.plugins.plugin_utils.specs import files, options_of


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """The lookup."""

    def run(
        self,
        terms: t.Sequence[str],
        variables: t.Mapping[str, t.Any] | None = None,  # noqa: ARG002  # Ansible passes it
        **kwargs: t.Any,  # noqa: ANN401, ARG002
    ) -> list[dict[str, t.Any]]:
        """The options of each term."""
        unknown = sorted(set(terms) - set(files()))
        if unknown:
            raise AnsibleLookupError(
                f"kvmops.resctrl.argument_spec: no {', '.join(unknown)} in this collection; "
                f"there are {', '.join(sorted(files()))}"
            )
        return [options_of(term) for term in terms]
