# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that playbooks and roles of this collection know, by their argument specifications."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.common.yaml import yaml_load

from ..module_utils.resctrl.vms.domain import nearest

# What the names of all variables begin with
PREFIX = "resctrl_"

# What a result may say of how its task ended
_ENDS = frozenset(("failed", "skipped", "results"))

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files() -> dict[str, str]:
    """playbooks/NAME or roles/NAME -> the file with its argument specification."""
    playbooks, roles = os.path.join(_ROOT, "playbooks"), os.path.join(_ROOT, "roles")
    found = {
        f"playbooks/{name[: -len('.meta.yml')]}": os.path.join(playbooks, name)
        for name in os.listdir(playbooks)
        if name.endswith(".meta.yml")
    }
    for name in os.listdir(roles):
        found[f"roles/{name}"] = os.path.join(roles, name, "meta", "argument_specs.yml")
    return found


def options_of(name: str) -> dict[str, dict[str, t.Any]]:
    """The options of a playbook or role, as ansible.builtin.validate_argument_spec takes them. Raises KeyError."""
    with open(files()[name], encoding="utf-8") as file:
        (entry,) = yaml_load(file)["argument_specs"].values()
    return {key: _without_words(option) for key, option in entry["options"].items()}


def _without_words(option: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """An option without its description, which would be shown wherever a value is refused."""
    spec = {key: value for key, value in option.items() if key != "description"}
    if "options" in spec:
        spec["options"] = {key: _without_words(one) for key, one in spec["options"].items()}
    return spec


def known_variables() -> set[str]:
    """The names of the variables of all playbooks and roles."""
    return {option for name in files() for option in options_of(name)}


def unknown_variables(variables: t.Mapping[str, t.Any], known: t.AbstractSet[str]) -> list[str]:
    """The variables that are named as if they were this collection's, and that nothing in it reads.

    Facts are none of them, and neither are results that a task has registered.
    """
    facts = variables.get("ansible_facts") or {}
    return sorted(
        name
        for name in variables
        if name.startswith(PREFIX) and name not in known and name not in facts and not _is_result(variables[name])
    )


def _is_result(value: t.Any) -> bool:  # noqa: ANN401  # whatever a variable holds
    """Whether a value is what a task has registered.

    Every result says whether it has changed something. Until ansible-core 2.18 that of a task which was skipped, or was
    run in a loop, does not say whether it has failed.
    """
    return isinstance(value, t.Mapping) and "changed" in value and not _ENDS.isdisjoint(value)


def sentences(unknown: t.Mapping[str, t.Sequence[str]], known: t.Collection[str]) -> list[str]:
    """A sentence for each unknown variable. `unknown`: host -> names; hosts are named unless it is all of them."""
    found = []
    for name in sorted({name for names in unknown.values() for name in names}):
        hosts = sorted(host for host, names in unknown.items() if name in names)
        whose = "" if len(hosts) == len(unknown) else f" (of {', '.join(hosts)})"
        meant = nearest(name, sorted(known))
        advice = f"Did you mean {meant}?" if meant else "See docs/docsite/rst/playbooks.rst for those that there are."
        found.append(f"{name}{whose} is not a variable of kvmops.resctrl. {advice}")
    return found
