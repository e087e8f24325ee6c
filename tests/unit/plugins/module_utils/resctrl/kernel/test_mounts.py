# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where resctrl is mounted, and how."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.mounts import Mount, parse_mounts


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        (
            "resctrl /sys/fs/resctrl resctrl rw,relatime,cdp 0 0",
            Mount("/sys/fs/resctrl", "resctrl", ("rw", "relatime", "cdp"), "resctrl"),
        ),
        ("none /mnt/a\\040b resctrl rw 0 0", Mount("/mnt/a b", "resctrl", ("rw",), "none")),
        ("resctrl /m\u2028n resctrl rw 0 0", Mount("/m\u2028n", "resctrl", ("rw",), "resctrl")),
        (
            "pid:[4026532000] /m fuse.resctrl rw,nosuid,user_id=0 0 0",
            Mount("/m", "fuse.resctrl", ("rw", "nosuid", "user_id=0"), "pid:[4026532000]"),
        ),
    ],
)
def test_mounts(line, mount):
    assert parse_mounts(f"proc /proc proc rw 0 0\n{line}\ntmpfs /sys/fs/resctrl tmpfs rw 0 0\n") == [mount]


def test_a_look_alike_that_a_user_has_mounted_is_none():
    """fusermount(1) lets any user mount one in a directory of his own."""
    line = "resctrl /home/mallory/m fuse.resctrl rw,nosuid,nodev,user_id=1000,group_id=1000 0 0"
    assert parse_mounts(f"{line}\n") == []


@given(st.text())
def test_any_mount_table_is_survived(text):
    assert all(isinstance(mount, Mount) for mount in parse_mounts(text))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\\\0"), min_size=1))
def test_a_mount_at_any_path_is_found(path):
    assert parse_mounts(f"resctrl {path} resctrl rw 0 0\n") == [Mount(path, "resctrl", ("rw",), "resctrl")]


@pytest.mark.parametrize(
    ("options", "read_only", "throttles"),
    [(("rw", "relatime"), False, False), (("ro", "mba_MBps"), True, True), (("rw", "errors=ro"), False, False)],
)
def test_what_the_options_mean(options, read_only, throttles):
    mount = Mount("/m", "resctrl", options)
    assert (mount.read_only, mount.throttles) == (read_only, throttles)
