# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook kvmops.resctrl.investigate on a host: two pages, and in between all threads of suspects count."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
from investigations import collection_for
from modules import ansible_environment
from neighbours import situation
from waiting import wait_until


@pytest.fixture(name="investigate")
def investigate_fixture(tmp_path):
    """Runs the playbook on a planted host: investigate(planted, words...) -> (status, output)."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "hosts.json").write_text('{"all": {"hosts": {"localhost": {}}, "vars": {"ansible_connection": "local"}}}')

    environment: dict[str, str] = {}
    ansible = ["env", f"--chdir={home}", sys.executable, "-m", "ansible"]

    def command(planted, *words, host="localhost"):
        environment.update(
            ansible_environment(home, collection_for(planted.host.domains.uri, tmp_path / "collections"))
        )
        argv = [*ansible, "playbook", "--inventory", "hosts.json"]
        for word in (
            f"resctrl_host={host}",
            f"resctrl_directory={home}",
            f"resctrl_path={planted.host.resctrl}",
            "resctrl_interval=0.3",
            "resctrl_closer=0.3",
            *words,
        ):
            argv += ["-e", word]
        return [*argv, "kvmops.resctrl.investigate"]

    def run(planted, *words, host="localhost"):
        return planted.host.run_program(command(planted, *words, host=host), environment, 120)

    run.home, run.command, run.environment, run.ansible = home, command, environment, ansible
    return run


def test_every_thread_of_a_suspect_is_counted_for_a_while_and_then_all_is_as_before(plant, investigate):
    planted = plant(situation("big but quiet"))
    domain = planted.host.domains["vm1"]
    before = planted.host.groups()
    planted.host.control.clear_log()
    status, output = investigate(planted)
    assert status == 0, output
    assert "vm1 looks like a large working set" in output, output
    assert {path.name for path in investigate.home.glob("*.html")} == {"localhost.html", "localhost-closer.html"}
    page = (investigate.home / "localhost-closer.html").read_text(encoding="utf-8")
    assert "<title>Caches and memory bandwidth, with all threads of those that stood out</title>" in page
    others = domain.threads - set(domain.vcpus.values())
    assert others
    said = [one.data.strip() for one in planted.host.control.log("write") if one.path.endswith("/tasks")]
    assert {str(tid) for tid in others} <= {word for line in said for word in line.split(",")}
    assert planted.host.groups() == before


def test_where_nothing_stands_out_nothing_is_switched(plant, investigate):
    planted = plant(situation("nothing at all"))
    planted.host.control.clear_log()
    # Of an earlier time, which is not to pass for one of now
    (investigate.home / "localhost-closer.html").write_text("old")
    status, output = investigate(planted)
    assert status == 0, output
    assert [path.name for path in investigate.home.glob("*.html")] == ["localhost.html"]
    assert planted.host.control.log("write") == []


def test_who_is_not_monitored_is_a_suspect_where_nobody_accounts_for_much(plant, investigate):
    planted = plant(situation("uncounted hog"))
    before = planted.host.groups()
    planted.host.control.clear_log()
    status, output = investigate(planted)
    assert status == 0, output
    made = {one.path for one in planted.host.control.log("mkdir")}
    for name in ("vm3", "vm4"):
        assert any(planted.host.domains[name].uuid in path for path in made)
    assert planted.host.groups() == before


@pytest.mark.parametrize("host", ["all", "*", "nobody", "localhost:!x"])
def test_only_the_name_of_a_host_is_taken(plant, investigate, host):
    planted = plant(situation("nothing at all"))
    status, output = investigate(planted, host=host)
    assert status != 0
    assert list(investigate.home.glob("*.html")) == []
    assert "Give the name of one host of the inventory." in " ".join(output.split())


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("resctrl_directory=.", "Give the absolute path of a directory that is there on this machine."),
        ("resctrl_directory=/nowhere", "Give the absolute path of a directory that is there on this machine."),
        ("resctrl_closer=0", "resctrl_closer is 0. Give seconds above 0 and at most 3600."),
        ("resctrl_closr=5", "Did you mean resctrl_closer?"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_done(plant, investigate, word, says):
    status, output = investigate(plant(situation("nothing at all")), word)
    assert status == 2
    assert says in " ".join(output.split())
    assert list(investigate.home.glob("*.html")) == []


def test_what_is_declared_on_the_host_stays_so(plant, investigate):
    planted = plant(situation("big but quiet"))
    planted.host.domains.own_etc()
    planted.host.domains.path("/etc/kvmops-resctrl/policy.json").write_text('{"default": "enabled"}')
    planted.host.control.clear_log()
    status, output = investigate(planted)
    assert status == 0, output
    assert "vm1 stays monitored as it is declared on this host." in output
    assert planted.host.control.log("write") == []
    assert (investigate.home / "localhost-closer.html").exists()


def test_who_waits_for_an_rmid_is_not_said_to_be_monitored_and_not_measured_for_nothing(plant, investigate):
    planted = plant(situation("uncounted hog"))
    planted.host.domains.own_etc()
    policy = '{"default": "unmanaged", "reserve_rmids": 1000, "domains": [{"name": "vm[34]", "state": "enabled"}]}'
    planted.host.domains.path("/etc/kvmops-resctrl/policy.json").write_text(policy)
    status, output = investigate(planted)
    assert status == 0, output
    assert "stays monitored" not in output
    for name in ("vm3", "vm4"):
        assert f"{name} is not monitored, and what is declared for it on this host stays so: waiting, " in output
    assert "None of those that stand out can be counted now, so there is no second page." in output
    assert not (investigate.home / "localhost-closer.html").exists()


def test_after_a_failure_everything_is_as_before(plant, investigate):
    planted = plant(situation("uncounted hog"))
    before = planted.host.groups()
    (investigate.home / "localhost-closer.html").mkdir()
    status, output = investigate(planted)
    assert status == 2, output
    assert "Write the second page" in output
    assert planted.host.groups() == before


@pytest.mark.parametrize(("name", "suspects"), [("big but quiet", {"vm1"}), ("uncounted hog", {"vm3", "vm4"})])
def test_what_an_interruption_leaves_ends_with_the_commands_that_were_said(plant, investigate, name, suspects):
    planted = plant(situation(name))
    host, before = planted.host, planted.host.groups()
    every = {tid for suspect in suspects for tid in host.domains[suspect].threads}
    argv = host.domains.argv(investigate.command(planted, "resctrl_closer=600"))
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(argv, env=investigate.environment, text=True, start_new_session=True, **pipes) as play:
        try:
            wait_until(lambda: every <= set().union(*host.groups().values()), "every thread is counted")
        finally:
            os.killpg(play.pid, signal.SIGINT)
        said, _nothing = play.communicate(timeout=60)
    assert host.groups() != before
    commands = re.findall(r'"(ansible -i INVENTORY localhost -m .*)"', said)
    assert commands, said
    for line in commands:
        program, _i, _inventory, *words = shlex.split(line)
        words[-1] += f" uri={host.domains.uri}"
        status, output = host.run_program(
            [*investigate.ansible, "adhoc", "-i", "hosts.json", *words], investigate.environment, 60
        )
        assert (program, status) == ("ansible", 0), output
    assert host.groups() == before
