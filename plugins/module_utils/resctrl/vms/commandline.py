# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of a QEMU: who the virtual machine is. Pure.

Every manager tells QEMU in its own way: libvirt and KubeVirt by -name guest=NAME and -uuid, Incus by -name NAME and
-uuid, Proxmox VE by -id 100, -name NAME and -smbios type=1,uuid=UUID.
"""

from __future__ import annotations

import re
import typing as t

from ..kernel.groups import is_uuid
from .domain import canonical_uuid

# uuid5(NAMESPACE_URL, "https://github.com/kvmops/ansible-collection-resctrl")
_NAMESPACE = "e29fe4d6-58b3-5457-a591-8d349ef0c823"
_NIL = "00000000-0000-0000-0000-000000000000"
# Those that matter, and one whose argument is the guest's to write
_WITH_ARGUMENT = frozenset(("name", "uuid", "smbios", "id", "append"))
_KEY = re.compile(r"([^=,]*)=")
_FLAG = re.compile(r"([^,]*),?")
# Up to a single comma: two are one that belongs to the value
_VALUE = re.compile(r"((?:[^,]|,,)*),?")
_ON = ("on", "yes", "true", "y")


class CommandLine(t.NamedTuple):
    """What a command line says of a virtual machine; "" where it does not say.

    `uuid` is in canonical form.  `number` is Proxmox VE's, such as 100.
    `names_threads`: QEMU was told to give its threads telling names (debug-threads=on).
    """

    name: str = ""
    uuid: str = ""
    number: str = ""
    names_threads: bool = False


def parse(words: t.Sequence[str]) -> CommandLine:
    """What the words of a command line say, the program's name included.

    The last word on a matter holds, as in QEMU: seen with 7.2, also of -uuid and -smbios in either order.
    """
    names: dict[str, str] = {}
    uuid = number = ""
    for option, argument in _options(words):
        if option == "name":
            names.update(parse_keys(argument, implied="guest"))
        elif option == "uuid":
            uuid = argument
        elif option == "smbios":
            table = parse_keys(argument)
            uuid = table.get("uuid", uuid) if table.get("type") == "1" else uuid
        elif option == "id" and re.fullmatch(r"[0-9]{1,9}", argument):
            number = argument
    uuid = canonical_uuid(uuid)
    return CommandLine(
        # A byte that is no UTF-8 is shown as \\xff
        names.get("guest", "").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        uuid if is_uuid(uuid) and uuid != _NIL else "",
        number,
        names.get("debug-threads") in _ON,
    )


def _options(words: t.Sequence[str]) -> t.Iterator[tuple[str, str]]:
    """The options that matter, with their arguments. QEMU takes one dash or two."""
    position = 1
    while position + 1 < len(words):
        option = re.sub("^--?", "", words[position]) if words[position].startswith("-") else ""
        if option in _WITH_ARGUMENT:
            yield option, words[position + 1]
            position += 1
        position += 1


def parse_keys(text: str, implied: str = "") -> dict[str, str]:
    """The pairs of `key=value,...` (QEMU's opts_do_parse()). The first value may go without its key, `implied`.

    A comma in a value is written twice. A key without value is a flag: on, or off if it begins with "no".
    """
    found: dict[str, str] = {}
    # A position, not the rest of the text: a user may write an argument of 128 KiB, and it would be copied for each key
    position = 0
    while position < len(text):
        key = _KEY.match(text, position)
        if key:
            name, position = key[1], key.end()
        elif implied:
            name = implied
        else:
            flag = t.cast("re.Match[str]", _FLAG.match(text, position))
            position = flag.end()
            found.update({flag[1][2:]: "off"} if flag[1].startswith("no") else {flag[1]: "on"})
            continue
        value = t.cast("re.Match[str]", _VALUE.match(text, position))
        found[name], position, implied = value[1].replace(",,", ","), value.end(), ""
    return found


def uuid_of(line: CommandLine) -> str:
    """The UUID of the virtual machine; where it was given none, one that is made of its number or its name, always the
    same; "" where there is nothing to make one of.

    Proxmox VE's number stays when a machine is renamed.
    """
    if line.uuid:
        return line.uuid
    if line.number:
        return made_uuid(f"id={line.number}")
    return made_uuid(f"name={line.name}") if line.name else ""


def made_uuid(identity: str) -> str:
    """The UUID (version 5) that stands for an identity."""
    # Not above: mostly there is a UUID, and what is imported is compiled on every run
    import uuid

    return str(uuid.uuid5(uuid.UUID(_NAMESPACE), identity))
