# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the first page of the site, in place of that of antsibull-docs, whose titles are too long for a sidebar:

    python tests/docsite/index.py PAGES

PAGES is the directory with the pages that antsibull-docs has made. The guides are those of docs/docsite/extra-docs.yml.
"""

from __future__ import annotations

import pathlib
import re
import sys
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).parents[2]

_HEAD = """\
.. _plugins_in_kvmops.resctrl:

kvmops.resctrl
==============

Which virtual machine eats the last-level cache, and which the memory bandwidth? The CPU can tell (Intel RDT, AMD QoS,
Arm MPAM), and Linux passes it on (resctrl). This Ansible collection switches that monitoring on and off for each domain
while it runs, as declared state over a whole fleet of KVM hosts, and returns the values as facts.

.. image:: ../images/report.png
   :alt: A page on which vm3 holds most of a cache and moves most bytes, with the reason in words
   :target: docsite/report.html
   :width: 36em

New here? :ref:`Quick start <ansible_collections.kvmops.resctrl.docsite.quickstart>`. The source is on `GitHub
<https://github.com/kvmops/ansible-collection-resctrl>`__, and so is the `issue tracker
<https://github.com/kvmops/ansible-collection-resctrl/issues>`__.
"""
_REFERENCE = ("module", "filter", "lookup", "role")


def page(pages: pathlib.Path) -> str:
    """The first page."""
    parts = [_HEAD]
    guides: dict[str, Any] = yaml.safe_load((ROOT / "docs/docsite/extra-docs.yml").read_text(encoding="utf-8"))
    for section in guides["sections"]:
        parts.append(_contents(section["title"], [f"docsite/{name}" for name in section["toctree"]]))
    parts.append(_contents("What has changed", ["Releases <changelog>"]))
    for kind in _REFERENCE:
        names = sorted(path.stem for path in pages.glob(f"*_{kind}.rst"))
        parts.append(
            _contents(f"{kind.capitalize()}s", [f"{re.sub(f'_{kind}$', '', name)} <{name}>" for name in names])
        )
    return "".join(parts)


def _contents(title: str, entries: list[str]) -> str:
    lines = ["", ".. toctree::", "   :maxdepth: 1", f"   :caption: {title}", "", *(f"   {entry}" for entry in entries)]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    directory = pathlib.Path(sys.argv[1])
    (directory / "index.rst").write_text(page(directory), encoding="utf-8")
