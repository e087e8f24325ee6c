# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation: code blocks of the site's pages and of the READMEs in Markdown, what plugins and
playbooks say of themselves, and the page of the manual.
"""

from __future__ import annotations

import ast
import pathlib
import re
import textwrap
import typing as t

import yaml

ROOT = pathlib.Path(__file__).parents[2]
SITE = ROOT / "docs/docsite/rst"
# What an operator reads in Markdown
MARKDOWN = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("roles/*/README.md"))]


class Example(t.NamedTuple):
    """An example: the file that it is in, by its path in the repository, and its text.

    `language` is that of a block, `bash` for a line of a shell, and `tasks` for what a plugin documents as EXAMPLES.
    """

    where: str
    language: str
    text: str


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


def every() -> list[Example]:
    """All examples. A block of shell is one example for each line, or as a whole where its lines need each other."""
    return [*_of_pages(), *_of_markdown(), *_of_plugins(), *_of_playbooks(), *_of_manual()]


def _of_pages() -> t.Iterator[Example]:
    for path in sorted(SITE.glob("*.rst")):
        where, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        for language in dict.fromkeys(re.findall(r"^ *\.\. code-block:: (\S+)$", text, re.MULTILINE)):
            for block in blocks(path.stem, language):
                yield from _lines(where, block) if language == "bash" else [Example(where, language, block)]
        for command in dict.fromkeys(re.findall(r"``(resctrl-mon [^`.]*)``", text)):
            yield Example(where, "bash", command)


def _of_markdown() -> t.Iterator[Example]:
    for path in MARKDOWN:
        where, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        for language in dict.fromkeys(re.findall(r"^```(\S+)$", text, re.MULTILINE)):
            yield from (Example(where, language, block) for block in fenced(path, language))
        indented = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for block in re.findall(r"(?:^    \S.*\n)+", indented, re.MULTILINE):
            yield from _lines(where, textwrap.dedent(block))


def _lines(where: str, block: str) -> t.Iterator[Example]:
    if "tests/lab/lab" in block:
        yield Example(where, "bash", block)
        return
    for line in block.replace("\\\n", " ").splitlines():
        command = line.partition("  #")[0].strip()
        if command:
            yield Example(where, "bash", command)


def _of_plugins() -> t.Iterator[Example]:
    for path in sorted(path for kind in ("modules", "filter", "lookup") for path in ROOT.glob(f"plugins/{kind}/*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLES":
                yield Example(str(path.relative_to(ROOT)), "tasks", ast.literal_eval(node.value))


def _of_playbooks() -> t.Iterator[Example]:
    for path in sorted(ROOT.glob("playbooks/*.meta.yml")):
        (entry,) = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
        yield Example(str(path.relative_to(ROOT)), "bash", entry["examples"])


def _of_manual() -> t.Iterator[Example]:
    path = ROOT / "roles/resctrl_monitor/files/resctrl-mon.8"
    examples = path.read_text(encoding="utf-8").partition(".SH EXAMPLES\n")[2].partition(".SH ")[0]
    for line in re.findall(r"^\.B (.*)$", examples, re.MULTILINE):
        yield Example(str(path.relative_to(ROOT)), "bash", line.replace("\\-", "-"))
