# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive in which the library is sent to a host."""

from __future__ import annotations

import tarfile

import pytest
from ansible.errors import AnsibleLookupError

from ansible_collections.kvmops.resctrl.plugins.lookup.archive import LookupModule


@pytest.fixture(name="pack")
def pack_fixture():
    return LookupModule().run


def test_each_file_has_its_name_belongs_to_root_and_may_be_read_by_all(tmp_path, pack):
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    (tmp_path / "b").chmod(0o600)
    (path,) = pack([{"resctrl/x.py": str(tmp_path / "b"), "command/y.py": str(tmp_path / "a")}])
    with tarfile.open(path) as archive:
        found = [(one.name, one.uid, one.gid, one.mode, archive.extractfile(one).read()) for one in archive]
    assert found == [("command/y.py", 0, 0, 0o644, b"one"), ("resctrl/x.py", 0, 0, 0o644, b"two")]


def test_a_file_that_is_not_there_is_said(tmp_path, pack):
    with pytest.raises(AnsibleLookupError, match=r"kvmops\.resctrl\.archive: .*nowhere"):
        pack([{"a": str(tmp_path / "nowhere")}])
