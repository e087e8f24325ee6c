# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains a list of names, UUIDs and patterns stands for, and what libvirt calls a domain's machine."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import (
    Domain,
    canonical_uuid,
    keys,
    machine_name,
    select,
    unmatched,
)

WEB1 = Domain("web-1", "00000000-0000-4000-8000-000000000001", True)
WEB2 = Domain("web-2", "00000000-0000-4000-8000-000000000002", True)
OFF = Domain("web-off", "00000000-0000-4000-8000-000000000003", False)
ODD = Domain('web 01 "é,..x', "00000000-0000-4000-8000-000000000004", True)
DASH = Domain("-dash", "00000000-0000-4000-8000-00000000000a", True)
STAR = Domain("web-[1]", "00000000-0000-4000-8000-000000000006", True)
ALL = [DASH, ODD, WEB1, WEB2, STAR, OFF]


def chosen(*asked):
    return [one.domain for one in select(asked, ALL)]


def test_names_come_in_the_order_asked_and_once():
    assert chosen("web-2", "web-1", "web-2") == [WEB2, WEB1]


def test_any_name_is_taken_literally_first():
    assert chosen(ODD.name, "-dash", "web-[1]") == [ODD, DASH, STAR]


@pytest.mark.parametrize(
    "written",
    [DASH.uuid, DASH.uuid.upper(), DASH.uuid.replace("-", "")],
)
def test_a_uuid_may_be_written_in_any_way(written):
    assert chosen(written) == [DASH]


TWIN = Domain(WEB1.uuid, "00000000-0000-4000-8000-000000000021", True)


def test_a_uuid_wins_over_a_name_as_for_virsh_and_the_other_domain_is_told():
    assert [one.domain for one in select([WEB1.uuid], [TWIN, WEB1])] == [WEB1]
    assert unmatched([WEB1.uuid], [TWIN, WEB1]) == [
        f"'{WEB1.uuid}' is the UUID of domain 'web-1', which is meant, and the name of another: name that one by its "
        f"UUID, {TWIN.uuid}"
    ]


def test_a_name_in_the_form_of_a_uuid_that_no_domain_has_is_a_name():
    assert [one.domain for one in select([WEB1.uuid], [TWIN])] == [TWIN]
    assert unmatched([WEB1.uuid], [TWIN]) == unmatched([WEB1.uuid], [WEB1]) == []


def test_a_domain_asked_for_twice_in_different_words_comes_once():
    assert chosen("web-1", WEB1.uuid, "web-*") == [WEB1, WEB2, STAR]


def test_patterns_select_running_domains_only():
    assert chosen("web-*") == [WEB1, WEB2, STAR]
    assert chosen("*") == [DASH, ODD, WEB1, WEB2, STAR]
    assert chosen("web-off") == [OFF]


def test_a_pattern_may_match_nothing():
    assert chosen("db-*") == []


def test_an_unknown_name_keeps_its_place():
    assert [(one.asked, one.domain) for one in select(["vm9", "web-1"], ALL)] == [("vm9", None), ("web-1", WEB1)]


def test_what_is_named_is_told_from_what_a_pattern_matched():
    assert [one.by_name for one in select(["web-1", WEB2.uuid, "*", "vm9"], ALL)] == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]


def test_what_a_pattern_matched_is_named_if_its_name_follows():
    assert [(one.domain, one.by_name) for one in select(["web-?", WEB2.name, WEB1.uuid], ALL)] == [
        (WEB1, True),
        (WEB2, True),
    ]


# Libvirt knows no name twice. Other managers do, and number their machines
PVE1 = Domain("web", "00000000-0000-4000-8000-000000000011", True, number="100")
PVE2 = Domain("web", "00000000-0000-4000-8000-000000000012", True, number="101")
NAMED = Domain("100", "00000000-0000-4000-8000-000000000013", True, number="102")


@pytest.mark.parametrize(
    ("asked", "domains"),
    [
        (["web"], [PVE1, PVE2]),
        (["101"], [PVE2]),
        (["100"], [PVE1, NAMED]),
        ([PVE1.uuid], [PVE1]),
        (["101", "web"], [PVE2, PVE1]),
        (["w*"], [PVE1, PVE2]),
        (["10*"], [NAMED]),
    ],
)
def test_a_name_or_number_stands_for_all_that_have_it(asked, domains):
    assert [one.domain for one in select(asked, [PVE1, PVE2, NAMED])] == domains


def test_no_domain_has_an_empty_number():
    assert select([""], [WEB1])[0].domain is None


def test_several_of_one_name_are_told_apart_by_their_uuids():
    assert keys([PVE1, NAMED, PVE2]) == [PVE1.uuid, "100", PVE2.uuid]


@given(st.text())
def test_any_word_has_one_canonical_form(word):
    assert canonical_uuid(canonical_uuid(word)) == canonical_uuid(word)


@pytest.mark.parametrize(
    ("number", "name", "machine"),
    [
        (5, "rsvm2", "qemu-5-rsvm2"),
        (13, "web_01.é-..x y", "qemu-13-web01.xy"),
        (14, "a,b=c", "qemu-14-abc"),
        (16, "--..lead", "qemu-16-lead"),
        (17, "Ünïcødé", "qemu-17-ncd"),
        (18, "trail-.-", "qemu-18-trail"),
        (19, "n" * 90, "qemu-19-" + "n" * 56),
        (20, "日本", "qemu-20"),
    ],
)
def test_a_machine_is_called_as_libvirt_calls_it(number, name, machine):
    assert machine_name(Domain(name, WEB1.uuid, True, number)) == machine


def test_other_drivers_call_it_after_themselves():
    assert machine_name(Domain("vm", WEB1.uuid, True, 3), "ch") == "ch-3-vm"


@given(st.text(), st.integers(1, 2**31))
def test_any_machine_name_can_be_a_host_name(name, number):
    machine = machine_name(Domain(name, WEB1.uuid, True, number))
    assert re.fullmatch(r"qemu-[0-9]+(-[A-Za-z0-9]+([.-][A-Za-z0-9]+)*)?", machine)
    assert len(machine) <= 64
