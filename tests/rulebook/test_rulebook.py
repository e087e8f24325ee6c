# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An alert at Debian's Alertmanager, ansible-rulebook, and what comes of it on a host."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import sys

import pytest
from emulated_host import EmulatedHost
from investigations import collection_for
from modules import ROOT
from neighbours import Planted, situation
from waiting import wait_until

WORK = ROOT / ".work"
ALERT = "ResctrlCacheAggressor"
VARIABLES = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "/usr/bin/python3",
    "resctrl_interval": 0.3,
    "resctrl_closer": 0.3,
}
CONFIGURATION = """
route: {receiver: rulebook, group_by: [instance], group_wait: 1s, group_interval: 2s, repeat_interval: 4s}
receivers: [{name: rulebook, webhook_configs: [{url: "http://127.0.0.1:5055/alerts"}]}]
"""


@contextlib.contextmanager
def running(argv, ready, log, **options):
    """A program, once it says that it is ready."""
    with log.open("w") as file, subprocess.Popen(argv, stdout=file, stderr=file, **options) as process:
        try:
            wait_until(lambda: process.poll() is not None or ready in log.read_text(), f"{ready} in {log}")
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def post(port, path, content):
    """Send JSON to this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
        assert connection.getresponse().status in {200, 202}


class Loop:
    """A host whose alerts go to a rulebook."""

    def __init__(self, planted: Planted, home: pathlib.Path) -> None:
        self.planted = planted
        self.home = home
        self.log = home / "rulebook.log"

    def alert(self, instance):
        """Let an alert fire."""
        post(5056, "/api/v2/alerts", [{"labels": {"alertname": ALERT, "instance": instance}}])

    def send(self, instance, name=ALERT, status="firing", **labels):
        """Send the rulebook what Alertmanager would send."""
        alert = {"status": status, "labels": {"alertname": name, "instance": instance, **labels}}
        post(5055, "/alerts", {"alerts": [alert]})

    def wait_for(self, runs):
        """Wait until so many playbooks were run to their end."""
        wait_until(lambda: self.log.read_text().count("PLAY RECAP") >= runs, f"the end of run {runs}, see {self.log}")

    def pages(self):
        """The pages that were written."""
        return {path.name for path in self.home.glob("*.html")}


@pytest.fixture(name="loop")
def loop_fixture(tmp_path):
    """A host with a VM that holds most of a cache; Alertmanager, and the rulebook."""
    home = tmp_path / "home"
    home.mkdir()
    case = situation("big but quiet")
    profile, *settings = case.profile
    (home / "alertmanager.yml").write_text(CONFIGURATION)
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(EmulatedHost(tmp_path, profile, settings))
        host.domains.have_caches(case.caches)
        planted = Planted(host, str)
        case.plant(planted)
        own = {"resctrl_path": host.resctrl, "resctrl_directory": str(home)}
        inventory = {"all": {"hosts": {"kvm1": {}}, "vars": {**VARIABLES, **own}}}
        (home / "hosts.yml").write_text(json.dumps(inventory))
        collections = collection_for(host.domains.uri, tmp_path / "collections")
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": f"{collections}:{WORK}/rulebook-collections",
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{pathlib.Path(sys.executable).parent}:{WORK}/rulebook/bin:{os.environ['PATH']}",
        }
        rulebook = ["ansible-rulebook", "--rulebook", "kvmops.resctrl.neighbours", "--inventory", "hosts.yml"]
        argv = host.domains.argv(["env", f"--chdir={home}", *rulebook, "--print-events", "--verbose"])
        stack.enter_context(running(argv, "Waiting for events", home / "rulebook.log", env=environment))
        words = ["--config.file=alertmanager.yml", "--web.listen-address=127.0.0.1:5056", "--cluster.listen-address="]
        stack.enter_context(
            running(["prometheus-alertmanager", *words], "Listening on", home / "alertmanager.log", cwd=home)
        )
        yield Loop(planted, home)


def test_an_alert_about_a_host_has_it_looked_at_closer_and_leaves_all_as_it_was(loop):
    host = loop.planted.host
    before, domain = host.groups(), host.domains["vm1"]
    host.control.clear_log()
    loop.alert("kvm1:9100")
    loop.wait_for(1)
    assert loop.pages() == {"kvm1.html", "kvm1-closer.html"}, loop.log.read_text()
    written = {tid for one in host.control.log("write") for tid in one.data.strip().split(",")}
    assert {str(tid) for tid in domain.threads - set(domain.vcpus.values())} <= written
    assert host.groups() == before


def test_other_alerts_and_whatever_is_no_name_of_a_host_do_nothing(loop):
    trap = loop.home / "trap"
    template = f"{{{{ lookup('pipe', 'touch {trap}') }}}}"
    loop.send("kvm1", name="SomethingElse")
    loop.send("kvm1", status="resolved")
    loop.send(template)
    loop.send("kvm1,localhost")
    loop.send("kvm1:9100", summary=template)
    # It is being looked at already
    loop.send("kvm1:9100", cache_id="1")
    # This may be the name of a host, but none of the inventory's
    loop.send("all")
    loop.wait_for(2)
    said = loop.log.read_text()
    assert "resctrl_host is all. Give the name of one host of the inventory." in " ".join(said.split())
    assert (said.count("PLAY RECAP"), said.count("TASK [Measure again]")) == (2, 1)
    assert not trap.exists()
