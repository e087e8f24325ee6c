# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: nearest
short_description: Find the word that was probably meant
version_added: 1.0.0
description:
  - Returns the word of a list that looks most like the one given, or an empty string if none does.
positional: known
options:
  _input:
    description: The word.
    type: str
    required: true
  known:
    description: The words that there are.
    type: list
    elements: str
    required: true
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Say which variable was probably meant
  ansible.builtin.debug:
    msg: "Did you mean {{ 'resctrl_nam' | kvmops.resctrl.nearest(['resctrl_name', 'resctrl_hosts']) }}?"
"""

RETURN = r"""
_value:
  description: The nearest word, or an empty string.
  type: str
  sample: resctrl_name
"""

import difflib
import typing as t


def nearest(word: str, known: t.Sequence[str]) -> str:
    """The word of `known` that looks most like `word`; "" if none does."""
    found = difflib.get_close_matches(word.lower(), [one.lower() for one in known], n=1, cutoff=0.6)
    return next((one for one in known if found and one.lower() == found[0]), "")


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Its name and function."""
        return {"nearest": nearest}
