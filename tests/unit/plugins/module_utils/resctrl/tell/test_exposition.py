# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text format of Prometheus, as its own client library reads it."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.exposition import (
    COUNTER,
    Family,
    Point,
    exposition,
)

OCCUPANCY = Family("llc_occupancy_bytes", "Bytes of cache.")
MOVED = Family("moved_bytes_total", "Bytes moved.", COUNTER)


def test_a_metric_has_its_words_its_kind_and_its_values():
    points = [
        Point(OCCUPANCY, {"domain": "vm1", "cache_id": "0"}, 4096),
        Point(MOVED, {}, Decimal("12.500000")),
        Point(OCCUPANCY, {"domain": "vm2", "cache_id": "0"}, 0),
    ]
    assert exposition(points) == (
        "# HELP llc_occupancy_bytes Bytes of cache.\n"
        "# TYPE llc_occupancy_bytes gauge\n"
        'llc_occupancy_bytes{domain="vm1",cache_id="0"} 4096\n'
        'llc_occupancy_bytes{domain="vm2",cache_id="0"} 0\n'
        "# HELP moved_bytes_total Bytes moved.\n"
        "# TYPE moved_bytes_total counter\n"
        "moved_bytes_total 12.500000\n"
    )


def test_nothing_is_an_empty_document():
    assert exposition([]) == ""


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"])), max_size=3
    ),
    st.integers(0, 2**53) | st.decimals(0, 10**9, places=6),
)
def test_whatever_a_domain_is_called_the_client_library_reads_the_same(labels, number):
    (family,) = text_string_to_metric_families(exposition([Point(OCCUPANCY, labels, number)]))
    (sample,) = family.samples
    assert (sample.name, sample.labels, sample.value) == (OCCUPANCY.name, labels, float(number))


def test_a_name_that_is_no_text_is_escaped():
    assert 'domain="\\\\udcff"' in exposition([Point(OCCUPANCY, {"domain": "\udcff"}, 1)])
