# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation are such that Ansible and the commands understand them.

That takes seconds. tests/integration/documentation executes them all.
"""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import examples
import house
import pytest
import yaml

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.wish.policy import parse_policy
from ansible_collections.kvmops.resctrl.plugins.plugin_utils.specs import files, options_of
from hosts import cli

ROOT = pathlib.Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "plugins/module_utils"), str(ROOT / "roles/resctrl_monitor/files")]

from command.arguments import parser  # noqa: E402  it is installed beside the library, and imports it by that path

READMES = [ROOT / "README.md", *sorted(ROOT.glob("roles/*/README.md"))]
YAML = [
    *((page, block) for page in examples.pages() for block in examples.blocks(page, "yaml+jinja")),
    *((path.parent.name, block) for path in READMES for block in examples.fenced(path, "yaml")),
]
PLAYBOOKS = [(page, text) for page, text in YAML if isinstance(yaml.safe_load(text), list)]
# Prometheus's own configuration is none of ours
VARIABLES = [
    (page, text) for page, text in YAML if isinstance(yaml.safe_load(text), dict) and not text.startswith("rule_files:")
]
COMMANDS = [
    *((page, line) for page in examples.pages() for line in examples.commands(page)),
    *(("README", line) for line in re.findall(r"^    (\S.*)$", READMES[0].read_text(), re.MULTILINE)),
]
# In running text: `resctrl-mon stats --json`
INLINE = [
    (page, command)
    for page in examples.pages()
    for command in re.findall(r"``(resctrl-mon [^`.]*)``", (examples.SITE / f"{page}.rst").read_text())
]
KNOWN = {name: option for one in files() for name, option in options_of(one).items()}


def named(cases):
    return [pytest.param(text, id=f"{page}-{number}") for number, (page, text) in enumerate(cases)]


def calls(program):
    """What the pages call a program with: (page, words), for each line that begins with it."""
    every = [(page, shlex.split(line, comments=True)) for page, line in COMMANDS + INLINE]
    return [(page, words[1:]) for page, words in every if words and words[0] == program]


@pytest.mark.parametrize("text", named(PLAYBOOKS))
def test_ansible_understands_a_playbook_of_the_documentation(text, tmp_path):
    (tmp_path / "site.yml").write_text(text)
    (tmp_path / "hosts.yml").write_text("hv:\n  hosts:\n    kvm1:\nprometheus:\n  hosts:\n    kvm1:\n")
    ansible = shutil.which("ansible-playbook")
    done = subprocess.run(
        [ansible, "--syntax-check", "-i", tmp_path / "hosts.yml", tmp_path / "site.yml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", named(PLAYBOOKS))
def test_a_role_of_the_documentation_gets_variables_that_it_knows(text):
    roles = [role for play in yaml.safe_load(text) for role in play.get("roles", []) if isinstance(role, dict)]
    given = {name for role in roles for name in role if name.startswith("resctrl_")}
    assert given <= KNOWN.keys()


@pytest.mark.parametrize("text", named(VARIABLES))
def test_variables_of_the_documentation_are_known_or_an_inventory(text):
    content = yaml.safe_load(text)
    if "hv" in content:
        assert content["hv"].keys() <= {"hosts", "vars"}
        return
    assert content.keys() <= KNOWN.keys()
    for name, value in content.items():
        if KNOWN[name].get("choices"):
            assert value in KNOWN[name]["choices"]


def test_the_policy_of_the_documentation_is_one():
    (policy,) = examples.blocks("fleet", "json")
    assert parse_policy(json.loads(policy)).rules


@pytest.mark.parametrize("words", named(calls("resctrl-mon")))
def test_the_command_understands_a_line_of_the_documentation(words):
    assert parser().parse_args([word for word in words if word != "&&"]).run


@pytest.mark.parametrize(
    "text", named([(page, line) for page, line in COMMANDS if "agent.py" in line or "$mon" in line])
)
def test_the_command_understands_a_line_that_is_given_to_it_in_the_lab(text):
    calls = re.findall(r"(?:agent\.py|\$mon) ([^&;#\"]+)", text)
    assert calls or text.startswith("mon=")
    for words in calls:
        assert parser().parse_args(shlex.split(words)).run


@pytest.mark.parametrize("text", named([(page, line) for page, line in COMMANDS if "tests/lab/lab " in line]))
def test_the_lab_understands_a_line_of_the_documentation(text):
    calls = re.findall(r"tests/lab/lab ([^&;]+)", text)
    assert all(cli._parser().parse_args(shlex.split(words, comments=True)) for words in calls)


@pytest.mark.parametrize("words", named(calls("ansible-playbook")))
def test_a_playbook_is_called_with_variables_that_it_knows(words):
    (name,) = (word.removeprefix("kvmops.resctrl.") for word in words if word.startswith("kvmops.resctrl."))
    known = {**options_of(f"playbooks/{name}")}
    if name == "prepare":
        known |= {
            option: one for role in files() if role.startswith("roles/") for option, one in options_of(role).items()
        }
    given = {after.partition("=")[0] for word, after in zip(words, words[1:]) if word == "-e"}
    assert given <= known.keys()


@pytest.mark.parametrize("words", named(calls("ansible")))
def test_a_module_is_called_with_options_that_it_has(words):
    module = words[words.index("-m") + 1].rpartition(".")[2]
    documentation = module_documentation(module)
    given = words[words.index("-a") + 1] if "-a" in words else ""
    assert {pair.partition("=")[0] for pair in shlex.split(given)} <= documentation["options"].keys() | {"source"}


def module_documentation(name):
    source = (ROOT / f"plugins/modules/{name}.py").read_text()
    return yaml.safe_load(source.split('DOCUMENTATION = r"""')[1].split('"""')[0])


@pytest.mark.parametrize("words", named(calls("make")))
def test_a_target_of_make_is_there(words):
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[0] in targets


def test_every_first_word_of_a_command_is_one_that_is_tried():
    first = {shlex.split(line, comments=True)[0] for _page, line in COMMANDS if not line.startswith("#")}
    scripts = {word for word in first if word.startswith("tests/")}
    assert all((ROOT / word).exists() for word in scripts)
    programs = {
        "ansible",
        "ansible-galaxy",
        "ansible-playbook",
        "ansible-pull",
        "ansible-rulebook",
        "journalctl",
        "make",
    }
    programs |= {"pip", "resctrl-mon", "source"}
    assert first - scripts - programs == {
        "mon=env PYTHONPATH=plugins/module_utils python3 roles/resctrl_monitor/files/agent.py",
    }


def test_the_picture_of_the_house_is_made_from_its_imports():
    assert (ROOT / "docs/images/house.svg").read_text(encoding="utf-8") == house.drawing()


def test_no_page_is_left_out_of_the_table_of_contents():
    content = yaml.safe_load((ROOT / "docs/docsite/extra-docs.yml").read_text())
    assert sorted(page for section in content["sections"] for page in section["toctree"]) == examples.pages()
