# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest is made of: a QEMU, a kernel and a root file system, and where each lies once it is built.

A product's directory is named after its content: after the files here that define it and the versions of the Debian
packages that it is made of. So what is there is right, and what has changed is not there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
# The kernels, by the start of their version. Backports move on: when one is gone, put the one that is there now.
KERNELS: t.Final = ("6.1", "6.12", "7.3")
QEMU_VERSION: t.Final = "1:7.2+dfsg-"
# Of each kind of product, the files that define it.
RECIPES: t.Final = {
    "qemu": ("recipes/qemu.sh", "qemu/devices.mak", "qemu/hooks.patch", "qemu/rdt-model.c", "qemu/rdt-model.h"),
    "kernel": ("recipes/kernel.sh", "recipes/initramfs.py", "recipes/initramfs-init", "recipes/unpack_kernel.py"),
    "root": ("recipes/root.sh", "recipes/root.packages"),
}

# Of each product, by its name, the versions of the packages that it is made of.
Versions = dict[str, dict[str, str]]


class NotBuilt(Exception):
    """Something that the guest needs is not there."""


def home() -> pathlib.Path:
    """Where the products are kept."""
    default = pathlib.Path.home() / ".cache" / "kvmops-kernel-vm"
    return pathlib.Path(os.environ.get("KVMOPS_KERNEL_VM") or default).absolute()


def kernels() -> tuple[str, ...]:
    """The kernels that are built and tested: those that $KVMOPS_KERNELS names (with blanks between them), or all."""
    chosen = tuple(os.environ.get("KVMOPS_KERNELS", "").split()) or KERNELS
    unknown = [kernel for kernel in chosen if kernel not in KERNELS]
    if unknown:
        raise SystemExit(f"KVMOPS_KERNELS: there is no kernel {' '.join(unknown)}, but {' '.join(KERNELS)}")
    return chosen


@dataclasses.dataclass(frozen=True)
class Product:
    """One product: "qemu", "root" or "kernel-<start of its version>"."""

    name: str
    versions: t.Mapping[str, str]

    @property
    def kind(self) -> str:
        """The first part of its name."""
        return self.name.partition("-")[0]

    @property
    def path(self) -> pathlib.Path:
        """Its directory, which exists only when it is complete."""
        content = hashlib.sha256(json.dumps(dict(self.versions), sort_keys=True).encode())
        for file in RECIPES[self.kind]:
            content.update(hashlib.sha256((HERE / file).read_bytes()).digest())
        return home() / f"{self.name}-{content.hexdigest()[:12]}"


def names(kernels: t.Iterable[str]) -> list[str]:
    """The products that guests with these kernels need; the one that takes longest first."""
    return ["qemu", "root", *(f"kernel-{kernel}" for kernel in kernels)]


def read_versions() -> Versions:
    """The versions that the last look at the package lists found; none if there was none."""
    try:
        versions: Versions = json.loads((home() / "versions.json").read_text())
    except FileNotFoundError:
        return {}
    return versions


def built(name: str) -> pathlib.Path:
    """The directory of a product. Raises NotBuilt if it is not there or not of this checkout."""
    versions = read_versions()
    if name not in versions or not (path := Product(name, versions[name]).path).is_dir():
        option = f" --kernel {name.partition('-')[2]}" if name.startswith("kernel-") else ""
        raise NotBuilt(f"{name} is not built, or has changed: run {HERE / 'build'}{option}")
    return path
