# Copyright (c) 2026 the kvmops.resctrl authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules share: their common options, and the mapping of the library's errors to Ansible's failure.

Private to this collection: it may change without notice.
"""

from __future__ import annotations

import typing as t

from .resctrl.filesystem import DEFAULT_PATH
from .resctrl.monitoring import Host

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from .resctrl.errors import ResctrlError


def host_arguments() -> dict[str, t.Any]:
    """The options of every module of the collection; documented in the fragment kvmops.resctrl.host."""
    return {
        "uri": {"type": "str", "default": "qemu:///system"},
        "resctrl_path": {"type": "path", "default": DEFAULT_PATH},
    }


def host_of(module: AnsibleModule) -> Host:
    """The host that the options speak of."""
    return Host.of_libvirt(module.params["uri"], module.params["resctrl_path"])


def fail(module: AnsibleModule, error: ResctrlError) -> None:
    """The one place where an error of the library ends a module. Does not return."""
    module.fail_json(msg=str(error), code=error.code, path=error.path, hint=error.hint)
