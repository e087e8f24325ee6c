# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from, and what makes a product another one."""

from __future__ import annotations

import pathlib

import debian
import products
import pytest
from products import Product


def test_versions_are_compared_as_debian_does() -> None:
    assert debian.compare("6.1.192-2", "6.1.99-1") == 1
    assert debian.compare("1.0~rc1", "1.0") == -1
    assert debian.compare("1.0", "1.0") == 0


def test_a_product_is_another_with_other_packages_or_another_recipe(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in sum(products.RECIPES.values(), ()):
        copy = tmp_path / file
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((products.HERE / file).read_bytes())
    product = Product("kernel-6.1", {"linux": "1"})
    path = product.path
    monkeypatch.setattr(products, "HERE", tmp_path)
    assert product.path == path
    assert Product("kernel-6.1", {"linux": "2"}).path != path
    (tmp_path / "recipes" / "qemu.sh").write_text("")
    assert product.path == path
    (tmp_path / "recipes" / "kernel.sh").write_text("")
    assert product.path != path
    assert path.name.startswith("kernel-6.1-")


def test_what_is_not_built_is_said_with_the_command_that_builds_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVMOPS_KERNEL_VM", str(tmp_path))
    with pytest.raises(products.NotBuilt, match=r"tests/kernel/build --kernel 6\.12$"):
        products.built("kernel-6.12")
    (tmp_path / "versions.json").write_text('{"qemu": {"qemu": "1"}}')
    with pytest.raises(products.NotBuilt, match=r"tests/kernel/build$"):
        products.built("qemu")
    Product("qemu", {"qemu": "1"}).path.mkdir()
    assert products.built("qemu") == Product("qemu", {"qemu": "1"}).path


def test_only_kernels_that_there_are_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVMOPS_KERNELS", "7.3 6.1")
    assert products.kernels() == ("7.3", "6.1")
    monkeypatch.setenv("KVMOPS_KERNELS", "")
    assert products.kernels() == products.KERNELS
    monkeypatch.setenv("KVMOPS_KERNELS", "6.2")
    with pytest.raises(SystemExit, match=r"6\.2"):
        products.kernels()
