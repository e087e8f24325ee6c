#!/usr/bin/python
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resctrl_mon
short_description: Switch hardware cache and memory-bandwidth monitoring of virtual machines on or off
version_added: 1.0.0
description:
  - Enforces, per libvirt domain and at run time, whether the CPU counts its last-level cache occupancy (CMT) and memory
    bandwidth (MBM), through Linux's resctrl filesystem (Intel RDT, AMD QoS, Arm MPAM).
  - A domain is monitored by moving its threads into a monitoring group named C(kvmops-UUID). Nothing is allocated, no
    group of another program is removed or renamed, and no thread leaves its allocation (CTRL_MON) group.
  - Where a domain's XML has C(<cachetune>), C(<memorytune>) or C(<energytune>), libvirt has the vCPUs concerned
    counted already. That cannot be switched off, and the status says so.
  - Every run repairs what is not as wished, for example after a vCPU was hot-plugged.
extends_documentation_fragment:
  - kvmops.resctrl.attributes
  - kvmops.resctrl.attributes.action_group
  - kvmops.resctrl.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  name:
    description:
      - Names, UUIDs or shell patterns (such as V(web-*)) of domains, in one task rather than in a loop.
      - Patterns select running domains only, and may match none.
      - A name with a comma has to be an item of a list, since Ansible splits a plain string at commas.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(enabled) makes sure that every thread in O(scope) is counted, by a group of this collection or of libvirt.
      - V(disabled) makes sure that no group of this collection counts any of them.
    type: str
    choices: [enabled, disabled]
    default: enabled
  scope:
    description:
      - V(vcpus) counts the threads of the vCPUs, as libvirt's own monitors do.
      - V(domain) counts every thread of the domain's process, so also emulation and I/O.
      - Going from V(domain) to V(vcpus) takes the other threads out of the group. It goes on counting from where it
        was. One free RMID is needed for a moment.
    type: str
    choices: [vcpus, domain]
    default: vcpus
  takeover:
    description:
      - Whether to take threads out of another program's monitoring group (never of libvirt's). Without it such a
        domain fails.
    type: bool
    default: false
  bandwidth:
    description:
      - Whether the domain is worth a bandwidth counter, where the CPU has fewer of them than groups (AMD ABMC, Arm
        MPAM). Elsewhere this changes nothing. A domain without one is monitored, but its memory bandwidth is not known.
      - V(auto) takes what is left. V(true) also takes counters from domains of the same task, or of the same policy,
        for which it is V(auto). V(false) gives them back.
    type: str
    choices: [auto, "true", "false"]
    default: auto
  leave_cpu_group:
    description:
      - Whether to monitor a domain even where that ends the throttling of its memory bandwidth, or on Arm its
        allocation.
      - On a host where resctrl is mounted with C(mba_MBps), a domain is throttled by the group of the CPU that it runs
        on, until it is counted by a group of its own. Without this option such a domain fails.
      - On Arm a domain has the allocation of the group of the CPU that it runs on, until it is counted by a group of
        its own. Without this option such a domain fails.
      - Elsewhere such a domain is monitored in any case, and the module warns that the CPU's group no longer
        counts it.
    type: bool
    default: false
  reserve_rmids:
    description:
      - How many RMIDs (the hardware's monitoring ids) to leave free. A domain with C(<cachetune>) does not start
        without one.
    type: int
    default: 0
  when_inactive:
    description:
      - What to do, for both states, about a domain that is not running.
    type: str
    choices: [fail, ignore]
    default: fail
  prune:
    description:
      - Whether to remove groups of this collection that count no running domain.
    type: bool
    default: true
  persistent:
    description:
      - Whether to keep the state on the host, by the domain's UUID, so that it is enforced whenever the domain starts.
        A domain that is shut off is then no failure.
      - With a pattern, the state is kept for the domains that run now. One that is defined or started later is not
        among them, even if its name matches. To declare a state for all that ever match, use the role's variable
        C(resctrl_monitor_domains). A pattern that matches nothing keeps nothing.
      - Where the state cannot be kept, the domain fails, though it has been switched for as long as it runs.
      - The role C(kvmops.resctrl.resctrl_monitor) enforces it. Without it, the module warns.
    type: bool
    default: false
notes:
  - Without O(persistent) the state lasts as long as the domain runs.
  - If the RMIDs do not suffice for all domains named, nothing is changed at all.
  - Where one domain fails, the others get all that can be done.
  - A domain that is just starting is waited for, up to ten seconds, if it was asked for by name. If a pattern stands
    for it, it is left to the next run.
  - On a host with a policy (role C(kvmops.resctrl.resctrl_monitor)) the module warns where the policy will undo what it
    does.
seealso:
  - module: kvmops.resctrl.resctrl_stats
  - module: kvmops.resctrl.resctrl_info
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Monitor one domain
  kvmops.resctrl.resctrl_mon:
    name: vm3
    state: enabled

- name: Monitor all running domains, and leave four RMIDs free
  kvmops.resctrl.resctrl_mon:
    name: "*"
    reserve_rmids: 4

- name: Monitor vm3 now and whenever it starts
  kvmops.resctrl.resctrl_mon:
    name: vm3
    persistent: true

- name: Stop monitoring the build machines
  kvmops.resctrl.resctrl_mon:
    name:
      - build-*
      - 5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3
    state: disabled
    when_inactive: ignore
"""

RETURN = r"""
domains:
  description: The domains, in the order asked.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The domain's name; where libvirt knows none, what was asked for.
      type: str
    uuid:
      description: The domain's UUID; where libvirt knows no such domain, null.
      type: str
      sample: 5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3
    uuid_made:
      description:
        - Whether the domain has no UUID of its own, so that this one was made of its number or name. Only with
          O(source=processes).
      type: bool
    active:
      description: Whether the domain runs.
      type: bool
    status:
      description:
        - One of V(Enabled), V(Disabled), V(Enabled (forced by cachetune\)), V(Enabled (forced by memorytune\)),
          V(Enabled (forced by energytune\)).
        - Where libvirt knows no such domain, null.
      type: str
    enabled:
      description: Whether RV(domains[].status) begins with Enabled.
      type: bool
    starting:
      description: Whether the domain is just being started, so that it has no vCPUs yet that could be counted.
      type: bool
    forced_by:
      description:
        - V(cachetune), V(memorytune) or V(energytune) of the domain's XML, by which libvirt has it monitored, or null.
      type: str
    changed:
      description: Whether anything was changed for it.
      type: bool
    failed:
      description: Whether it is not as wished.
      type: bool
    msg:
      description: What was done, or why it failed.
      type: str
      sample: "Now counted: vCPU 0, 1"
    code:
      description: The cause of a failure, such as V(domain_not_running) or V(rmids_exhausted), or null.
      type: str
    groups:
      description: The directories of the groups that count it.
      type: list
      elements: str
      sample: [/sys/fs/resctrl/mon_groups/kvmops-5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3]
    vcpus:
      description: Which vCPUs are counted.
      type: dict
      contains:
        counted:
          description: The ids of those that are.
          type: list
          elements: int
        uncounted:
          description: The ids of those that are not.
          type: list
          elements: int
    without_bandwidth:
      description:
        - The ids of the L3 caches on which it has no bandwidth counter, so that its memory bandwidth there is not
          known. Empty where every group counts bandwidth.
      type: list
      elements: int
pruned:
  description: The stale groups that were removed.
  returned: always
  type: list
  elements: str
rmids:
  description: The host's RMIDs after the run.
  returned: always
  type: dict
  contains:
    total:
      description: How many there are; 0 where the host cannot monitor.
      type: int
    used:
      description: How many are held by a group, the host's own included.
      type: int
    free:
      description: How many are left.
      type: int
code:
  description: The cause of a failure of the whole host, such as V(libvirt_unreachable).
  returned: failure of the host
  type: str
path:
  description: The file concerned, or empty.
  returned: failure of the host
  type: str
hint:
  description: What to do.
  returned: failure of the host
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.switch import Switched, switch
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.wish import BANDWIDTHS, Wish
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.errors import ResctrlError
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.domains import (
    describe_domain,
    describe_failures,
    describe_snapshot,
)


def main() -> None:
    """Enforce the state, and return what came of it."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["enabled", "disabled"], "default": "enabled"},
            "scope": {"type": "str", "choices": ["vcpus", "domain"], "default": "vcpus"},
            "takeover": {"type": "bool", "default": False},
            "bandwidth": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
            "leave_cpu_group": {"type": "bool", "default": False},
            "reserve_rmids": {"type": "int", "default": 0},
            "when_inactive": {"type": "str", "choices": ["fail", "ignore"], "default": "fail"},
            "prune": {"type": "bool", "default": True},
            "persistent": {"type": "bool", "default": False},
            "source": {"type": "str", "choices": ["libvirt", "processes"], "default": "libvirt"},
            "uri": {"type": "str", "default": "qemu:///system"},
            "resctrl_path": {"type": "path", "default": "/sys/fs/resctrl"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["reserve_rmids"] < 0:
        module.fail_json(msg="reserve_rmids cannot be negative: give the number of RMIDs to leave free, or 0")
    wish = Wish(
        enabled=params["state"] == "enabled",
        whole_process=params["scope"] == "domain",
        takeover=params["takeover"],
        leave_cpu_group=params["leave_cpu_group"],
        bandwidth=BANDWIDTHS[params["bandwidth"]],
    )
    host = Host.of_source(params["source"], params["uri"], params["resctrl_path"])
    try:
        switched = switch(
            host,
            params["name"],
            wish,
            persistent=params["persistent"],
            ignore_inactive=params["when_inactive"] == "ignore",
            reserve=params["reserve_rmids"],
            prune=params["prune"],
            check=module.check_mode,
        )
    except ResctrlError as error:
        module.fail_json(**error.fields())
        return
    for warning in switched.warnings:
        module.warn(warning)
    result = describe(switched, wish.enabled, host, module._diff)
    message = describe_failures(switched.outcome.results)
    if message:
        module.fail_json(msg=message, **result)
    module.exit_json(**result)


def describe(switched: Switched, enabled: bool, host: Host, diff: bool) -> dict[str, t.Any]:
    """What the module returns. `enabled`: what was wished."""
    outcome, resctrl = switched.outcome, host.resctrl
    result = {
        "changed": switched.changed,
        "domains": [describe_domain(one, resctrl) for one in outcome.results],
        "pruned": [resctrl.path(group) for group in outcome.pruned],
        "rmids": outcome.after.rmids(),
    }
    if diff:
        after = dict.fromkeys(switched.noted, enabled)
        result["diff"] = {
            "before": describe_snapshot(outcome, outcome.before, resctrl, switched.noted),
            "after": describe_snapshot(outcome, outcome.after, resctrl, after),
        }
    return result


if __name__ == "__main__":
    main()
