# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's modules as processes, as Ansible does on a managed host, but without Ansible's own start."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import typing as t

import ansible

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What a module prints: JSON
Result = dict[str, t.Any]

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The interpreter of a managed host: the one with the distribution's libvirt-python
PYTHON = "/usr/bin/python3"

# The command resctrl-mon, from this checkout
AGENT = ("env", f"PYTHONPATH={ROOT}/plugins/module_utils", PYTHON, f"{ROOT}/roles/resctrl_monitor/files/agent.py")


def collections_path() -> pathlib.Path:
    """A directory in which this checkout is the collection kvmops.resctrl."""
    path = ROOT / ".work" / "collections"
    link = path / "ansible_collections" / "kvmops" / "resctrl"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(ROOT)
    return path


def ansible_path() -> pathlib.Path:
    """A directory with the package ansible alone: beside it in a virtual environment may lie another libvirt-python."""
    path = ROOT / ".work" / "payload" / str(ansible.__version__)
    path.mkdir(parents=True, exist_ok=True)
    link = path / "ansible"
    if not link.exists():
        with contextlib.suppress(FileExistsError):  # another test was faster
            link.unlink(missing_ok=True)
            link.symlink_to(pathlib.Path(ansible.__file__).parent)
    return path


def ansible_environment(home: pathlib.Path, collections: pathlib.Path | None = None) -> dict[str, str]:
    """The environment in which Ansible runs with this collection, or with `collections`, and without any settings."""
    return {
        "ANSIBLE_COLLECTIONS_PATH": str(collections or collections_path()),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
    }


def command(module: str, arguments: dict[str, t.Any], *, check: bool = False, diff: bool = False) -> list[str]:
    """The command line of one run of a module, with its environment."""
    arguments = {**arguments, "_ansible_check_mode": check, "_ansible_diff": diff}
    return [
        "env",
        f"PYTHONPATH={collections_path()}:{ansible_path()}",
        "LC_ALL=C.UTF-8",
        PYTHON,
        str(ROOT / "plugins" / "modules" / f"{module}.py"),
        json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
    ]


def install_modules(root: pathlib.Path) -> None:
    """Copies what modules and the command need to a host that has nothing of the machine's files, to the same places.
    `root` is the host's root, as this process sees it.
    """
    package = pathlib.Path(ansible.__file__).parent
    libraries = [package / name for name in ("_vendor", "module_utils")]
    for tree in (collections_path(), ansible_path(), ROOT / "plugins", ROOT / "roles", *libraries):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(tree, _below(root, tree), symlinks=True, ignore=ignore, dirs_exist_ok=True)
    for file in (package / "__init__.py", package / "release.py"):
        shutil.copy(file, _below(root, file))


def _below(root: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    return root / path.relative_to("/")


def run_module(
    module: str,
    arguments: dict[str, t.Any],
    *,
    check: bool = False,
    diff: bool = False,
    inside: Callable[[Sequence[str]], list[str]] = list,
) -> Result:
    """The result of one run. `inside` makes a command line run where the module is to: Host.argv of a lab's host.

    Raises AssertionError if the module did not end as modules do, with one JSON object.
    """
    argv = inside(command(module, arguments, check=check, diff=diff))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, cwd="/", env=dict(os.environ))
    try:
        result: Result = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{module} ended with {done.returncode}: {done.stdout}{done.stderr}") from None
    if bool(result.get("failed")) != bool(done.returncode):
        raise AssertionError(f"{module} ended with {done.returncode}, but says failed={result.get('failed')}")
    return result


def succeeded(result: Result) -> Result:
    """The result of a run, which must have succeeded."""
    assert not result.get("failed"), json.dumps(result, indent=1)
    return result


def only(result: Result) -> Result:
    """What a result says about its one domain."""
    domain: Result
    (domain,) = result["domains"]
    return domain


def warnings(result: Result) -> list[str]:
    """The texts of a result's warnings; ansible-core 2.19 wraps them."""
    return [one if isinstance(one, str) else one["event"]["msg"] for one in result.get("warnings", ())]
