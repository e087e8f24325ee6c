# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as it is, but that its playbook investigate asks another libvirt: that of a test's stand-ins."""

from __future__ import annotations

import json
import typing as t

from modules import ROOT

if t.TYPE_CHECKING:
    import pathlib


def collection_for(uri: str, directory: pathlib.Path) -> pathlib.Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH with the collection, of which `uri` is the libvirt."""
    inside = directory / "ansible_collections/kvmops/resctrl"
    (inside / "playbooks").mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name != "playbooks" and not path.name.startswith("."):
            (inside / path.name).symlink_to(path)
    for path in (ROOT / "playbooks").iterdir():
        if path.name != "investigate.yml":
            (inside / "playbooks" / path.name).symlink_to(path)
    defaults = "    group/kvmops.resctrl.resctrl:\n"
    playbook = (ROOT / "playbooks/investigate.yml").read_text(encoding="utf-8")
    assert playbook.count(defaults) == 1
    own = playbook.replace(defaults, f"{defaults}      uri: {json.dumps(uri)}\n")
    (inside / "playbooks/investigate.yml").write_text(own, encoding="utf-8")
    return directory
