# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation: schemata, size and mode, as far as libvirt uses them."""

from __future__ import annotations

from errno import EINVAL

import pytest
from targets.checks import fails

rule = pytest.mark.rule


def full_mask(fs):
    """The mask of the whole L3 cache."""
    return int(fs.read("info/L3/cbm_mask"), 16)


def line(fs, group, resource):
    """A resource's values in a group's schemata, by domain."""
    for text in fs.read(f"{group}/schemata").splitlines():
        name, _colon, values = text.strip().partition(":")
        if name == resource:
            return {int(part.split("=")[0]): part.split("=")[1].strip() for part in values.split(";")}
    raise AssertionError(f"no {resource} in schemata")


def refused(fs, text, status):
    """The text is refused by the schemata of a new group, for this reason."""
    fs.make("c")
    before = fs.read("c/schemata")
    with fails(EINVAL):
        fs.write("c/schemata", text)
    said = fs.status()
    assert fs.read("c/schemata") == before
    assert said == status


@rule(needs="l3")
def test_227_one_domain(fs):
    """a write changes the domains that it names"""
    fs.make("c")
    first, *others = sorted(line(fs, "c", "L3"))
    before = line(fs, "c", "L3")
    fs.write("c/schemata", f"L3:{first}=3\n")
    after = line(fs, "c", "L3")
    assert (int(after[first], 16), [after[n] for n in others]) == (3, [before[n] for n in others])


@rule(needs="l3 mb")
def test_228_several_lines(fs):
    """a write may have a line for each resource; one that is wrong, and none is applied"""
    fs.make("c")
    domain = min(line(fs, "c", "L3"))
    fs.write("c/schemata", f"L3:{domain}=3\nMB:{domain}=70\n")
    assert (int(line(fs, "c", "L3")[domain], 16), line(fs, "c", "MB")[domain]) == (3, "70")
    with fails(EINVAL):
        fs.write("c/schemata", f"L3:{domain}=1\nMB:{domain}=99999\n")
    assert int(line(fs, "c", "L3")[domain], 16) == 3


@rule(until="7.2", needs="l3")
def test_229_newline(fs):
    """a write without its newline is refused: EINVAL"""
    fs.make("c")
    domain = min(line(fs, "c", "L3"))
    with fails(EINVAL):
        fs.write("c/schemata", f"L3:{domain}=3")


@rule(since="7.3", needs="l3")
def test_230_newline(fs):
    """a write without its newline is refused: EINVAL, schemata: Invalid input"""
    refused(fs, f"L3:{min(fs.l3()[0])}=3", "schemata: Invalid input\n")


@rule(needs="l3")
def test_231_no_colon(fs):
    """a line without a colon is refused: EINVAL, Missing ':'"""
    refused(fs, "\n", "Missing ':'\n")


@rule(needs="l3")
def test_232_unknown_resource(fs):
    """an unknown resource is refused: EINVAL, Unknown or unsupported resource name 'L9'"""
    refused(fs, "L9:0=f\n", "Unknown or unsupported resource name 'L9'\n")


@rule(needs="l3")
def test_233_unknown_domain(fs):
    """an unknown domain is refused: EINVAL, without a text"""
    refused(fs, "L3:77=1\n", "ok\n")


@rule(needs="l3")
def test_234_domain_twice(fs):
    """a domain that is named twice is refused: EINVAL, Duplicate domain N"""
    domain = min(fs.l3()[0])
    refused(fs, f"L3:{domain}=1;{domain}=1\n", f"Duplicate domain {domain}\n")


@rule(needs="l3")
def test_235_no_values(fs):
    """a line without values is refused: EINVAL, Missing 'L3' value"""
    refused(fs, "L3:\n", "Missing 'L3' value\n")


@rule(needs="l3 contiguous")
def test_236_no_bits(fs):
    """a mask without bits is refused: EINVAL, Mask out of range"""
    refused(fs, f"L3:{min(fs.l3()[0])}=0\n", "Mask out of range\n")


@rule(needs="l3")
def test_237_too_many_bits(fs):
    """a mask wider than the cache's is refused: EINVAL, Mask out of range"""
    refused(fs, f"L3:{min(fs.l3()[0])}={full_mask(fs) * 2 + 1:x}\n", "Mask out of range\n")


@rule(needs="l3 contiguous")
def test_238_gaps(fs):
    """a mask with a gap is refused: EINVAL, The mask 5 has non-consecutive 1-bits"""
    refused(fs, f"L3:{min(fs.l3()[0])}=5\n", "The mask 5 has non-consecutive 1-bits\n")


@rule(needs="l3")
def test_239_no_mask(fs):
    """a mask that is not hexadecimal is refused: EINVAL, Non-hex character in the mask xyz"""
    refused(fs, f"L3:{min(fs.l3()[0])}=xyz\n", "Non-hex character in the mask xyz\n")


@rule(needs="l3")
def test_240_blanks(fs):
    """blanks around a domain's number are refused: EINVAL, Missing '=' or non-numeric domain"""
    refused(fs, f" L3 : {min(fs.l3()[0])} = 3\n", "Missing '=' or non-numeric domain\n")


