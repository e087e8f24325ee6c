# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook kvmops.resctrl.investigate on a host: two pages, and in between all threads of suspects count."""

from __future__ import annotations

import os
import sys

import pytest
from investigations import collection_for
from neighbours import situation


@pytest.fixture(name="investigate")
def investigate_fixture(tmp_path):
    """Runs the playbook on a planted host: investigate(planted, words...) -> (status, output)."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "hosts.json").write_text('{"all": {"hosts": {"localhost": {}}, "vars": {"ansible_connection": "local"}}}')
    environment = {
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
    }

    def run(planted, *words, host="localhost"):
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(
            collection_for(planted.host.domains.uri, tmp_path / "collections")
        )
        argv = ["env", f"--chdir={home}", sys.executable, "-m", "ansible", "playbook", "--inventory", "hosts.json"]
        for word in (
            f"resctrl_host={host}",
            f"resctrl_directory={home}",
            f"resctrl_path={planted.host.resctrl}",
            "resctrl_interval=0.3",
            "resctrl_closer=0.3",
            *words,
        ):
            argv += ["-e", word]
        return planted.host.run_program([*argv, "kvmops.resctrl.investigate"], environment, 120)

    run.home = home
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
    _status, output = investigate(planted, host=host)
    assert list(investigate.home.glob("*.html")) == []
    if host not in {"nobody"}:
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
