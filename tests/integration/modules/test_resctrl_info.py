# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What resctrl_info answers: the RFC's query, and what a host can do. The whole module, as a process."""

from __future__ import annotations

import pathlib

import pytest

EVENTS = ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"]
TELEMETRY = [
    *("core_energy", "activity", "stalls_llc_hit", "c1_res", "unhalted_core_cycles"),
    *("stalls_llc_miss", "c6_res", "unhalted_ref_cycles", "uops_retired"),
]


def statuses(host, **options):
    """Name -> status, as `virsh resctrl NAME` would print it."""
    result = host.run("resctrl_info", **options)
    assert not result.get("failed"), result["msg"]
    return {domain["name"]: domain["status"] for domain in result["domains"]}


def host_part(host, **options):
    """What is said of the host; without domains."""
    return host.run("resctrl_info", **options)["host"]


# -- the RFC's query ---------------------------------------------------------------------------------------------------


def test_the_status_of_every_domain(host):
    host.domains.define("vm1")
    host.tuned("vm2")
    host.enable(host.domains.add("vm3"))
    host.domains.add("vm4")
    host.tuned("vm5", kind="memorytune")
    host.changes()
    assert statuses(host) == {
        "vm1": "Disabled",
        "vm2": "Enabled (forced by cachetune)",
        "vm3": "Enabled",
        "vm4": "Disabled",
        "vm5": "Enabled (forced by memorytune)",
    }
    assert host.changes() == []


def test_only_the_domains_asked_for_in_that_order(host):
    for name in ("vm1", "vm2", "vm3"):
        host.domains.add(name)
    assert list(statuses(host, name=["vm3", "vm1"])) == ["vm3", "vm1"]


def test_an_unknown_name_fails_and_the_others_are_answered(host):
    host.domains.add("vm3")
    result = host.run("resctrl_info", name=["vm3", "x"])
    assert result["msg"] == "Domain not found: no domain with matching name 'x'"
    assert [(one["name"], one["status"], one["failed"]) for one in result["domains"]] == [
        ("vm3", "Disabled", False),
        ("x", None, True),
    ]
    assert result["host"]["supported"]


def test_monitoring_ends_with_the_vm(host):
    host.enable(host.domains.add("vm3"))
    host.domains.stop("vm3")
    assert statuses(host) == {"vm3": "Disabled"}
    host.domains.start("vm3")
    assert statuses(host) == {"vm3": "Disabled"}


def test_after_a_hot_plug_a_domain_is_enabled_with_an_uncounted_vcpu(host):
    host.enable(host.domains.add("vm3"))
    host.domains.plug("vm3", 2)
    (domain,) = host.run("resctrl_info")["domains"]
    assert domain["status"] == "Enabled"
    assert (domain["vcpus"]["counted"], domain["vcpus"]["uncounted"]) == ([0, 1], [2])


def test_a_domain_counted_by_somebody_else_is_not_enabled(host):
    vm3 = host.domains.add("vm3")
    host.make_group("mon_groups/pqos-1-1", *vm3.vcpus.values())
    assert statuses(host) == {"vm3": "Disabled"}


def test_a_domain_that_libvirt_would_count_is_not_forced_without_its_group(host):
    host.tuned("vm2")
    host.remove_group("qemu-1-vm2-vcpus_0-1")
    (domain,) = host.run("resctrl_info")["domains"]
    assert (domain["status"], domain["forced_by"]) == ("Disabled", None)
    assert domain["vcpus"]["uncounted"] == [0, 1]


def test_a_domain_whose_process_is_gone_is_no_failure(host):
    host.domains.add("vm3")
    host.domains.kill("vm3")
    (domain,) = host.run("resctrl_info")["domains"]
    assert (domain["status"], domain["failed"]) == ("Disabled", False)
    assert domain["msg"].startswith("libvirt lists domain 'vm3' as running, but it has no process")


# -- the host ----------------------------------------------------------------------------------------------------------


def size_of(cache):
    """What the machine's kernel says of the L3 cache of that id; None if it has none."""
    for path in pathlib.Path("/sys/devices/system/cpu").glob("cpu*/cache/index3"):
        if (path / "id").read_text() == f"{cache}\n":
            kib = (path / "size").read_text().removesuffix("K\n")
            return int(kib) << 10
    return None


def test_everything_that_is_said_of_a_host(host):
    assert host_part(host) == {
        "supported": True,
        "mounted": True,
        "mount_options": host_part(host)["mount_options"],
        "features": EVENTS,
        "events": [
            {"name": name, "resource": "L3", "unit": "bytes", "kind": kind, "configuration": None}
            for name, kind in zip(EVENTS, ("gauge", "counter", "counter"), strict=True)
        ],
        "rmids": {
            "total": 32,
            "used": 1,
            "free": 31,
            "per_ctrl_mon": None,
            "held_by": [{"owner": "default", "rmids": 1, "groups": [{"path": host.resctrl, "threads": None}]}],
        },
        "caches": [{"id": host.cache, "size": size_of(host.cache)}],
        "counters": [],
        "mbm_assign_mode": None,
        "problems": [],
    }
    assert "rw" in host_part(host)["mount_options"]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("intel-5.10", {"supported": True, "features": EVENTS, "mbm_assign_mode": None}),
        ("intel-7.3", {"supported": True, "features": EVENTS, "mbm_assign_mode": "default"}),
        ("amd-abmc", {"supported": True, "features": EVENTS, "mbm_assign_mode": "mbm_event"}),
        ("monitor-only", {"supported": True, "features": EVENTS, "problems": []}),
        ("wide-ids", {"caches": [{"id": cache, "size": None} for cache in (8, 9, 10, 112)]}),
        ("snc", {"supported": True, "rmids": 32}),
        ("intel-aet", {"supported": True, "features": [*EVENTS, *TELEMETRY], "problems": [], "rmids": 32}),
        ("no-mbm", {"supported": True, "features": EVENTS[:1]}),
        ("no-cmt", {"supported": True, "features": EVENTS[1:]}),
        ("alloc-only", {"supported": False, "mounted": True, "features": [], "caches": [], "rmids": 0}),
    ],
)
def test_what_kinds_of_hosts_offer(make_host, profile, expected):
    told = host_part(make_host(profile))
    told["rmids"] = told["rmids"]["total"]
    assert {key: told[key] for key in expected} == expected


