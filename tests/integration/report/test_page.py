# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the report as a browser shows it: it says what was put in, asks for nothing, and fits the screen."""

from __future__ import annotations

import pytest
from fleet_facts import crowded, fleet

from ansible_collections.kvmops.resctrl.plugins.plugin_utils.report import page
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.shares import share

FAILED = {"kvm900.example.org": "Failed to connect to the host via ssh: No route to host"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>\u202e{{ 7*7 }}"


@pytest.fixture(name="write")
def write_fixture(tmp_path):
    """Writes a page, and gives its path."""

    def write(stats, failed=None):
        path = tmp_path / "report.html"
        path.write_text(page(stats, failed or {}, "Caches and memory bandwidth"), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("hosts", [0, 1, 3, 200])
def test_it_opens_from_a_disk_without_an_error_and_asks_for_nothing(browser, write, hosts):
    path = write(fleet(hosts), FAILED)
    browser.show(path)
    assert browser.run("return document.querySelector('#hosts').textContent") == str(hosts)
    assert browser.console() == []
    assert browser.requests() == [f"file://{path}"]


def test_its_numbers_are_those_that_were_put_in(browser, write):
    stats = fleet(3)
    browser.show(write(stats, FAILED))
    shown = browser.run(
        "return [...document.querySelectorAll('details.host')].flatMap(host => [...host.querySelectorAll('.shares')]"
        ".flatMap(table => [...table.tBodies[0].rows].map(row => [host.querySelector('summary').firstChild.data.trim(),"
        " ...[...row.cells].map(cell => cell.dataset.value)])))"
    )
    columns = ("llc_occupancy", "share", "vcpu_share", "mbm_total_bytes_per_second")
    expected = [(row["host"], row["domain"], *(row[column] for column in columns)) for row in share(stats)]
    found = [(host, domain, *map(float, numbers)) for host, domain, *numbers in shown]
    assert sorted(found) == sorted(expected)
    ((host, reason),) = FAILED.items()
    failures = browser.run("return [...document.querySelectorAll('#failures td')].map(one => one.textContent)")
    assert failures == [host, reason]


def test_what_stands_out_is_there_with_the_reason_and_what_speaks_against_it(browser, write):
    stats = fleet(20)
    browser.show(write(stats))
    findings = [one for fact in stats.values() for one in fact["findings"] if one["kind"] != "nothing_stands_out"]
    assert len(findings) > 3
    assert sorted(browser.column("#ranking", "why, and what speaks against it")) == sorted(
        one["msg"] for one in findings
    )
    doubts = sorted(sentence for one in findings for sentence in one["against"])
    shown = browser.run("return [...document.querySelectorAll('#ranking li')].map(one => one.textContent)")
    assert sorted(shown) == doubts
    xml = browser.run("return [...document.querySelectorAll('pre')].map(one => one.textContent)")
    assert sorted(xml) == sorted(one["xml"] for fact in stats.values() for one in fact["advice"])


def test_a_click_sorts_and_another_one_turns_the_order(browser, write):
    browser.show(write(fleet(30)))
    used = [float(one) for one in browser.column("#overview", "bandwidth used")]
    browser.click("#overview", "bandwidth used")
    assert [float(one) for one in browser.column("#overview", "bandwidth used")] == sorted(used, reverse=True)
    browser.click("#overview", "bandwidth used")
    assert [float(one) for one in browser.column("#overview", "bandwidth used")] == sorted(used)
    browser.click("#overview", "host")
    names = browser.column("#overview", "host")
    assert names == sorted(names, reverse=True)


def test_what_is_not_known_comes_last_whatever_the_order(browser, write):
    stats = fleet(3)
    for socket in stats["kvm002.example.org"]["host"]["sockets"]:
        socket.update(used=None, ceiling=None, ceiling_source=None)
    browser.show(write(stats))
    for _click in range(2):
        browser.click("#overview", "bandwidth used")
        assert browser.column("#overview", "bandwidth used")[-1] == ""
        assert browser.column("#overview", "host")[-1] == "kvm002.example.org"


def test_a_name_is_a_name_and_nothing_else(browser, write):
    (fact,) = fleet(1).values()
    (name, *_others) = fact["domains"]
    fact["domains"][HOSTILE] = fact["domains"].pop(name)
    for cache in fact["host"]["caches"]:
        for one in cache["domains"]:
            one["name"] = HOSTILE if one["name"] == name else one["name"]
    fact["findings"] = [
        {
            "domain": HOSTILE,
            "uuid": "u",
            "kind": "streams",
            "cache": 0,
            "package": 0,
            "since": "now",
            "numbers": {"share": 0.5},
            "confidence": "low",
            "msg": HOSTILE,
            "against": [HOSTILE],
        }
    ]
    path = write({HOSTILE: fact}, {HOSTILE: HOSTILE})
    browser.show(path)
    assert browser.run("return document.images.length + document.scripts.length") == 1
    assert browser.column("#ranking", "VM") == [HOSTILE.replace("\u202e", "\\u202e")]
    assert browser.console() == []
    assert browser.requests() == [f"file://{path}"]


@pytest.mark.parametrize("hosts", [3, 200])
@pytest.mark.parametrize("width", [1200, 390, 320])
def test_a_page_is_never_wider_than_the_screen(browser, write, hosts, width):
    browser.show(write(fleet(hosts), FAILED))
    browser.look(width)
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_it_is_dark_where_the_reader_wants_that_and_light_on_paper(browser, write):
    browser.show(write(fleet(1)))

    def paper():
        return browser.run("return getComputedStyle(document.body).backgroundColor")

    browser.look(1200)
    assert paper() == "rgb(255, 255, 255)"
    browser.look(1200, dark=True)
    assert paper() == "rgb(20, 24, 29)"
    browser.look(1200, dark=True, media="print")
    assert paper() == "rgb(255, 255, 255)"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_each_part_of_a_cache_has_a_look_of_its_own_and_the_rest_has_it_everywhere(browser, write, dark):
    browser.show(write(crowded(15)))
    browser.look(1200, dark=dark)
    paint = "(({backgroundColor, backgroundImage}) => `${backgroundColor} ${backgroundImage}`)(getComputedStyle(one))"
    parts = browser.run(f"return [...document.querySelector('.stack').children].map(one => {paint})")
    assert len(parts) == len(set(parts)) == 12 + len(["the others", "the rest"])
    rest = browser.run(f"return [...document.querySelectorAll('tfoot .dot, tfoot .meter i')].map(one => {paint})")
    assert [look for look in rest if "repeating-linear-gradient" not in look] == []
    others = browser.run(
        f"return [...document.querySelectorAll('tr.others .dot, tr.others .meter i')].map(one => {paint})"
    )
    assert set(others) == {parts[12]}


def test_on_paper_is_what_is_open_those_that_have_something_to_say_and_what_the_reader_opened(browser, write):
    browser.show(write(fleet(30)))
    closed = "return document.querySelectorAll('details:not([open])').length"
    before = browser.run(closed)
    assert 0 < before < 30
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(closed) == before


def test_who_stands_out_comes_first_and_leads_to_the_host(browser, write):
    browser.show(write(fleet(30), FAILED))
    heads = browser.run("return [...document.querySelectorAll('h2')].map(one => one.textContent)")
    assert heads == ["Who stands out, and why", "Hosts", "Each host"]
    browser.click("#ranking", "host")
    browser.run("document.querySelector('#ranking tbody tr a').click()")
    host = browser.run("return document.querySelector('#ranking tbody tr a').textContent")
    assert browser.run("return document.querySelector(location.hash).textContent").strip().startswith(host)


def test_what_was_so_before_and_a_ceiling_that_was_only_seen_are_said(browser, write):
    (fact,) = fleet(1, seed=3).values()
    fact["host"]["sockets"][0]["ceiling_source"] = "observed"
    finding = {
        "domain": "vm1",
        "uuid": "u",
        "kind": "moves_more_than_before",
        "cache": None,
        "package": 0,
        "since": "2026-11-20T09:00:00Z",
        "numbers": {"share": 0.5},
        "confidence": "low",
        "msg": "M.",
        "against": [],
    }
    fact["findings"] = [finding]
    browser.show(write({"kvm1": fact}))
    assert "So at each look since 2026-11-20T09:00:00Z." in browser.run(
        "return document.querySelector('#ranking').textContent"
    )
    assert "of most seen" in browser.run("return document.querySelector('#overview').textContent")


def test_that_nothing_stands_out_where_nothing_was_counted_is_said_to_be_unsure(browser, write):
    stats = fleet(2)
    for number, fact in enumerate(stats.values()):
        confidence = ("high", "low")[number]
        nothing = {"domain": None, "uuid": None, "kind": "nothing_stands_out", "cache": None, "package": None}
        fact["findings"] = [
            {
                **nothing,
                "since": "now",
                "numbers": {},
                "confidence": confidence,
                "msg": "Nothing stands out.",
                "against": [],
            }
        ]
    browser.show(write(stats))
    assert (
        browser.run("return document.querySelector('#nothing').textContent")
        == "Nothing stands out on any host that was measured."
    )
    assert browser.run("return document.querySelector('#unsure').textContent") == (
        "On 1 of 2 hosts that is not sure, since too much is not known there: each host says what."
    )
    cells = "return [...document.querySelectorAll('#overview tbody tr')].map(row => row.cells[1].textContent.trim())"
    assert sorted(browser.run(cells)) == ["-", "unsure"]


def test_a_link_to_a_host_opens_it(browser, write):
    browser.show(write(fleet(30)))
    browser.run("document.querySelector('#overview tbody tr:last-child a').click()")
    assert browser.run("return document.querySelector(location.hash).open")
