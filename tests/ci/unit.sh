#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# All unit tests on the newest interpreter, and those of library and command on every interpreter that a managed host may have.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

library_tests=(tests/unit/plugins/module_utils/resctrl tests/unit/command)

step "unit" "$venv/bin/python" -m pytest --quiet tests/unit
for python in "$pythons"/python3.{8..14}; do
    if [[ ! -x $python ]]; then continue; fi
    version=${python##*python}
    make_venv "$work/unit/$version" "$python" tests/requirements/unit.txt
    # Many examples were tried above: these look for what a Python lacks
    step "unit library, Python $version" env HYPOTHESIS_PROFILE=quick "$work/unit/$version/bin/python" -m pytest \
        --quiet "${library_tests[@]}"
done
finish
