# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules return is what their documentation says, key by key. Whole modules, as processes."""

from __future__ import annotations

import re
import time

import jinja2
import pytest
import yaml
from agents import Agent
from emulated_host import EmulatedHost
from modules import ROOT
from neighbours import ONE_SOCKET

# What Ansible itself returns or takes (docs.ansible.com, "Common return values")
COMMON = {"ansible_facts", "changed", "diff", "exception", "failed", "invocation", "msg", "warnings"}
# Ansible adds the state of the file to a result that has a path
OF_THE_FILE = {"gid", "group", "mode", "owner", "size", "state", "uid"}
# A dictionary by domains' names: what is documented is each value
BY_NAME = "ansible_facts.resctrl_stats.domains"


def documented(module):
    """What the documentation of a module says that it returns: each key with those above it."""
    text = (ROOT / "plugins/modules" / f"{module}.py").read_text(encoding="utf-8")
    (block,) = re.findall(r'^RETURN = r"""\n(.*?)"""', text, re.DOTALL | re.MULTILINE)
    return dict(_documented(yaml.safe_load(block), ""))


def _documented(described, above):
    for key, value in described.items():
        path = f"{above}.{key}".strip(".")
        yield path, value
        yield from _documented(value.get("contains", {}), path)


def returned(result, described):
    """The keys of a result with those above them; dictionaries whose keys are not documented are values."""
    return set(_returned({key: result[key] for key in result if key not in COMMON - {"ansible_facts"}}, "", described))


def _returned(value, path, described):
    if path and path in described:
        yield path
    if isinstance(value, list):
        for item in value:
            yield from _returned(item, path, described)
    elif isinstance(value, dict) and path == BY_NAME:
        for item in value.values():
            yield from _inside(item, path, described)
    elif isinstance(value, dict) and (not path or "contains" in described.get(path, {})):
        yield from _inside(value, path, described)


def _inside(value, path, described):
    for key, item in value.items():
        below = f"{path}.{key}".strip(".")
        yield below
        yield from _returned(item, below, described)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Module -> results of it in which, all in all, everything is returned that can be."""
    found = {}
    with EmulatedHost(tmp_path_factory.mktemp("contract"), "amd-abmc", ["l3_ids=0,1"]) as host:
        host.domains.define("vm1")
        host.tuned("vm2", "0-0")
        host.domains.add("vm3")
        host.enable(host.domains.add("vm4"))
        host.make_group("mon_groups/pqos-1-1")
        unreachable = {"uri": "qemu:///system"}
        found["resctrl_mon"] = [
            host.run("resctrl_mon", name=["vm1", "vm2", "vm3", "vm4", "x"], diff=True),
            host.run("resctrl_mon", name="vm3", **unreachable),
        ]
        # Only with a policy is there anything that is declared
        host.domains.own_etc()
        host.domains.path("/etc/kvmops-resctrl/policy.json").write_text('{"default": "enabled"}')
        found["resctrl_info"] = [host.run("resctrl_info"), host.run("resctrl_info", **unreachable)]
        found["resctrl_stats"] = [
            host.run("resctrl_stats", interval=0.1),
            host.run("resctrl_stats", detail="totals", interval=0.1),
            host.run("resctrl_stats", **unreachable),
        ]
    with EmulatedHost(tmp_path_factory.mktemp("telemetry"), "intel-aet") as host:
        host.enable(host.domains.add("vm4"))
        found["resctrl_info"].append(host.run("resctrl_info"))
        found["resctrl_stats"].append(host.run("resctrl_stats", interval=0.1))
    with EmulatedHost(tmp_path_factory.mktemp("analysis"), "intel-6.12", ["cbm_bits=16"]) as host:
        host.domains.have_caches(ONE_SOCKET)
        host.tuned("vm2", "0-0")
        # An allocation that is not filled is worth a word
        (host.seen("qemu-1-vm2-vcpus_0-0") / "schemata").write_text("L3:0=f000\n")
        host.control.set("qemu-1-vm2-vcpus_0-0", 0, "llc_occupancy", 1 << 20)
        found["resctrl_stats"].append(host.run("resctrl_stats", interval=0.1, analysis=True))
    with EmulatedHost(tmp_path_factory.mktemp("turns"), "intel-aet", ["telemetry_rmids=3"]) as host:
        for name in ("vm1", "vm2", "vm3"):
            host.domains.add(name)
            host.domains.plug(name, 2, busy=True)
        agent = Agent(host)
        agent.declare(default="enabled", turns={"window": 1, "warm_up": 0})
        for _turn in range(2):
            agent.run("enforce")
            time.sleep(1)
        found["resctrl_stats"] += [host.run("resctrl_stats"), host.run("resctrl_stats", detail="totals")]
    return found


MODULES = ["resctrl_mon", "resctrl_info", "resctrl_stats"]


@pytest.mark.parametrize("module", MODULES)
def test_every_key_that_is_returned_is_documented(results, module):
    described = documented(module)
    for result in results[module]:
        extra = OF_THE_FILE if "path" in result else set()
        assert returned(result, described) - described.keys() - extra == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_key_that_is_documented_is_returned(results, module):
    described = documented(module)
    found = set().union(*(returned(result, described) for result in results[module]))
    assert described.keys() - found == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_key_can_be_used_in_dot_notation(module):
    """Jinja takes it for a name, and it is no method of a dictionary."""
    keys = [path.rpartition(".")[2] for path in documented(module)]
    environment = jinja2.Environment(autoescape=True)
    said = [environment.from_string(f"{{{{ one.{key} }}}}").render(one={key: key}) for key in keys]
    assert (said, [key for key in keys if hasattr({}, key)]) == (keys, [])


@pytest.mark.parametrize("module", MODULES)
def test_every_value_is_of_its_documented_type(results, module):
    types = {"str": str, "int": int, "float": (int, float), "bool": bool, "list": list, "dict": dict}
    described = documented(module)
    values = [pair for result in results[module] for pair in every_value(result, "")]
    wrong = [
        (path, value)
        for path, value in values
        if path in described and value is not None and not isinstance(value, types[described[path]["type"]])
    ]
    assert wrong == []


def every_value(value, path):
    """Each value of a result, with the keys above it."""
    yield path, value
    items = value if isinstance(value, list) else [value]
    if path == BY_NAME and isinstance(value, dict):
        items = value.values()
    for item in items:
        for key, inner in item.items() if isinstance(item, dict) else ():
            yield from every_value(inner, f"{path}.{key}".strip("."))


def test_without_details_there_are_no_caches_packages_and_groups(results):
    described = documented("resctrl_stats")
    full, totals, *_others = (returned(result, described) for result in results["resctrl_stats"])
    details = {f"{BY_NAME}.{key}" for key in ("caches", "groups", "packages", "rates.caches", "rates.packages")}
    assert {key for key in full - totals if key.rpartition(".")[0] not in full - totals} == details
    assert totals < full
