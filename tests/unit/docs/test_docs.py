# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README and docs say of variables, and where their links lead."""

from __future__ import annotations

import fnmatch
import pathlib
import re

import pytest
import yaml

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell import metrics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.exposition import Family
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.specs import files, options_of

ROOT = pathlib.Path(__file__).parents[3]
SITE = ROOT / "docs/docsite/rst"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("roles/*/README.md"))]


def section(text, title):
    """The part of a page of the site below a heading of the second level, up to the next heading."""
    below = text.split(f"\n{title}\n{'~' * len(title)}\n")[1]
    return re.split(r"^[-~]{3,}$", below, flags=re.MULTILINE)[0]


def table(text):
    """Variable -> default, of a table of variables, in Markdown or in reStructuredText."""
    rows = re.findall(r"^\| `(resctrl_\w+)` \| ([^|]*) \|", text, flags=re.MULTILINE)
    rows += re.findall(r"^   \* - ``(resctrl_\w+)``\n     - (.*)$", text, flags=re.MULTILINE)
    return {name: default.strip("`") for name, default in rows}


def defaults(name):
    """The same by a specification. What is neither required nor has a default is said in words."""
    return {key: written(option) for key, option in options_of(name).items()}


def written(option):
    if option.get("required"):
        return "required"
    default = option.get("default")
    if isinstance(default, bool):
        return str(default).lower()
    return default[0] if default and isinstance(default, list) else default if default is None else str(default)


def same(told, specified):
    return told.keys() == specified.keys() and all(
        default is None or told[name] == default for name, default in specified.items()
    )


@pytest.mark.parametrize("name", [name for name in sorted(files()) if name.startswith("playbooks/")])
def test_the_page_of_the_playbooks_has_every_variable_with_its_default(name):
    page = (SITE / "playbooks.rst").read_text()
    told = table(section(page, name.partition("/")[2]))
    assert same(told, defaults(name)), (told, defaults(name))


@pytest.mark.parametrize("name", [name for name in sorted(files()) if name.startswith("roles/")])
def test_the_readme_of_a_role_has_every_variable_with_its_default(name):
    told = table((ROOT / name / "README.md").read_text())
    assert same(told, defaults(name)), (told, defaults(name))


@pytest.mark.parametrize("name", [name for name in sorted(files()) if name.startswith("roles/")])
def test_the_defaults_of_a_role_are_those_of_its_specification(name):
    own = yaml.safe_load((ROOT / name / "defaults/main.yml").read_text())
    specified = {key: one["default"] for key, one in options_of(name).items() if "default" in one}
    # Several roles have this one, and none may call it its own
    assert specified.pop("resctrl_path", "/sys/fs/resctrl") == "/sys/fs/resctrl"
    assert own == specified


def test_the_page_of_the_metrics_has_every_series_and_every_rule():
    page = "".join((SITE / f"{name}.rst").read_text() for name in ("metrics", "alerts"))
    series = {value.name for value in vars(metrics).values() if isinstance(value, Family)}
    template = (ROOT / "roles/resctrl_rules/templates/rules.yml.j2").read_text()
    rules = set(re.findall(r"- (?:record|alert): (.+)", template))
    telemetry = {f"libvirt_domain_{name}_total" for name, _words in metrics._TELEMETRY.values()}
    assert len(series) > 10
    assert len(telemetry) > 1
    every = series | telemetry | rules
    assert {name for name in every if not re.search(rf"(``|^){re.escape(name)}\b", page, re.MULTILINE)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere_in_the_built_archive_too(page):
    left_out = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path = (page.parent / target).resolve().relative_to(ROOT)
        assert (ROOT / path).exists(), target
        parents = [str(path), *map(str, path.parents)]
        assert not any(fnmatch.fnmatch(one, pattern) for one in parents[:-1] for pattern in left_out), target


@pytest.mark.parametrize("page", [*PAGES, *sorted(SITE.glob("*.rst"))], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_the_repository_leads_to_a_file_of_it(page):
    forge = r"https://(?:github.com|raw.githubusercontent.com)/kvmops/ansible-collection-resctrl/(?:blob/)?"
    paths = re.findall(forge + r"main/([^)>#`\s]+)", page.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_no_link_of_the_readme_is_relative_since_galaxy_shows_it_without_the_files_beside_it():
    page = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", page) + re.findall(r"^\[[^]]+\]: (.+)$", page, re.MULTILINE)
    assert len(targets) > 20
    assert [target for target in targets if not target.startswith("https://")] == []


def test_every_name_of_a_link_in_the_readme_is_given_its_target_at_the_end():
    page = (ROOT / "README.md").read_text()
    given = set(re.findall(r"^\[([^]]+)\]: ", page, re.MULTILINE))
    text = re.sub(r"^(\[[^]]+\]: .*|    .*)$", "", page, flags=re.MULTILINE)
    named = re.findall(r"\[(?:[^]]+)\]\[([^]]+)\]", text) + re.findall(r"(?<!\])\[([^]]+)\](?![\[(])", text)
    assert set(named) == given
