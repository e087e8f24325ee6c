# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: share
short_description: List who has which share of which cache in a fleet
version_added: 1.0.0
description:
  - Makes one list out of what M(kvmops.resctrl.resctrl_stats) returned on each host with
    O(kvmops.resctrl.resctrl_stats#module:analysis=true), with an entry for each monitored domain on each L3 cache.
options:
  _input:
    description: A dictionary with the host's name as key and its fact C(resctrl_stats) as value.
    type: dict
    required: true
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Measure for two seconds, and find out who has which share
  kvmops.resctrl.resctrl_stats:
    interval: 2
    analysis: true

- name: Name the domains that hold more than half of a cache
  ansible.builtin.debug:
    msg: "{{ shares | selectattr('share') | selectattr('share', 'gt', 0.5) | map(attribute='domain') }}"
  vars:
    shares: "{{ {inventory_hostname: ansible_facts['resctrl_stats']} | kvmops.resctrl.share }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary for each domain and cache with C(host), C(cache) (the id), C(domain), C(uuid), C(llc_occupancy) in
      bytes, C(share) (of the cache, where 1 is all), C(vcpu_share) (of the running vCPUs on the CPUs of the cache),
      C(mbm_total_bytes_per_second), C(bandwidth_share) (of what everything moves through the cache) and C(partial)
      (what is known only in part). What is not known is null.
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.kvmops.resctrl.plugins.plugin_utils import shares
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.filters import told


@told
def share(stats: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """See shares.share()."""
    return shares.share(stats)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name and function."""
        return {"share": share}
