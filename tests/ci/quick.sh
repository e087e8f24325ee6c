#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What can be said in a few seconds after each change: style, types, and the library's tests with few examples.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export HYPOTHESIS_PROFILE=quick PATH=$venv/bin:$PATH

step "ruff" ruff check --no-cache
type_checks
step "unit library" python -m pytest --quiet tests/unit/plugins
finish
