# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The domains of a fleet in one list, as a table and as CSV."""

from __future__ import annotations

import csv

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.kvmops.resctrl.plugins.filter import columns as columns_filter
from ansible_collections.kvmops.resctrl.plugins.filter import comma_separated as csv_filter
from ansible_collections.kvmops.resctrl.plugins.filter import rank as rank_filter

columns = columns_filter.FilterModule().filters()["columns"]
comma_separated = csv_filter.FilterModule().filters()["comma_separated"]
rank = rank_filter.FilterModule().filters()["rank"]


def values(cache=None, total=None, local=None, active=True, **keys):
    """What resctrl_stats returns for a domain with an interval."""
    rates = {
        "seconds": 2.0,
        "mbm_total_bytes_per_second": total,
        "mbm_local_bytes_per_second": local,
        "partial": {},
        "reasons": {},
    }
    plain = {"uuid": "u", "status": "Enabled", "llc_occupancy": cache, "partial": {}, "reasons": {}, "rates": rates}
    return {**plain, "active": active, **keys}


def fact(**domains):
    return {"timestamp": "2026-11-01T12:00:00.000000Z", "domains": domains}


def names(rows):
    return [(row["host"], row["domain"]) for row in rows]


@pytest.mark.parametrize(("by", "first"), [("total", "vm1"), ("local", "vm2"), ("cache", "vm3")])
def test_the_domain_with_the_largest_value_comes_first(by, first):
    stats = {
        "kvm1": fact(vm1=values(1, 9.0, 1.0), vm2=values(2, 1.0, 9.0)),
        "kvm2": fact(vm3=values(9, 2.0, 2.0)),
    }
    assert rank(stats, by)[0]["domain"] == first


def test_watts_are_ranked_where_they_are_told_and_unknown_where_not():
    watts = values(1, 1.0, 1.0)
    watts["rates"]["core_energy_per_second"] = 12.5
    rows = rank({"kvm1": fact(vm1=values(9, 9.0, 9.0), vm2=watts)}, "energy")
    assert [(row["domain"], row["core_energy_per_second"]) for row in rows] == [("vm2", 12.5), ("vm1", None)]
    assert rows[1]["reason"] is None


def test_by_default_it_is_ordered_by_all_traffic():
    stats = {"kvm1": fact(vm1=values(9, 1.0, 9.0), vm2=values(1, 2.0, 1.0))}
    assert names(rank(stats)) == [("kvm1", "vm2"), ("kvm1", "vm1")]


def test_zero_is_a_value_and_unknown_comes_after_it():
    stats = {"kvm1": fact(vm1=values(), vm2=values(total=0.0))}
    assert names(rank(stats)) == [("kvm1", "vm2"), ("kvm1", "vm1")]


def test_equal_values_are_ordered_by_host_and_name():
    stats = {"kvm2": fact(vm1=values(total=1.0)), "kvm1": fact(vm9=values(total=1.0), vm3=values(total=1.0))}
    assert names(rank(stats)) == [("kvm1", "vm3"), ("kvm1", "vm9"), ("kvm2", "vm1")]


def test_domains_that_are_shut_off_are_not_ranked():
    assert rank({"kvm1": fact(vm1=values(0, active=False))}) == []


def test_the_known_part_of_a_sum_counts_and_is_marked():
    part = values(partial={"llc_occupancy": 700}, reasons={"llc_occupancy": "unavailable"})
    (row,) = rank({"kvm1": fact(vm1=part)}, "cache")
    assert (row["llc_occupancy"], row["partial"], row["reason"]) == (700, ["llc_occupancy"], "unavailable")


def test_without_an_interval_there_is_no_traffic_but_the_cache_is_ranked():
    stats = {"kvm1": fact(vm1=values(1, rates=None), vm2=values(2, rates=None))}
    assert names(rank(stats, "cache")) == [("kvm1", "vm2"), ("kvm1", "vm1")]
    assert rank(stats)[0]["mbm_total_bytes_per_second"] is None


def test_an_order_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(AnsibleFilterError, match="cannot order by 'size': give cache, total, local, energy"):
        rank({}, "size")


def test_what_is_no_fact_is_refused_with_a_sentence():
    with pytest.raises(AnsibleFilterError, match=r"kvmops\.resctrl\.rank: KeyError"):
        rank({"kvm1": {}})


def test_numbers_stand_at_the_right_and_texts_at_the_left():
    rows = [{"domain": "vm1", "threads": 5}, {"domain": "database", "threads": 1234}]
    assert columns(rows, ["domain", "threads"]) == ["domain    threads", "vm1             5", "database     1234"]


def test_bytes_have_units_what_is_null_is_a_dash_and_a_list_is_one_text():
    rows = [{"cache": 1258291, "partial": ["a", "b"]}, {"cache": None, "partial": []}]
    assert columns(rows, ["cache", "partial"], titles=["cache", "known in part"], bytes=["cache"]) == [
        "cache  known in part",
        " 1.2M  a, b",
        "    -",
    ]


def test_a_column_of_which_nothing_is_known_is_one_of_bytes_or_of_texts():
    rows = [{"cache": None, "reason": None}]
    assert columns(rows, ["cache", "reason"], titles=["cache", "not known because"], bytes=["cache"]) == [
        "cache  not known because",
        "    -  -",
    ]


def test_a_table_without_rows_has_its_titles():
    assert columns([], ["host", "domain"]) == ["host  domain"]


def test_a_fraction_has_six_digits():
    rows = [{"watts": 12.3456789}, {"watts": 0.5}, {"watts": 3}]
    assert columns(rows, ["watts"]) == ["  watts", "12.3457", "    0.5", "      3"]


def test_as_many_titles_as_columns_are_needed():
    with pytest.raises(AnsibleFilterError, match="2 keys, but 1 titles"):
        columns([], ["host", "domain"], titles=["host"])


def test_a_csv_document_can_be_read_again_whatever_the_names():
    odd = 'a,"b"\nc'
    part = values(partial={"llc_occupancy": 7})
    document = comma_separated(rank({"kvm1": fact(**{odd: values(5, 1.5)}, vm2=part)}))
    first, second = csv.DictReader(document.splitlines(keepends=True))
    assert (first["domain"], first["llc_occupancy"], first["mbm_total_bytes_per_second"]) == (odd, "5", "1.5")
    assert first["mbm_local_bytes_per_second"] == ""
    assert (second["llc_occupancy"], second["partial"]) == ("7", "llc_occupancy")


def test_csv_of_what_is_no_ranking_is_refused_with_a_sentence():
    with pytest.raises(AnsibleFilterError, match=r"kvmops\.resctrl\.comma_separated: "):
        comma_separated([{"host": "kvm1"}])
