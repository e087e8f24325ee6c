# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RMIDs: first in, first out, and the limbo between two owners."""

from __future__ import annotations

import errno

import pytest

from emulator.limbo import Clock, LimboRules, RmidPool

ALWAYS = ["6.12", "7.3"]
IF_DIRTY = ["5.10", "6.1"]


class Cache:
    """A pool of four RMIDs over some domains, with occupancies that a test sets."""

    def __init__(self, domains=(0,), used=True, always=False):
        self.clock = Clock(source=lambda: 0.0)
        self.occupied: dict[tuple[int, int], int | None] = {}
        self.threshold = 100
        rules = LimboRules(used=used, always=always)
        self.pool = RmidPool(
            4, lambda: domains, rules, self.clock, lambda r, d: self.occupied.get((r, d), 0), lambda: self.threshold
        )

    def errno(self):
        """What an allocation fails with."""
        with pytest.raises(OSError, match=r"space|busy") as raised:
            self.pool.alloc()
        return errno.errorcode[raised.value.errno]


def test_rmid_0_is_the_root_groups():
    cache = Cache()
    assert [cache.pool.alloc() for _time in range(3)] == [1, 2, 3]
    assert cache.errno() == "ENOSPC"


def test_an_rmid_is_reused_as_late_as_possible():
    cache = Cache()
    first = cache.pool.alloc()
    cache.pool.release(first)
    assert [cache.pool.alloc() for _time in range(3)] == [2, 3, 1]


def test_6_1_a_clean_rmid_of_a_single_domain_is_free_at_once():
    cache = Cache()
    taken = [cache.pool.alloc() for _time in range(3)]
    cache.occupied[2, 0] = cache.threshold
    cache.pool.release(taken[1])
    assert cache.pool.alloc() == 2


def test_6_1_a_dirty_rmid_waits_until_the_worker_sees_it_below_the_threshold():
    cache = Cache()
    for _time in range(3):
        cache.pool.alloc()
    cache.occupied[2, 0] = cache.threshold + 1
    cache.pool.release(2)
    cache.clock.advance(1)
    assert cache.errno() == "EBUSY"
    cache.occupied[2, 0] = cache.threshold
    cache.clock.advance(1)
    assert cache.errno() == "EBUSY", "the worker wants less than the threshold, freeing only not more"
    cache.occupied[2, 0] = cache.threshold - 1
    cache.clock.advance(1)
    assert cache.pool.alloc() == 2


def test_6_1_other_domains_than_the_callers_always_wait_for_the_worker():
    cache = Cache(domains=(0, 1))
    for _time in range(3):
        cache.pool.alloc()
    cache.pool.release(1)
    assert cache.pool.limbo == {1: {1}}
    cache.clock.advance(1)
    assert cache.pool.alloc() == 1


def test_6_12_every_freed_rmid_waits_for_the_worker_in_every_domain():
    cache = Cache(domains=(0, 1), always=True)
    for _time in range(3):
        cache.pool.alloc()
    cache.pool.release(1)
    assert cache.pool.limbo == {1: {0, 1}}
    cache.clock.advance(0.99)
    assert cache.errno() == "EBUSY"
    cache.clock.advance(0.01)
    assert cache.pool.alloc() == 1


def test_an_unreadable_occupancy_keeps_an_rmid_in_the_limbo():
    cache = Cache(always=True)
    for _time in range(3):
        cache.pool.alloc()
    cache.occupied[1, 0] = None
    cache.pool.release(1)
    cache.clock.advance(10)
    assert cache.errno() == "EBUSY"


def test_a_threshold_of_0_never_lets_an_rmid_go():
    cache = Cache(always=True)
    cache.threshold = 0
    for _time in range(3):
        cache.pool.alloc()
    cache.pool.release(1)
    cache.clock.advance(100)
    assert cache.errno() == "EBUSY"
    cache.threshold = 1
    cache.clock.advance(1)
    assert cache.pool.alloc() == 1