def test_who_holds_the_rmids(host):
    vm2, vm3 = host.tuned("vm2"), host.domains.add("vm3")
    host.make_group("qemu-1-vm2-vcpus_0-1/mon_groups/qemu-1-vm2-vcpus_0", vm2.vcpus[0])
    host.enable(vm3)
    host.make_group("mon_groups/pqos-1-1")
    host.make_group("COS1")
    host.make_group("mon_groups/container")
    rmids = host_part(host)["rmids"]
    assert {one["owner"]: (one["rmids"], one["groups"]) for one in rmids["held_by"]} == {
        "default": (1, [{"path": host.resctrl, "threads": None}]),
        "kvmops": (1, [{"path": host.path(host.group(vm3)), "threads": 2}]),
        "libvirt": (
            2,
            [
                {"path": host.path("qemu-1-vm2-vcpus_0-1"), "threads": 2},
                {"path": host.path("qemu-1-vm2-vcpus_0-1/mon_groups/qemu-1-vm2-vcpus_0"), "threads": 1},
            ],
        ),
        "other": (1, [{"path": host.path("mon_groups/container"), "threads": 0}]),
        "pqos": (
            2,
            [{"path": host.path("mon_groups/pqos-1-1"), "threads": 0}, {"path": host.path("COS1"), "threads": 0}],
        ),
    }
    assert (rmids["used"], rmids["free"]) == (7, 25)


def test_rmids_that_are_all_in_use_are_a_problem_if_a_domain_has_none(make_host):
    host = make_host("few-rmids")
    for name in ("a", "b", "c"):
        host.make_group(f"mon_groups/{name}")
    assert host.info()["host"]["problems"] == []
    host.domains.add("vm3")
    assert host.info()["host"]["problems"] == [
        "All 4 RMIDs are in use (default 1, other 3): remove groups that nobody needs"
    ]


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ("no-mbm", "The CPU does not count memory bandwidth, so these values are null: use the cache occupancy"),
        ("no-cmt", "The CPU does not count cache occupancy, so resctrl.cmt is null: use the bandwidth values"),
    ],
)
def test_events_that_are_missing_are_a_problem(make_host, profile, problem):
    assert host_part(make_host(profile))["problems"] == [problem]


# -- hosts that cannot monitor: an answer, never a failure -------------------------------------------------------------


@pytest.mark.parametrize(
    ("filesystems", "cpuinfo", "problem"),
    [
        (
            "nodev\tresctrl\n",
            "",
            "resctrl is not mounted at /sys/fs/resctrl. Run 'mount -t resctrl resctrl /sys/fs/resctrl'",
        ),
        (
            "nodev\tproc\n",
            "flags\t\t: fpu\n",
            "The CPU has no cache or memory-bandwidth monitoring (none of the flags ",
        ),
        ("nodev\tproc\n", "flags\t\t: cqm_llc\n", "The kernel offers no resctrl filesystem. It takes a kernel with "),
        ("nodev\tproc\n", "Features\t: mpam\n", "The kernel offers no resctrl filesystem. It takes a kernel with "),
    ],
    ids=["not mounted", "CPU without", "kernel without", "kernel without, Arm"],
)
def test_what_is_missing_is_said_with_what_to_do(host, filesystems, cpuinfo, problem):
    host.domains.add("vm3")
    host.unmount()
    host.domains.cover("/proc/filesystems", filesystems)
    host.domains.cover("/proc/cpuinfo", cpuinfo)
    result = host.run("resctrl_info", resctrl_path="/sys/fs/resctrl")
    assert not result.get("failed")
    assert [one["status"] for one in result["domains"]] == ["Disabled"]
    told = result["host"]
    assert [text[: len(problem)] for text in told["problems"]] == [problem]
    assert (told["supported"], told["mounted"], told["features"], told["caches"]) == (False, False, [], [])
    assert told["rmids"] == {"total": 0, "used": 0, "free": 0, "per_ctrl_mon": None, "held_by": []}


def test_resctrl_that_is_mounted_elsewhere_is_pointed_at(host):
    host.domains.cover("/proc/filesystems", "nodev\tresctrl\n")
    assert host_part(host, resctrl_path="/sys/fs/resctrl")["problems"] == [
        f"resctrl is not mounted at /sys/fs/resctrl. It is mounted at {host.resctrl}: set resctrl_path"
    ]


def test_a_cpu_that_can_only_allocate_is_told_apart(make_host):
    host = make_host("alloc-only")
    (problem,) = host_part(host)["problems"]
    assert problem.startswith(f"resctrl at {host.resctrl} has no L3 monitoring. ")