@rule(needs="mb")
def test_241_bandwidth_range(fs):
    """a bandwidth out of range is refused: EINVAL, MB value N out of range [MIN,MAX]"""
    domain, minimum = min(fs.l3()[0]), int(fs.read("info/MB/min_bandwidth"))
    maximum = line(fs, ".", "MB")[domain]
    refused(fs, f"MB:{domain}=99999\n", f"MB value 99999 out of range [{minimum},{maximum}]\n")


@rule(since="6.1", needs="mb")
def test_242_no_bandwidth(fs):
    """a bandwidth that is no number is refused: EINVAL, Invalid MB value x"""
    refused(fs, f"MB:{min(fs.l3()[0])}=x\n", "Invalid MB value x\n")


@rule(needs="mb")
def test_243_bandwidth_steps(fs):
    """a bandwidth is rounded up to a multiple of bandwidth_gran"""
    fs.make("c")
    step, domain = int(fs.read("info/MB/bandwidth_gran")), min(line(fs, "c", "MB"))
    fs.write("c/schemata", f"MB:{domain}={100 - 2 * step + 1}\n")
    assert line(fs, "c", "MB")[domain] == str(100 - step)


@rule(needs="l3")
def test_244_new_groups_get_all(fs):
    """a new CTRL_MON group may use the whole L3 cache as long as no group is exclusive"""
    fs.make("c")
    assert {int(mask, 16) for mask in line(fs, "c", "L3").values()} == {full_mask(fs)}


@rule(until="6.14", needs="l3 mb")
def test_245_padded(fs):
    """schemata values have a common width: that of a mask, or 3; masks have leading zeros"""
    fs.make("c")
    domain = min(line(fs, "c", "L3"))
    fs.write("c/schemata", f"L3:{domain}=3\nMB:{domain}=70\n")
    text, digits = fs.read("c/schemata"), len(f"{full_mask(fs):x}")
    assert f"MB:{domain}={70:>{max(digits, 3)}}" in text
    assert f"L3:{domain}={3:0{digits}x}" in text


@rule(since="6.17", needs="l3 mb")
def test_246_not_padded(fs):
    """schemata values have no padding"""
    fs.make("c")
    domain = min(line(fs, "c", "L3"))
    fs.write("c/schemata", f"L3:{domain}=3\nMB:{domain}=70\n")
    text = fs.read("c/schemata")
    assert f"MB:{domain}=70" in text
    assert f"L3:{domain}=3" in text


@rule(until="5.10", needs="l3 mb")
def test_247_l3_first(fs):
    """the L3 line of schemata comes before the MB line"""
    assert [text.split(":")[0].strip() for text in fs.read("schemata").splitlines()] == ["L3", "MB"]


@rule(since="5.15", needs="l3 mb")
def test_248_mb_first(fs):
    """the MB line of schemata comes before the L3 line"""
    assert [text.split(":")[0].strip() for text in fs.read("schemata").splitlines()] == ["MB", "L3"]


@rule(needs="l3")
def test_249_names_are_aligned(fs):
    """the names of resources end at the same column"""
    assert len({text.index(":") for text in fs.read("schemata").splitlines()}) == 1


@rule(needs="l3")
def test_250_size(fs):
    """size says how many bytes a mask gives"""
    fs.make("c")
    domain, ways = min(line(fs, "c", "L3")), bin(full_mask(fs)).count("1")
    fs.write("c/schemata", f"L3:{domain}=3\n")
    assert f"L3:{domain}={fs.l3()[1] // ways * 2}" in fs.read("c/size")


@rule(needs="l3")
def test_251_exclusive(fs):
    """a group whose cache overlaps another's cannot be exclusive: EINVAL, Schemata overlaps"""
    fs.make("c")
    with fails(EINVAL):
        fs.write("c/mode", "exclusive\n")
    assert fs.status() == "Schemata overlaps\n"
    assert fs.read("c/mode") == "shareable\n"


@rule(needs="alloc")
def test_252_shareable(fs):
    """a group can be made what it is: shareable"""
    fs.make("c")
    fs.write("c/mode", "shareable\n")
    assert fs.read("c/mode") == "shareable\n"


@rule(needs="alloc")
def test_253_unknown_mode(fs):
    """an unknown mode, and pseudo-locked, are refused: EINVAL, Unknown or unsupported mode"""
    fs.make("c")
    for text in ("bogus\n", "pseudo-locked\n"):
        with fails(EINVAL):
            fs.write("c/mode", text)
        assert fs.status() == "Unknown or unsupported mode\n"


@rule(until="7.2", needs="alloc")
def test_254_mode_without_newline(fs):
    """a mode without its newline is refused: EINVAL"""
    fs.make("c")
    with fails(EINVAL):
        fs.write("c/mode", "shareable")


@rule(since="7.3", needs="alloc")
def test_255_mode_without_newline(fs):
    """a mode without its newline is refused: EINVAL, mode: Invalid input"""
    fs.make("c")
    with fails(EINVAL):
        fs.write("c/mode", "shareable")
    assert fs.status() == "mode: Invalid input\n"
