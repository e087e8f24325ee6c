#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# sanity.sh [CORE...]: ansible-test sanity without containers, with all Pythons of this machine: by default on the newest
# ansible-core that runs here and on the oldest that the collection supports.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

use_own_home

# ansible-test downloads pip's bootstrap script from a server of its own, unless it finds one here.
provide_pip() {
    local version
    version=$("$1/bin/python" -c '
import types
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(types.SimpleNamespace(version="3.11"))["pip"])')
    mkdir -p "$HOME/.ansible/test/cache"
    cp tests/ci/get_pip.py "$HOME/.ansible/test/cache/get_pip_${version//./_}.py"
}

# sanity TREE VENV: the tests in a copy of the tree, which is a repository of its own so that git does not take the copy
# for ignored files. What ansible-test leaves out for want of a tool, or for finding no files, is a failure here.
sanity() {
    local output=$1/output
    copy_tree "$1"
    cd "$1/ansible_collections/kvmops/resctrl"
    git init --quiet
    PATH=$2/bin:$pythons:$venv/bin:$PATH ansible-test sanity --color no 2>&1 | tee "$output"
    grep --quiet '^Running sanity test "validate-modules"' "$output" || die "No modules were tested."
    if grep '[Ss]kipp' "$output" | grep --invert-match 'on Python 3.* because it could not be found'; then
        die "Sanity tests were left out."
    fi
}

# core LABEL VENV: what came of it is left for tests/compatibility/table.py: the version, how many tests have passed
# (0 if one failed) and the day.
core() {
    local version tests=0 before=$failed
    version=$("$2/bin/python" -c 'import ansible.release; print(ansible.release.__version__)')
    provide_pip "$2"
    failed=0
    step "sanity, ansible-core $version" sanity "$work/sanity/$1" "$2"
    if ((failed == 0)); then
        tests=$(grep --count '^Running sanity test' "$work/sanity/$1/output")
        failed=$before
    fi
    mkdir -p "$work/compatibility"
    echo "$version $tests $(date --iso-8601)" >"$work/compatibility/$1-sanity"
}

if (($# == 0)); then
    set -- newest "$oldest_core"
fi
environments=()
for core; do
    core_venv "$core"
    environments+=("$core_venv")
done
for core; do
    core "$core" "${environments[0]}"
    environments=("${environments[@]:1}")
done
finish
