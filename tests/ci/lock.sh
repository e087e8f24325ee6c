#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Pins what the .in files of tests/requirements ask for, for all Pythons at once, as the newest versions of today.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# lock NAME LOWEST_PYTHON
lock() {
    local file=tests/requirements/$1
    {
        head --lines 3 "$file.in"
        printf '#\n# Made from %s.in by tests/ci/lock.sh\n' "$1"
        "$work/uv/bin/uv" pip compile --quiet --universal --fork-strategy requires-python --python-version "$2" \
            --no-header --no-annotate "$file.in"
    } >"$file.new"
    mv "$file.new" "$file.txt"
}

"$venv/bin/python" -m venv "$work/uv"
"$work/uv/bin/python" -m pip install --quiet uv
lock dev 3.11
lock unit 3.8
lock managed 3.8
lock ansible-core-2.16 3.10
lock ansible-core-2.17 3.10
lock ansible-core-2.18 3.11
lock ansible-core-2.19 3.11
lock ansible-core-2.20 3.12
