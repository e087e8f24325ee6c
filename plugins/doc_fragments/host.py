# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options and requirements that all modules share, for their documentation."""

from __future__ import annotations


class ModuleDocFragment:
    """The options that say where domains and resctrl are found, and what the managed host needs."""

    DOCUMENTATION = r"""
options:
  source:
    description:
      - Where the list of domains comes from.
      - V(libvirt) is the libvirt daemon at O(uri).
      - V(processes) are the QEMU processes of the host, whoever started them (Proxmox VE, KubeVirt, Incus, libvirt, or
        somebody by hand). Name and UUID are read from their command lines. Neither libvirt nor libvirt-python is
        needed. Domains that do not run are not known then. Proxmox VE's number of a virtual machine is as good as its
        name.
      - A QEMU without a UUID gets one that is made of its number or name, see C(uuid_made) in the result. Where several
        have the same name, the name stands for all of them.
      - The page U(https://github.com/kvmops/ansible-collection-resctrl/blob/main/docs/docsite/rst/other_hosts.rst)
        has the details.
    type: str
    choices: [libvirt, processes]
    default: libvirt
  uri:
    description:
      - The libvirt connection of this host. It is opened read-only; where libvirt refuses that, read-write, and nothing
        is changed through it. With O(source=processes) it is not used.
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
  - with O(source=libvirt), libvirt-python (the package C(python3-libvirt); on SUSE C(python3-libvirt-python))
"""
