# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the get-pip.py which ansible-test would download: pip from ensurepip installs the pip asked for."""

from __future__ import annotations

import ensurepip
import os
import runpy
import sys

if __name__ == "__main__":
    # ensurepip makes the process ignore pip's configuration. It is needed: it may name the package index.
    kept = dict(os.environ)
    ensurepip.bootstrap()
    os.environ.clear()
    os.environ.update(kept)
    wanted = [argument for argument in sys.argv[1:] if argument not in {"--no-setuptools", "--no-wheel"}]
    sys.argv = ["pip", "install", "--quiet", *wanted]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
