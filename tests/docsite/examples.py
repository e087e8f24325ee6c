# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation: code blocks of the site's pages, and of the READMEs in Markdown."""

from __future__ import annotations

import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).parents[2]
SITE = ROOT / "docs/docsite/rst"


def pages() -> list[str]:
    """The names of the site's pages, without their endings."""
    return sorted(path.stem for path in SITE.glob("*.rst"))


def blocks(page: str, language: str, site: pathlib.Path = SITE) -> list[str]:
    """The code blocks of a page that are in a language, as they can be written to a file."""
    text = (site / f"{page}.rst").read_text(encoding="utf-8")
    found = re.findall(rf"^\.\. code-block:: {re.escape(language)}\n\n((?:   .*\n|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") + "\n" for block in found]


def fenced(path: pathlib.Path, language: str) -> list[str]:
    """The same of a page in Markdown."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The command lines of a page: each on one line, without the comment behind it."""
    joined = "".join(blocks(page, "bash")).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
