# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains: what is known of each, and which of them a task asks for. Pure."""

from __future__ import annotations

import collections
import fnmatch
import re
import typing as t

CACHETUNE = "cachetune"
MEMORYTUNE = "memorytune"
ENERGYTUNE = "energytune"

# libvirt cuts a machine's name when it has reached this many characters (virDomainDriverGenerateMachineName)
_MACHINE_NAME = 64


class Domain(t.NamedTuple):
    """A domain as its source lists it. `uuid` is in canonical form (lower case, with dashes).

    `id` is libvirt's number of a running domain, another one after each start; 0 of one that is shut off.
    `number` is the one by which its manager knows it, such as Proxmox VE's 100; "" without one.
    `uuid_made`: it has no UUID of its own, and this one was made of what else identifies it.
    """

    name: str
    uuid: str
    active: bool
    id: int = 0
    number: str = ""
    uuid_made: bool = False


class Process(t.NamedTuple):
    """The process of a running domain.

    `vcpus` maps a vCPU's id to its thread, `threads` are all threads of the process. `tuning` is cachetune, memorytune
    or energytune where the live XML has such an element with a group behind it, else None.
    `unnamed`: its threads have no telling names, so which of them run vCPUs is not known, and `vcpus` is empty.
    """

    pid: int
    vcpus: t.Mapping[int, int]
    threads: frozenset[int]
    tuning: str | None = None
    unnamed: bool = False


class Selected(t.NamedTuple):
    """What one entry of a task's list of names stands for; `domain` is None where there is no such domain.

    `by_name`: the entry names this domain and no other. A pattern stands for whatever runs.
    `nearest`: the name of a domain that may have been meant instead of one that there is not; "" for none.
    """

    asked: str
    domain: Domain | None
    by_name: bool = True
    nearest: str = ""


def select(asked: t.Iterable[str], domains: t.Sequence[Domain]) -> list[Selected]:
    """What a list of names, UUIDs and shell patterns stands for, in the order asked, each domain once.

    A UUID wins over a name, as for virsh, and a name over a pattern; patterns (with *, ? or [) select running domains
    only and may match none. A name or UUID that the source does not know gives an entry without a domain.
    A manager's number stands for a domain like a name does. Only libvirt makes sure that a name is of one domain; of
    another source a name stands for all that have it.
    """
    by_name: dict[str, list[Domain]] = {}
    for domain in domains:
        for name in sorted({domain.name, domain.number} - {""}):
            by_name.setdefault(name, []).append(domain)
    by_uuid = {domain.uuid: [domain] for domain in domains}
    selected: dict[str, Selected] = {}
    for word in _trimmed(asked, by_name):
        named = by_uuid.get(canonical_uuid(word)) or by_name.get(word)
        if named:
            for one in named:
                # Who is named stays so, whatever patterns match it too
                if one.uuid not in selected or not selected[one.uuid].by_name:
                    selected[one.uuid] = Selected(word, one)
        elif is_pattern(word):
            for one in domains:
                if one.active and fnmatch.fnmatchcase(one.name, word):
                    selected.setdefault(one.uuid, Selected(word, one, by_name=False))
        else:
            selected.setdefault(word, Selected(word, None, nearest=nearest(word, by_name)))
    return list(selected.values())


def keys(domains: t.Sequence[Domain]) -> list[str]:
    """What tells each of these domains from the others: its name, or its UUID where several have that name."""
    names = collections.Counter(domain.name for domain in domains)
    return [domain.name if names[domain.name] == 1 else domain.uuid for domain in domains]


def _trimmed(asked: t.Iterable[str], names: t.Container[str]) -> list[str]:
    """The words without the blanks around them, which "vm1, vm2" has, but for domains whose names are just so."""
    return [word if word in names else word.strip() for word in asked]


def nearest(word: str, names: t.Iterable[str]) -> str:
    """The name that looks most like a word; "" if none does."""
    # Not above: only a mistake needs it
    import difflib

    lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.75)
    return lower[found[0]] if found else ""


def unmatched(asked: t.Iterable[str], domains: t.Sequence[Domain]) -> list[str]:
    """For each pattern that no running domain matches, and each UUID that another domain has for a name, a sentence.

    All of none, "*", is nothing to be said.
    """
    names = [domain.name for domain in domains if domain.active]
    known = {domain.name for domain in domains}
    words = dict.fromkeys(_trimmed(asked, known))
    patterns = [word for word in words if is_pattern(word) and word not in known and word != "*"]
    found = [f"No running domain matches '{word}'" for word in patterns if not fnmatch.filter(names, word)]
    by_uuid = {domain.uuid: domain for domain in domains}
    for word in words:
        meant = by_uuid.get(canonical_uuid(word))
        found += [
            f"'{word}' is the UUID of domain '{meant.name}', which is meant, and the name of another: name that one by "
            f"its UUID, {one.uuid}"
            for one in domains
            if meant and one.name == word and one.uuid != meant.uuid
        ]
    return found


def is_pattern(word: str) -> bool:
    """Whether a word that names no domain is a shell pattern."""
    return re.search(r"[*?\[]", word) is not None


def canonical_uuid(word: str) -> str:
    """A UUID as libvirt prints it, whatever way it was written; other words come back as they are."""
    digits = word.lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        return word
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def machine_name(domain: Domain, driver: str = "qemu") -> str:
    """What libvirt calls a running domain towards systemd, and its groups after (virDomainDriverGenerateMachineName).

    DRIVER-ID-NAME. Of the name it keeps ASCII letters, digits, dots and dashes; of several dots and dashes in a row the
    first; none in front or at the end. The whole is cut at 64 characters.
    """
    kept = re.sub(r"[^A-Za-z0-9.-]", "", domain.name)
    kept = re.sub(r"([.-])[.-]+", r"\1", kept).lstrip(".-")
    return f"{driver}-{domain.id}-{kept}"[:_MACHINE_NAME].rstrip(".-")
