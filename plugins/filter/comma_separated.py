# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: comma_separated
short_description: Write the virtual machines of a fleet as CSV
version_added: 1.0.0
description:
  - Returns a CSV document with a line of titles and a line for each domain, or for each domain on each cache.
  - What is not known is empty. The names in the column C(partial) stand between blanks.
options:
  _input:
    description: What the filter P(kvmops.resctrl.rank#filter) or P(kvmops.resctrl.share#filter) returned.
    type: list
    elements: dict
    required: true
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Measure for two seconds
  kvmops.resctrl.resctrl_stats:
    interval: 2

- name: Keep what each domain of this host moves
  ansible.builtin.copy:
    content: "{{ stats | kvmops.resctrl.rank | kvmops.resctrl.comma_separated }}"
    dest: /var/tmp/values.csv
    mode: "0644"
  vars:
    stats: "{{ {inventory_hostname: ansible_facts['resctrl_stats']} }}"
"""

RETURN = r"""
_value:
  description: The document.
  type: str
"""

import typing as t

from ansible_collections.kvmops.resctrl.plugins.plugin_utils import ranking
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.filters import told


@told
def comma_separated(rows: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """See ranking.comma_separated()."""
    return ranking.comma_separated(rows)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name and function."""
        return {"comma_separated": comma_separated}
