#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# release.sh [--try]: compiles the changelog of the version in galaxy.yml out of the fragments, which are gone then, builds
# the archive and has it checked as Ansible Galaxy will. With --try all of that is done in a copy, and the changelog of
# that version is printed. Nothing is committed, tagged or published.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export PATH=$venv/bin:$PATH
use_own_home

if [[ ${1-} == --try ]]; then
    scratch=$(mktemp --directory)
    trap 'rm -rf "$scratch"' EXIT
    copy_tree "$scratch"
    cd "$scratch/ansible_collections/kvmops/resctrl"
    # Plugins are found as those of an installed collection
    export ANSIBLE_COLLECTIONS_PATH=$scratch
elif (($# > 0)); then
    die "usage: tests/ci/release.sh [--try]"
fi

version=$(sed -n 's/^version: //p' galaxy.yml)
if grep --quiet "^  $version:" changelogs/changelog.yaml; then
    die "Version $version is in changelogs/changelog.yaml already: galaxy.yml needs a new one."
fi
antsibull-changelog lint
antsibull-changelog release
antsibull-changelog lint-changelog-yaml changelogs/changelog.yaml

if [[ ${1-} == --try ]]; then
    awk -v version="${version//./\\\\.}" '/^## v/ {ours = $2 == "v" version} ours' CHANGELOG.md
    ansible-galaxy collection build --output-path "$scratch" . >/dev/null
    archive=$(echo "$scratch"/kvmops-resctrl-*.tar.gz)
else
    archive=$root/$(tests/ci/build.sh)
fi
cd "$(dirname "$archive")"
python -m galaxy_importer.main "$(basename "$archive")" 2>&1 | tail --lines 1
