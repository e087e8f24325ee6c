# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options and requirements that all modules share, for their documentation."""

from __future__ import annotations


class ModuleDocFragment:
    """The options that say where libvirt and resctrl are, and what the managed host needs."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt connection of this host. It is opened read-only.
      - A URI that leads to another machine is refused, since the threads and the resctrl filesystem are those of the
        host that the module runs on. Let Ansible run the module on the other machine instead.
    type: str
    default: qemu:///system
  resctrl_path:
    description:
      - Where the resctrl filesystem is mounted.
    type: path
    default: /sys/fs/resctrl
requirements:
  - root
  - libvirt-python (the package C(python3-libvirt); on SUSE C(python3-libvirt-python))
"""
