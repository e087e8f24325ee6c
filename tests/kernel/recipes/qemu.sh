#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# qemu.sh DSC: a QEMU with the model of the RDT registers, from Debian's source package, as out/qemu-system-x86_64

set -euo pipefail

model=$(cd "$(dirname "${BASH_SOURCE[0]}")/../qemu" && pwd)

dpkg-source --no-check --extract "$1" source # apt has checked the signature
cp "$model"/rdt-model.[ch] source/target/i386/
cp "$model/devices.mak" source/configs/devices/x86_64-softmmu/guest.mak
patch --directory=source --strip=1 <"$model/hooks.patch"

mkdir build temporary
# Meson asks Python about itself with a program in here, which would import any nt.py or json.py that lies beside it.
export TMPDIR=$PWD/temporary
cd build
../source/configure --target-list=x86_64-softmmu --meson=/usr/bin/meson --disable-debug-info --disable-docs \
    --without-default-devices --with-devices-x86_64=guest \
    --without-default-features --enable-attr --enable-cap-ng --enable-fdt=system --enable-system --enable-tcg \
    --enable-virtfs
ninja qemu-system-x86_64
strip -o ../out/qemu-system-x86_64 qemu-system-x86_64