def test_without_occupancy_there_is_no_limbo():
    cache = Cache(used=False, always=True)
    for _time in range(3):
        cache.pool.alloc()
    cache.pool.release(1)
    assert cache.pool.alloc() == 1


def test_the_worker_keeps_its_rhythm_while_something_is_busy():
    cache = Cache(always=True)
    for _time in range(3):
        cache.pool.alloc()
    cache.pool.release(1)
    cache.clock.advance(0.5)
    cache.pool.release(2)
    cache.clock.advance(0.5)
    cache.pool.run()
    assert list(cache.pool.free) == [1, 2], "both are clean when the worker of the first comes by"


@pytest.mark.parametrize("era", ALWAYS)
def test_mkdir_right_after_rmdir_of_the_last_one_is_ebusy_then_works(boot, fails, era):
    kernel = boot("few-rmids", era=era)
    kernel.fill("mon_groups/m")
    kernel.rmdir("mon_groups/m0")
    with fails("EBUSY"):
        kernel.mkdir("mon_groups/new")
    assert kernel.status.endswith("Out of RMIDs\n")
    kernel.clock.advance(1)
    kernel.mkdir("mon_groups/new")


@pytest.mark.parametrize("era", IF_DIRTY)
def test_mkdir_right_after_rmdir_of_a_clean_one_works(boot, era):
    kernel = boot("few-rmids", era=era)
    kernel.fill("mon_groups/m")
    kernel.rmdir("mon_groups/m0")
    kernel.mkdir("mon_groups/new")


def test_what_a_group_owned_of_the_cache_keeps_its_rmid_busy_and_passes_to_the_next_owner(kernel, fails):
    kernel.resctrl.monitor.threshold = 65536
    kernel.fill("mon_groups/m")
    kernel.pin("mon_groups/m0", "llc_occupancy", 16 << 20)
    kernel.resctrl.monitor.frozen = True
    kernel.rmdir("mon_groups/m0")
    kernel.clock.advance(10)
    with fails("EBUSY"):
        kernel.mkdir("mon_groups/new")
    kernel.write("info/L3_MON/max_threshold_occupancy", 32 << 20)
    kernel.clock.advance(1)
    kernel.mkdir("mon_groups/new")
    assert kernel.value("mon_groups/new", "llc_occupancy") == str(16 << 20)
    assert kernel.value("mon_groups/new", "mbm_total_bytes") == "0"


def test_what_a_freed_rmid_owns_fades(kernel):
    kernel.fill("mon_groups/m")
    kernel.pin("mon_groups/m0", "llc_occupancy", 32 << 20)
    kernel.rmdir("mon_groups/m0")
    kernel.clock.advance(10)
    kernel.mkdir("mon_groups/new")
    assert kernel.value("mon_groups/new", "llc_occupancy") == "0"


@pytest.mark.parametrize("era", ALWAYS + IF_DIRTY)
def test_without_occupancy_mkdir_right_after_rmdir_works(boot, era):
    kernel = boot("no-cmt", era=era, num_rmids=4)
    kernel.fill("mon_groups/m")
    kernel.rmdir("mon_groups/m0")
    kernel.mkdir("mon_groups/new")


def test_fewer_rmids_than_the_hardware_says():
    cache = Cache()
    cache.pool.leave(1)
    assert cache.pool.alloc() == 1
    assert cache.errno() == "ENOSPC"
    cache.pool.release(1)
    assert cache.pool.alloc() == 1, "what is given back may be had again"
    cache.pool.leave(None)
    assert sorted(cache.pool.alloc() for _time in range(2)) == [2, 3]


def test_no_domain_that_went_offline_keeps_an_rmid():
    cache = Cache(domains=(0, 1), always=True)
    cache.pool.release(cache.pool.alloc())
    cache.pool.drop(0)
    assert cache.pool.limbo == {1: {1}}
    cache.pool.drop(1)
    assert cache.pool.limbo == {}
    assert list(cache.pool.free) == [2, 3, 1]
