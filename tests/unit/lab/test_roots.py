# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roots of hosts of other releases: where they lie, and when one is made."""

from __future__ import annotations

import platform
import subprocess
import typing as t
from pathlib import Path

import mirrors
import pytest

from hosts import Lab, LabError, check, roots

DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian with mmdebstrap and a mirror, and nothing made yet."""
    monkeypatch.setenv("KVMOPS_LAB_ROOTS", str(tmp_path))
    source = {"types": "deb", "uris": "http://mirror.example/debian", "suites": "bookworm", "components": "main"}
    monkeypatch.setattr(check, "find", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: DEBIAN)
    monkeypatch.setattr(mirrors, "machine_sources", lambda: [source])
    monkeypatch.setattr(mirrors, "connection", lambda: 'Acquire::Retries "3";\n')


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources from which roots were made, by an mmdebstrap that makes a directory and does no more."""
    sources = []

    def run(argv: list[str], **_options: t.Any) -> None:
        release, root, source = argv[-3:]
        sources.append(Path(source).read_text())
        Path(root, release).mkdir(parents=True)

    monkeypatch.setattr(subprocess, "run", run)
    return sources


def test_a_root_is_made_once_from_the_mirror_of_the_machine(made: list[str]) -> None:
    assert [(roots.make("sid") / "sid").is_dir() for _time in range(2)] == [True, True]
    assert made == [mirrors.rewrite(mirrors.machine_sources(), "bookworm", "deb", ["sid"])]
    assert roots.make("trixie") != roots.make("sid")


@pytest.mark.parametrize("part", ["_PACKAGES", "_OPTIONS"])
def test_a_root_is_another_one_if_it_is_made_otherwise(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = roots.path("sid")
    assert roots.path("sid") == before
    monkeypatch.setattr(roots, part, ("another",))
    assert roots.path("sid") != before


@pytest.mark.usefixtures("made")
def test_what_an_interrupted_one_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "unfinished-sid-1" / "root").mkdir(parents=True)
    (tmp_path / "unfinished-trixie-1").mkdir()
    roots.make("sid")
    assert [path.name for path in tmp_path.glob("unfinished-*")] == ["unfinished-trixie-1"]


def test_a_root_that_could_not_be_made_is_not_there_and_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str], *, stdout: t.IO[bytes], **_options: t.Any) -> None:
        Path(argv[-2]).mkdir()
        stdout.write(b"E: no network\n")
        stdout.flush()
        raise subprocess.CalledProcessError(1, argv)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(LabError, match="the root of sid could not be made: E: no network"):
        roots.make("sid")
    assert not roots.path("sid").exists()


def test_without_mmdebstrap_only_what_is_there_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    roots.path("trixie").mkdir()
    monkeypatch.setattr(check, "find", lambda _tool: None)
    assert roots.make("trixie") == roots.path("trixie")
    with pytest.raises(LabError, match="apt-get install mmdebstrap"):
        roots.make("sid")


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        ({"ID": "ubuntu", "VERSION_CODENAME": "noble"}, "this machine is no Debian"),
        ({"ID": "debian", "VERSION_CODENAME": "trixie"}, "no apt source for trixie"),
    ],
)
def test_a_machine_without_a_mirror_of_debian_is_told_so(
    system: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    with pytest.raises(LabError, match=sentence):
        roots.make("sid")


def test_there_are_no_hosts_of_other_releases() -> None:
    with pytest.raises(LabError, match=r"no hosts of '\.\./etc', but of trixie and sid"):
        roots.make("../etc")


def test_a_light_host_is_always_of_the_machines_release(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="a host of another release is a full one"):
        Lab(tmp_path).up("light", release="sid")
