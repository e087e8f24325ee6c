# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.work/collections
export LC_ALL := C.UTF-8
export PATH := $(CURDIR)/.work/venv/bin:$(PATH)
export PYTEST_DISABLE_PLUGIN_AUTOLOAD := 1

# The tests on the lab's hosts, a part for each folder: with -j they run side by side
parts := $(addprefix integration-,$(notdir $(patsubst %/conftest.py,%,$(wildcard tests/integration/*/conftest.py))))

.PHONY: help deps quick lint unit sanity integration $(parts) conformance kernel-vm test-kernel test-releases test-rulebook test-ansible test-installed compatibility checklist molecule fleet fleet-down test bench demo build lock clean docsite

help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

deps:  ## Install what is missing (root; Debian) and make .work/venv
	@tests/ci/deps.sh

quick: deps  ## ruff, mypy and the library's tests with few examples: seconds, for after each change
	@tests/ci/quick.sh

lint: deps  ## ruff, mypy, yamllint, ansible-lint, licences, changelog, docs, import check
	@tests/ci/lint.sh

unit: deps  ## Unit tests; the library's on every Python from 3.8 on that is found
	@tests/ci/unit.sh

sanity: deps  ## ansible-test sanity on the newest and the oldest supported ansible-core
	@tests/ci/sanity.sh

integration: $(parts)  ## Tests on the lab's hosts, or one part such as integration-modules (root)

$(parts): integration-%: deps
	@python -m pytest tests/integration/$*

conformance: deps  ## The kernel's rules on the emulator, in every era and on every kind of hardware (root)
	@python -m pytest --quiet tests/conformance

kernel-vm: deps  ## Build the guests with the resctrl of real kernels: 6.1, 6.12 and 7.3 (root; Debian 12)
	@tests/kernel/build

kernel-vm test-kernel: export KVMOPS_KERNELS := $(or $(KERNELS),$(KVMOPS_KERNELS))
test-kernel: kernel-vm  ## The kernel's rules and the modules on real kernels, in guests; all, or KERNELS=6.12 (root)
	@python -m pytest --quiet tests/kernel
	@tests/conformance/record --check
	@tests/kernel/modules/run
	@tests/kernel/modules/run -A

test-releases: export KVMOPS_RELEASES := $(or $(RELEASES),$(KVMOPS_RELEASES))
test-releases: deps  ## Modules and roles on hosts of other Debian releases; all, or RELEASES=trixie (root)
	@tests/releases/run

test-rulebook: deps  ## The rulebook with ansible-rulebook and Alertmanager (root; installs a Java runtime)
	@tests/rulebook/run

test-ansible: deps  ## Sanity, modules and playbooks on each ansible-core; all, or CORES=2.16 (root)
	@tests/compatibility/run $(CORES)

test-installed: deps  ## The built archive in a clean environment: first steps, upgrade, removal (root)
	@python -m pytest --quiet tests/installed

compatibility: test-ansible  ## The same, and write what came of it into docs/docsite/rst/compatibility.rst (root)
	@tests/compatibility/table.py record
	@tests/compatibility/table.py >docs/docsite/rst/compatibility.rst

checklist: deps  ## Tick the requirements of the Ansible community package
	@tests/ci/checklist.py

molecule: deps  ## The roles and playbooks on the lab's hosts, over SSH (root)
	@extensions/molecule/run

fleet: deps  ## Bring up a fleet of three hosts, which stay until make fleet-down (root)
	@tests/fleet/up

fleet-down: deps  ## Take the fleet down (root)
	@tests/fleet/down

docsite: deps  ## Build the documentation site into .work/docsite/html; a warning is an error
	@tests/ci/docsite.sh

# The longest first: with -j the others run beside them
test: integration-modules molecule integration-domains integration-roles integration-documentation unit sanity lint conformance integration docsite  ## All tests of this machine's kernel and release

bench: deps  ## Measure the budgets of cost (root)
	@tests/bench/run

demo: deps  ## Bring up a lab host and show what the collection does (root)
	@tests/demo/run

build: deps  ## Build the collection's archive into .work/dist
	@tests/ci/build.sh

lock: deps  ## Pin the newest versions of the test tools
	@tests/ci/lock.sh

clean:  ## Remove everything that was made here
	@rm -rf --one-file-system .work .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output
	@find . -name __pycache__ -prune -exec rm -rf {} +
