# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a virtual machine is, by the words that its manager gave QEMU."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.kernel.groups import is_uuid
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms import commandline
from ansible_collections.kvmops.resctrl.plugins.module_utils.resctrl.vms.commandline import (
    CommandLine,
    made_uuid,
    parse,
    parse_keys,
    uuid_of,
)

UUID = "5f3c1d6e-54a5-4c35-8d0c-0c5b7b0fb0a3"
OTHER = "00000000-0000-4000-8000-000000000001"
NIL = "00000000-0000-0000-0000-000000000000"
# Any text that can be a word of a command line
WORDS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))


def of(*words):
    return parse(["/usr/bin/qemu-system-x86_64", *words])


MANAGERS = {
    "libvirt": (
        f"-name guest=vm3,debug-threads=on -S -object secret,id=masterKey0 -uuid {UUID} -nodefaults",
        CommandLine("vm3", UUID, names_threads=True),
    ),
    "Proxmox VE": (
        "-id 100 -name web,debug-threads=on -no-shutdown -chardev socket,id=qmp,path=/var/run/qemu-server/100.qmp"
        f" -mon chardev=qmp,mode=control -pidfile /var/run/qemu-server/100.pid -daemonize -smbios type=1,uuid={UUID}",
        CommandLine("web", UUID, "100", names_threads=True),
    ),
    "older Proxmox VE": (
        f"-id 100 -name web -pidfile /var/run/qemu-server/100.pid -daemonize -smbios type=1,uuid={UUID.upper()}",
        CommandLine("web", UUID, "100"),
    ),
    "KubeVirt": (
        f"-name guest=default_web,debug-threads=on -S -uuid {UUID}"
        f" -smbios type=1,manufacturer=KubeVirt,product=None,uuid={UUID},family=KubeVirt",
        CommandLine("default_web", UUID, names_threads=True),
    ),
    "Incus": (
        f"-S -name web -uuid {UUID} -daemonize -cpu host -readconfig /run/incus/web/qemu.conf",
        CommandLine("web", UUID),
    ),
    "somebody": ("-m 64 disk.img", CommandLine()),
}


@pytest.mark.parametrize("manager", MANAGERS)
def test_each_manager_says_in_its_own_way_who_a_machine_is(manager):
    words, said = MANAGERS[manager]
    assert of(*words.split()) == said


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("web", "web"),
        ("guest=web", "web"),
        ("debug-threads=on,guest=web", "web"),
        ("process=foo,guest=web", "web"),
        ("web,process=foo", "web"),
        ("a,,b,debug-threads=on", "a,b"),
        ("guest=a,,b=c,process=x", "a,b=c"),
        ("a,,b=c", "a,b=c"),
        ("a,,,debug-threads=on", "a,"),
        ("a,guest=b", "b"),
        ("guest=a=b", "a=b"),
        ("process=p", ""),
        ("", ""),
    ],
)
def test_a_name_is_read_as_qemu_reads_it(argument, name):
    """What 'info name' of QEMU 7.2 says, for each of these."""
    assert of("-name", argument).name == name


@given(WORDS)
@example("a,b")
@example("guest=a,")
def test_any_name_comes_back_if_its_commas_are_written_twice(name):
    assert of("-name", f"guest={name.replace(',', ',,')},debug-threads=on").name == name


@given(st.dictionaries(st.text("abc-", min_size=1), WORDS))
def test_any_pairs_come_back(pairs):
    text = ",".join(f"{key}={value.replace(',', ',,')}" for key, value in pairs.items())
    assert parse_keys(text) == pairs


@pytest.mark.parametrize("switch", ["on", "yes", "true", "y"])
def test_threads_have_names_if_qemu_was_told_to_give_them(switch):
    assert of("-name", f"web,debug-threads={switch}").names_threads
    assert of("-name", "web,debug-threads").names_threads


@pytest.mark.parametrize("words", ["-name web", "-name web,debug-threads=off", "-name web,nodebug-threads", ""])
def test_and_not_otherwise(words):
    assert not of(*words.split()).names_threads


def test_options_of_a_name_add_up():
    assert of("-name", "a,debug-threads=on", "-name", "process=foo") == CommandLine("a", names_threads=True)


@pytest.mark.parametrize(
    "words",
    [f"-uuid {OTHER} -smbios type=1,uuid={UUID}", f"-smbios type=1,uuid={OTHER} -uuid {UUID}", f"--uuid {UUID}"],
)
def test_the_last_uuid_holds(words):
    """What 'info uuid' of QEMU 7.2 says."""
    assert of(*words.split()).uuid == UUID


@pytest.mark.parametrize(
    "words",
    [
        f"-smbios type=2,uuid={UUID}",
        f"-smbios uuid={UUID}",
        "-uuid x",
        f"-uuid {NIL}",
        "-uuid",
        f"-device x,uuid={UUID}",
    ],
)
def test_what_is_no_uuid_of_the_machine_is_none(words):
    assert of(*words.split()).uuid == ""


@pytest.mark.parametrize("number", ["", "x", "-1", "1" * 10, "1٣"])
def test_a_number_has_digits(number):
    assert of("-id", number).number == ""


def test_what_the_guest_is_given_is_not_taken_for_the_managers_words():
    """The argument of -append is its owner's to write, and so is a name."""
    assert of("-append", "-uuid", UUID, "-name", "web") == CommandLine("web")
    assert of("-name", "-uuid", UUID) == CommandLine("-uuid")


def test_bytes_that_are_no_text_are_shown():
    assert of("-name", b"w\xffb".decode("utf-8", "surrogateescape")).name == "w\\xffb"


@given(st.lists(st.one_of(WORDS, st.sampled_from(["-name", "-uuid", "-smbios", "-id", UUID, "type=1,uuid=" + UUID]))))
def test_any_command_line_can_be_understood(words):
    line = parse(words)
    assert line.uuid in ("", UUID) or is_uuid(line.uuid)
    assert uuid_of(line) == "" or is_uuid(uuid_of(line))


# -- a machine without a UUID ------------------------------------------------------------------------------------------


def test_it_gets_one_that_is_always_the_same():
    assert uuid_of(CommandLine("web")) == uuid_of(CommandLine("web", names_threads=True)) == made_uuid("name=web")
    assert uuid.UUID(uuid_of(CommandLine("web"))).version == 5


def test_by_its_number_it_is_the_same_under_another_name():
    assert uuid_of(CommandLine("web", number="100")) == uuid_of(CommandLine("db", number="100"))


def test_a_name_that_looks_like_a_number_is_another_machine():
    assert len({uuid_of(CommandLine("100")), uuid_of(CommandLine(number="100")), uuid_of(CommandLine("id=100"))}) == 3


def test_its_own_uuid_is_taken_as_it_is():
    assert uuid_of(CommandLine("web", UUID, "100")) == UUID


def test_nothing_is_made_of_nothing():
    assert uuid_of(CommandLine()) == ""


def test_the_uuids_are_the_collections_own():
    name = "https://github.com/kvmops/ansible-collection-resctrl"
    assert str(uuid.uuid5(uuid.NAMESPACE_URL, name)) == commandline._NAMESPACE
