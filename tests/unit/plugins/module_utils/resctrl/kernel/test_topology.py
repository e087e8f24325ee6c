# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The L3 caches of a host, as sysfs tells of them."""

from __future__ import annotations

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.topology import Cache, caches


def cpu(system, number, cpus, *, cache="0", size="33792K", package="0", level="3"):
    index = system / f"cpu{number}/cache/index3"
    index.mkdir(parents=True)
    (system / f"cpu{number}/topology").mkdir()
    (system / f"cpu{number}/topology/physical_package_id").write_text(f"{package}\n")
    for name, text in {"level": level, "id": cache, "size": size, "shared_cpu_list": cpus}.items():
        (index / name).write_text(f"{text}\n")


def test_a_cache_has_a_size_cpus_and_a_package(tmp_path):
    for number in (0, 1):
        cpu(tmp_path, number, "0-1")
    cpu(tmp_path, 10, "10", cache="8", size="16384K", package="1")
    assert caches(str(tmp_path)) == {
        0: Cache(33792 << 10, frozenset({0, 1}), 0),
        8: Cache(16384 << 10, frozenset({10}), 1),
    }


def test_what_is_not_told_is_not_known(tmp_path):
    cpu(tmp_path, 0, "0", size="big", package="-1")
    assert caches(str(tmp_path)) == {0: Cache(None, frozenset({0}), None)}


def test_other_caches_are_none_of_these(tmp_path):
    cpu(tmp_path, 0, "0", level="2")
    assert caches(str(tmp_path)) == {}
