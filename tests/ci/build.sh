#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh [DIR]: builds the collection into DIR, by default .work/dist, and holds its contents against what an operator
# needs. DIR is made anew.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wanted='^(CHANGELOG\.md|COPYING|README\.md|FILES\.json|MANIFEST\.json|changelogs|docs|extensions|meta|playbooks|plugins|roles)$'

dist=$(realpath --canonicalize-missing "${1:-$work/dist}")
tree=$(mktemp --directory)
trap 'rm -rf "$tree"' EXIT

rm -rf "$dist"
copy_tree "$tree"
"$venv/bin/ansible-galaxy" collection build --output-path "$dist" "$tree/ansible_collections/kvmops/resctrl" >/dev/null
archive=$(echo "$dist"/kvmops-resctrl-*.tar.gz)
if unwanted=$(tar --list --file "$archive" | cut -d / -f 1 | sort --unique | grep --extended-regexp --invert-match "$wanted"); then
    die "Not for operators, so to be named in galaxy.yml's build_ignore: ${unwanted//$'\n'/ }"
fi
echo "${archive#"$root/"}"
