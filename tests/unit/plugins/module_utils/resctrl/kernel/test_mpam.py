# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arm MPAM: what the files tell of the room in a CTRL_MON group, and what only the kernel's refusal does."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.filesystem import Resctrl
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.mpam import rmids_of_each

MPAM = {
    "L3_MON/mbm_assign_mode": "[mbm_event]",
    "L3_MON/num_rmids": "64",
    "L3/num_closids": "16",
    "MB/num_closids": "16",
}


@pytest.fixture(name="resctrl")
def resctrl_fixture(tmp_path, write):
    """Writes files of info and gives the resctrl; what is None is not there."""

    def made(files):
        write({f"info/{name}": f"{text}\n" for name, text in files.items() if text is not None})
        return Resctrl(str(tmp_path), str(tmp_path / "proc"))

    return made


@pytest.mark.parametrize(
    ("arch", "is_arm"), [("aarch64", True), ("aarch64_be", True), ("x86_64", False), ("riscv64", False), (None, False)]
)
def test_the_architecture_is_the_kernels_own_word(tmp_path, arch, is_arm):
    if arch:
        (tmp_path / "sys/kernel").mkdir(parents=True)
        (tmp_path / "sys/kernel/arch").write_text(f"{arch}\n")
    assert Resctrl(str(tmp_path), str(tmp_path)).is_arm == is_arm


@pytest.mark.parametrize(
    ("files", "rmids"),
    [
        ({}, 4),
        ({"L3_MON/num_rmids": "16"}, 1),
        ({"L3/num_closids": None, "MB/num_closids": None, "L2/num_closids": "32"}, 2),
        # The smallest counts
        ({"MB/num_closids": "8"}, 8),
    ],
)
def test_each_control_group_has_num_rmids_divided_by_num_closids(resctrl, files, rmids):
    assert rmids_of_each(resctrl({**MPAM, **files})) == rmids


@pytest.mark.parametrize(
    "files",
    [
        # Occupancy only: as an x86 without assignable counters looks, and as a vendor's driver did
        {"L3_MON/mbm_assign_mode": "[default]"},
        {"L3_MON/mbm_assign_mode": None},
        {"L3_MON/mbm_assign_mode": "[mbm_event]\ndefault"},
        {"L3/num_closids": None, "MB/num_closids": None},
        {"L3_MON/num_rmids": None},
        # It is no product
        {"L3_MON/num_rmids": "5"},
        {"L3_MON/num_rmids": "many"},
        {"MB/num_closids": "many"},
        {"MB/num_closids": "0"},
    ],
)
def test_where_the_files_do_not_tell_nothing_is_supposed(resctrl, files):
    assert rmids_of_each(resctrl({**MPAM, **files})) is None
