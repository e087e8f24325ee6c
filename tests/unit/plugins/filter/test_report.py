# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has which share in a fleet, and the page of it. How a browser shows the page is in tests/integration/report."""

from __future__ import annotations

import csv
import html
import itertools
import math
import operator
import re

import pytest
from ansible.errors import AnsibleFilterError
from fleet_facts import crowded, fleet

from ansible_collections.kvmops.resctrl.plugins.filter import comma_separated as csv_filter
from ansible_collections.kvmops.resctrl.plugins.filter import report as report_filter
from ansible_collections.kvmops.resctrl.plugins.filter import share as share_filter
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.report import percent, view_of

comma_separated = csv_filter.FilterModule().filters()["comma_separated"]
report = report_filter.FilterModule().filters()["report"]
share = share_filter.FilterModule().filters()["share"]


def changed(stats, host, **changes):
    """The same facts, where each cache of one host has other values."""
    for cache in stats[host]["host"]["caches"]:
        cache.update(changes)
    return stats


# -- shares ------------------------------------------------------------------------------------------------------------


def test_there_is_a_row_for_each_domain_on_each_cache_of_each_host():
    stats = fleet(3)
    rows = share(stats)
    counted = {
        (host, name) for host, fact in stats.items() for name, one in fact["domains"].items() if one["vcpus"]["counted"]
    }
    assert {(row["host"], row["domain"]) for row in rows} == counted
    assert len(rows) == 2 * len(counted)


def test_a_share_of_the_bandwidth_is_that_of_what_everything_moves():
    for row, cache in ((row, cache) for cache in (0, 1) for row in share(fleet(1)) if row["cache"] == cache):
        (fact,) = fleet(1).values()
        whole = fact["host"]["caches"][cache]["bytes_per_second"]
        assert row["bandwidth_share"] == pytest.approx(row["mbm_total_bytes_per_second"] / whole)


def test_what_is_not_known_stays_unknown():
    rows = share(changed(fleet(1), "kvm001.example.org", bytes_per_second=None))
    assert {row["bandwidth_share"] for row in rows} == {None}
    lines = list(csv.DictReader(comma_separated(rows).splitlines()))
    assert {line["bandwidth_share"] for line in lines} == {""}


def test_the_csv_has_the_columns_of_its_rows():
    rows = share(fleet(1))
    assert next(csv.reader(comma_separated(rows).splitlines())) == list(rows[0])


def test_a_fact_without_an_analysis_is_refused_with_what_to_do():
    stats = {"kvm1": {"timestamp": "", "domains": {}}}
    with pytest.raises(AnsibleFilterError, match="the fact of kvm1 has no analysis: set analysis=true"):
        share(stats)


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_hosts_come_in_the_order_of_their_pressure():
    hosts = view_of(fleet(40), {}, "")["hosts"]
    order = [(-len(one["standing_out"]), -(one["used"] or 0.0)) for one in hosts]
    assert order == sorted(order)
    assert len({one["id"] for one in hosts}) == len(hosts) == 40


def test_the_surest_comes_first_and_a_vms_own_trouble_after_what_is_about_others():
    suspects = view_of(fleet(60), {}, "")["suspects"]
    order = [(one["own"], ["high", "medium", "low"].index(one["confidence"])) for one in suspects]
    assert order == sorted(order)
    assert {own for own, _confidence in order} == {False, True}


def test_segments_of_a_cache_never_exceed_it():
    for host in view_of(fleet(60), {}, "")["hosts"]:
        for cache in host["caches"]:
            parts = [row["share"] for row in cache["rows"]] + [cache["rest_share"]]
            assert sum(parts) <= 1.000001


def test_each_point_is_where_its_numbers_say():
    for host in view_of(fleet(20), {}, "")["hosts"]:
        points = sorted(host["scatter"]["points"], key=lambda one: one["mbm_total_bytes_per_second"])
        assert [one["y"] for one in points] == sorted((one["y"] for one in points), reverse=True)
        assert all(0 <= one["y"] <= host["scatter"]["ground"] for one in points)
        across = sorted(points, key=lambda one: one["share"])
        assert [one["x"] for one in across] == sorted(one["x"] for one in across)


