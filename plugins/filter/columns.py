# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: columns
short_description: Lay a list of dictionaries out as the lines of a table
version_added: 1.0.0
description:
  - Returns a line of titles and a line for each dictionary, in columns that are as wide as they have to be.
  - Numbers stand at the right of their columns, texts at the left. Fractions have six digits, and what is null is shown
    as a dash.
positional: keys
options:
  _input:
    description: The dictionaries.
    type: list
    elements: dict
    required: true
  keys:
    description: The keys to show, each as a column, in this order.
    type: list
    elements: str
    required: true
  titles:
    description: What to write above the columns. Without it, the keys.
    type: list
    elements: str
  bytes:
    description:
      - The keys whose numbers are bytes, or bytes per second. They are shown with a unit and in at most five characters
        (V(1.2M) for 1258291), unlike those of P(ansible.builtin.human_readable#filter), which also takes no null.
    type: list
    elements: str
    default: []
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Measure for two seconds
  kvmops.resctrl.resctrl_stats:
    interval: 2

- name: Show who moves most data
  ansible.builtin.debug:
    msg: "{{ ranked | kvmops.resctrl.columns(['host', 'domain', 'llc_occupancy'], bytes=['llc_occupancy']) }}"
  vars:
    ranked: "{{ {inventory_hostname: ansible_facts['resctrl_stats']} | kvmops.resctrl.rank }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.table import human
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.columns import lines_of
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.filters import told


@told
def columns(
    rows: t.Sequence[t.Mapping[str, t.Any]],
    keys: t.Sequence[str],
    titles: t.Sequence[str] | None = None,
    bytes: t.Sequence[str] = (),  # noqa: A002  # the option's name in the field's own terms
) -> list[str]:
    """The lines of a table, see lines_of()."""
    heads = list(titles or keys)
    if len(heads) != len(keys):
        raise ValueError(f"{len(keys)} keys, but {len(heads)} titles")
    cells = [[_cell(row.get(key), key in bytes) for key in keys] for row in rows]
    numbers = {key for key in keys if key in bytes or any(isinstance(row.get(key), (int, float)) for row in rows)}
    texts = {head for head, key in zip(heads, keys) if key not in numbers}
    return lines_of(heads, cells, texts)


def _cell(value: t.Any, is_bytes: bool) -> str:  # noqa: ANN401  # whatever a dictionary holds
    if value is None:
        return "-"
    if is_bytes:
        return human(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name and function."""
        return {"columns": columns}
