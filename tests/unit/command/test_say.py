# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command says: in its own options' names, and never so that it changes the screen."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from command import say
from command.main import main
from resctrl.errors import ForeignGroup, NotMounted


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("It is mounted at /x: set resctrl_path", "It is mounted at /x: use --resctrl-path"),
        ("monitor the whole process (scope=domain)", "monitor the whole process (--scope domain)"),
        ("or take its threads over (takeover=true)", "or take its threads over (--takeover)"),
        ("or accept it (leave_cpu_group=true)", "or accept it (--leave-cpu-group)"),
        ("Run as root (become: true)", "Run it as root"),
    ],
)
def test_hints_name_the_commands_own_options(theirs, ours):
    assert say.in_our_words(f"So. {theirs}") == f"So. {ours}"


def test_no_hint_of_the_library_names_an_option_that_the_command_has_not(tree):
    """Whatever is in parentheses like an option of a module, or is to be set, has to be said in other words here."""
    texts = [
        node.value
        for path in sorted((tree / "plugins/module_utils/resctrl").rglob("*.py"))
        # The command never asks libvirt's daemon
        if path.name != "daemon.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    theirs = re.compile(r"\((?:[a-z_]+=(?:true|false|domain|vcpus)|become: true)\)|set [a-z]+_[a-z_]+")
    named = {found[0] for text in texts for found in theirs.finditer(text)}
    assert len(named) >= 5
    assert [text for text in named if theirs.search(say.in_our_words(f"switch the domain for good {text}"))] == [
        # It stands behind "Run as root"
        "(become: true)"
    ]


def test_an_error_is_said_on_stderr_in_one_line(capsys):
    error = ForeignGroup("Thread 1 of 'a\x1b[2J' is in a group", hint="Take it over (takeover=true)")
    assert say.fail(error) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "error: Thread 1 of 'a\\x1b[2J' is in a group. Take it over (--takeover)\n")


def test_an_error_of_the_library_ends_the_command_with_1(capsys, monkeypatch):
    def refuse(_path):
        raise NotMounted("resctrl is not mounted at /x", hint="It is mounted at /y: set resctrl_path")

    monkeypatch.setattr("resctrl.observe.host.Host.of_files", refuse)
    assert main(["status"]) == 1
    assert capsys.readouterr().err == ("error: resctrl is not mounted at /x. It is mounted at /y: use --resctrl-path\n")


def test_ctrl_c_ends_the_command_as_shells_expect_it(monkeypatch):
    def interrupt(_path):
        raise KeyboardInterrupt

    monkeypatch.setattr("resctrl.observe.host.Host.of_files", interrupt)
    assert main(["status"]) == 130


@pytest.mark.parametrize(("terminal", "printed"), [(True, 'a="\\x1b[2J"\nb\n'), (False, 'a="\x1b[2J"\nb\n')])
def test_a_document_is_printed_as_it_is_but_never_so_that_it_changes_the_screen(capsys, monkeypatch, terminal, printed):
    """A virtual machine that nobody's manager has named may be called anything."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    say.say_document('a="\x1b[2J"\nb\n')
    assert capsys.readouterr().out == printed


_ON_A_FULL_DISK = """
import sys
sys.path[:0] = {path!r}
from command import main, verbs
verbs.status = lambda _options: print("RDT Monitoring Status: Enabled") or 0
sys.exit(main.main(["status"]))
"""


def test_a_full_disk_is_a_sentence(files, tree):
    """It is noticed when what was printed is written, and once more when Python ends."""
    script = _ON_A_FULL_DISK.format(path=[str(tree / "plugins/module_utils"), str(files)])
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (1, "error: Cannot write the answer: No space left on device\n")