def test_where_nothing_was_counted_there_is_a_page_too():
    stats = changed(
        fleet(1), "kvm001.example.org", domains=[], size=None, occupied=None, fullness=None, bytes_per_second=None
    )
    (host,) = view_of(stats, {}, "")["hosts"]
    assert host["scatter"] is None
    assert "<svg" not in report(stats)


def test_a_host_that_cannot_count_is_not_measured_and_nothing_is_said_to_stand_out_or_not():
    stats = fleet(2)
    one = stats["kvm001.example.org"]
    msg = "Neither caches nor memory bandwidth were measured on this host: The CPU has none"
    one["findings"] = [{**one["findings"][0], "kind": "not_measured", "domain": None, "msg": msg, "against": []}]
    one["host"].update(caches=[], sockets=[])
    view = view_of(stats, {}, "")
    assert (view["measured"], [host["unmeasured"] for host in view["unmeasured"]]) == (1, [msg])
    page = report({"kvm001.example.org": one})
    assert '<b id="hosts">0</b>' in page
    assert "Nothing was measured, so nothing can be said." in page
    assert msg in page
    assert "othing stands out" not in page


@pytest.mark.parametrize("speed", [0.0, 1e-9, 1e18])
def test_any_speed_has_its_place(speed):
    stats = fleet(1)
    for cache in stats["kvm001.example.org"]["host"]["caches"]:
        for one in cache["domains"]:
            one["mbm_total_bytes_per_second"] = speed
    (host,) = view_of(stats, {}, "")["hosts"]
    assert all(0 <= one["y"] <= host["scatter"]["ground"] for one in host["scatter"]["points"])


