# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's packages: other suites than the machine's own, from the mirrors that the machine itself uses.

apt gets package lists, sources and configuration of its own, below one directory. Of the machine's configuration it
reads where and how to connect.
"""

from __future__ import annotations

import functools
import re
import subprocess
import typing as t

from mirrors import connection, machine_sources, rewrite

if t.TYPE_CHECKING:
    import pathlib

# The machine's source whose mirror is used, and the suites to get from there.
SUITES: t.Final = {
    "bookworm": ("bookworm", "bookworm-backports", "trixie-backports"),
    "bookworm-security": ("bookworm-security",),
}
# What the guest's root file system is made of.
ROOT_SUITES: t.Final = tuple(SUITES)


class NoPackage(Exception):
    """The mirrors do not have what is needed."""


class Apt:
    """apt with package lists of its own in `directory`."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.root_sources = directory / "root.sources"
        self.connection = directory / "connection.conf"
        self._config = directory / "apt.conf"
        self._sources = directory / "guest.sources"
        self._lists = directory / "lists"
        self._cache = directory / "cache"

    def update(self) -> None:
        """Gets the package lists. Raises mirrors.NoMirror or subprocess.CalledProcessError."""
        for path in (self._lists / "partial", self._cache / "archives" / "partial"):
            path.mkdir(parents=True, exist_ok=True)
        sources = machine_sources()
        self._sources.write_text("".join(rewrite(sources, own, "deb deb-src", SUITES[own]) for own in SUITES))
        self.root_sources.write_text("".join(rewrite(sources, own, "deb", [own]) for own in ROOT_SUITES))
        self.connection.write_text(connection())
        # Read before the machine's configuration, of which the next lines leave nothing to be read.
        self._config.write_text(
            self.connection.read_text()
            + "".join(f'Dir::Etc::{name} "/dev/null";\n' for name in ("main", "parts", "preferences"))
            + "".join(f'Dir::Etc::{name} "/dev/null";\n' for name in ("preferencesparts", "sourceparts"))
            + f'Dir::Etc::sourcelist "{self._sources}";\nDir::State::lists "{self._lists}";\n'
            + f'Dir::Cache "{self._cache}";\n'
            + 'APT::Sandbox::User "root";\nAcquire::Languages "none";\n'
        )
        self.run("apt-get", "--quiet=2", "--error-on=any", "update")

    def command(self, *command: str) -> list[str]:
        """An apt command line, for these lists and this configuration."""
        return ["env", f"APT_CONFIG={self._config}", "LC_ALL=C.UTF-8", *command]

    def run(self, *command: str) -> str:
        """Runs an apt command and returns what it printed. Raises subprocess.CalledProcessError."""
        return subprocess.run(self.command(*command), check=True, text=True, stdout=subprocess.PIPE).stdout

    def newest(self, package: str, start: str = "", *, index: str = "Packages", suites: t.Collection[str] = ()) -> str:
        """The newest version of a package that begins with `start`; of any suite, or of one of `suites`.

        `index` is "Packages" or "Sources". Raises NoPackage.
        """
        found = []
        for line in self.run("apt-cache", "madison", package).splitlines():
            name, version, origin = (part.strip() for part in line.split("|"))
            suite = origin.split()[1].partition("/")[0]
            if name == package and origin.endswith(index) and (not suites or suite in suites):
                found.append(version)
        matching = [version for version in found if version.startswith(start)]
        if not matching:
            raise NoPackage(f"No {package} {start} on the mirrors; there is {', '.join(found) or 'none'}")
        return max(matching, key=functools.cmp_to_key(compare))

    def depends(self, package: str, version: str) -> list[str]:
        """The packages on which one depends."""
        text = self.run("apt-cache", "depends", "--important", f"{package}={version}")
        return re.findall(r"^ [ |](?:Pre)?Depends: ([^<\s]+)", text, flags=re.MULTILINE)


def compare(one: str, other: str) -> int:
    """Which of two versions is newer: 1, 0 or -1."""
    if one == other:
        return 0
    return 1 if subprocess.run(["dpkg", "--compare-versions", one, "gt", other], check=False).returncode == 0 else -1
