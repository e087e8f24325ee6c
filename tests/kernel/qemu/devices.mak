# Copyright (c) 2026 the kvmops.resctrl authors
# SPDX-License-Identifier: GPL-2.0-or-later
# The devices of a guest. QEMU's build selects what these need.
CONFIG_HPET=y
CONFIG_Q35=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_RNG=y
CONFIG_VIRTIO_SERIAL=y
