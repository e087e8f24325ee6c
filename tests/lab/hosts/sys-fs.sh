#!/bin/sh
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# sys-fs.sh yes|no [ARCHITECTURE]: lets this mount namespace look like a kernel with (yes) or without (no) resctrl, whatever the real one
# has, of that architecture. sysfs takes no new directory, so a tmpfs with the old ones bound into it covers /sys/fs.
set -eu

stage=/run/lab-sys-fs
mkdir -p "$stage"
mount -t tmpfs -o mode=0755 lab-sys-fs "$stage"
# Otherwise unmounting the stage would unmount its copy as well.
mount --make-rprivate "$stage"
for entry in /sys/fs/*; do
    name=${entry##*/}
    [ "$name" != resctrl ] || continue
    mkdir "$stage/$name"
    mount --rbind "$entry" "$stage/$name"
done
[ "$1" = no ] || mkdir "$stage/resctrl"
mount --rbind "$stage" /sys/fs
umount -l "$stage"
rmdir "$stage"

sed '/[[:blank:]]resctrl$/d' /proc/filesystems >/run/lab-filesystems
[ "$1" = no ] || printf 'nodev\tresctrl\n' >>/run/lab-filesystems
mount --bind /run/lab-filesystems /proc/filesystems

[ -z "${2:-}" ] || {
    echo "$2" >/run/lab-arch
    mount --bind /run/lab-arch /proc/sys/kernel/arch
}
