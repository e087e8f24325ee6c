# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each filter fails where it is given something else than it takes."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.kvmops.resctrl.plugins.filter.columns import columns
from ansible_collections.kvmops.resctrl.plugins.filter.rank import rank
from ansible_collections.kvmops.resctrl.plugins.filter.report import report
from ansible_collections.kvmops.resctrl.plugins.filter.share import share
from ansible_collections.kvmops.resctrl.plugins.filter.summary import summary


@pytest.mark.parametrize("wrong", [{"kvm1": "text"}, ["kvm1"]])
@pytest.mark.parametrize("function", [rank, report, share, summary])
def test_a_filter_that_is_given_something_else_fails_with_its_name(function, wrong):
    with pytest.raises(AnsibleFilterError, match=rf"^kvmops\.resctrl\.{function.__name__}: [A-Za-z]+Error: "):
        function(wrong)


def test_so_does_a_table():
    assert columns([{"held": 2048.0}], ["held"], bytes=["held"]) == ["held", "2.0K"]
    with pytest.raises(AnsibleFilterError, match=r"^kvmops\.resctrl\.columns: ValueError: "):
        columns([{"held": "a text"}], ["held"], bytes=["held"])
    with pytest.raises(AnsibleFilterError, match=r"^kvmops\.resctrl\.columns: ValueError: 1 keys, but 2 titles$"):
        columns([], ["held"], ["a", "b"])
