# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rank
short_description: Put the virtual machines of a fleet in one list, ordered by what they occupy or move
version_added: 1.0.0
description:
  - Makes one list of all running domains of all hosts out of what M(kvmops.resctrl.resctrl_stats) returned on each.
  - The largest value comes first, unknown ones come last.
positional: by
options:
  _input:
    description: A dictionary with the host's name as key and its fact C(resctrl_stats) as value.
    type: dict
    required: true
  by:
    description:
      - What to order by. V(total) and V(local) are memory traffic per second, so they need an interval, and so does
        V(energy), the watts that the cores use for a domain, where the CPU tells them. V(cache) is the cache occupied
        now.
    type: str
    choices: [total, local, cache, energy]
    default: total
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Measure for two seconds
  kvmops.resctrl.resctrl_stats:
    interval: 2

- name: Name the three domains of this host that move most data
  ansible.builtin.debug:
    msg: "{{ (stats | kvmops.resctrl.rank)[:3] | map(attribute='domain') }}"
  vars:
    stats: "{{ {inventory_hostname: ansible_facts['resctrl_stats']} }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary for each domain with C(host), C(domain), C(uuid), C(status), C(llc_occupancy),
      C(mbm_total_bytes_per_second), C(mbm_local_bytes_per_second), C(core_energy_per_second), C(seconds), C(partial)
      (the names of values of which only the known part is given) and C(reason) (why a value is not known).
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.kvmops.resctrl.plugins.plugin_utils import ranking
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.filters import told


@told
def rank(stats: t.Mapping[str, t.Mapping[str, t.Any]], by: str = "total") -> list[dict[str, t.Any]]:
    """See ranking.rank()."""
    return ranking.rank(stats, by)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name and function."""
        return {"rank": rank}
