#!/usr/bin/python
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resctrl_info
short_description: Query which virtual machines are monitored, and what the host can monitor
version_added: 1.0.0
description:
  - Returns the monitoring status of libvirt domains, as C(virsh resctrl DOMAIN) of a proposal to libvirt of 2018
    would have, and what the host offers, so that it also serves as a check before anything is switched on.
  - A host that cannot monitor is an answer, not a failure. RV(host.problems) then says what is missing and what to do.
extends_documentation_fragment:
  - kvmops.resctrl.attributes
  - kvmops.resctrl.attributes.action_group
  - kvmops.resctrl.host
attributes:
  check_mode:
    support: full
    details: The module changes nothing.
  diff_mode:
    support: N/A
    details: The module changes nothing.
options:
  name:
    description:
      - The domains, as names, UUIDs or shell patterns (such as V(web-*)). Without it, all, those that are shut off
        included.
      - Patterns, V(*) among them, select running domains only, and may match none.
    type: list
    elements: str
  policy:
    description:
      - A policy that the host is about to be given, in the form of C(/etc/kvmops-resctrl/policy.json).
        RV(domains[].declared) is then about that policy, not about the one that the host has. What was switched
        persistently on the host holds.
    type: dict
seealso:
  - module: kvmops.resctrl.resctrl_mon
  - module: kvmops.resctrl.resctrl_stats
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Is vm3 monitored?
  kvmops.resctrl.resctrl_info:
    name: vm3
  register: monitoring

- name: Say it as virsh would
  ansible.builtin.debug:
    msg: "RDT Monitoring Status: {{ monitoring.domains[0].status }}"

- name: What can the hosts monitor?
  kvmops.resctrl.resctrl_info:
  register: monitoring

- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ monitoring.host.problems }}"
  when: not monitoring.host.supported
