# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a host cannot monitor: the causes are told apart."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl import errors
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.preflight import missing_monitoring


@pytest.fixture(name="missing")
def missing_fixture(tmp_path, write):
    """What is missing on a machine with these files; {0} is the root of resctrl."""

    def answer(files):
        write({name: text.format(tmp_path / "resctrl") for name, text in files.items()})
        return missing_monitoring(Resctrl(str(tmp_path / "resctrl"), str(tmp_path / "proc")))

    return answer


HERE = {"proc/self/mounts": "resctrl {0} resctrl rw 0 0\n"}
EVENTS = {"resctrl/info/L3_MON/mon_features": "llc_occupancy\n"}


def test_nothing_is_missing_where_it_is_mounted_and_has_events(missing):
    assert missing({**HERE, **EVENTS}) is None


@pytest.mark.parametrize(
    ("files", "kind", "said"),
    [
        (HERE, errors.AllocationOnly, "has no L3 monitoring"),
        ({"proc/filesystems": "nodev\tresctrl\n"}, errors.NotMounted, "Run 'mount -t resctrl"),
        ({"proc/self/mounts": "x /else resctrl rw 0 0\n"}, errors.NotMounted, "It is mounted at /else"),
        ({"proc/cpuinfo": "flags\t\t: fpu vme\n"}, errors.CpuWithoutMonitoring, "none of the flags"),
        ({"proc/cpuinfo": "flags\t\t: fpu cqm_llc\n"}, errors.KernelWithoutResctrl, "offers no resctrl"),
        # Arm has no flag for it
        ({"proc/cpuinfo": "Features\t: fp asimd\n"}, errors.KernelWithoutResctrl, "MPAM"),
    ],
)
def test_each_cause_has_its_error_and_advice(missing, files, kind, said):
    answer = missing(files)
    assert answer.__class__ is kind
    assert said in str(answer)
