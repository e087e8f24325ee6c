# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters have in common: how one of them fails."""

from __future__ import annotations

import functools
import typing as t

from ansible.errors import AnsibleFilterError

_Function = t.TypeVar("_Function", bound=t.Callable[..., t.Any])


def told(function: _Function) -> _Function:
    """A filter that fails as filters do, with its name, where its input is another than it should be."""

    @functools.wraps(function)
    def filtered(*arguments: t.Any, **options: t.Any) -> t.Any:  # noqa: ANN401  # the filter's own
        try:
            return function(*arguments, **options)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            name = f"kvmops.resctrl.{function.__name__}"
            raise AnsibleFilterError(f"{name}: {type(exc).__name__}: {exc}") from exc

    return t.cast("_Function", filtered)
