# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of turns: what is noted comes back, and what cannot be understood is set aside and said."""

from __future__ import annotations

import json
import os
import stat
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.noted_turns import Noted, load, read, save
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.baselines import Reading
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.turns import Turn, Turns
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.windows import Measured, Notes, Start
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.events import L3, PACKAGE, Place
from ansible_collections.kvmops.resctrl.tests.unit.plugins.module_utils.resctrl.situations import uuid

NOW = 1e6
TIMES = st.floats(0, NOW)
TURNS = st.builds(Turn, st.none() | TIMES, TIMES, TIMES)
KEYS = st.tuples(
    st.sampled_from(["mbm_total_bytes", "llc_occupancy", "core_energy"]),
    st.builds(Place, st.sampled_from([L3, PACKAGE]), st.integers(0, 255)),
)
# Values of counters have up to 20 digits, and some have a point: a float would lose some of them
COUNTERS = st.integers(0, 2**64).map(Decimal) | st.decimals(0, 10**12, places=6)
READINGS = st.builds(Reading, COUNTERS, st.text())
STARTS = st.builds(Start, TIMES, st.dictionaries(st.text(), READINGS, max_size=3))
MEASURED = st.builds(Measured, TIMES, TIMES, TIMES, st.floats(0, 1e20))
NOTES = st.builds(
    Notes,
    st.none() | TURNS,
    st.dictionaries(st.integers(0, 255), TURNS, max_size=3),
    st.booleans(),
    st.dictionaries(KEYS, STARTS, max_size=3),
    st.dictionaries(KEYS, MEASURED, max_size=3),
    st.none() | TIMES,
)
SETTINGS = st.builds(Turns, st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**4))
NOTED = st.builds(
    Noted, st.dictionaries(st.integers(0, 99).map(uuid), NOTES, max_size=3), SETTINGS, st.integers(0, 10**4)
)


def path_in(directory):
    return directory / "turns.json"


@given(NOTED)
def test_what_is_noted_comes_back_as_it_was(tmp_path_factory, noted):
    directory = str(tmp_path_factory.mktemp("turns"))
    save(noted, directory)
    assert load(directory, NOW) == (noted, [])
    assert read(directory) == noted


def test_only_root_may_read_it_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        save(Noted(), str(tmp_path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path_in(tmp_path).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["turns.json"]


def test_where_nothing_is_noted_all_turns_begin(tmp_path):
    assert load(str(tmp_path), NOW) == (Noted(), [])
    assert read(str(tmp_path / "missing")) == Noted()


def damaged():
    """Files of any kind that are none of turns."""
    right = {"turns": Turns()._asdict(), "in_limbo": 0, "domains": {}}
    domain = {"group": None, "counters": [], "unclean": False, "starts": [], "measured": [], "made": None}
    yield from ("", "{", "[]", "1", "null", "{}", '{"domains": []}')
    for changes in ({"turns": {}}, {"turns": {"window": None}}, {"in_limbo": "x"}, {"domains": {uuid(1): {}}}):
        yield json.dumps({**right, **changes})
    for changes in (
        {"group": [1]},
        {"group": ["x", 0]},
        {"counters": [[0]]},
        {"starts": [["mbm_total_bytes", "L3", 0, 1.0, [["p", "no number", "1"]]]]},
        {"measured": [["mbm_total_bytes", "L3"]]},
        {"measured": 7},
    ):
        yield json.dumps({**right, "domains": {uuid(1): {**domain, **changes}}})


@pytest.mark.parametrize("content", [*damaged()])
def test_what_cannot_be_understood_is_set_aside_and_said_and_turns_begin_anew(tmp_path, content):
    path_in(tmp_path).write_text(content)
    assert read(str(tmp_path)) == Noted()
    noted, warnings = load(str(tmp_path), NOW)
    assert noted == Noted()
    (warning,) = warnings
    assert warning.startswith(f"Cannot understand {path_in(tmp_path)}: ")
    assert warning.endswith(f"It was set aside as {path_in(tmp_path)}.damaged, and all turns begin anew")
    assert (tmp_path / "turns.json.damaged").read_text() == content
    assert load(str(tmp_path), NOW) == (Noted(), [])


def test_bytes_that_are_no_text_are_set_aside_too(tmp_path):
    path_in(tmp_path).write_bytes(b"\xff\xfe\x00")
    assert load(str(tmp_path), NOW)[0] == Noted()
    assert (tmp_path / "turns.json.damaged").read_bytes() == b"\xff\xfe\x00"


@pytest.mark.parametrize(
    "notes",
    [Notes(Turn(50.0, 10.0)), Notes(Turn(None, 50.0)), Notes(None, {0: Turn(50.0, 10.0)})],
    ids=["counted", "waiting", "with a counter"],
)
def test_times_that_are_yet_to_come_are_of_another_boot_and_nothing_of_them_is_believed(tmp_path, notes):
    """/run goes with the boot, but a kernel that is started by kexec may be given a new clock and an old /run."""
    save(Noted({uuid(1): notes}), str(tmp_path))
    assert load(str(tmp_path), 60.0)[1] == []
    noted, (warning,) = load(str(tmp_path), 40.0)
    assert noted == Noted()
    assert "is of another boot. It was set aside" in warning


def test_what_must_not_be_read_is_no_damage(tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(errors.NotRoot):
        read(str(tmp_path))


def test_who_stands_where_is_told_of_groups_and_of_counters_on_each_cache():
    group, counter = Turn(1.0, 0.0), Turn(None, 3.0)
    noted = Noted({uuid(1): Notes(group), uuid(2): Notes(None, {0: counter, 8: group})}, in_limbo=2)
    queue = noted.queue(Turns(window=5), 9.0)
    assert (queue.settings, queue.now, queue.in_limbo) == (Turns(window=5), 9.0, 2)
    assert queue.groups == {uuid(1): group}
    assert queue.counters == {(uuid(2), 0): counter, (uuid(2), 8): group}
