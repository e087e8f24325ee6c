# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the documentation is executed as it is written there: on the pages, in the READMEs and the manual,
and in what plugins and playbooks say of themselves. What is not executed is listed here, with the reason.

Examples of the same words are executed once. All that were chosen begin at once: one after the other on each host, and
beside them those that make hosts of their own.
"""

from __future__ import annotations

import collections
import concurrent.futures
import json
import re
import subprocess

import examples
import pytest
import yaml

# Reason -> the first lines of the examples that are not executed for it
NOT_EXECUTED = {
    "what make does is tested where it is done, these tests among it": [
        "make deps",
        "make quick",
        "make test",
        "make docsite",
        "make demo",
        "make fleet",
        "make fleet-down",
        "make conformance",
        "make test-kernel",
        "make test-kernel KERNELS=6.12",
        "make deps kernel-vm",
    ],
    "it is for the shell in which the next line is typed": [
        "source .work/fleet/env",
        "export PATH=$PWD/.work/venv/bin:$PATH",
    ],
    "it takes Ansible Galaxy; tests/installed installs and upgrades from archives": [
        "ansible-galaxy collection install kvmops.resctrl",
        "ansible-galaxy collection install --upgrade kvmops.resctrl",
    ],
    "it takes a Java runtime and ansible.eda: make test-rulebook": ["ansible-galaxy collection install ansible.eda"],
    "the repository is of nobody": [
        'ansible-pull --url https://git.example.org/fleet.git --inventory hosts.yml --limit "$(hostname)" site.yml',
    ],
    "it takes guests with other kernels, or a kernel that has resctrl: make conformance test-kernel": [
        "tests/conformance/record --all-hardware",
        "pytest tests/conformance --conformance-record tests/conformance/recorded/emulator.json",
        "tests/conformance/table tests/conformance/recorded/*.json >docs/conformance.md",
        "pytest tests/conformance --resctrl /sys/fs/resctrl",
        "pytest tests/conformance --resctrl /sys/fs/resctrl --destructive",
    ],
    "it is what something prints": [
        "host  state   enabled  forced  waiting  failing  starting  disabled  off  RMIDs free",
        "host  state   enabled  forced  waiting  failing  starting  disabled  off  changed  RMIDs free",
        "host  domain  total/s  local/s  cache  not known because",
        "resctrl_nam is not a variable of kvmops.resctrl. Did you mean resctrl_name?",
    ],
}

# What examples that make hosts of their own are there to show
SHOWN = {
    "docs/docsite/rst/arm.rst": "Out of RMIDs: 1 needed in the root group, 0 free",
    "docs/docsite/rst/developing.rst": "vm1    shut off",
    "docs/docsite/rst/other_hosts.rst": "incus-vm    Disabled",
    "docs/docsite/rst/scarce.rst": "resctrl.mbm_total_bytes_per_second=null (unassigned)",
    "docs/docsite/rst/values.rst": "resctrl.core_energy_per_second=",
}

# What a reader puts in the place of these is, here, this; {directory} is the one of the operator
MEANT = {
    r"\bDOMAIN\b": "vm3",
    r" -i INVENTORY\b": " -i hosts.yml",
    r"resctrl_directory=\S+": "resctrl_directory={directory}",
    r"/var/www/html\b": "{directory}",
    r"/srv\b": "{directory}",
}

# What comes first, since other examples are about hosts on which that is done
FIRST = [
    ("README.md", "ansible-playbook -i hosts.yml kvmops.resctrl.prepare -e resctrl_monitor_default=enabled"),
    ("roles/resctrl_monitor/README.md", "- name: Monitor the databases first, and all others as far as the RMIDs go"),
    ("roles/resctrl_rules/README.md", "- name: Watch the caches of the hypervisors"),
]

# The first word of a line of shell -> how it is executed
PROGRAMS = {
    "ansible": "command",
    "ansible-playbook": "command",
    "journalctl": "there",
    "resctrl-mon": "there",
    "tests/demo/processes": "lab",
    "tests/lab/lab": "lab",
}

EVERY = examples.every()


def first_line(example):
    return example.text.splitlines()[0]


def way(example):
    """How an example is executed; "" if it is not."""
    if example.language == "bash":
        return PROGRAMS.get(example.text.split()[0], "")
    if "yaml" in example.language:
        return _way_of_yaml(yaml.safe_load(example.text))
    if example.language == "text":
        return "query" if example.where.endswith("/metrics.rst") else ""
    return {"tasks": "tasks", "json": "policy"}.get(example.language, "")


def _way_of_yaml(content):
    if isinstance(content, list):
        return "playbook"
    if all(name.startswith("resctrl_") for name in content):
        return "variables"
    return "inventory" if "hv" in content else "prometheus" if "rule_files" in content else ""


WAYS = collections.defaultdict(list)
for _example in EVERY:
    WAYS[way(_example)].append(_example)


def each(name):
    """The examples of a way, for a test of each."""
    numbers = collections.Counter()
    found = []
    for example in WAYS[name]:
        numbers[example.where] += 1
        found.append(pytest.param(example, id=f"{example.where} {numbers[example.where]}"))
    return pytest.mark.parametrize("example", found)


# -- how they are executed ---------------------------------------------------------------------------------------------


def meant(place, text):
    """The text of an example, with what a reader would put in."""
    for written, instead in MEANT.items():
        text = re.sub(written, instead.format(directory=place.directory), text)
    return text


def variables(place, text):
    """Declares them; the policy of the host, where that went well."""
    place.write("declared.yml", text)
    role = {"hosts": "hv", "gather_facts": False, "roles": ["kvmops.resctrl.resctrl_monitor"]}
    status, output = place.play([role], "-e @declared.yml")
    return (status, output) if status else place.shell_there("cat /etc/kvmops-resctrl/policy.json")


def policy(place, text):
    place.host.run(["tee", "/etc/kvmops-resctrl/policy.json"], input=text)
    return place.shell_there("resctrl-mon enforce && resctrl-mon status")


def prometheus(place, text):
    """The configuration, on the host on which the rules are."""
    place.host.run(["tee", "/etc/prometheus/prometheus.yml"], input=text)
    return place.shell_there("promtool check config /etc/prometheus/prometheus.yml")


# Way -> where, and how: a function of the place and the text
RUNS = {
    "command": ("commands", lambda place, text: place.shell(meant(place, text))),
    "there": ("roles", lambda place, text: place.shell_there(meant(place, text))),
    "playbook": ("roles", lambda place, text: place.play(text)),
    "variables": ("roles", variables),
    "policy": ("roles", policy),
    "prometheus": ("roles", prometheus),
    "lab": ("labs", lambda place, text: place.shell(text)),
}


class Executions:
    """Executes examples of the same place one after the other, and each text once."""

    def __init__(self, places):
        self._places = places
        self._queues = {name: concurrent.futures.ThreadPoolExecutor(1) for name in [*places, "there"]}
        self._started = {}
        first = [example for example in EVERY if (example.where, first_line(example)) in FIRST]
        self._first = [self.start(example) for example in first]

    def start(self, example):
        """The future (status, output) of an example."""
        how = way(example)
        where, run = RUNS[how]
        key = (where, " ".join(meant(self._places[where], example.text).replace("-i hosts.yml ", "").split()))
        if key not in self._started:
            # What an operator does on a host waits for much, and does little
            queue = "there" if how == "there" else where
            self._started[key] = self._queues[queue].submit(self._run, how, run, self._places[where], example.text)
        return self._started[key]

    def _run(self, how, run, place, text):
        if how == "there":
            concurrent.futures.wait(self._first)
        return run(place, text)

    def end(self):
        """What has not begun does not begin any more."""
        for queue in self._queues.values():
            queue.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def executed(request, places):
    """The (status, output) of an example. All that were chosen begin with the first."""
    executions = Executions(places)
    for item in request.session.items:
        if "executed" in item.fixturenames:
            executions.start(item.callspec.params["example"])
    yield lambda example: executions.start(example).result()
    executions.end()


def went_well(result):
    """The output of what has gone well."""
    status, output = result
    assert status == 0, output
    assert "DEPRECAT" not in output, output
    return output


@each("command")
def test_a_command_of_an_operator(executed, example):
    went_well(executed(example))


@each("there")
def test_a_command_on_a_host(executed, example):
    went_well(executed(example))


def test_the_tasks_that_plugins_have_as_examples(places):
    place = places["commands"]
    for name in ("a", "c"):
        place.write(f"{name}.py", "")
    plays = [(example.where, yaml.safe_load(meant(place, example.text))) for example in WAYS["tasks"]]
    went_well(place.play([{"name": name, "hosts": "hv", "gather_facts": False, "tasks": own} for name, own in plays]))


@each("playbook")
def test_a_playbook(executed, example):
    went_well(executed(example))


@each("variables")
def test_variables_become_the_policy_of_a_host(executed, example):
    policy, declared = json.loads(went_well(executed(example))), yaml.safe_load(example.text)
    assert policy["default"] == declared.get("resctrl_monitor_default", "unmanaged")
    told = [
        {key: rule[key] for key in given}
        for given, rule in zip(declared["resctrl_monitor_domains"], policy["domains"], strict=True)
    ]
    assert told == declared["resctrl_monitor_domains"]


@each("policy")
def test_a_policy_is_enforced(executed, example):
    output = went_well(executed(example))
    assert "Domain: 'db-1'\nRDT Monitoring Status: Enabled\n" in output
    assert "Domain: 'build-1'\nRDT Monitoring Status: Disabled\n" in output


@each("prometheus")
def test_the_configuration_of_prometheus_reads_the_rules_of_the_role(executed, example):
    assert "1 rule files found" in went_well(executed(example))


@each("lab")
def test_a_host_that_shows_something(executed, example):
    assert SHOWN[example.where] in went_well(executed(example))


@each("query")
def test_prometheus_understands_a_query(example, tmp_path):
    rules = {"groups": [{"name": "documentation", "rules": [{"record": "query", "expr": example.text}]}]}
    (tmp_path / "rules.json").write_text(json.dumps(rules), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each("inventory")
def test_ansible_understands_an_inventory(places, example):
    place = places["commands"]
    place.write("example.yml", example.text)
    output = went_well(place.shell("ansible-inventory -i example.yml --list"))
    assert json.loads(output)["hv"]["hosts"] == list(yaml.safe_load(example.text)["hv"]["hosts"])


def test_every_other_example_is_listed_with_the_reason():
    listed = [line for lines in NOT_EXECUTED.values() for line in lines]
    assert sorted(listed) == sorted({first_line(example) for example in WAYS[""]})


def test_no_block_is_marked_in_a_way_that_is_not_looked_for():
    for path in examples.SITE.glob("*.rst"):
        text = path.read_text(encoding="utf-8")
        marks = re.findall(r"\.\. (?:code|code-block|sourcecode|literalinclude)::|^(?!\.\.).*\w::$", text, re.MULTILINE)
        languages = set(re.findall(r"\.\. code-block:: (\S+)$", text, re.MULTILINE))
        assert len(marks) == sum(len(examples.blocks(path.stem, language)) for language in languages), path
    for path in examples.MARKDOWN:
        text = path.read_text(encoding="utf-8")
        languages = set(re.findall(r"^```(\S+)$", text, re.MULTILINE))
        blocks = sum(len(examples.fenced(path, language)) for language in languages)
        assert len(re.findall("^ *(?:```|~~~)", text, re.MULTILINE)) == 2 * blocks, path
