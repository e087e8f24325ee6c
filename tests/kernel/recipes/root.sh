#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# root.sh SOURCES CONF: a small Debian 12 as the ext4 image out/root.img, from the mirrors of an apt sources file, to
# which apt connects as an apt.conf file says

set -euo pipefail

recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packages=$(grep --invert-match '^#' "$recipes/root.packages" | paste --serial --delimiters=,)

# shellcheck disable=SC2016 # mmdebstrap expands it
# How this machine connects is not to stay in the image.
mmdebstrap --mode=root --variant=minbase --include="$packages" \
    --aptopt="$2" --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --customize-hook='rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list.d/*' \
    --customize-hook='mkdir "$1"/harness "$1"/share' \
    bookworm root "$1"

# Room for what mkfs itself needs; nothing is ever written to the image.
size=$(($(du --summarize --block-size=1M root | cut --fields=1) * 115 / 100 + 64))
mkfs.ext4 -q -O ^has_journal -d root out/root.img "${size}M"
