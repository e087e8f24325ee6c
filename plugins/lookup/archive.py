# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: archive
short_description: Pack files of the control node into an archive
version_added: 1.0.0
description:
  - Packs files into a tar archive, and returns where that is. It is gone when Ansible ends.
  - Role P(kvmops.resctrl.resctrl_monitor#role) sends its library with it in one go, instead of file by file.
  - Every file in it belongs to root and has mode 0644.
options:
  _terms:
    description: One dictionary, with the name that a file has in the archive as key, and its path as value.
    type: list
    elements: dict
    required: true
author:
  - kvmops.resctrl maintainers (@kvmops)
"""

EXAMPLES = r"""
- name: Make a directory for two files
  ansible.builtin.file:
    path: /usr/local/lib/example
    state: directory
    mode: "0755"

- name: Install them
  ansible.builtin.unarchive:
    src: "{{ lookup('kvmops.resctrl.archive', {'a.py': '/srv/a.py', 'b/c.py': '/srv/c.py'}) }}"
    dest: /usr/local/lib/example
    owner: root
    group: root
"""

RETURN = r"""
_raw:
  description: The path of the archive.
  type: list
  elements: path
"""

import os
import tarfile
import tempfile
import typing as t

from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """The lookup."""

    def run(
        self,
        terms: t.Sequence[t.Mapping[str, str]],
        variables: t.Mapping[str, t.Any] | None = None,  # noqa: ARG002  # Ansible passes it
        **kwargs: t.Any,  # noqa: ANN401, ARG002
    ) -> list[str]:
        """The archive of each term."""
        try:
            return [_pack(term) for term in terms]
        except (OSError, AttributeError) as exc:
            raise AnsibleLookupError(f"kvmops.resctrl.archive: {exc}") from exc


def _pack(files: t.Mapping[str, str]) -> str:
    descriptor, path = tempfile.mkstemp(suffix=".tar", dir=constants.DEFAULT_LOCAL_TMP)
    with os.fdopen(descriptor, "wb") as target, tarfile.open(fileobj=target, mode="w") as archive:
        for name in sorted(files):
            archive.add(str(files[name]), arcname=str(name), recursive=False, filter=_of_root)
    return path


def _of_root(file: tarfile.TarInfo) -> tarfile.TarInfo:
    file.uid = file.gid = 0
    file.uname = file.gname = "root"
    file.mode = 0o644
    return file
