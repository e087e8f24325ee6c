#!/usr/bin/python
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resctrl_stats
short_description: Return the last-level cache occupancy and memory bandwidth of virtual machines as facts
version_added: 1.0.0
description:
  - Returns what the CPU has counted for each libvirt domain that is monitored, by M(kvmops.resctrl.resctrl_mon) or by
    libvirt itself (C(<cachetune>), C(<memorytune>), C(<energytune>)). This is what C(virsh domstats --resctrl) of a
    proposal to libvirt of 2018 would have shown.
  - On hosts whose CPUs have telemetry of packages (Intel, from kernel 7.0 on), the energy that the cores use for a
    domain and how they spend their cycles are returned too. The page
    U(https://github.com/kvmops/ansible-collection-resctrl/blob/main/docs/docsite/rst/values.rst)
    says what each value contains.
  - A value that the hardware did not give is null and comes with a reason. It is never 0, and never hides another
    value.
  - The module is also known as M(kvmops.resctrl.resctrl_facts), and can be one of C(ansible_facts_modules).
extends_documentation_fragment:
  - kvmops.resctrl.attributes
  - kvmops.resctrl.attributes.action_group
  - kvmops.resctrl.attributes.facts
  - kvmops.resctrl.host
attributes:
  check_mode:
    support: full
    details: The module changes nothing. With O(analysis) it notes what it has seen, to compare with it the next time,
      but not in check mode.
  diff_mode:
    support: N/A
    details: The module changes nothing.
options:
  name:
    description:
      - The domains, as names, UUIDs or shell patterns (such as V(web-*)). Without it, all, those that are shut off
        included.
      - Patterns, V(*) among them, select running domains only, and may match none.
      - A later run with another O(name) replaces the fact, so that the values of the other domains are gone. To keep
        both, register the result and read the fact from there.
    type: list
    elements: str
  interval:
    description:
      - Take a second sample after this many seconds, and return rates. Fractions are allowed.
    type: float
  detail:
    description:
      - How much to return. V(caches) has the values of each cache and each package and the groups that they come from,
        V(totals) only the sums of each domain. On a host with 200 domains and 16 caches the former are 400 KB of facts,
        the latter a quarter of that.
    type: str
    choices: [totals, caches]
    default: caches
  analysis:
    description:
      - Say which domains stand out, that is, who has much more than its share of a nearly full cache or of scarce
        memory bandwidth, and what a domain's own trouble explains, such as a CPU limit. Takes all domains, so leave
        O(name) out, and needs O(interval), of 10 seconds or more for good answers.
      - It also says which domain has far more than at three earlier analyses or more. What that takes is noted in
        C(/run/kvmops-resctrl/usage.json) until the host boots. For each domain it has up to twelve looks of the last
        seven days, none within five minutes after another. A domain that was started anew begins anew.
      - A share is measured against that of the running vCPUs. What is said rests on what was counted; it is no proof
        that one domain harms another. A domain is called a victim only where the CPU counts what cache misses cost it.
      - C(docs/docsite/rst/report.rst) of the collection says which situation gives which answer.
    type: bool
    default: false
  bandwidth_ceiling:
    description:
      - For O(analysis), how many bytes per second each socket can move to and from its memory, as a benchmark shows.
      - Without it, the highest sum that was seen since the host started stands for it. It is noted in
        C(/run/kvmops-resctrl/highest.json).
    type: float
notes:
  - Facts may come from a cache. RV(ansible_facts.resctrl_stats.timestamp) says how old they are.
  - The occupancy of a cache changes slowly. A group that was just made may show what the previous user of its RMID
    left, and grows as the domain's memory is used.
  - The kernel never resets the telemetry of packages. Its values begin at what the previous user of the RMID had, so
    that only differences mean something, and only those between values of the same
    RV(ansible_facts.resctrl_stats.domains.groups[].generation). The rates keep to that.
seealso:
  - module: kvmops.resctrl.resctrl_mon
  - module: kvmops.resctrl.resctrl_info
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Read the counters of all domains
  kvmops.resctrl.resctrl_stats:

- name: Show the cache that vm3 occupies
  ansible.builtin.debug:
    msg: "resctrl.cmt={{ ansible_facts['resctrl_stats']['domains']['vm3']['cmt'] }}"

- name: Measure bandwidth over two seconds
  kvmops.resctrl.resctrl_stats:
    name: web-*
    interval: 2

- name: Name the domain that moves most data
  ansible.builtin.debug:
    msg: >-
      {{ ansible_facts['resctrl_stats']['domains'] | dict2items
      | rejectattr('value.rates.mbm_total_bytes_per_second', 'none')
      | sort(attribute='value.rates.mbm_total_bytes_per_second') | map(attribute='key') | last | default('none') }}

- name: Name the domain whose cores use most energy, on hosts with telemetry of packages
  ansible.builtin.debug:
    msg: >-
      {{ ansible_facts['resctrl_stats']['domains'] | dict2items
      | selectattr('value.rates.core_energy_per_second', 'defined')
      | rejectattr('value.rates.core_energy_per_second', 'none')
      | sort(attribute='value.rates.core_energy_per_second') | map(attribute='key') | last | default('none') }}

- name: Find out which domain may be hurting the others
  kvmops.resctrl.resctrl_stats:
    interval: 10
    analysis: true

- name: Say it
  ansible.builtin.debug:
    msg: "{{ ansible_facts['resctrl_stats']['findings'] | map(attribute='msg') }}"

- name: Read all domains, and keep what was read for later
  kvmops.resctrl.resctrl_stats:
  register: earlier

- name: Read one domain, after which the fact has that one only
  kvmops.resctrl.resctrl_stats:
    name: vm3

- name: Tell by how much its cache has grown
  ansible.builtin.debug:
    msg: "{{ ansible_facts['resctrl_stats']['domains']['vm3']['cmt'] - before['vm3']['cmt'] }}"
  vars:
    before: "{{ earlier['ansible_facts']['resctrl_stats']['domains'] }}"
"""

RETURN = r"""
ansible_facts:
  description: The facts to be added to the host's.
  returned: always
  type: dict
  contains:
    resctrl_stats:
      description: What was counted.
      returned: always
      type: dict
      contains:
        timestamp:
          description: When the counters were read (the second sample's with O(interval)), in UTC.
          type: str
          sample: "2026-01-31T12:00:00.000000Z"
        domains:
          description:
            - A dictionary with the domain's name as key. A name may hold characters that a dotted path does not
              allow, so write C(['domains']['web-01']).
            - Where several domains have one name, which libvirt does not allow, the key is the UUID.
          type: dict
          contains:
            uuid:
              description: The domain's UUID.
              type: str
            active:
              description: Whether the domain runs.
              type: bool
            status:
              description:
                - One of V(Enabled), V(Disabled), V(Enabled (forced by cachetune\)), V(Enabled (forced by memorytune\)),
                  V(Enabled (forced by energytune\)).
              type: str
            cmt:
              description:
                - The bytes of last-level cache that the domain occupies, over all caches. The proposal's
                  C(resctrl.cmt).
                - 0 for a domain that is shut off, as in the proposal. Null where it is not known.
              type: int
              sample: 180224
            llc_occupancy:
              description:
                - The same by the kernel's name. Null where it is not known, so also for a domain that is shut off.
              type: int
              sample: 180224
            mbm_total_bytes:
              description:
                - The bytes that the domain moved between caches and memory since its groups were made, or null.
              type: int
            mbm_local_bytes:
              description: The part of these bytes that went to or came from the memory of the same socket, or null.
              type: int
            core_energy:
              description:
                - The joules that the cores used while they ran the domain, over all packages, or null. It is the
                  kernel's number as it is, which begins with what the previous user of the RMID had.
                - That is cores with their L1 and L2 caches. L3 caches, memory and I/O are not in it. The CPU estimates
                  it from what it executes.
                - This and the following are there on hosts with telemetry of packages only, and so are the values of
                  events that this collection does not know, by the kernel's names.
              type: float
              sample: 12345.678901
            activity:
              description:
                - The work of these cores in farads, which unlike the energy does not depend on their frequency, or
                  null.
              type: float
            stalls_llc_hit:
              description: The cycles in which cores waited for data that was in the last-level cache, or null.
              type: int
            stalls_llc_miss:
              description: The cycles in which cores waited for data that was in no cache of theirs, or null.
              type: int
            unhalted_core_cycles:
              description: The cycles in which cores did not sleep, or null.
              type: int
            unhalted_ref_cycles:
              description: The same in cycles of the time stamp counter, whose frequency is fixed, or null.
              type: int
            uops_retired:
              description: The micro-operations that were completed, or null.
              type: int
            c1_res:
              description: The time that cores spent in C1, in ticks of a clock of the CPU's, or null.
              type: int
            c6_res:
              description: The time that cores spent in C6, in ticks of a clock of the CPU's, or null.
              type: int
            reason:
              description:
                - Why a value is null, or null if none is. If they differ, that of the first one.
                - V(disabled) the domain is not monitored, V(unavailable) the hardware has no count yet, V(unassigned)
                  it has no counter for the domain, V(error) it reported an error, V(unsupported) it has no such
                  event, V(gone) the group or the cache went away meanwhile.
                - Where domains take turns, V(waiting) it is not the domain's turn to be counted, and V(warming) its
                  turn has begun so lately that it cannot be told what it occupies. See
                  RV(ansible_facts.resctrl_stats.domains.sampled).
              type: str
              choices: [disabled, unavailable, unassigned, error, unsupported, gone, waiting, warming]
            reasons:
              description: The name of each value that is null, with its reason.
              type: dict
              sample: {"mbm_total_bytes": "unavailable"}
            partial:
              description:
                - The name of each sum that is null because a part of it is not known, with the sum of the parts that
                  are. On AMD, for example, a cache on which the domain has never run has no bandwidth.
              type: dict
              sample: {"mbm_total_bytes": 52428800}
            configured:
              description:
                - The name of each event that was configured to count something else than by default, with what it
                  counts and on which caches. Such a value does not mean what its name says. Empty where nothing was
                  changed or can be. See RV(kvmops.resctrl.resctrl_info#module:host.events).
              type: dict
              sample: {"mbm_total_bytes": "local_reads, remote_reads on L3 cache 0"}
            packages:
              description:
                - The telemetry of each CPU package. Only with O(detail=caches), and empty where there is none.
              type: list
              elements: dict
              contains:
                id:
                  description: The id of the package.
                  type: int
                core_energy:
                  description: Joules, or null.
                  type: float
                activity:
                  description: Farads, or null.
                  type: float
                stalls_llc_hit:
                  description: Cycles, or null.
                  type: int
                c1_res:
                  description: Ticks, or null.
                  type: int
                unhalted_core_cycles:
                  description: Cycles, or null.
                  type: int
                stalls_llc_miss:
                  description: Cycles, or null.
                  type: int
                c6_res:
                  description: Ticks, or null.
                  type: int
                unhalted_ref_cycles:
                  description: Cycles, or null.
                  type: int
                uops_retired:
                  description: Micro-operations, or null.
                  type: int
                reasons:
                  description: The name of each value that is null, with its reason.
                  type: dict
                partial:
                  description:
                    - The name of each value that is null, with the known part of it, where several groups count the
                      domain.
                  type: dict
            caches:
              description: The values for each L3 cache. Only with O(detail=caches).
              type: list
              elements: dict
              contains:
                id:
                  description: The id of the cache.
                  type: int
                llc_occupancy:
                  description: Bytes, or null.
                  type: int
                mbm_total_bytes:
                  description: Bytes, or null.
                  type: int
                mbm_local_bytes:
                  description: Bytes, or null.
                  type: int
                reasons:
                  description: The name of each value that is null, with its reason.
                  type: dict
                partial:
                  description:
                    - The name of each value that is null, with the known part of it, where several groups count the
                      domain.
                  type: dict
                configured:
                  description:
                    - The name of each event that was configured to count something else than by default on this cache,
                      with the kinds of transactions that it counts there, as the kernel names them.
                  type: dict
                  sample: {"mbm_total_bytes": ["local_reads", "remote_reads"]}
            groups:
              description: The groups that count the domain. Only with O(detail=caches).
              type: list
              elements: dict
              contains:
                path:
                  description: The group's directory.
                  type: str
                owner:
                  description: Whose group it is, V(kvmops) or V(libvirt).
                  type: str
                generation:
                  description:
                    - What no other group has, not even one of the same name after a remount or a reboot. Compute rates
                      only between facts in which it is the same. Null if the group went away meanwhile.
                  type: str
            vcpus:
              description: Which of the domain's vCPUs the values stand for.
              type: dict
              contains:
                counted:
                  description: The ids of the vCPUs that are counted.
                  type: list
                  elements: int
                uncounted:
                  description: The ids of those that are not.
                  type: list
                  elements: int
            sampled:
              description:
                - What was measured in the last turn of a domain that takes turns with others, because there are more of
                  them than RMIDs or bandwidth counters (role P(kvmops.resctrl.resctrl_monitor#role)). It is not what is
                  now, and it has nothing that is counted all the time. Null for a domain that takes no turns, or has
                  not had one yet.
              type: dict
              contains:
                from:
                  description: When the turn began, in UTC.
                  type: str
                  sample: "2026-11-27T20:15:01Z"
                seconds:
                  description: How long was measured.
                  type: float
                age:
                  description: How many seconds ago that ended.
                  type: float
                coverage:
                  description: Share of the time since the previous turn that was measured, from 0 to 1.
                  type: float
                cmt:
                  description: The same as RV(ansible_facts.resctrl_stats.domains.sampled.llc_occupancy).
                  type: int
                llc_occupancy:
                  description:
                    - The bytes that the domain occupied when its turn ended, or null, where a part is not known, or not
                      there where none is. It is not believed where the turn was shorter than the warm-up, or began with
                      lines of those that had the RMID before.
                  type: int
                mbm_total_bytes_per_second:
                  description:
                    - Bytes per second over the turn, or null. A rate of which nothing is known is not there. For what
                      each means see RV(ansible_facts.resctrl_stats.domains.rates).
                  type: float
                mbm_local_bytes_per_second:
                  description: The same for the memory of the same socket.
                  type: float
                core_energy_per_second:
                  description: Watts, or null.
                  type: float
                activity_per_second:
                  description: Farads per second, or null.
                  type: float
                stalls_llc_hit_per_second:
                  description: Cycles per second, or null.
                  type: float
                c1_res_per_second:
                  description: Ticks per second, or null.
                  type: float
                unhalted_core_cycles_per_second:
                  description: Cycles per second, or null.
                  type: float
                stalls_llc_miss_per_second:
                  description: Cycles per second, or null.
                  type: float
                c6_res_per_second:
                  description: Ticks per second, or null.
                  type: float
                unhalted_ref_cycles_per_second:
                  description: Cycles per second, or null.
                  type: float
                uops_retired_per_second:
                  description: Micro-operations per second, or null.
                  type: float
                stalls_llc_miss_fraction:
                  description: A fraction from 0 to 1, or null.
                  type: float
                partial:
                  description: The name of each value that is null, with the sum of its parts that are known.
                  type: dict
                caches:
                  description: The values for each L3 cache. Only with O(detail=caches).
                  type: list
                  elements: dict
                packages:
                  description: The values for each CPU package. Only with O(detail=caches).
                  type: list
                  elements: dict
            rates:
              description: The rates between two samples; null without O(interval).
              type: dict
              contains:
                seconds:
                  description: The time between the two samples of this domain.
                  type: float
                mbm_total_bytes_per_second:
                  description:
                    - Bytes per second over all caches, or null where a part is not known, because a value is missing or
                      a counter began anew in between.
                  type: float
                mbm_local_bytes_per_second:
                  description: The same for the memory of the same socket.
                  type: float
                core_energy_per_second:
                  description:
                    - Joules per second, which are watts, of cores with their L1 and L2 caches over all packages. L3
                      caches, memory and I/O are not in it.
                    - This and the following are there on hosts with telemetry of packages only.
                  type: float
                  sample: 14.25
                activity_per_second:
                  description: Farads per second, or null.
                  type: float
                stalls_llc_hit_per_second:
                  description: Cycles per second, or null.
                  type: float
                c1_res_per_second:
                  description: Ticks per second, or null.
                  type: float
                unhalted_core_cycles_per_second:
                  description: Cycles per second, or null.
                  type: float
                stalls_llc_miss_per_second:
                  description: Cycles per second, or null.
                  type: float
                c6_res_per_second:
                  description: Ticks per second, or null.
                  type: float
                unhalted_ref_cycles_per_second:
                  description: Cycles per second, or null.
                  type: float
                uops_retired_per_second:
                  description: Micro-operations per second, or null.
                  type: float
                stalls_llc_miss_fraction:
                  description:
                    - In how many of the cycles of the interval in which its cores did not sleep the domain waited for
                      data that was in no cache. From 0 to 1, or null.
                    - It is C(stalls_llc_miss) by C(unhalted_core_cycles), and there where both are.
                  type: float
                  sample: 0.31
                reasons:
                  description:
                    - The name of each rate that is null, with its reason. V(reset) means that the values are of
                      different counters, because a group was made anew, a MON group went out of the sum that a CTRL_MON
                      group shows, a cache was offline, or what the event counts was changed in between. V(idle) means
                      that there were no cycles of which a fraction could be told.
                  type: dict
                  sample: {"mbm_total_bytes_per_second": "reset"}
                partial:
                  description: The name of each rate that is null, with the sum of its parts that are known.
                  type: dict
                caches:
                  description: The rates for each L3 cache. Only with O(detail=caches).
                  type: list
                  elements: dict
                  contains:
                    id:
                      description: The id of the cache.
                      type: int
                    mbm_total_bytes_per_second:
                      description: Bytes per second, or null.
                      type: float
                    mbm_local_bytes_per_second:
                      description: Bytes per second, or null.
                      type: float
                    reasons:
                      description: The name of each rate that is null, with its reason.
                      type: dict
                    partial:
                      description: The name of each rate that is null, with the sum of its parts that are known.
                      type: dict
                packages:
                  description:
                    - The rates for each CPU package. Only with O(detail=caches), and empty where there is no telemetry.
                  type: list
                  elements: dict
                  contains:
                    id:
                      description: The id of the package.
                      type: int
                    core_energy_per_second:
                      description: Watts, or null.
                      type: float
                    activity_per_second:
                      description: Farads per second, or null.
                      type: float
                    stalls_llc_hit_per_second:
                      description: Cycles per second, or null.
                      type: float
                    c1_res_per_second:
                      description: Ticks per second, or null.
                      type: float
                    unhalted_core_cycles_per_second:
                      description: Cycles per second, or null.
                      type: float
                    stalls_llc_miss_per_second:
                      description: Cycles per second, or null.
                      type: float
                    c6_res_per_second:
                      description: Ticks per second, or null.
                      type: float
                    unhalted_ref_cycles_per_second:
                      description: Cycles per second, or null.
                      type: float
                    uops_retired_per_second:
                      description: Micro-operations per second, or null.
                      type: float
                    stalls_llc_miss_fraction:
                      description: The fraction of cycles that were spent waiting for memory, or null.
                      type: float
                    reasons:
                      description: The name of each rate that is null, with its reason.
                      type: dict
                    partial:
                      description: The name of each rate that is null, with the sum of its parts that are known.
                      type: dict
            cpu:
              description:
                - What the vCPUs of the domain had of the CPUs within O(interval). Only with O(analysis), and only of
                  running domains.
              type: dict
              contains:
                interval:
                  description: The seconds between the two looks.
                  type: float
                seconds:
                  description: How long the vCPUs ran, added up, or null.
                  type: float
                run_delay:
                  description: How long they were ready to run and waited for a CPU, added up, or null.
                  type: float
                throttled:
                  description:
                    - How long a CPU limit of the domain's own cgroups held them back, added up over CPUs. Null where
                      the cgroups do not tell.
                  type: float
                memory_stall:
                  description:
                    - How long one thread or more of the domain waited for memory (pressure stall information). Null
                      where the domain has no cgroup of version 2 of its own.
                  type: float
                reasons:
                  description: The name of each value that is null, with its reason.
                  type: dict
                  sample: {"memory_stall": "unsupported"}
        findings:
          description:
            - What stands out, a domain's own trouble first. Only with O(analysis). Never empty, since that nothing
              stands out is a finding, too, and that a host was not measured.
          type: list
          elements: dict
          contains:
            domain:
              description: The name of the domain, or null where it is about none.
              type: str
            uuid:
              description: Its UUID, or null.
              type: str
            kind:
              description:
                - V(throttled), V(waits_for_cpu) and V(memory_pressure) are a domain's own trouble.
                - V(streams), V(large_working_set) and V(holds_more_than_share) are about who holds much more than its
                  share of a nearly full cache, and V(moves_more_than_share) about memory bandwidth near its ceiling.
                - V(not_accounted_for) is what no monitored domain has.
                - V(victim) is a domain that cache misses cost many of its cycles, beside one with more than its share.
                - V(holds_more_than_before) and V(moves_more_than_before) are about who has at least twice as much as at
                  any of the looks before.
                - V(nothing_stands_out) is about a host that was measured. V(not_measured) is about one of which neither
                  caches nor memory bandwidth are counted; RV(ansible_facts.resctrl_stats.findings[].msg) says why.
              type: str
              choices:
                - throttled
                - waits_for_cpu
                - memory_pressure
                - streams
                - large_working_set
                - holds_more_than_share
                - moves_more_than_share
                - not_accounted_for
                - victim
                - holds_more_than_before
                - moves_more_than_before
                - nothing_stands_out
                - not_measured
            cache:
              description: The id of the L3 cache that it is about, or null.
              type: int
            package:
              description: The id of the CPU package (socket) that it is about, or null.
              type: int
            since:
              description:
                - When the first sample was taken of the earliest look since which every look has found the same of the
                  domain, in UTC. Where no earlier one has, that is this look.
                - Nothing is known of the time between looks.
              type: str
              sample: "2026-01-31T12:00:00Z"
            numbers:
              description:
                - What it rests on, in bytes, bytes per second and seconds. Shares are of 1.
                - A part and the whole are read one after the other, so that a share may be a little more than 1.
              type: dict
              sample: {"share": 0.62, "fair_share": 0.125, "fullness": 0.97}
            confidence:
              description: V(high) where nothing speaks against it, V(medium) where one thing does, else V(low).
              type: str
              choices: [high, medium, low]
            msg:
              description: The same in a sentence.
              type: str
            against:
              description: What speaks against it, a sentence each.
              type: list
              elements: str
        advice:
          description:
            - What may be allocated otherwise, for the operator to judge. Only with O(analysis). Nothing is
              ever changed.
          type: list
          elements: dict
          contains:
            domain:
              description: The name of the domain.
              type: str
            uuid:
              description: Its UUID.
              type: str
            kind:
              description:
                - V(allocation_not_filled) and V(allocation_full) are about a C(<cachetune>) that a domain has.
                - V(cap_cache) and V(cap_bandwidth) would keep a domain that has more than its share to it.
              type: str
              choices: [allocation_not_filled, allocation_full, cap_cache, cap_bandwidth]
            cache:
              description: The id of the L3 cache, or null.
              type: int
            package:
              description: The id of the CPU package, or null.
              type: int
            numbers:
              description: What it rests on, in bytes, shares of 1 and percent.
              type: dict
            msg:
              description: The same in a sentence.
              type: str
            xml:
              description: What would do it in the C(<cputune>) of the domain, from its next start on.
              type: str
            against:
              description: What speaks against it, a sentence each.
              type: list
              elements: str
        host:
          description: Who has what of the host's caches and sockets. Only with O(analysis).
          type: dict
          contains:
            since:
              description: When the first sample was taken, in UTC.
              type: str
            seconds:
              description: The time between the two samples.
              type: float
            caches:
              description: The L3 caches.
              type: list
              elements: dict
              contains:
                id:
                  description: The id of the cache.
                  type: int
                package:
                  description: The package that it is in, or null.
                  type: int
                size:
                  description: Its bytes, or null.
                  type: int
                occupied:
                  description: The bytes that everything on the host occupies, or null.
                  type: int
                fullness:
                  description: The share of the cache that is occupied, or null.
                  type: float
                bytes_per_second:
                  description:
                    - What everything on the host moves through it, or null. It is also null where only a part is known,
                      because a group went away meanwhile or has no bandwidth counter.
                  type: float
                domains:
                  description:
                    - The monitored domains, and what each has of the cache.
                  type: list
                  elements: dict
                  contains:
                    name:
                      description: The key of the domain in RV(ansible_facts.resctrl_stats.domains).
                      type: str
                    llc_occupancy:
                      description: The bytes that it occupies, or null.
                      type: int
                    share:
                      description: The share of the cache that these are, or null.
                      type: float
                    vcpu_share:
                      description:
                        - Its share of the running vCPUs on the CPUs of this cache. Null where it is not known which of
                          its threads are vCPUs.
                      type: float
                    mbm_total_bytes_per_second:
                      description: What it moves through the cache, or null.
                      type: float
                    partial:
                      description: What is known only in part, V(occupancy) or V(bandwidth).
                      type: list
                      elements: str
            sockets:
              description: The packages; a cache whose package is not known stands for itself.
              type: list
              elements: dict
              contains:
                package:
                  description: The id of the package, or null.
                  type: int
                caches:
                  description: The ids of its L3 caches.
                  type: list
                  elements: int
                bytes_per_second:
                  description: What everything moves to and from memory, or null.
                  type: float
                ceiling:
                  description: The most that it can move, or null where nothing is known of that yet.
                  type: float
                ceiling_source:
                  description: V(configured) is O(bandwidth_ceiling), V(observed) the highest sum that was seen before.
                  type: str
                  choices: [configured, observed]
                used:
                  description: The share of the ceiling that is used, or null.
                  type: float
            not_counted:
              description: What the numbers leave out.
              type: list
              elements: dict
              contains:
                what:
                  description:
                    - V(domains), V(turns), V(vcpus), V(partial), V(bandwidth), V(occupancy) and V(configuration) are
                      about this host. V(host), V(devices), V(warm_up) and V(window) hold everywhere.
                  type: str
                  choices:
                    - domains
                    - turns
                    - vcpus
                    - partial
                    - bandwidth
                    - occupancy
                    - configuration
                    - host
                    - devices
                    - warm_up
                    - window
                domains:
                  description: The names of the domains that it is about, if any.
                  type: list
                  elements: str
                msg:
                  description: The same in a sentence.
                  type: str
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

import datetime as dt
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.sampled import statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.errors import ResctrlError
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.preflight import check_values
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.observe.host import Host, query
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.domains import describe_failures
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.statistics import describe_statistics
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.domain import keys

if t.TYPE_CHECKING:
    from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.decide.outcome import Outcome


def main() -> None:
    """Read the counters, once or twice, and return them as facts."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str"},
            "interval": {"type": "float"},
            "detail": {"type": "str", "choices": ["totals", "caches"], "default": "caches"},
            "analysis": {"type": "bool", "default": False},
            "bandwidth_ceiling": {"type": "float"},
            "source": {"type": "str", "choices": ["libvirt", "processes"], "default": "libvirt"},
            "uri": {"type": "str", "default": "qemu:///system"},
            "resctrl_path": {"type": "path", "default": "/sys/fs/resctrl"},
        },
        supports_check_mode=True,
    )
    params = module.params
    refusal = _refusal(params)
    if refusal:
        module.fail_json(msg=refusal)
    host = Host.of_source(params["source"], params["uri"], params["resctrl_path"])
    try:
        outcome = query(host, params["name"])
        warnings = [*outcome.warnings, *outcome.after.warnings, *check_values(host.resctrl)]
        facts = _analysed(host, outcome, module, warnings) if params["analysis"] else _counted(host, outcome, params)
    except ResctrlError as error:
        module.fail_json(**error.fields())
        return
    for warning in warnings:
        module.warn(warning)
    now = dt.datetime.now(dt.timezone.utc)
    facts = {"resctrl_stats": {"timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), **facts}}
    message = describe_failures(outcome.results)
    if message:
        module.fail_json(msg=message, ansible_facts=facts)
    module.exit_json(ansible_facts=facts)


def _refusal(params: dict[str, t.Any]) -> str:
    """Why these options make no sense; empty if they do."""
    interval, ceiling = params["interval"], params["bandwidth_ceiling"]
    if interval is not None and not 0 < interval <= 3600:
        return f"interval is {interval:g}: give seconds above 0 and at most 3600, or leave it out"
    if ceiling is not None and not 0 < ceiling < float("inf"):
        return f"bandwidth_ceiling is {ceiling:g}: give bytes per second, or leave it out"
    if params["analysis"] and interval is None:
        return "analysis needs an interval: give seconds, 10 or more for good answers"
    if params["analysis"] and params["name"] is not None:
        return "analysis takes all domains of a host: leave name out, since a share is told only among all of them"
    return ""


def _counted(host: Host, outcome: Outcome, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """What was counted. Raises ResctrlError."""
    details = params["detail"] == "caches"
    counted = statistics(host.resctrl, outcome.statuses, params["interval"])
    names = keys([one.status.domain for one in counted])
    return {
        "domains": {
            name: describe_statistics(one, host.resctrl, outcome.after, details) for name, one in zip(names, counted)
        }
    }


def _analysed(host: Host, outcome: Outcome, module: AnsibleModule, warnings: list[str]) -> dict[str, t.Any]:
    """What was counted, and what stands out. Adds to the warnings. Raises ResctrlError."""
    # Not above: what is imported is compiled on every run
    from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.act.analysis import analyse
    from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.tell.findings import describe_analysis

    params = module.params
    found = analyse(host, outcome, params["interval"], params["bandwidth_ceiling"], keep=not module.check_mode)
    warnings += found.warnings
    return describe_analysis(found, host.resctrl, outcome.after, params["detail"] == "caches")


if __name__ == "__main__":
    main()
