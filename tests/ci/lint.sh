#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Everything that can be said about the files without running them.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export PATH=$venv/bin:$PATH
use_own_home

# groff has no status for warnings.
man_page() {
    local warnings
    warnings=$(groff -ww -man -z roles/resctrl_monitor/files/resctrl-mon.8 2>&1)
    if [[ -n $warnings ]]; then die "$warnings"; fi
}

shell_scripts() {
    git grep --untracked --files-with-matches --null \
        --extended-regexp '^(#!(/bin/sh|/usr/bin/env bash)|# shellcheck shell=bash)$' |
        xargs --null shellcheck
}

# The fragments of the next version, and what has been released.
changelog() {
    antsibull-changelog lint
    antsibull-changelog lint-changelog-yaml --strict changelogs/changelog.yaml
}

collection_docs() {
    antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=all --check-extra-docs-refs .
}

import_check() {
    tests/ci/build.sh
    (cd "$work/dist" && python -m galaxy_importer.main kvmops-resctrl-*.tar.gz)
}

# No Python package and no package of a distribution, in the words of the program that asks.
execution_environment() {
    local needs
    copy_tree "$work/introspect"
    needs=$(ansible-builder introspect "$work/introspect")
    if grep --extended-regexp '^ *- ' <<<"$needs"; then die "A controller needs nothing beside Ansible: $needs"; fi
    grep --quiet '^python: ' <<<"$needs"
}

# Its form, and its lines of shell; what stands for a value of the forge is a word.
workflow() {
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    python - .github/workflows/*.yml <<'PYTHON' | shellcheck --shell=bash -
import re, sys, yaml
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        jobs = yaml.safe_load(file)["jobs"]
    for step in [step for job in jobs.values() for step in job["steps"] if "run" in step]:
        print("(", re.sub(r"\$\{\{.*?\}\}", "value", step["run"]), ")", sep="\n")
PYTHON
}

step "ruff" ruff check --no-cache
type_checks
step "shellcheck" shell_scripts
step "man page" man_page
step "yamllint" yamllint --strict .
step "ansible-lint" ansible-lint --nocolor
step "licence heads" reuse lint
step "changelog" changelog
step "collection docs" collection_docs
step "build and import" import_check
step "execution environment" execution_environment
step "workflow" workflow
step "checklist" tests/ci/checklist.py
finish
