# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as the kernel reads them."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.kstr import INT, UINT, ULONG, kstrto, strim, to_text


@pytest.mark.parametrize(
    ("text", "value"),
    [("16", 16), ("020", 16), ("0x10", 16), ("0X1f", 31), ("+16", 16), ("-16", -16), ("16\n", 16), ("0", 0), ("-0", 0)],
)
def test_base_zero_knows_octal_and_hexadecimal(text, value):
    assert kstrto(text, 0, INT) == value


@pytest.mark.parametrize(
    "text", ["", "-", "+", "abc", "08", "0x", "12x", "1 2", " 1", "1\n\n", "--1", "+-1", "-+1", "1,2"]
)
def test_what_is_no_number(fails, text):
    with fails("EINVAL"):
        kstrto(text, 0, INT)


@pytest.mark.parametrize(("text", "limits"), [("2147483648", INT), ("-2147483649", INT), ("4294967296", UINT)])
def test_beyond_the_type(fails, text, limits):
    with fails("ERANGE"):
        kstrto(text, 0, limits)


def test_unsigned_has_no_minus(fails):
    with fails("EINVAL"):
        kstrto("-1", 0, UINT)


def test_base_sixteen_takes_a_prefix():
    assert kstrto("0xff", 16, ULONG) == kstrto("ff", 16, ULONG) == 255


@given(st.integers(*INT), st.sampled_from(["{:d}", "{:#x}", "{:+d}"]), st.sampled_from(["", "\n"]))
def test_every_integer_is_read_back(number, form, end):
    assert kstrto(form.format(number) + end, 0, INT) == number


@given(st.binary(max_size=64))
def test_anything_is_a_number_in_range_or_an_error(data):
    value, code = 0, errno.EINVAL
    try:
        value = kstrto(strim(to_text(data)), 0, INT)
    except OSError as error:
        code = error.errno or 0
    assert INT[0] <= value <= INT[1]
    assert code in (errno.EINVAL, errno.ERANGE)


def test_a_buffer_ends_at_the_first_nul():
    assert to_text(b"12\0junk") == "12"
