# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""initramfs.py MODULES DIRECTORY: copies the modules that a guest's start needs, unpacked, and their load order.

MODULES is a kernel's /lib/modules/RELEASE. A module that this kernel has built in, or does not have, is left out.
"""

from __future__ import annotations

import lzma
import pathlib
import sys

NEEDED = (
    "virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "9pnet_virtio", "9p",
    "ext4", "crc32c_intel", "crc32c_generic", "overlay", "msr",
)  # fmt: skip


def name_of(path: str) -> str:
    """The name of the module in a file."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def load_order(dependencies: dict[str, list[str]]) -> list[str]:
    """The files of the needed modules, each after those on which it depends."""
    files = {name_of(file): file for file in dependencies}
    order: list[str] = []

    def add(file: str) -> None:
        for dependency in dependencies[file]:
            add(dependency)
        if file not in order:
            order.append(file)

    for name in NEEDED:
        if name in files:
            add(files[name])
    return order


def main(modules: pathlib.Path, directory: pathlib.Path) -> None:
    """Copies them. Compressed modules are unpacked, which the guest would have to do otherwise."""
    lines = (modules / "modules.dep").read_text().splitlines()
    order = load_order({file: rest.split() for file, _colon, rest in (line.partition(":") for line in lines)})
    for file in order:
        content = (modules / file).read_bytes()
        if file.endswith(".xz"):
            content = lzma.decompress(content)
        (directory / name_of(file)).write_bytes(content)
    (directory / "order").write_text("".join(f"{name_of(file)}\n" for file in order))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
