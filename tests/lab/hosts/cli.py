# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `lab`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import typing as t
from pathlib import Path

from . import check, roots
from .errors import LabError
from .lab import Lab

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_EPILOG = """\
A light host is a set of namespaces with its own libvirtd, sshd and resctrl over the machine's files, of which /usr is
read-only and /etc and /var are private copies. A full host (--full) runs systemd and keeps what is written to it over a
reboot; it is made of the machine's own root, or with --release of that of another Debian release, which mmdebstrap
makes once, in about a minute, from the machine's mirror. Hosts are gone after `down`, or when their supervisor dies.
KVMOPS_LAB_STATE (default /run/kvmops-lab) is where hosts, logs and keys are kept, KVMOPS_LAB_ROOTS (default
~/.cache/kvmops-lab-roots) where the roots of releases are.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab",
        description="Hypervisor hosts on this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="bring a host up")
    up.add_argument("name")
    up.add_argument("--full", action="store_true", help="with systemd")
    up.add_argument("--release", choices=roots.RELEASES, help="with --full: of this Debian release, not the machine's")
    up.add_argument("--profile", help="the resctrl hardware and kernel that the host seems to have")
    up.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of the profile")
    up.add_argument("--no-resctrl", action="store_true", help="a host whose kernel has no resctrl")
    up.add_argument("--no-libvirt", action="store_true", help="do not start libvirtd")

    down = commands.add_parser("down", help="take a host down, as pulling the plug would")
    which = down.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?")
    which.add_argument("--all", action="store_true")

    for name, text in (("run", "run a command inside a host"), ("ssh", "run a command, or a shell, over SSH")):
        command = commands.add_parser(name, help=text)
        command.add_argument("name")
        command.add_argument("argv", nargs="*", metavar="-- COMMAND")

    domains = commands.add_parser("domains", help="define vm1, vm2, vm3 as in the RFC; start vm2 and vm3")
    domains.add_argument("name")
    reboot = commands.add_parser("reboot", help="reboot a full host")
    reboot.add_argument("name")
    for name, text in (("freeze", "stop the counters of a host"), ("unfreeze", "let them go on")):
        commands.add_parser(name, help=text).add_argument("name")
    commands.add_parser("list", help="the hosts that are there")
    inventory = commands.add_parser("inventory", help="print an Ansible inventory")
    inventory.add_argument("names", nargs="*")
    root = commands.add_parser("root", help="make what hosts of a Debian release start from, and say what is in it")
    root.add_argument("release", choices=roots.RELEASES)
    wanted = commands.add_parser("check", help="say what the machine lacks for the lab")
    wanted.add_argument("--full", action="store_true", help="for full hosts, too")
    return parser


def _up(lab: Lab, arguments: argparse.Namespace) -> int:
    host = lab.up(
        arguments.name,
        full=arguments.full,
        profile=arguments.profile,
        overrides=arguments.set,
        resctrl=not arguments.no_resctrl,
        libvirt=not arguments.no_libvirt,
        release=arguments.release,
    )
    print(f"{host.name} is up at {host.address}")
    if arguments.release:
        print(roots.found(arguments.release))
    if not arguments.no_libvirt and not host.has_kvm():
        print(check.NO_KVM)
    return 0


def _down(lab: Lab, arguments: argparse.Namespace) -> int:
    for name in [state.name for state in lab.states()] if arguments.all else [arguments.name]:
        lab.down(name)
    return 0


def _run(lab: Lab, arguments: argparse.Namespace) -> int:
    if not arguments.argv:
        raise LabError("run what? lab run NAME -- COMMAND...")
    host = lab.host(arguments.name)
    # A light host has the machine's directories.
    here = None if host.record.settings.full else os.getcwd()
    argv = host.argv(arguments.argv, cwd=here)
    os.execvp(argv[0], argv)  # noqa: S606


def _ssh(lab: Lab, arguments: argparse.Namespace) -> int:
    argv = lab.host(arguments.name).ssh_argv(arguments.argv)
    os.execvp(argv[0], argv)  # noqa: S606


def _domains(lab: Lab, arguments: argparse.Namespace) -> int:
    for note in lab.host(arguments.name).rfc_domains():
        print(note)
    return 0


def _reboot(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.host(arguments.name).reboot()
    return 0


def _freeze(lab: Lab, arguments: argparse.Namespace) -> int:
    with lab.host(arguments.name).control as control:
        control.freeze()
    return 0


def _unfreeze(lab: Lab, arguments: argparse.Namespace) -> int:
    with lab.host(arguments.name).control as control:
        control.unfreeze()
    return 0


def _list(lab: Lab, arguments: argparse.Namespace) -> int:  # noqa: ARG001
    for state in lab.states():
        if not state.alive():
            print(f"{state.name}  died; its logs are in {state.log}")
            continue
        record = state.last()
        if record is None or record.leader is None:
            print(f"{state.name}  coming up; its logs are in {state.log}")
            continue
        kind = "full" if record.settings.full else "light"
        print(f"{state.name}  {record.address}  {kind}  first process {record.leader}")
    return 0


def _inventory(lab: Lab, arguments: argparse.Namespace) -> int:
    print("\n".join(_yaml(lab.inventory(arguments.names))))
    return 0


def _yaml(tree: dict[str, t.Any], indent: str = "") -> Iterator[str]:
    """The lines of a mapping of mappings and strings."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _yaml(value, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(value)}"


def _root(lab: Lab, arguments: argparse.Namespace) -> int:  # noqa: ARG001
    roots.make(arguments.release)
    print(roots.found(arguments.release))
    return 0


def _check(lab: Lab, arguments: argparse.Namespace) -> int:  # noqa: ARG001
    found = check.missing(full=arguments.full)
    for line in found:
        print(line)
    if not Path("/dev/kvm").exists():
        print(f"note: {check.NO_KVM}")
    return 1 if found else 0


_COMMANDS = {
    "up": _up,
    "down": _down,
    "run": _run,
    "ssh": _ssh,
    "domains": _domains,
    "reboot": _reboot,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "list": _list,
    "inventory": _inventory,
    "root": _root,
    "check": _check,
}


def main(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit status: 1 with a sentence on standard error if it cannot be done, and 130
    when it is interrupted, as a shell would."""
    arguments = _parser().parse_args(argv)
    try:
        return _COMMANDS[arguments.command](Lab(keep=True), arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
