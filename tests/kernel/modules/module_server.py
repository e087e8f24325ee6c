# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules, each in a fork of this process, where all that they import is there already.

On an emulated CPU a module's start alone takes seconds. A line of JSON on stdin, {"namespace": PATH, "argv": [module's
file, its arguments]}, is answered by one on stdout, {"status", "stdout", "stderr"}. The run is in the mount namespace
at PATH.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import pathlib
import sys
import tempfile
import traceback
import typing as t

_CLONE_NEWNS = 0x20000  # linux/sched.h
_MODULES = pathlib.Path(__file__).resolve().parents[3] / "plugins" / "modules"
_libc = ctypes.CDLL(None, use_errno=True)
# Modules import it when they need it, and their forks have it then
importlib.import_module("libvirt")


def load(path: pathlib.Path) -> t.Callable[[], None]:
    """The main() of a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: t.Callable[[], None] = module.main
    return main


def run(main: t.Callable[[], None], request: dict[str, t.Any], stdout: int, stderr: int) -> t.NoReturn:
    """The fork's part: the module, with this output, until its end."""
    status: t.Any = 1
    try:
        descriptor = os.open(request["namespace"], os.O_RDONLY)
        if _libc.setns(descriptor, _CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "setns")
        os.chdir("/")
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        sys.argv = request["argv"]
        main()
        status = 0
    except SystemExit as end:
        status = end.code
    except Exception:  # noqa: BLE001  # as at the end of any program
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def serve() -> None:
    """Answer until stdin ends."""
    mains = {str(path): load(path) for path in sorted(_MODULES.glob("resctrl_*.py"))}
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            pid = os.fork()
            if pid == 0:
                run(mains[request["argv"][0]], request, stdout.fileno(), stderr.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            answer: dict[str, t.Any] = {"status": status}
            for name, stream in (("stdout", stdout), ("stderr", stderr)):
                stream.seek(0)
                answer[name] = stream.read().decode()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
