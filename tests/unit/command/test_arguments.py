# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: what is understood, what is refused; and that help, man page and completion tell the same."""

from __future__ import annotations

import argparse
import re
import subprocess

import pytest
from command import arguments, verbs
from command.arguments import VERSION, parser
from command.main import main
from resctrl.tell.table import SORTS


def parsed(*words):
    return parser().parse_args(words)


def verbs_of(of):
    """Verb -> its own parser."""
    (action,) = (one for one in of._actions if isinstance(one, argparse._SubParsersAction))
    return action.choices


def options_of(of):
    """The long options of a parser."""
    return {word for action in of._actions for word in action.option_strings if word.startswith("--")}


VERBS = {name: options_of(one) for name, one in verbs_of(parser()).items()}


# -- what is understood


@pytest.mark.parametrize(
    ("verb", "run"),
    [
        ("status", verbs.status),
        ("stats", verbs.stats),
        ("top", verbs.top),
        ("why", verbs.why),
        ("enable vm3", verbs.enable),
        ("disable vm3", verbs.disable),
        ("enforce", verbs.enforce),
        ("clear", verbs.clear),
    ],
)
def test_every_verb_runs_what_it_is_named_after(verb, run):
    assert parsed(*verb.split()).run is run


@pytest.mark.parametrize("words", [("--resctrl-path", "/x", "status"), ("status", "--resctrl-path", "/x")])
def test_the_path_may_stand_before_or_after_the_verb(words):
    assert parsed(*words).resctrl_path == "/x"
    assert parsed("status").resctrl_path == "/sys/fs/resctrl"


@pytest.mark.parametrize("words", [("--source", "processes", "status"), ("status", "--source", "processes")])
def test_the_source_may_stand_before_or_after_the_verb(words):
    assert parsed(*words).source == "processes"


@pytest.mark.parametrize("source", ["libvirt", "processes"])
def test_where_nothing_is_said_the_source_is_the_hosts(source):
    assert parser(source).parse_args(["status"]).source == source
    assert parsed("status").source == "libvirt"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("status", "--source", "xen"),
        ("enabel", "vm3"),
        ("enable",),
        ("disable", "vm3", "--scope", "domain"),
        ("stats", "--csv", "--json"),
        ("enforce", "--check", "--quiet"),
        ("top", "--sort", "size"),
        *(("stats", "--interval", text) for text in ("0", "-1", "nan", "inf", "soon", "3601")),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_an_interval_that_is_none_is_named_in_words(capsys):
    with pytest.raises(SystemExit):
        main(["stats", "--interval", "soon"])
    assert "'soon' is not a number of seconds above 0 and at most 3600" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("status", ""), "argument DOMAIN: it is empty"),
        (("disable", " "), "argument DOMAIN: it is empty"),
        (("status", "--resctrl-path", ""), "argument --resctrl-path: it is empty"),
        (("metrics", "--output", ""), "argument --output: it is empty"),
        (("stats", "--interval", ""), "argument --interval: it is empty"),
        (("why", "--ceiling", ""), "argument --ceiling: it is empty"),
        (("metrics", "--mode", ""), "argument --mode: it is empty"),
    ],
)
def test_what_is_empty_is_told_to_be_and_is_not_all_domains(words, what, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert what in capsys.readouterr().err


def test_the_version_is_the_collections(tree, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"resctrl-mon {VERSION}\n")
    assert re.search(r"^version: (.+)$", (tree / "galaxy.yml").read_text(), re.MULTILINE)[1] == VERSION


def test_help_has_examples_that_are_understood_and_the_exit_status(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    examples = re.findall(r"^  resctrl-mon (.+?)(?:  .*)?$", text, re.MULTILINE)
    assert len(examples) == 7
    for example in examples:
        assert callable(parsed(*example.replace("'", "").split()).run)
    assert re.findall(r"^  ([0-9]+) ", text, re.MULTILINE) == ["0", "1", "2", "130"]


# -- the man page


@pytest.fixture(name="manual")
def manual_fixture(files):
    return (files / "resctrl-mon.8").read_text().replace("\\-", "-")


@pytest.mark.parametrize("verb", VERBS)
def test_the_man_page_has_every_verb_with_its_options(manual, verb):
    (entry,) = re.findall(rf"^\.TP\n\.BR? {verb}(.*)$", manual, re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", entry)) == VERBS[verb] - {"--help", "--resctrl-path", "--source"}


def test_the_man_page_explains_every_option_and_no_other(manual):
    section = manual.partition(".SH OPTIONS")[2].partition(".SH TABLE")[0]
    explained = set(re.findall(r"^\.BI? .*?(--[a-z-]+)", section.replace(".BR -h", ".B -h"), re.MULTILINE))
    assert explained == set().union(options_of(parser()), *VERBS.values())


def test_the_man_page_is_of_this_version(manual):
    assert f'"kvmops.resctrl {VERSION}"' in manual


# -- completion


@pytest.fixture(name="complete")
def complete_fixture(files):
    """What bash offers for the last word of a command line."""

    def ask(*words):
        script = (
            'source "$0"; COMP_WORDS=(resctrl-mon "$@"); COMP_CWORD=$#; _resctrl_mon; '
            '((${#COMPREPLY[@]} == 0)) || printf "%s\\n" "${COMPREPLY[@]}"'
        )
        argv = ["bash", "--norc", "-c", script, str(files / "resctrl-mon.bash"), *words]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        assert done.stderr == ""
        return set(done.stdout.splitlines())

    return ask


def test_bash_offers_the_verbs(complete):
    assert complete("") == set(VERBS)
    assert complete("e") == {"enable", "enforce"}
    assert complete("--resctrl-path", "/x", "--source", "processes", "en") == {"enable", "enforce"}


def test_bash_offers_the_options_of_the_command_itself(complete):
    assert complete("--") == options_of(parser())


@pytest.mark.parametrize("verb", VERBS)
def test_bash_offers_the_options_of_a_verb(complete, verb):
    assert complete(verb, "--") == VERBS[verb]
    assert complete("--resctrl-path", "/x", verb, "--") == VERBS[verb]


def test_bash_offers_what_an_option_can_be(complete):
    for verb, option in (("top", "--sort"), ("enable", "--scope"), ("status", "--source")):
        (action,) = (one for one in verbs_of(parser())[verb]._actions if option in one.option_strings)
        assert complete(verb, option, "") == set(action.choices)
    assert complete("stats", "--interval", "") == set()


def test_bash_offers_directories_for_the_path(complete, tmp_path):
    (tmp_path / "resctrl").mkdir()
    (tmp_path / "file").write_text("")
    assert complete("--resctrl-path", f"{tmp_path}/") == {f"{tmp_path}/resctrl"}


@pytest.mark.parametrize("verb", ["enforce", "clear"])
def test_bash_offers_nothing_where_there_is_nothing_to_be_said(complete, verb):
    assert complete(verb, "") == set()


def test_a_table_is_sorted_by_its_columns():
    assert tuple(SORTS) == arguments.SORTS
