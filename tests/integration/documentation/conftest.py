# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the examples of the documentation are executed: two hosts with systemd, and the checkout."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from modules import ROOT, collections_path

from hosts import Lab, domain_xml

# The domains that the examples are about: that of the proposal, and what patterns and numbers stand for
DOMAINS = ("vm3", "web-1", "build-1", "db-1", "100")
# One is there by its UUID, and does not run
UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"
TEXTFILES = "/var/lib/prometheus/node-exporter"


class Checkout:
    """A shell in this checkout, with a lab of its own below `directory`."""

    def __init__(self, directory):
        self.directory = directory

    def shell(self, text):
        """(status, output) of lines of shell."""
        return _run(["bash", "-c", text], cwd=ROOT, env={**_environment(), "KVMOPS_LAB_STATE": str(self.directory)})


class Operator:
    """A host, and a directory from which Ansible manages it with an inventory hosts.yml. It is called kvm1 there, as in
    the documentation.
    """

    def __init__(self, lab, host, directory):
        self.host, self.directory = host, directory
        (connection,) = lab.inventory([host.name])["all"]["hosts"].values()
        # As short a look as there is, where an example does not say how long it is to be
        brief = {"resctrl_interval": 1, "resctrl_closer": 1}
        groups = {group: {"hosts": {"kvm1": connection}, "vars": brief} for group in ("hv", "prometheus")}
        self.write("hosts.yml", json.dumps(groups))  # JSON is YAML

    def write(self, name, text):
        """Write a file in the directory."""
        (self.directory / name).write_text(text, encoding="utf-8")

    def shell(self, text):
        """(status, output) of lines of shell in the directory."""
        return _run(["bash", "-c", text], cwd=self.directory, env={**_environment(), "ANSIBLE_INVENTORY": "hosts.yml"})

    def shell_there(self, text):
        """(status, output) of lines of shell on the host, as root."""
        return _run(self.host.argv(["bash", "-c", text], cwd="/root"))

    def play(self, plays, *words):
        """(status, output) of a playbook: its text, or what it says."""
        self.write("site.yml", plays if isinstance(plays, str) else json.dumps(plays))
        return self.shell(f"ansible-playbook {' '.join(words)} site.yml")


def _environment():
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def _run(argv, **options):
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(argv, **pipes, text=True, check=False, timeout=150, **options)
    return done.returncode, done.stdout


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    """On one host `commands` and modules are tried, on another one `roles` are; `labs` is a checkout."""
    with Lab() as lab:
        found = {"labs": Checkout(tmp_path_factory.mktemp("labs"))}
        for name in ("commands", "roles"):
            host = lab.up(f"t-documentation-{name}", full=True)
            for domain in DOMAINS:
                host.define(domain_xml(domain, kvm=host.has_kvm()))
                host.start(domain)
            host.define(domain_xml("by-uuid", uuid=UUID, kvm=host.has_kvm()))
            host.run(["mkdir", "-p", TEXTFILES])
            found[name] = Operator(lab, host, tmp_path_factory.mktemp(name))
        yield found
        status, output = found["labs"].shell("tests/lab/lab down --all")
        assert status == 0, output
