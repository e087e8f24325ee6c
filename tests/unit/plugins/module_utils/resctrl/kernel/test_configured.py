# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an event of memory bandwidth counts, where that can be changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.configured import (
    KINDS,
    changed,
    file_of,
    in_words,
    is_default,
    kinds_of,
    parse_kinds,
)

TOTAL, LOCAL = "mbm_total_bytes", "mbm_local_bytes"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("0x7f", KINDS),
        ("0x15", ("local_reads", "local_non_temporal_writes", "local_reads_slow_memory")),
        ("0x30", ("local_reads_slow_memory", "remote_reads_slow_memory")),
        ("0x0", ()),
        ("0x81", ("local_reads", "0x80")),
        ("local_reads,dirty_victim_writes_all\n", ("local_reads", "dirty_victim_writes_all")),
        ("new_kind", ("new_kind",)),
        ("", ()),
    ],
)
def test_masks_and_names_say_the_same(text, kinds):
    assert parse_kinds(text) == kinds


@given(st.sets(st.sampled_from(KINDS)))
def test_a_mask_and_the_names_of_its_bits_are_the_same_kinds(kinds):
    mask = sum(1 << KINDS.index(kind) for kind in kinds)
    names = ",".join(kind for kind in KINDS if kind in kinds)
    assert parse_kinds(f"{mask:#04x}") == parse_kinds(names)


@given(st.text())
def test_any_text_is_read(text):
    assert isinstance(parse_kinds(text), tuple)


@pytest.mark.parametrize(
    ("event", "mask", "default"),
    [
        (TOTAL, "0x7f", True),
        (LOCAL, "0x15", True),
        # Hardware without slow memory
        (TOTAL, "0x4f", True),
        (LOCAL, "0x05", True),
        (TOTAL, "0x15", False),
        (TOTAL, "0x6f", False),
        (LOCAL, "0x35", False),
        (LOCAL, "0x7f", False),
        (TOTAL, "0xff", False),
        (TOTAL, "0x0", False),
    ],
)
def test_the_default_is_everything_or_everything_local(event, mask, default):
    assert is_default(event, parse_kinds(mask)) is default


CONFIGURED = {TOTAL: {0: "0x7f", 1: "0x03", 2: "0x03"}, LOCAL: {0: "0x15", 1: "0x15", 2: "0x00"}}


def test_only_what_was_changed_is_told_for_each_cache():
    assert changed(CONFIGURED, [0, 1, 2]) == {
        TOTAL: dict.fromkeys((1, 2), ("local_reads", "remote_reads")),
        LOCAL: {2: ()},
    }
    assert changed(CONFIGURED, [0]) == changed({}, [0]) == {}


def test_what_is_the_same_on_all_caches_is_told_of_each_that_there_is():
    assert kinds_of({TOTAL: {-1: "local_reads"}}, TOTAL, [8, 0]) == {0: ("local_reads",), 8: ("local_reads",)}
    assert kinds_of({TOTAL: {0: "0x01"}}, TOTAL, [0, 8]) == {0: ("local_reads",)}


def test_in_words_caches_with_the_same_are_told_together():
    kinds = changed(CONFIGURED, [0, 1, 2])
    assert in_words(kinds[TOTAL]) == "local_reads, remote_reads on L3 cache 1, 2"
    assert in_words({0: ("local_reads",), **kinds[LOCAL]}) == "local_reads on L3 cache 0; nothing on L3 cache 2"


def test_the_file_is_that_of_the_mechanism():
    assert file_of(CONFIGURED, TOTAL) == "mbm_total_bytes_config"
    assert file_of({TOTAL: {-1: ""}}, TOTAL) == "event_configs/mbm_total_bytes/event_filter"
