# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""unpack_kernel.py VMLINUZ VMLINUX: takes the kernel out of a compressed image; an emulated CPU would take seconds to.

The header of the image is described in the kernel's Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import pathlib
import struct
import subprocess
import sys

PROGRAMS = {b"\xfd7zX": "xz", b"(\xb5/\xfd": "zstd"}


def main(image: bytes, output: pathlib.Path) -> None:
    """Unpacks the payload, which is followed by its unpacked size."""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload, size = image[start : start + length - 4], image[start + length - 4 : start + length]
    with output.open("wb") as stream:
        subprocess.run([PROGRAMS[payload[:4]], "--decompress", "--stdout"], input=payload, stdout=stream, check=True)
    if output.stat().st_size != struct.unpack("<I", size)[0]:
        sys.exit("The kernel has not the size that its image says.")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2]))
