# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What strace's lines say of changes in resctrl."""

from __future__ import annotations

import errno

import pytest
from system_calls import changes

from emulator.faults import Operation

ROOT = "/sys/fs/resctrl"


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ('7 mkdir("/sys/fs/resctrl/COS1", 0777)       = 0', Operation("mkdir", "COS1", "", 0, 7)),
        (
            '7 mkdir("/sys/fs/resctrl/COS1", 0777) = -1 EBUSY (Device or resource busy)',
            Operation("mkdir", "COS1", "", errno.EBUSY, 7),
        ),
        (
            '7 openat(AT_FDCWD, "/sys/fs/resctrl/tasks", O_WRONLY|O_CLOEXEC) = 3',
            Operation("write", "tasks", "", 0, 7),
        ),
        (
            '7 openat(AT_FDCWD, "/sys/fs/resctrl/tasks", O_RDWR|O_CLOEXEC <unfinished ...>',
            Operation("write", "tasks", "", 0, 7),
        ),
        ('7 rename("/sys/fs/resctrl/a", "/sys/fs/resctrl/b") = 0', Operation("rename", "a", "", 0, 7)),
        ('7 rmdir("/sys/fs/resctrl/mon_groups/m") = 0', Operation("rmdir", "mon_groups/m", "", 0, 7)),
    ],
)
def test_a_call_is_told_in_the_emulators_terms(line, change):
    assert changes([line], ROOT) == [change]


@pytest.mark.parametrize(
    "line",
    [
        '7 openat(AT_FDCWD, "/sys/fs/resctrl/tasks", O_RDONLY|O_CLOEXEC) = 3',
        '7 mkdir("/sys/fs/resctrl2/COS1", 0777) = 0',
        '7 openat(AT_FDCWD, "/tmp/trace", O_WRONLY|O_CLOEXEC) = 3',
        "7 +++ exited with 0 +++",
    ],
)
def test_what_reads_or_lies_elsewhere_is_no_change(line):
    assert changes([line], ROOT) == []
