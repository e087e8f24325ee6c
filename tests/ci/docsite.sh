#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the documentation site into .work/docsite/html: the pages of docs/docsite, and a page for each module, filter,
# lookup and role. A warning is an error. Nothing is asked of a network.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export PATH=$venv/bin:$PATH
use_own_home
site=$work/docsite

reference() {
    rm -rf "$site"
    # Beside the pages lie the images, where docs has them
    mkdir -p "$site/docs/pages"
    # antsibull-docs wants to be the only one who may write there
    chmod 755 "$site/docs/pages"
    cp -r docs/dashboards docs/images "$site/docs/"
    antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --no-add-antsibull-docs-version \
        --no-breadcrumbs --dest-dir "$site/docs/pages" kvmops.resctrl
    # The theme has a table of contents beside each page
    sed --in-place '/^\.\. contents::/,/^$/d' "$site"/docs/pages/*.rst
    python tests/docsite/index.py "$site/docs/pages"
}

pages() {
    sphinx-build -W --keep-going -n -q -b html -c tests/docsite -d "$site/doctrees" "$site/docs/pages" "$site/html"
}

step "reference of the plugins" reference
if ((failed == 0)); then step "documentation site" pages; fi
finish
