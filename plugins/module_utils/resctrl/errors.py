# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed errors of the library: each says what happened and, in its hint, what to do about it."""

from __future__ import annotations

import re


class ResctrlError(Exception):
    """Base of everything the library raises on purpose.

    str() is the whole sentence for a reader: the message and, where there is one, the hint. `path` is the file or
    directory concerned ("" where none is). `code` is for machines: rmids_exhausted for RmidsExhausted.
    """

    code = "resctrl_error"

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"\B(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message

    def fields(self) -> dict[str, str]:
        """What a module that fails because of this error returns."""
        return {"msg": str(self), "code": self.code, "path": self.path, "hint": self.hint}


class NotRoot(ResctrlError):
    """resctrl and libvirt's status files belong to root."""


class LibvirtMissing(ResctrlError):
    """The interpreter has no libvirt-python."""


class LibvirtUnreachable(ResctrlError):
    """No daemon answers at the URI, or it refused the call."""


class UriRefused(ResctrlError):
    """The URI leads to another machine."""


class MonitoringMissing(ResctrlError):
    """The host cannot monitor: base of the four causes."""


class CpuWithoutMonitoring(MonitoringMissing):
    """The CPU announces no cache or memory-bandwidth monitoring."""


class KernelWithoutResctrl(MonitoringMissing):
    """The running kernel offers no resctrl."""


class NotMounted(MonitoringMissing):
    """resctrl is not mounted at the path."""


class AllocationOnly(MonitoringMissing):
    """resctrl is mounted, but has no info/L3_MON."""


class RmidsExhausted(ResctrlError):
    """There are fewer RMIDs than groups asked for (mkdir: ENOSPC, or found out while planning)."""


class WaitsForTurn(RmidsExhausted):
    """The domain takes turns with others, and is not counted now."""


class CountersExhausted(ResctrlError):
    """No bandwidth counter is left on an L3 cache (write to mbm_L3_assignments: ENOSPC)."""


class RmidsInLimbo(ResctrlError):
    """RMIDs are free, but cannot be used yet (mkdir: EBUSY)."""


class LockTimeout(ResctrlError):
    """Another program holds the lock on resctrl for too long."""


class Refused(ResctrlError):
    """The kernel refused an operation, and will refuse it again."""


class Unreadable(ResctrlError):
    """A file of resctrl is there, but cannot be read."""


class Moved(ResctrlError):
    """A thread or group changed since it was looked at: look again."""


class DomainNotFound(ResctrlError):
    """libvirt knows no domain of that name or UUID."""


class DomainNotRunning(ResctrlError):
    """The domain is shut off."""


class DomainStarting(ResctrlError):
    """The domain is being started: its QEMU has no threads for vCPUs yet."""


class DomainGone(ResctrlError):
    """libvirt lists the domain as running, but its process is not there."""


class DomainUnseen(ResctrlError):
    """The domain may run, but its process cannot be seen from here."""


class DomainAmbiguous(DomainUnseen):
    """Several processes have the identity of the domain, and which of them is the domain's cannot be told."""


class ProcessesHidden(ResctrlError):
    """Which programs run on the host cannot be seen from here."""


class NoVcpuThreads(ResctrlError):
    """One thread runs all vCPUs (TCG), or the threads have no names that tell which of them do."""


class ForeignGroup(ResctrlError):
    """A thread of the domain is in somebody else's monitoring group."""


class ThrottledByCpu(ResctrlError):
    """The domain's memory bandwidth is throttled by the group of its CPU, and monitoring it would end that."""


class AllocatedByCpu(ResctrlError):
    """The domain has the allocation of its CPU's group, and monitoring it would end that (Arm)."""


class NotSettled(ResctrlError):
    """The domain changed faster than it could be followed."""


class PolicyDamaged(ResctrlError):
    """A file of the policy cannot be understood."""
