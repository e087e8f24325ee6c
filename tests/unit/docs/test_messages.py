# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the site says of messages is what the library says."""

from __future__ import annotations

import pathlib
import re

import messages
import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors

SITE = pathlib.Path(__file__).parents[3] / "docs/docsite/rst"
EVERY = messages.messages()
TROUBLE = (SITE / "troubleshooting.rst").read_text(encoding="utf-8")
# A line that is nothing but a message: what is below it explains it
QUOTED = [quoted for quoted in re.findall(r"^``(.+)``$", TROUBLE, re.MULTILINE) if " " in quoted and "``" not in quoted]


def matching(quoted):
    """The messages in the source which can read like that."""
    parts = {text: text.split(messages.PART) for text in messages.sayings()}
    near = {text: fixed for text, fixed in parts.items() if all(part in quoted for part in fixed)}
    return {text for text, fixed in near.items() if re.fullmatch(".+".join(map(re.escape, fixed)), quoted)}


def test_the_page_of_all_messages_is_made_from_the_source():
    assert (SITE / "messages.rst").read_text(encoding="utf-8") == messages.page()


def test_the_codes_on_it_are_those_that_the_library_returns():
    classes = {value for value in vars(errors).values() if isinstance(value, type) and value is not errors.ResctrlError}
    assert {kind.code for kind in messages.kinds().values()} == {one.code for one in classes if hasattr(one, "code")}


def test_every_kind_of_error_is_said_somewhere():
    made = {message.error for message in EVERY}
    bases = {kind.base for kind in messages.kinds().values()}
    assert {name for name in messages.kinds() if name not in made} <= bases


@pytest.mark.parametrize("quoted", QUOTED)
def test_what_is_explained_is_a_message_of_the_code(quoted):
    assert matching(quoted)


def test_every_kind_of_error_is_explained():
    explained = {text for quoted in QUOTED for text in matching(quoted)}
    left_out = {message.error for message in EVERY} - {
        message.error for message in EVERY if explained.intersection(message.texts)
    }
    # What it says is the message of another error
    assert left_out <= {message.error for message in EVERY if messages.PART in message.texts}


@pytest.mark.parametrize("quoted", ["Out of RMIDs: 3 needed, nobody knows why", "A message that nobody wrote"])
def test_a_message_that_is_not_in_the_code_is_noticed(quoted):
    assert not matching(quoted)
