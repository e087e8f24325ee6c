# Copyright (c) 2026 the kvmops.resctrl authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed errors of the library: each says what happened and, in its hint, what to do about it."""

from __future__ import annotations


class ResctrlError(Exception):
    """Base of everything the library raises on purpose.

    str() is the whole sentence for a reader: the message and, where there is one, the hint. `code` is for machines,
    `path` the file or directory concerned ("" where none is).
    """

    code = "resctrl_error"

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class NotRoot(ResctrlError):
    """resctrl and libvirt's status files belong to root."""

    code = "not_root"


class LibvirtMissing(ResctrlError):
    """The interpreter has no libvirt-python."""

    code = "libvirt_missing"


class LibvirtUnreachable(ResctrlError):
    """No daemon answers at the URI, or it refused the call."""

    code = "libvirt_unreachable"


class UriRefused(ResctrlError):
    """The URI leads to another machine."""

    code = "uri_refused"


class MonitoringMissing(ResctrlError):
    """The host cannot monitor: base of the four causes."""

    code = "monitoring_missing"


class CpuWithoutMonitoring(MonitoringMissing):
    """The CPU announces no cache or memory-bandwidth monitoring."""

    code = "cpu_without_monitoring"


class KernelWithoutResctrl(MonitoringMissing):
    """The running kernel offers no resctrl."""

    code = "kernel_without_resctrl"


class NotMounted(MonitoringMissing):
    """resctrl is not mounted at the path."""

    code = "not_mounted"


class AllocationOnly(MonitoringMissing):
    """resctrl is mounted, but has no info/L3_MON."""

    code = "allocation_only"


class RmidsExhausted(ResctrlError):
    """Fewer RMIDs than groups asked for (mkdir: ENOSPC, or found out while planning)."""

    code = "rmids_exhausted"


class RmidsInLimbo(ResctrlError):
    """RMIDs are free, but not yet to be had (mkdir: EBUSY)."""

    code = "rmids_in_limbo"


class LockTimeout(ResctrlError):
    """Another program holds the lock on resctrl for too long."""

    code = "lock_timeout"


class Refused(ResctrlError):
    """The kernel refused an operation, and will again."""

    code = "refused"


class Unreadable(ResctrlError):
    """A file of resctrl is there, but cannot be read."""

    code = "unreadable"


class Moved(ResctrlError):
    """A thread or group changed since it was looked at: look again."""

    code = "moved"


class DomainNotFound(ResctrlError):
    """libvirt knows no domain of that name or UUID."""

    code = "domain_not_found"


class DomainNotRunning(ResctrlError):
    """The domain is shut off."""

    code = "domain_not_running"


class DomainGone(ResctrlError):
    """libvirt lists the domain as running, but its process is not there."""

    code = "domain_gone"


class NoVcpuThreads(ResctrlError):
    """One thread runs all vCPUs (TCG)."""

    code = "no_vcpu_threads"


class ForeignGroup(ResctrlError):
    """A thread of the domain is in somebody else's monitoring group."""

    code = "foreign_group"


class NotSettled(ResctrlError):
    """The domain changed faster than it could be followed."""

    code = "not_settled"


class PolicyDamaged(ResctrlError):
    """A file of the policy cannot be understood."""

    code = "policy_damaged"
