# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""resctrl itself: what its files say and what mkdir, rmdir, rename and writes do (fs/resctrl/rdtgroup.c)."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from .cpus import CpuMasks, show_list, show_mask
from .groups import Group
from .info import build_info
from .kernfs import MAX_WRITE, Caller, Node
from .kstr import fail, to_text
from .limbo import Clock
from .monitor import Monitor
from .proc import Machine, Proc
from .profiles import PERF_EVENTS, Profile
from .schemata import Allocation
from .status import LastCommand
from .tasks import TaskTable, parse_list, parse_one

MON_GROUPS = "mon_groups"


class Resctrl:
    """A mounted resctrl. Failures are OSErrors with the kernel's errno. Callers hold ``lock``."""

    def __init__(self, profile: Profile, machine: Machine | None = None, clock: Clock | None = None) -> None:
        self.lock = threading.RLock()
        self.profile = profile
        self.clock = clock or Clock()
        self.status = LastCommand(marks_truncation=profile.era.any_clears)
        machine = machine or Proc()
        self.root = Node("", 0o555, children={})
        self.default = self.root.group = Group(self.root, closid=0, rmid=0)
        self._controls = [self.default]
        self.allocation = Allocation(profile, self.status, lambda: self._controls)
        self.monitor = Monitor(profile, machine, self.clock, self.allocation, self.status)
        self.table = TaskTable(self.default, machine)
        self._cpus = CpuMasks(self.default, profile.cpus, self.status)
        self.allocation.set_root(self.default)
        self._populate(self.default)
        build_info(self)
        if profile.monitoring:
            self.monitor.created(self.default)

    def groups(self) -> Iterator[Group]:
        """All groups, each CTRL_MON group before its MON groups."""
        for control in self._controls:
            yield from control.with_children()

    def group_at(self, path: str) -> Group:
        """The group whose directory this is. Raises OSError ENOENT."""
        node = self.root.find(path)
        if node.group is None or node.group.node is not node:
            fail(errno.ENOENT)
        return node.group

    # -- files

    def read(self, node: Node, caller: Caller) -> bytes:
        """A file's content as of now. Raises OSError ENODEV if its group is gone, and the file's own errors."""
        node.check_alive()
        assert node.show is not None
        if node.group is not None and self.profile.era.any_clears:
            self.status.clear()
        return node.show(caller).encode("latin-1")

    def write(self, node: Node, data: bytes, caller: Caller) -> None:
        """One write(2), which is one command. Raises OSError E2BIG, ENODEV, and the file's own errors."""
        if len(data) > MAX_WRITE:
            fail(errno.E2BIG)
        node.check_alive()
        if node.store is None:
            fail(errno.EINVAL)
        if self.profile.era.any_clears:
            self.status.clear()
        node.store(to_text(data), caller)

    def line(self, node_name: str, text: str) -> str:
        """What was written without its newline, which is obligatory. Raises OSError EINVAL."""
        if not text.endswith("\n"):
            if self.profile.era.any_clears:
                self.status.puts(f"{node_name}: Invalid input\n")
            fail(errno.EINVAL)
        return text[:-1]

    def _populate(self, group: Group) -> None:
        node = group.node
        node.file("tasks", 0o644, partial(self._show_tasks, group), partial(self._write_tasks, group))
        node.file(
            "cpus",
            0o644,
            lambda _caller: show_mask(group.cpus, self.profile.cpus),
            partial(self._write_cpus, group, False),
        )
        node.file("cpus_list", 0o644, lambda _caller: show_list(group.cpus), partial(self._write_cpus, group, True))
        if group.parent is None:
            self._populate_control(group)
        if self.profile.monitoring:
            self._populate_monitoring(group)

    def _populate_control(self, group: Group) -> None:
        node = group.node
        node.file("schemata", 0o644, lambda _caller: self.allocation.show(group), partial(self._write_schemata, group))
        node.file("size", 0o444, lambda _caller: self.allocation.size(group))
        node.file("mode", 0o644, lambda _caller: group.mode + "\n", partial(self._write_mode, group))
        if self.profile.debug:
            node.file("ctrl_hw_id", 0o444, lambda _caller: f"{group.closid}\n")
        if self.profile.monitoring:
            node.directory(MON_GROUPS)

    def _populate_monitoring(self, group: Group) -> None:
        if self.profile.debug:
            group.node.file("mon_hw_id", 0o444, lambda _caller: f"{group.rmid}\n")
        if self.profile.abmc_counters:
            group.node.file(
                "mbm_L3_assignments",
                0o644,
                lambda _caller: self.monitor.assignments.show(group),
                partial(self._write_assignments, group),
            )
        mon_data = group.node.directory("mon_data")
        for l3_id in self.profile.l3_ids:
            domain = mon_data.directory(f"mon_L3_{l3_id:02d}")
            nodes = self.profile.nodes(l3_id)
            self._populate_events(domain, group, l3_id, nodes)
            for sub in nodes if self.profile.snc_nodes > 1 else ():
                self._populate_events(domain.directory(f"mon_sub_L3_{sub:02d}"), group, l3_id, (sub,))
        for package in range(len(self.profile.l3_ids)) if self.profile.perf_pkg else ():
            telemetry = mon_data.directory(f"mon_PERF_PKG_{package:02d}")
            for event in PERF_EVENTS:
                telemetry.file(event, 0o444, partial(self._show_perf, group, event))

    def _populate_events(self, where: Node, group: Group, l3_id: int, nodes: tuple[int, ...]) -> None:
        for event in self.profile.events:
            where.file(event, 0o444, partial(self._show_event, group, l3_id, nodes, event))

    def _show_event(self, group: Group, l3_id: int, nodes: tuple[int, ...], event: str, _caller: Caller) -> str:
        return self.monitor.show(group, l3_id, nodes, event, self.table)

    def _show_perf(self, group: Group, event: str, _caller: Caller) -> str:
        return self.monitor.show_perf(group, event, self.table)

    def _show_tasks(self, group: Group, _caller: Caller) -> str:
        if group.parent is None and not self.profile.alloc:
            return ""  # the kernel asks for the CLOSID, which means nothing without allocation
        return "".join(f"{tid}\n" for tid in self.table.members(group, self.groups()))

    def _write_tasks(self, group: Group, text: str, caller: Caller) -> None:
        if not self.profile.era.task_lists:
            pid = parse_one(text)
            self.status.clear()
            self._move(pid, group, caller)
            return
        self.status.clear()
        for pid in parse_list(text, self.status):
            try:
                self._move(pid, group, caller)
            except OSError:
                self.status.printf(f"Error while processing task {pid}\n")
                raise

    def _move(self, pid: int, group: Group, caller: Caller) -> None:
        task = self.table.move(pid, group, caller, self.status)
        if task is not None:
            self.monitor.charge(task)
            self.table.place(task, group)

    def _write_cpus(self, group: Group, as_list: bool, text: str, _caller: Caller) -> None:
        self._cpus.assign(group, self._cpus.parse(text, as_list), list(self.groups()))

    def _write_schemata(self, group: Group, text: str, _caller: Caller) -> None:
        line = self.line("schemata", text)
        self.status.clear()
        self.allocation.write(group, line)

    def _write_mode(self, group: Group, text: str, _caller: Caller) -> None:
        line = self.line("mode", text)
        self.status.clear()
        self.allocation.write_mode(group, line)

    def _write_assignments(self, group: Group, text: str, _caller: Caller) -> None:
        line = self.line("mbm_L3_assignments", text)
        self.status.clear()
        self.monitor.assignments.write(group, line)

    # -- mkdir

    def mkdir(self, path: str, mode: int, caller: Caller) -> None:
        """Make a group. Raises OSError with the kernel's errno; no directory is left behind then."""
        parent_path, _slash, name = path.strip("/").rpartition("/")
        parent = self.root.find(parent_path)
        if parent.children is None:
            fail(errno.ENOTDIR)
        if not name or name in parent.children:
            fail(errno.EEXIST)
        if "\n" in name:
            fail(errno.EINVAL)
        control = self._control_for(parent, name)
        closid, rmid = self._new_ids(control)
        group = Group(Node("", 0), closid, rmid, control)
        if control is None:
            self._init_control(group)
            self._controls.append(group)
        else:
            control.children.append(group)
        group.node = parent.directory(name, mode & 0o1777)
        group.node.group, group.node.uid, group.node.gid = group, caller.uid, caller.gid
        self._populate(group)
        if self.profile.monitoring:
            self.monitor.created(group)

    def _control_for(self, parent: Node, name: str) -> Group | None:
        """The CTRL_MON group to make a MON group in, None to make a CTRL_MON group. Raises OSError EPERM or ENODEV."""
        makes_control = parent is self.root and bool(self.profile.alloc)
        if not makes_control and not self.profile.monitoring:
            fail(errno.EPERM)
        if self.profile.era.any_clears and parent.group is not None:
            self.status.clear()
        if makes_control:
            return None
        if parent.group is None:
            fail(self.profile.era.info_mkdir)
        if parent.name != MON_GROUPS or name == MON_GROUPS:
            fail(errno.EPERM)
        return parent.group

    def _new_ids(self, control: Group | None) -> tuple[int, int]:
        """CLOSID and RMID. Until 6.8 the RMID is taken first, and goes through the limbo if there is no CLOSID then."""
        if control is not None:
            return control.closid, self._new_rmid()
        if self.profile.era.always_limbo:
            closid = self._new_closid()
            return closid, self._new_rmid()
        rmid = self._new_rmid()
        try:
            return self._new_closid(), rmid
        except OSError:
            self._release(rmid)
            raise

    def _new_rmid(self) -> int:
        if not self.profile.monitoring:
            return 0
        try:
            return self.monitor.pool.alloc()
        except OSError:
            self.status.puts("Out of RMIDs\n")
            raise

    def _new_closid(self) -> int:
        taken = {group.closid for group in self._controls}
        closid = next((n for n in range(self.profile.num_closids) if n not in taken), None)
        if closid is None:
            self.status.puts("Out of CLOSIDs\n")
            fail(errno.ENOSPC)
        return closid

    def _init_control(self, group: Group) -> None:
        try:
            self.allocation.set_new(group)
        except OSError:
            self._release(group.rmid)
            raise

    def _release(self, rmid: int) -> None:
        if self.profile.monitoring:
            self.monitor.pool.release(rmid)

    # -- rmdir

    def rmdir(self, path: str) -> None:
        """Remove a group; it need not be empty. Raises OSError EBUSY, ENOTDIR, EPERM, ENOENT."""
        node = self.root.find(path)
        if node is self.root:
            fail(errno.EBUSY)
        if not node.is_dir:
            fail(errno.ENOTDIR)
        group = node.group
        if group is not None and self.profile.era.any_clears:
            self.status.clear()
        if group is None or group.node is not node:
            fail(errno.EPERM)
        for member in reversed(list(group.with_children())):
            self._dissolve(member, group.parent or self.default)
        node.remove()

    def _dissolve(self, group: Group, heir: Group) -> None:
        """Give tasks and CPUs of a group to another one and free its ids."""
        for task in list(group.tasks.values()):
            self.monitor.charge(task)
            self.table.place(task, heir)
        if group.parent is None:
            self._cpus.removed(group)
            self._controls.remove(group)
        else:
            group.parent.children.remove(group)
        if self.profile.monitoring:
            self.monitor.removed(group)

    # -- rename

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        """Rename a MON group, also to another CTRL_MON group. Raises OSError with the kernel's errno."""
        if flags:
            fail(errno.EINVAL)
        if not self.profile.era.rename:
            fail(errno.EPERM)
        node = self.root.find(old)
        parent_path, _slash, name = new.strip("/").rpartition("/")
        parent = self.root.find(parent_path)
        if node.group is None or parent.group is None:
            fail(errno.ENOENT)
        self.status.clear()
        if message := self._rename_refusal(node, parent, name):
            self.status.puts(message)
            fail(errno.EPERM)
        node.move(parent, name)
        self._reparent(node.group, parent.group)

    def _rename_refusal(self, node: Node, parent: Node, name: str) -> str:
        group = node.group
        assert group is not None
        if not node.is_dir:
            return "Source and destination must be directories"
        if group.parent is None or group.node is not node:
            return "Source must be a MON group\n"
        if parent.name != MON_GROUPS or name == MON_GROUPS:
            return "Destination must be a mon_groups subdirectory\n"
        if group.cpus and parent.group is not group.parent:
            return "Cannot move a MON group that monitors CPUs\n"
        return ""

    def _reparent(self, group: Group, control: Group) -> None:
        assert group.parent is not None
        group.parent.children.remove(group)
        group.parent, group.closid = control, control.closid
        control.children.append(group)

    # -- for tests

    def snapshot(self) -> dict[str, Any]:
        """All groups and ids as plain data."""
        self.monitor.pool.run()
        self.table.refresh(list(self.groups()))
        return {
            "profile": self.profile.name,
            "era": self.profile.era.name,
            "frozen": self.monitor.frozen,
            "status": self.status.show(),
            "rmids": {
                "total": self.profile.rmids if self.profile.monitoring else 0,
                "free": list(self.monitor.pool.free),
                "limbo": sorted(self.monitor.pool.limbo),
            },
            "groups": {group.node.path: self._describe(group) for group in self.groups()},
        }

    def _describe(self, group: Group) -> dict[str, Any]:
        return {
            "kind": "CTRL_MON" if group.parent is None else "MON",
            "control": group.control.node.path,
            "closid": group.closid,
            "rmid": group.rmid,
            "inode": group.node.ino,
            "mode": group.mode,
            "tasks": [] if group.is_root else sorted(group.tasks),
        }
