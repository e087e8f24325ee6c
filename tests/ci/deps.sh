#!/usr/bin/env bash
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a Debian machine ready for lint, tests and demo: installs the missing packages (as root, and says
# which), links the Python interpreters it finds, and makes .work/venv from the pinned requirements. A second call has
# nothing to do.

# shellcheck source=tests/ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(
    git groff-base make rsync
    # The test tools, and libvirt-python for their interpreter.
    gcc libvirt-dev pkg-config python3-dev python3-venv
    # The lab: libvirt, QEMU, the resctrl emulator, SSH, hosts with and without systemd; apt's check mode needs python3-apt.
    dbus fuse3 iproute2 libvirt-clients libvirt-daemon-system openssh-client openssh-server python3-apt python3-libvirt
    qemu-system-x86 systemd systemd-container systemd-sysv
    # Hosts of other releases.
    mmdebstrap
    # The page of the report, as a browser shows it.
    chromium chromium-driver fonts-dejavu-core
)
# What reads the metrics. Their services are for nobody: the tests start what they need themselves.
readers=(prometheus prometheus-alertmanager prometheus-libvirt-exporter prometheus-node-exporter)
packages+=("${readers[@]}")

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        if [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
            printf '%s\n' "$package"
        fi
    done
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        # libvirtd and sshd are for the lab's hosts, which start their own. The machine's are not to be started.
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get update
    apt-get install --yes --no-install-recommends "$@"
    local package
    for package in "${readers[@]}"; do
        # Otherwise they would start with the machine, and with the lab's hosts, which are overlays of it. Who had one
        # of them before keeps it as it was.
        if [[ " $* " == *" $package "* ]]; then systemctl disable "$package.service"; fi
    done
}

# Prints the files that may be Python $1, the preferred ones first. pyenv's shims are left out: they are there for
# versions that are not switched on, and fail.
candidates() {
    type -ap "python$1" | grep --invert-match -e /shims/ -e "^$work/" || true
    find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -path "*/bin/python$1" 2>/dev/null | sort --version-sort --reverse
}

# Links the interpreters from 3.8 on as .work/pythons/python3.X: the one directory where all scripts look.
link_pythons() {
    local version python
    mkdir -p "$pythons"
    for version in 3.{8..14}; do
        if [[ -x $pythons/python$version ]]; then continue; fi
        while read -r python; do
            # Debian splits the standard library: without python3-venv there is no ensurepip. One of a virtual environment
            # that happens to be switched on would go with it.
            if "$python" -c 'import ensurepip, ssl, sys, venv; sys.exit(sys.prefix != sys.base_prefix)' 2>/dev/null; then
                ln -sfn "$python" "$pythons/python$version"
                break
            fi
        done < <(candidates "$version")
    done
}

# The newest interpreter gets the newest ansible-core. The tools and the lab need 3.11.
newest_python() {
    local version
    for version in 3.{14..11}; do
        if [[ -x $pythons/python$version ]]; then
            echo "$pythons/python$version"
            return
        fi
    done
    die "Found no Python 3.11 or newer with venv and ensurepip, neither on PATH nor under pyenv."
}

exec 9>"$work/lock" # two makes in one tree wait for each other here
flock 9

command -v dpkg-query >/dev/null || die "Needs Debian."
mapfile -t missing < <(missing_packages)
if ((${#missing[@]})); then
    ((EUID == 0)) || die "Packages are missing. As root: apt-get install --no-install-recommends ${missing[*]}"
    echo "Installing: ${missing[*]}"
    step "packages" install_packages "${missing[@]}"
    ((failed == 0)) || finish
fi

link_pythons
mkdir -p "$work/collections/ansible_collections/kvmops"
ln -sfn "$root" "$work/collections/ansible_collections/kvmops/resctrl"
python=$(newest_python)
make_venv "$venv" "$python" tests/requirements/dev.txt tests/lab/requirements.txt
