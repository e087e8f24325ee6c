# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text on a terminal: nothing moves the cursor, and columns are counted as a terminal counts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.text import columns, cut, pad, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("vm3", "vm3"),
        ("wäb 仮想", "wäb 仮想"),
        ("a\x1b[2Jb\n", r"a\x1b[2Jb\n"),
        ("abc\u202edef", r"abc\u202edef"),
        ("\udce4", r"\udce4"),
    ],
    ids=["plain", "other scripts", "control characters", "turned direction", "no character at all"],
)
def test_what_would_change_the_screen_is_escaped(name, shown):
    assert printable(name) == shown


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("vm3", 3), ("仮想", 4), ("e\u0301", 1), ("\uff21\uff22", 4)], ids=repr
)
def test_wide_characters_take_two_columns_and_accents_none(text, width):
    assert columns(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("vm3", 3, "vm3"),
        ("database", 5, "data+"),
        ("仮想機械", 5, "仮想+"),
        ("仮想機械", 4, "仮+"),
        ("vm3", 1, "+"),
        ("vm3", 0, ""),
    ],
)
def test_a_text_that_was_cut_says_so(text, width, shown):
    assert cut(text, width) == shown


@given(st.text(), st.integers(0, 30))
def test_a_padded_text_takes_its_columns_exactly(text, width):
    assert columns(pad(printable(text), width)) == width
