# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirrors of Debian that this machine itself uses, for other suites than its own, and how it connects to them.

Read from the machine's configuration of apt: the sources' URIs, their keys, proxies, credentials. Nothing is changed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable

# Options of a source that say what to get from it; all others say how, and are kept.
WHAT: t.Final = ("types", "uris", "suites", "components", "enabled", "architectures", "arch", "languages", "lang",
                 "targets", "target")  # fmt: skip

# A source: its fields, with their names in lower case.
Source = dict[str, str]


class NoMirror(Exception):
    """The machine gets nothing from a mirror that has what is needed."""


def parse_deb822(text: str) -> list[Source]:
    """The sources of a .sources file (sources.list(5), "DEB822-style format")."""
    sources = []
    text = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text):
        fields = re.findall(r"^([\w-]+):(.*(?:\n[ \t].*)*)", paragraph, flags=re.MULTILINE)
        source = {name.lower(): value.strip() for name, value in fields}
        if source and source.get("enabled", "yes").lower() not in ("no", "false", "off", "0", "without", "disable"):
            sources.append(source)
    return sources


def parse_list(text: str) -> list[Source]:
    """The sources of a .list file (sources.list(5), "one-line-style format")."""
    sources = []
    for match in re.finditer(r"^\s*(deb|deb-src)\s+(?:\[(.*?)\]\s*)?(\S+)\s+(\S+)([^#\n]*)", text, flags=re.MULTILINE):
        types, options, uri, suite, components = match.groups()
        source = {"types": types, "uris": uri, "suites": suite, "components": components.strip()}
        for option in shlex.split(options or ""):
            name, value = option.split("=", 1)
            source[name.lower()] = value.replace(",", " ")
        sources.append(source)
    return sources


def machine_sources() -> list[Source]:
    """The machine's own sources."""
    config = dict(re.findall(r"(\w+)='(.*)'", _apt_config("shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS",
                                                          "Dir::Etc::sourceparts/d")))  # fmt: skip
    files = [config["LIST"]]
    if os.path.isdir(config["PARTS"]):
        files += sorted(os.path.join(config["PARTS"], name) for name in os.listdir(config["PARTS"]))
    sources = []
    for file in files:
        if file.endswith((".list", ".sources")) and os.path.isfile(file):
            with open(file) as stream:
                sources += (parse_list if file.endswith(".list") else parse_deb822)(stream.read())
    return sources


def rewrite(sources: Iterable[Source], own: str, types: str, suites: Iterable[str]) -> str:
    """A source in DEB822 style that gets `suites` as the machine gets its suite `own`. Raises NoMirror."""
    for source in sources:
        mirror = not source["uris"].startswith("cdrom:")
        if mirror and own in source["suites"].split() and "main" in source.get("components", "").split():
            how = "".join(f"{name}: {value}\n" for name, value in source.items() if name not in WHAT)
            return f"Types: {types}\nURIs: {source['uris']}\nSuites: {' '.join(suites)}\nComponents: main\n{how}\n"
    raise NoMirror(f"This machine has no apt source for {own} (main) of Debian")


def connection() -> str:
    """How the machine's apt connects, as lines of apt.conf(5)."""
    acquire = [line for line in _apt_config("dump").splitlines() if line.startswith("Acquire::")]
    lists = re.compile("Acquire::(IndexTargets|Languages|CompressionTypes|Changelogs)")
    lines = [line for line in acquire if not lists.match(line)]
    lines += [
        f'Dir::Etc::netrc "{_setting("Dir::Etc::netrc/f")}";',
        f'Dir::Etc::netrcparts "{_setting("Dir::Etc::netrcparts/d")}";',
    ]
    return "\n".join(lines) + "\n"


def _apt_config(*arguments: str) -> str:
    return subprocess.run(["apt-config", *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout


def _setting(name: str) -> str:
    return shlex.split(_apt_config("shell", "VALUE", name))[0].partition("=")[2]
