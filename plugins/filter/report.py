# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report
short_description: Make a page of who stands out on the hosts of a fleet
version_added: 1.0.0
description:
  - Returns an HTML document that needs nothing else, neither other files nor a network.
positional: failed
options:
  _input:
    description:
      - A dictionary with the host's name as key and as value its fact C(resctrl_stats), as
        M(kvmops.resctrl.resctrl_stats) returned it with O(kvmops.resctrl.resctrl_stats#module:analysis=true).
    type: dict
    required: true
  failed:
    description: A dictionary with the names of hosts of which there is none, and the reason.
    type: dict
    default: {}
  title:
    description: The title of the page.
    type: str
    default: Caches and memory bandwidth
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Measure for ten seconds, and find out what stands out
  kvmops.resctrl.resctrl_stats:
    interval: 10
    analysis: true

- name: Write what stands out on this host
  ansible.builtin.copy:
    content: "{{ {inventory_hostname: ansible_facts['resctrl_stats']} | kvmops.resctrl.report }}"
    dest: /var/tmp/report.html
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The document.
  type: str
"""

import typing as t

from ansible_collections.kvmops.resctrl.plugins.plugin_utils.filters import told
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.report import page


@told
def report(
    stats: t.Mapping[str, t.Mapping[str, t.Any]],
    failed: t.Mapping[str, str] | None = None,
    title: str = "Caches and memory bandwidth",
) -> str:
    """See page()."""
    return page(stats, failed or {}, title)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name and function."""
        return {"report": report}
