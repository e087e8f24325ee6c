# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How small files are replaced: by several writers at once, and where others may write beside them."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish.store import read_json, write_text


@pytest.fixture(name="file")
def file_fixture(tmp_path):
    return tmp_path / "resctrl.prom"


def write(file, text="values\n", mode=0o644):
    write_text(str(file), text, mode)


def test_a_file_is_replaced_with_the_mode_that_was_asked_for(file):
    file.write_text("old")
    file.chmod(0o600)
    write(file, "new\n", 0o640)
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new\n", 0o640)
    assert os.listdir(file.parent) == ["resctrl.prom"]


def _write_many(file, letter):
    for _time in range(200):
        write(file, letter * 5000)


def test_writers_that_hold_no_lock_do_not_disturb_each_other(file):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(file, letter)) for letter in "ab"]
    write(file, "a" * 5000)
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(file.read_text())
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen <= {"a" * 5000, "b" * 5000}
    assert os.listdir(file.parent) == ["resctrl.prom"]


@pytest.fixture(name="guessed")
def guessed_fixture(file, monkeypatch):
    """The name under which the file is written first, as if somebody had guessed it."""
    monkeypatch.setattr("os.urandom", lambda length: b"\xab" * length)
    return file.with_name("resctrl.prom.abababab.new")


def test_what_somebody_else_has_put_in_the_way_is_never_opened(file, guessed):
    other = file.with_name("other")
    other.write_text("precious")
    other.chmod(0o600)
    for put in (lambda: os.mkfifo(guessed), lambda: os.link(other, guessed), lambda: guessed.symlink_to(other)):
        put()
        with pytest.raises(FileExistsError):
            write(file)
        guessed.unlink()
    assert (other.read_text(), stat.S_IMODE(other.stat().st_mode)) == ("precious", 0o600)
    assert not file.exists()


def test_a_writer_that_fails_leaves_nothing(file, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file.write_text("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(file)
    assert (file.read_text(), os.listdir(file.parent)) == ("old", ["resctrl.prom"])


def test_what_killed_writers_have_left_is_removed_by_a_later_one(file):
    """Those that may still write are let be, and so is everything of another name."""
    left = [file.with_name(f"resctrl.prom{end}") for end in (".00000000.new", ".0123abcd.new", ".new")]
    others = [file.with_name(name) for name in ("other.prom.00000000.new", "resctrl.prom.new.txt", "resctrl.prom.old")]
    young = file.with_name("resctrl.prom.ffffffff.new")
    for one in (*left, *others, young):
        one.write_text("half")
    for one in (*left, *others):
        os.utime(one, (1, 1))
    write(file)
    assert sorted(os.listdir(file.parent)) == sorted(one.name for one in (file, young, *others))


@pytest.mark.parametrize(
    "put",
    [
        os.mkfifo,
        lambda path: os.symlink(os.devnull, path),
        lambda path: os.symlink("nowhere", path),
        lambda path: os.symlink(__file__, path),
        os.mkdir,
    ],
)
def test_what_is_no_file_is_never_replaced(file, put):
    """Root would make a file of /dev/null, or of the link /dev/stdout."""
    put(str(file))
    before = file.lstat()
    with pytest.raises(OSError, match="It is no regular file"):
        write(file)
    assert file.lstat() == before
    assert os.listdir(file.parent) == ["resctrl.prom"]


@pytest.mark.parametrize(
    ("text", "parse", "why"),
    [
        ("{", len, "Expecting property name"),
        ('{"a": "x"}', lambda content: float(content["a"]), "could not convert string to float: 'x'"),
        ('{"a": null}', lambda content: float(content["a"]), r"it holds something else \(TypeError\)"),
        ('{"a": Infinity}', lambda content: int(content["a"]), r"it holds something else \(OverflowError\)"),
        ("{}", lambda content: content["a"], r"it holds something else \(KeyError\)"),
        ("[]", lambda content: content[0], r"it holds something else \(IndexError\)"),
        ("[]", lambda content: content.items(), r"it holds something else \(AttributeError\)"),
        pytest.param("[" * 200000, len, r"it holds something else \(RecursionError\)", id="too deep"),
    ],
)
def test_whatever_a_file_holds_that_its_reader_cannot_use_it_is_damaged(tmp_path, text, parse, why):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(errors.PolicyDamaged, match=f"Cannot understand .*file.json: {why}"):
        read_json(str(tmp_path / "file.json"), parse)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"default": "enabled", "default": "disabled"}', "the key 'default' is there twice. "),
        (
            '{"domains": [{"name": "vm3", "state": "enabled", "state": "disabled"}]}',
            "the key 'state' is there twice, in the rule 'vm3'. ",
        ),
        (
            '{"domains": [{"name": "vm3", "name": "vm4"}]}',
            "the key 'name' is there twice, in the rule 'vm3' and 'vm4'. ",
        ),
    ],
)
def test_a_key_that_is_there_twice_is_refused(file, text, sentence):
    file.write_text(text)
    with pytest.raises(errors.PolicyDamaged) as refused:
        read_json(str(file), dict)
    assert f"Cannot understand {file}: {sentence}" in str(refused.value)
