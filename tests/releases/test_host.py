# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host itself: of its release, whole, and a copy."""

from __future__ import annotations

import pytest
from modules import AGENT, ROOT

from hosts import roots


def test_it_is_of_its_release_and_nothing_has_failed(hv):
    release = hv.host.record.settings.release
    assert release in hv.host.run(["cat", "/etc/os-release"]).stdout
    state = hv.host.run(["systemctl", "is-system-running"], check=False).stdout
    assert state == "running\n", hv.host.run(["systemctl", "--failed"]).stdout
    (library,) = (line for line in hv.virsh("version").splitlines() if line.startswith("Using library: libvirt "))
    assert roots.version(release, "libvirt").startswith(library.split()[-1])


def test_what_is_written_on_it_stays_on_it(hv):
    for path in ("/usr/bin/kvmops-lab-test", "/etc/kvmops-lab-test"):
        hv.host.run(["touch", path])
        assert not (roots.path(hv.host.record.settings.release) / path.lstrip("/")).exists()


@pytest.mark.parametrize("arguments", [["status"], ["stats", "--json"], ["enforce"], ["metrics"]], ids=" ".join)
def test_its_python_warns_of_nothing_in_the_command(hv, arguments):
    hv.start("vm3")
    done = hv.host.run(["env", "PYTHONWARNINGS=error", *AGENT, *arguments])
    assert (bool(done.stdout), done.stderr) == (True, "")


def test_its_python_warns_of_nothing_in_any_file(hv):
    hv.host.run(["/usr/bin/python3", "-W", "error", "-m", "compileall", "-q", "-f", f"{ROOT}/plugins", f"{ROOT}/roles"])
