#!/usr/bin/env python
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ticks the requirements of the Ansible community package that a look at the files can tell, and says what is missing.

https://docs.ansible.com/ansible/latest/community/collection_contributors/collection_requirements.html

What tools tell is left to them: ansible-test sanity (`make sanity`), galaxy-importer, ansible-lint, reuse,
antsibull-docs and antsibull-changelog (`make lint`). The status is 1 if something is missing that is not listed with a
reason in WAIVED.
"""

from __future__ import annotations

import ast
import pathlib
import re
import sys
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
_VERSIONS = "docs/docsite/rst/versions.rst"
# What Ansible knows below plugins/, and what collections may share there
_PLUGINS = {
    *("action", "become", "cache", "callback", "cliconf", "connection", "doc_fragments", "filter", "httpapi"),
    *("inventory", "lookup", "module_utils", "modules", "netconf", "plugin_utils", "shell", "strategy", "sub_plugins"),
    *("terminal", "test", "vars"),
}
_RELEASE = re.compile(r"[1-9][0-9]*\.[0-9]+\.[0-9]+")

# Requirement -> why it is not met. What is met after all must not be here.
WAIVED = {
    "a module that returns facts is called _facts": "resctrl_stats has the name of the proposal to libvirt; "
    "resctrl_facts leads to it",
    "private module utilities begin with an underscore": "versions.rst says that the library is private: its names "
    "are those of the directory on managed hosts, and of the tests",
}


def _read(name: str) -> str:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _yaml(name: str) -> dict[str, t.Any]:
    return yaml.safe_load(_read(name)) or {}


class Module(t.NamedTuple):
    """A module or another plugin that documents itself: its name, its text, and its documentation as `constants`, such
    as EXAMPLES, the first of which is also there as `docs`.
    """

    name: str
    text: str
    docs: dict[str, t.Any]
    constants: dict[str, str]


def _documented(*kinds: str) -> list[Module]:
    found = []
    for path in sorted(path for kind in kinds for path in ROOT.glob(f"plugins/{kind}/*.py")):
        text = path.read_text(encoding="utf-8")
        constants = {
            node.targets[0].id: node.value.value
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        docs = yaml.safe_load(constants.get("DOCUMENTATION", "")) or {}
        found.append(Module(path.stem, text, docs, constants))
    return found


def _files() -> t.Iterator[tuple[str, bool]]:
    """Files that the project must have, or words that they must say."""
    readme = _read("README.md")
    for name in ("README.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md", "MAINTAINERS.md", "COPYING"):
        yield f"there is {name}", bool(_read(name))
    yield "README leads to the code of conduct", "community/code_of_conduct" in readme
    yield "README leads to the forum", "forum.ansible.com" in readme
    yield "README says how versions are numbered", "semver.org" in readme
    yield "README says how to contribute", "CONTRIBUTING.md" in readme
    yield "README says which versions of Ansible it was tested with", "ansible-core" in readme
    yield "README leads to the issue tracker", _yaml("galaxy.yml")["issues"] in readme
    yield "the licence is the GPL's text", "GNU GENERAL PUBLIC LICENSE" in _read("COPYING")
    yield "there is a policy of upgrades and deprecation", "\nDeprecation\n---" in _read(_VERSIONS)
    yield "every role has a README", all((path / "README.md").is_file() for path in ROOT.glob("roles/*"))
    yield (
        "every role has an argument specification",
        all((path / "meta/argument_specs.yml").is_file() for path in ROOT.glob("roles/*")),
    )
    yield (
        "every playbook has an argument specification",
        all(
            path.name.endswith(".meta.yml") or path.with_suffix(".meta.yml").is_file()
            for path in ROOT.glob("playbooks/*.yml")
        ),
    )


def _metadata() -> t.Iterator[tuple[str, bool]]:
    """galaxy.yml and meta/."""
    galaxy, runtime = _yaml("galaxy.yml"), _yaml("meta/runtime.yml")
    environment = _yaml("meta/execution-environment.yml")
    yield "the version is a release of semantic versioning, 1.0.0 or later", bool(_RELEASE.fullmatch(galaxy["version"]))
    yield "there are tags, at most 20", 0 < len(galaxy["tags"]) <= 20
    yield "a tag is of Automation Hub's list", not {"linux", "monitoring"}.isdisjoint(galaxy["tags"])
    yield (
        "repository, documentation, homepage and issues are given",
        all(galaxy[key].startswith("https://") for key in ("repository", "documentation", "homepage", "issues")),
    )
    yield "the licence is GPL-3.0-or-later", galaxy["license"] == ["GPL-3.0-or-later"]
    yield (
        "requires_ansible has a lower bound and no upper",
        bool(re.fullmatch(r">=[0-9]+\.[0-9]+\.[0-9]+", runtime["requires_ansible"])),
    )
    oldest = re.findall(r"[0-9]+\.[0-9]+", runtime["requires_ansible"])[0]
    said = [_yaml(str(path.relative_to(ROOT)))["galaxy_info"] for path in ROOT.glob("roles/*/meta/main.yml")]
    yield "roles need the same ansible-core", {one["min_ansible_version"] for one in said} == {oldest}
    yield "README needs the same ansible-core", f"ansible-core {oldest} or newer" in _read("README.md")
    yield (
        "an environment is pinned for the oldest ansible-core",
        (ROOT / f"tests/requirements/ansible-core-{oldest}.txt").is_file(),
    )
    yield (
        "what an execution environment needs is said",
        set(environment.get("dependencies", {})) == {"python", "system"},
    )
    yield (
        "the files of an execution environment's needs are there",
        all((ROOT / name).is_file() for name in environment.get("dependencies", {}).values()),
    )


def _plugins() -> t.Iterator[tuple[str, bool]]:
    """plugins/, by the rules for names, documentation and licences."""
    modules, others = _documented("modules"), _documented("filter", "lookup")
    runtime = _yaml("meta/runtime.yml")
    routed = runtime.get("plugin_routing", {}).get("modules", {})
    facts = [one for one in modules if "ansible_facts:" in one.constants.get("RETURN", "")]
    examples = "".join(one.constants.get("EXAMPLES", "") for one in modules + others)
    yield "there is nothing unknown below plugins/", {path.name for path in ROOT.glob("plugins/*")} <= _PLUGINS
    yield (
        "every plugin has DOCUMENTATION, EXAMPLES and RETURN",
        all({"DOCUMENTATION", "EXAMPLES", "RETURN"} <= set(one.constants) for one in modules + others),
    )
    yield (
        "every plugin says since which version it is there",
        all("version_added" in one.docs for one in modules + others),
    )
    yield (
        "every plugin has an author with a name at the forge",
        all(re.search(r"\(@[\w-]+\)", str(one.docs.get("author"))) for one in modules + others),
    )
    yield (
        "every Python file has the head of the licence",
        all(
            "GPL-3.0-or-later" in path.read_text(encoding="utf-8")[:600]
            for path in ROOT.glob("plugins/**/*.py")
            if path.stat().st_size
        ),
    )
    yield (
        "no module is for queries and for changes at once",
        all(
            not {"list", "info"} & set(one.docs.get("options", {}).get("state", {}).get("choices", []))
            for one in modules
        ),
    )
    yield "a module that returns facts is called _facts", all(one.name.endswith("_facts") for one in facts)
    yield (
        "a module that returns facts has a name that ends in _facts, too",
        bool(facts)
        and all(
            one.name.endswith("_facts") or any(f".{one.name}" in str(route) for route in routed.values())
            for one in facts
        ),
    )
    yield (
        "every module is in the action group",
        set(runtime["action_groups"]["resctrl"]) == {one.name for one in modules},
    )
    yield (
        "every module says so in its documentation",
        all("kvmops.resctrl.attributes.action_group" in one.docs["extends_documentation_fragment"] for one in modules),
    )
    yield "every module supports check mode", all("supports_check_mode=True" in one.text for one in modules)
    yield "examples use full names", not re.search(r"^\s*(- )?resctrl_(mon|info|stats):", examples, re.MULTILINE)
    yield (
        "private module utilities begin with an underscore",
        all(path.name.startswith("_") for path in ROOT.glob("plugins/module_utils/*")),
    )
    yield "private module utilities are said to be so", "``plugins/module_utils/resctrl``" in _read(_VERSIONS)
    yield "no sanity test is switched off", not list(ROOT.glob("tests/sanity/ignore*.txt"))


def _changelog() -> t.Iterator[tuple[str, bool]]:
    """The changelog, of this version or on its way."""
    config = _yaml("changelogs/config.yaml")
    version = _yaml("galaxy.yml")["version"]
    released = version in _yaml("changelogs/changelog.yaml")["releases"]
    fragments = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("changelogs/fragments/*.yml")]
    yield "the changelog is antsibull-changelog's", config.get("changes_format") == "combined"
    yield "this version has a summary", released or any("release_summary" in one for one in fragments)
    yield "what changed since the last version has fragments, or is in the changelog", released or bool(fragments)


def _ci() -> t.Iterator[tuple[str, bool]]:
    """The forge's workflow calls the same scripts, on the ansible-cores that are promised."""
    workflow = _yaml(".github/workflows/tests.yml")
    jobs = workflow.get("jobs", {})
    lines = "\n".join(str(step.get("run", "")) for job in jobs.values() for step in job["steps"])
    targets = set(re.findall(r"^([a-z-]+):", _read("Makefile"), re.MULTILINE))
    tried = set(jobs.get("ansible", {}).get("strategy", {}).get("matrix", {}).get("core", []))
    promised = re.findall(r"^oldest_core=\S+ cores=\((.*)\)$", _read("tests/ci/common.sh"), re.MULTILINE)
    yield (
        "tests run for every push, for every pull request and by the clock",
        {"push", "pull_request", "schedule"} <= set(workflow.get("on", {})),
    )
    yield "the workflow calls what CI calls", ".ci/run" in lines
    yield "the workflow calls targets that there are", set(re.findall(r"make ([a-z-]+)", lines)) <= targets
    yield "the workflow tries every ansible-core that is promised", bool(promised) and tried == set(promised[0].split())


def main() -> int:
    """The checklist on stdout; 1 if something is missing."""
    ticked = [one for part in (_files, _metadata, _plugins, _changelog, _ci) for one in part()]
    missing = []
    for requirement, met in ticked:
        reason = WAIVED.get(requirement)
        if met == bool(reason):
            missing.append(f"{requirement}: {'is met, and waived all the same' if met else 'not met'}")
        print(f"[{'x' if met else '-' if reason else ' '}] {requirement}{f' ({reason})' if reason and not met else ''}")
    missing += [
        f"{name}: no such requirement" for name in WAIVED.keys() - {requirement for requirement, _met in ticked}
    ]
    for line in missing:
        print(f"Missing: {line}", file=sys.stderr)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
