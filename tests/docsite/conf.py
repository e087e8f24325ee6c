# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings for the documentation site, which tests/ci/docsite.sh builds. Nothing is loaded from a network."""

from __future__ import annotations

import pathlib
import tempfile
import zlib

project = "kvmops.resctrl"
author = "the kvmops.resctrl authors"
project_copyright = "2026 the kvmops.resctrl authors"
html_title = "kvmops.resctrl"

extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
nitpicky = True
highlight_language = "text"

# The only pages of Ansible's own documentation to which those that antsibull-docs makes refer. Sphinx would ask the
# network for a list of all of them.
_BUILTIN = "collections/ansible/builtin"
_ANSIBLE = {
    "ansible_collections.ansible.builtin.human_readable_filter": f"{_BUILTIN}/human_readable_filter.html",
    "ansible_collections.ansible.builtin.validate_argument_spec_module": (
        f"{_BUILTIN}/validate_argument_spec_module.html"
    ),
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}
_INVENTORY = pathlib.Path(tempfile.mkdtemp()) / "objects.inv"
_INVENTORY.write_bytes(
    b"# Sphinx inventory version 2\n# Project: ansible\n# Version: latest\n# The remainder is compressed with zlib.\n"
    + zlib.compress("".join(f"{name} std:label -1 {page} {name}\n" for name, page in _ANSIBLE.items()).encode())
)
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/projects/ansible/latest/", str(_INVENTORY))}

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_theme_options = {
    "source_repository": "https://github.com/kvmops/ansible-collection-resctrl/",
    "navigation_with_keys": False,
}