def test_names_titles_and_reasons_are_escaped():
    name = "<b>&\"'"
    text = report({name: next(iter(fleet(1).values()))}, {name: name}, title=name)
    assert name not in text
    assert text.count(html.escape(name).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")) >= 5


def test_what_would_turn_the_direction_of_writing_is_shown_as_such():
    assert "\u202e" not in report({}, {"a\u202eb": "c\udcffd"})
    assert "a\\u202eb" in report({}, {"a\u202eb": "c\udcffd"})


def test_a_page_that_cannot_be_made_says_why():
    with pytest.raises(AnsibleFilterError, match=r"kvmops[.]resctrl[.]report: KeyError"):
        report({"kvm1": {}})


# -- colours -----------------------------------------------------------------------------------------------------------


def light_of(colour):
    """How bright each of the three primary colours of "#rrggbb" shines, from 0 to 1 (sRGB)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def contrast(one, other):
    """How well one colour can be read on another: from 1 to 21; text needs 4.5 (WCAG 2)."""
    dark, bright = sorted(sum(map(operator.mul, (0.2126, 0.7152, 0.0722), light_of(colour))) for colour in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def place_of(colour):
    """Where a colour is in the space OKLab, in which what looks alike is near; black and white are 1 apart."""
    cones = ((0.41222, 0.53633, 0.05145), (0.21190, 0.68070, 0.10740), (0.08830, 0.28172, 0.62998))
    seen = [sum(map(operator.mul, row, light_of(colour))) ** (1 / 3) for row in cones]
    axes = ((0.21045, 0.79362, -0.00407), (1.97800, -2.42859, 0.45059), (0.02590, 0.78277, -0.80868))
    return [sum(map(operator.mul, row, seen)) for row in axes]


def palettes():
    """The colours of the domains on light paper, on a dark screen, and in print, in their order."""
    style = report(fleet(1)).partition("</style>")[0]
    return [re.findall("--c[0-9]+: (#[0-9a-f]{6});", part) for part in style.split(":root {")[1:]]


def test_there_are_as_many_colours_on_paper_as_on_a_light_screen_and_on_a_dark_one():
    light, dark, printed = palettes()
    assert len(light) == len(dark) == 12
    assert printed == light


@pytest.mark.parametrize(("screen", "ink"), [(0, "#ffffff"), (1, "#14181d")], ids=["light", "dark"])
def test_two_colours_can_be_told_apart_neighbours_even_more_and_names_on_them_be_read(screen, ink):
    colours = palettes()[screen]
    for one, other in itertools.combinations(colours, 2):
        assert math.dist(place_of(one), place_of(other)) > 0.1, (one, other)
    for one, other in itertools.pairwise(colours):
        assert math.dist(place_of(one), place_of(other)) > 0.2, (one, other)
    assert min(contrast(colour, ink) for colour in colours) >= 4.5


def test_those_without_a_colour_of_their_own_are_one_part_of_the_picture_and_none_of_the_rest():
    stats = crowded(15)
    (host,) = view_of(stats, {}, "")["hosts"]
    for cache in host["caches"]:
        colours = [row["colour"] for row in cache["rows"]]
        assert colours == [f"c{place}" for place in range(12)] + ["others"] * 3
        held = [row["llc_occupancy"] for row in cache["rows"][12:]]
        assert (cache["others"]["count"], cache["others"]["llc_occupancy"]) == (3, sum(held))
        assert cache["others"]["share"] == pytest.approx(sum(held) / cache["size"])
    text = report(stats)
    assert text.count('title="3 others: 768K, ') == len(host["caches"])
    assert "The 12 VMs that hold most on this host have a colour each, the others have one together." in text


def test_where_each_has_a_colour_of_its_own_nothing_is_said_of_others():
    text = report(crowded(12))
    assert " other" not in text.partition('<div class="cache">')[2].partition("<svg")[0]


@pytest.mark.parametrize(
    ("part", "text"), [(None, "-"), (0, "0%"), (0.034, "3.4%"), (0.5, "50%"), (1, "100%"), (1.2, "all")]
)
def test_a_share_in_percent(part, text):
    assert percent(part) == text


# -- domains that take turns -------------------------------------------------------------------------------------------


SAMPLED = {
    "from": "2026-11-27T08:58:00Z",
    "seconds": 60.2,
    "age": 94.0,
    "coverage": 0.4,
    "llc_occupancy": 3 << 20,
    "mbm_total_bytes_per_second": 5.0 * (1 << 30),
}


def waiting(stats, *sampled):
    """The same facts, where the first domains of the first host wait for their turn after these."""
    domains = next(iter(stats.values()))["domains"]
    for name, one in zip(domains, sampled, strict=False):
        domains[name].update(active=True, reason="waiting", sampled=one)
    return stats, list(domains)[: len(sampled)]


def test_what_was_measured_in_the_last_turn_stands_apart_with_its_window():
    stats, (name, other) = waiting(fleet(1), SAMPLED, None)
    (host,) = view_of(stats, {}, "")["hosts"]
    assert [(row["domain"], row.get("age")) for row in host["sampled"]] == [(name, 94.0), (other, None)]
    text = report(stats)
    apart = text.partition("Not counted now, or without bandwidth, since it was not their turn")[2]
    for words in (name, "3.0M", "5.0G/s", "94 s ago", "60 s", "40%", "never yet"):
        assert words in apart, words


def test_who_waits_for_a_bandwidth_counter_only_is_among_them():
    stats, (name, other) = waiting(fleet(1), {"age": 94.0, "mbm_total_bytes_per_second": 5.0}, None)
    for domain in (name, other):
        rates = {"mbm_total_bytes_per_second": None, "reasons": {"mbm_total_bytes_per_second": "unassigned"}}
        stats[next(iter(stats))]["domains"][domain].update(reason="unassigned", rates=rates)
    (host,) = view_of(stats, {}, "")["hosts"]
    assert [row["domain"] for row in host["sampled"]] == [name]


def test_a_fleet_without_turns_has_no_word_of_them():
    assert "their turn" not in report(fleet(3))
