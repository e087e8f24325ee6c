#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# kernel.sh DEB...: Debian's kernel, uncompressed, as out/vmlinux, an initramfs for it as out/initramfs, and the modules
# in out/modules

set -euo pipefail

recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# A guest has none of this hardware.
absent=(sound drivers/{gpu,hwmon,iio,infiniband,input,isdn,media,mmc,mtd,net/{ethernet,wireless},scsi,staging,usb})

# Some packages have everything below /usr, some do not.
mkdir -p unpacked/usr/lib
ln -s usr/lib unpacked/lib
for package; do
    dpkg-deb --fsys-tarfile "$package" |
        tar --extract --directory=unpacked --keep-directory-symlink "${absent[@]/#/--exclude=*/kernel/}"
done

release=$(basename unpacked/lib/modules/*)
modules=unpacked/lib/modules/$release
image=unpacked/boot/vmlinuz-$release
if [[ ! -e $image ]]; then image=$modules/vmlinuz; fi
python3 -B "$recipes/unpack_kernel.py" "$image" out/vmlinux
rm "$image"
depmod --basedir=unpacked "$release"

mkdir -p initramfs/{bin,dev,lower,memory,modules,proc,root,share,sys}
cp /bin/busybox initramfs/bin/
# In the repository it has no first line of its own, since the tools that check it know of no busybox there.
{ printf '#!/bin/busybox sh\n' && cat "$recipes/initramfs-init"; } >initramfs/init
chmod 755 initramfs/init
python3 -B "$recipes/initramfs.py" "$modules" initramfs/modules
(cd initramfs && find . | cpio --create --format=newc --quiet | gzip -1) >out/initramfs
mv unpacked/lib/modules out/modules
