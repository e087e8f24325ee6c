# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An error is a sentence for a reader, and a code for machines."""

from __future__ import annotations

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors


def test_the_sentence_has_the_advice():
    assert str(errors.Moved("It moved")) == "It moved"
    assert str(errors.Moved("It moved", hint="Run again")) == "It moved. Run again"


def test_the_code_is_the_name_in_small_letters():
    assert errors.RmidsExhausted.code == "rmids_exhausted"
    assert errors.CpuWithoutMonitoring.code == "cpu_without_monitoring"


def test_a_module_that_fails_says_all_of_it():
    assert errors.Moved("It moved", path="/x", hint="Run again").fields() == {
        "msg": "It moved. Run again",
        "code": "moved",
        "path": "/x",
        "hint": "Run again",
    }
