# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# Sourced by the other scripts of this directory: where things are, and how a step is run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$root/.work
# shellcheck disable=SC2034  # for those who source this
venv=$work/venv pythons=$work/pythons
failed=0
cd "$root"
mkdir -p "$work/log"

# A checkout may belong to another user than the one who runs the tests.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$root
export ANSIBLE_COLLECTIONS_PATH=$work/collections LC_ALL=C.UTF-8
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The test tools write collections, caches and logs below HOME. This gives them one of their own, with the user's
# settings and cache for pip.
use_own_home() {
    local name
    mkdir -p "$work/home"
    for name in .cache .config; do
        if [[ -d $HOME/$name ]]; then ln -sfn "$HOME/$name" "$work/home/$name"; fi
    done
    export HOME=$work/home
}

# step NAME COMMAND...: one line when it passes, the command's whole output when it fails. The script goes on, so that
# one run shows everything that is wrong, and ends with finish.
step() {
    local name=$1 log=$work/log/${1//[^A-Za-z0-9.]/-}.log start=$SECONDS status
    shift
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    status=$?
    set -e
    if ((status == 0)); then
        printf '%-32s ok %4d s' "$name" $((SECONDS - start))
        # A test runner sums up in its last line.
        if grep -q ' passed.* in [0-9.:]*s' < <(tail -n 1 "$log"); then printf '   %s' "$(tail -n 1 "$log")"; fi
        printf '\n'
    else
        cat "$log"
        printf '%-32s FAILED with status %d; its output is above and in %s\n' "$name" "$status" "${log#"$root/"}"
        failed=1
    fi
}

finish() {
    exit "$failed"
}

# make_venv DIR PYTHON FILE...: a virtual environment of DIR with the requirements of the files. It is made anew when
# the interpreter or a file has changed; otherwise nothing is done and nothing is printed.
make_venv() {
    local dir=$1 python=$2 stamp
    shift 2
    stamp=$("$python" -VV && cat "$@")
    if [[ ! -f $dir/stamp || $(<"$dir/stamp") != "$stamp" ]]; then
        step "environment ${dir#"$work/"} ($("$python" -V))" install_venv "$dir" "$python" "$@"
        ((failed == 0)) || finish
        printf '%s\n' "$stamp" >"$dir/stamp"
    fi
}

install_venv() {
    local dir=$1 python=$2
    shift 2
    rm -rf "$dir"
    "$python" -m venv "$dir"
    "$dir/bin/python" -m pip install --quiet "${@/#/--requirement=}"
}

# What meta/runtime.yml promises: the oldest ansible-core, those between that are tried, and the newest, which runs here.
# shellcheck disable=SC2034
oldest_core=2.16 cores=(2.16 2.17 2.18 2.19 2.20 newest)

# core_venv CORE: sets core_venv to an environment with that ansible-core, and what tests of modules and playbooks need.
core_venv() {
    local version python=
    core_venv=$venv
    if [[ $1 == newest ]]; then return; fi
    # All of these run on 3.12, those before 2.20 on 3.11 too, which the lab needs at least
    for version in 3.{12..11}; do
        if [[ -x $pythons/python$version ]]; then python=$pythons/python$version; break; fi
    done
    [[ $python ]] || die "ansible-core $1 needs Python 3.11 or 3.12."
    core_venv=$work/core/$1
    make_venv "$core_venv" "$python" "tests/requirements/ansible-core-$1.txt"
}

# Three steps: the plugins as the package that Ansible makes of them, and the command resctrl-mon with the library beside
# it, as on a host, for the oldest Python of a managed host; the lab for 3.11.
type_checks() {
    step "mypy plugins, Python 3.8" mypy --package ansible_collections.kvmops.resctrl.plugins
    step "mypy agent, Python 3.8" env MYPYPATH=plugins/module_utils:roles/resctrl_monitor/files mypy roles/resctrl_monitor/files
    # What the tests stand on; the tests themselves need no types
    step "mypy lab and guests, Python 3.11" mypy --python-version 3.11 tests/lab tests/dashboards tests/docsite \
        tests/conformance/targets tests/kernel/*.py tests/kernel/modules/{kernel_host,guests,module_server}.py \
        tests/installed/installation.py \
        tests/compatibility/table.py tests/ci/checklist.py
}

# copy_tree DIR: the files that git tracks or would track, in a real directory DIR/ansible_collections/kvmops/resctrl:
# ansible-test refuses a symbolic link, and a build from it holds nothing that lies about.
copy_tree() {
    local copy=$1/ansible_collections/kvmops/resctrl
    rm -rf "$1/ansible_collections"
    mkdir -p "$copy"
    git ls-files -z --cached --others --exclude-standard --deduplicate |
        rsync --archive --from0 --files-from=- --ignore-missing-args ./ "$copy/"
}