"""

RETURN = r"""
domains:
  description: One item for each domain, in the order asked, as of M(kvmops.resctrl.resctrl_mon).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The domain's name; where libvirt knows no such domain, what was asked for.
      type: str
      sample: vm3
    uuid:
      description: The domain's UUID, or null where libvirt knows no such domain.
      type: str
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
        - Enabled says that the domain is counted. RV(domains[].vcpus) says whether all of its vCPUs are.
        - Null where libvirt knows no such domain.
      type: str
      sample: Enabled
    enabled:
      description: Whether RV(domains[].status) is one of those that begin with Enabled.
      type: bool
    starting:
      description: Whether the domain is just being started, so that it has no vCPUs yet that could be counted.
      type: bool
    forced_by:
      description:
        - The element of the domain's XML by which libvirt has it monitored (V(cachetune), V(memorytune) or
          V(energytune)), or null.
      type: str
    changed:
      description: Always V(false).
      type: bool
    failed:
      description: Whether the query failed for this domain.
      type: bool
    msg:
      description: Why it failed, or that the domain stopped, is starting or cannot be seen from here; else empty.
      type: str
    code:
      description: A short name of the cause of a failure, such as V(domain_not_found), or null.
      type: str
    groups:
      description: The directories of the groups that count the domain.
      type: list
      elements: str
    vcpus:
      description: Which of the domain's vCPUs are counted.
      type: dict
      contains:
        counted:
          description: The ids of the vCPUs that are counted.
          type: list
          elements: int
          sample: [0, 1]
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
    declared:
      description:
        - What is declared for the domain on this host, and how it stands. Null where nothing was ever declared or
          switched persistently on the host (role C(kvmops.resctrl.resctrl_monitor) or
          O(kvmops.resctrl.resctrl_mon#module:persistent)).
        - Null, with a warning, where a file of the policy cannot be understood.
      type: dict
      contains:
        state:
          description: What the policy declares.
          type: str
          choices: [enabled, disabled, unmanaged]
        rule:
          description: The name or pattern of the rule that the domain falls under; null for the policy's default.
          type: str
          sample: web-*
        switch:
          description: How the domain was switched persistently, which wins over the policy; null if it was not.
          type: str
          choices: [enabled, disabled]
        priority:
          description: Its priority where there are too few RMIDs.
          type: int
        condition:
          description:
            - V(counted) it is monitored. V(waiting) it is to be monitored, and waits for an RMID. V(failing) it is to
              be monitored and cannot be. V(starting) it is being started. V(pending) the next run of the agent will
              monitor it. V(unmonitored) it is neither monitored nor to be. V(off) it is shut off.
          type: str
          choices: [counted, waiting, failing, starting, pending, unmonitored, "off"]
        why:
          description: Why it waits or fails; else empty.
          type: str
        takes_turns:
          description: Whether what it waits for is its turn.
          type: bool
host:
  description: What the host offers.
  returned: always
  type: dict
  contains:
    supported:
      description: Whether domains can be monitored here and now.
      type: bool
    mounted:
      description: Whether the resctrl filesystem is mounted at O(resctrl_path).
      type: bool
    mount_options:
      description: The options it is mounted with.
      type: list
      elements: str
      sample: [rw, relatime]
    features:
      description: The events that can be counted, as the kernel names them.
      type: list
      elements: str
      sample: [llc_occupancy, mbm_total_bytes, mbm_local_bytes]
    events:
      description: The same events, with what they are.
      type: list
      elements: dict
      contains:
        name:
          description: The kernel's name.
          type: str
          sample: mbm_total_bytes
        resource:
          description: What counts it, V(L3) for each L3 cache and V(PERF_PKG) for each CPU package.
          type: str
          choices: [L3, PERF_PKG]
        unit:
          description:
            - V(bytes), V(joules), V(farads), V(cycles), V(ticks) or V(uops), or null for an event that this collection
              does not know.
          type: str
          sample: bytes
        kind:
          description:
            - V(counter) for what grows and has a rate, V(gauge) for what is as it is now, or null for an event that
              this collection does not know.
          type: str
          choices: [counter, gauge]
        configuration:
          description:
            - What the event counts on each L3 cache, where the hardware lets that be changed (AMD), or null. It is the
              same for all domains.
          type: list
          elements: dict
          contains:
            cache:
              description: The id of the cache.
              type: int
            counts:
              description: The kinds of memory transactions that are counted, as the kernel names them.
              type: list
              elements: str
              sample: [local_reads, remote_reads]
            default:
              description:
                - Whether that is the default. Where it is not, RV(host.problems) says so, and so does each value of the
                  event (RV(kvmops.resctrl.resctrl_stats#module:ansible_facts.resctrl_stats.domains.configured)).
              type: bool
    rmids:
      description: The RMIDs (the hardware's monitoring ids). Each group takes one, and so does the host as a whole.
      type: dict
      contains:
        total:
          description: How many there are; 0 where the host cannot monitor.
          type: int
        used:
          description: How many are held by a group.
          type: int
        free:
          description: How many are not.
          type: int
        per_ctrl_mon:
          description:
            - On Arm, how many each CTRL_MON group has, its own included; nobody else can use them. So the root has room
              for one MON group fewer, whatever is free.
            - It is null where RMIDs go with every group, as on Intel and AMD, or where the kernel does not tell.
          type: int
        held_by:
          description: Who holds them.
          type: list
          elements: dict
          contains:
            owner:
              description:
                - Whose groups these are, by their names and by the domains that run. V(default) is the group of all
                  that is in no other.
              type: str
              choices: [kvmops, libvirt, pqos, other, default]
            rmids:
              description: How many RMIDs they hold.
              type: int
            groups:
              description: The groups.
              type: list
              elements: dict
              contains:
                path:
                  description: The group's directory.
                  type: str
                threads:
                  description:
                    - How many threads it has, those of the MON groups below it included. With 0 the group holds an
                      RMID and counts nothing.
                    - Null for the group of all that is in no other, where it cannot be read, and where the threads of
                      the host cannot all be seen (in a container).
                  type: int
    caches:
      description: The L3 caches.
      type: list
      elements: dict
      contains:
        id:
          description: The id of the cache.
          type: int
        size:
          description: Its size in bytes, or null where the kernel does not tell.
          type: int
          sample: 33554432
    counters:
      description:
        - The memory-bandwidth counters that are given to groups (AMD ABMC, Arm MPAM), for each L3 cache. Empty where
          every group has counters of its own.
      type: list
      elements: dict
      contains:
        cache:
          description: The id of the cache.
          type: int
        total:
          description: How many counters it has.
          type: int
        free:
          description: How many of them no group has. A group made when none is free counts no memory bandwidth.
          type: int
        held_by:
          description: Who has the others.
          type: list
          elements: dict
          contains:
            owner:
              description: As in RV(host.rmids.held_by[].owner).
              type: str
            counters:
              description: How many counters of the cache its groups have.
              type: int
            groups:
              description: The groups with counters.
              type: list
              elements: dict
              contains:
                path:
                  description: The group's directory.
                  type: str
                counters:
                  description: How many counters of the cache it has.
                  type: int
    mbm_assign_mode:
      description:
        - How memory-bandwidth counters are given to groups, on kernels that can tell (V(default), V(mbm_event)); else
          null.
      type: str
    problems:
      description: What is missing, each with what to do about it.
      type: list
      elements: str
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.declared import declarations, draft_of
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.errors import ResctrlError
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host, query
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.domains import (
    describe_declared,
    describe_domain,
    describe_failures,
)
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.host import describe_host


def main() -> None:
    """Return the domains' status and what the host offers."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str"},
            "policy": {"type": "dict"},
            "source": {"type": "str", "choices": ["libvirt", "processes"], "default": "libvirt"},
            "uri": {"type": "str", "default": "qemu:///system"},
            "resctrl_path": {"type": "path", "default": "/sys/fs/resctrl"},
        },
        supports_check_mode=True,
    )
    params = module.params
    host = Host.of_source(params["source"], params["uri"], params["resctrl_path"])
    try:
        draft = None if params["policy"] is None else draft_of(params["policy"])
    except ValueError as error:
        module.fail_json(msg=f"policy cannot be understood: {error}")
        return
    try:
        outcome = query(host, params["name"])
        declared = declarations(host, outcome, draft=draft)
        described = describe_host(host.resctrl, outcome, declared.of)
    except ResctrlError as error:
        module.fail_json(**error.fields())
        return
    for warning in [*outcome.warnings, *declared.warnings]:
        module.warn(warning)
    result = {
        "changed": False,
        "domains": [
            {**describe_domain(one, host.resctrl), "declared": describe_declared(one, declared.of)}
            for one in outcome.results
        ],
        "host": described,
    }
    message = describe_failures(outcome.results)
    if message:
        module.fail_json(msg=message, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
