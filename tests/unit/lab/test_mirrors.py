# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages of other suites come from."""

from __future__ import annotations

import mirrors
import pytest

DEB822 = """
# a comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
# another
Check-Valid-Until: no

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """
# deb http://comment.example/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example/debian bookworm main contrib # end
deb http://security.example/debian-security bookworm-security main
"""


def test_other_suites_come_from_the_mirror_of_the_machine_in_the_way_that_it_is_set_up() -> None:
    source = mirrors.rewrite(mirrors.parse_deb822(DEB822), "bookworm", "deb deb-src", ["bookworm", "trixie-backports"])
    assert source == (
        "Types: deb deb-src\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: bookworm trixie-backports\n"
        "Components: main\n"
        "signed-by: -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
        "check-valid-until: no\n"
        "\n"
    )


def test_the_one_line_format_is_understood() -> None:
    sources = mirrors.parse_list(ONE_LINE)
    assert mirrors.rewrite(sources, "bookworm", "deb", ["bookworm-backports"]) == (
        "Types: deb\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: bookworm-backports\n"
        "Components: main\n"
        "signed-by: /usr/share/keyrings/a.gpg\n"
        "\n"
    )
    assert "security.example" in mirrors.rewrite(sources, "bookworm-security", "deb", ["bookworm-security"])


@pytest.mark.parametrize("text", ["", "deb http://mirror.example/debian trixie main\n"])
def test_a_machine_that_gets_nothing_from_such_a_mirror_is_told_so(text: str) -> None:
    with pytest.raises(mirrors.NoMirror, match="no apt source for bookworm"):
        mirrors.rewrite(mirrors.parse_list(text), "bookworm", "deb", ["bookworm"])
