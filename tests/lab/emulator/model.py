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
from .domains import Domains
from .groups import SHAREABLE, Group
from .info import build_info
from .kernfs import MAX_WRITE, Caller, Node
from .kstr import fail, to_text
from .limbo import Clock
from .monitor import Monitor
from .proc import Machine, Proc
from .profiles import TOTAL, Profile
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
        self.domains = Domains(profile)
        self.root = Node("", 0o555, children={})
        self.default = Group(self.root, closid=0, rmid=0)
        self._controls = [self.default]
        self.allocation = Allocation(self.domains, self.status, lambda: self._controls)
        self.monitor = Monitor(self.domains, machine, self.clock, self.allocation, self.status)
        self.table = TaskTable(self.default, machine)
        self._cpus = CpuMasks(self.default, profile.cpus, self.status)
        self._plant()

    def _plant(self) -> None:
        """Make the tree as it is after a mount, from its root node."""
        self.root.group = self.default
        self.allocation.set_root(self.default)
        self._populate(self.default)
        build_info(self)
        if self.profile.monitoring:
            self.monitor.created(self.default)

    def remount(self) -> None:
        """Unmount and mount again: what is open in the old tree is gone, and no group is left but the root."""
        self._settle()
        for group in [*self._controls[1:], *self.default.children]:
            self.rmdir(group.node.path)
        self.root.die()
        if self.profile.monitoring:
            self.monitor.assignments.removed(self.default)
        self.default.mode = SHAREABLE
        self.default.pinned.clear()
        self.status.clear()
        if self.profile.era.inodes_repeat:
            self.root = Node("", 0o555, children={})
        else:
            self.root = Node("", 0o555, children={}, numbers=self.root.numbers)
        self.default.node = self.root
        self._plant()

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
            group.node.file("mon_hw_id", 0o444, lambda _caller: f"{self._hardware_id(group)}\n")
        if self.profile.abmc_counters:
            group.node.file(
                "mbm_L3_assignments",
                0o644,
                lambda _caller: self.monitor.assignments.show(group),
                partial(self._write_assignments, group),
            )
        mon_data = group.node.directory("mon_data")
        for l3_id in self.domains.l3_ids if self.profile.events else ():
            self._populate_cache(mon_data, group, l3_id)
        for l3_id in self.domains.l3_ids if self.profile.mb_mon else ():
            self._populate_events(mon_data.directory(f"mon_MB_{l3_id:02d}"), group, l3_id, None, (TOTAL,))
        for package in range(self.profile.packages) if self.profile.telemetry else ():
            where = mon_data.directory(f"mon_PERF_PKG_{package:02d}")
            for event in self.profile.telemetry:
                where.file(event, 0o444, partial(self._show_telemetry, group, package, event))

    def _hardware_id(self, group: Group) -> int:
        """The RMID, on Arm the PMG."""
        return group.rmid % self.profile.pmgs if self.profile.pmgs else group.rmid

    def _populate_cache(self, mon_data: Node, group: Group, l3_id: int) -> None:
        """Make what is missing of a cache's directory in ``mon_data``."""
        cache = self._missing(mon_data, f"mon_L3_{l3_id:02d}")
        if cache:
            self._populate_events(cache, group, l3_id, None, self.profile.events)
        for node in self.domains.nodes(l3_id) if self.profile.snc_nodes > 1 else ():
            sub = self._missing(mon_data.find(f"mon_L3_{l3_id:02d}"), f"mon_sub_L3_{node:02d}")
            if sub:
                self._populate_events(sub, group, l3_id, node, self.profile.events)

    @staticmethod
    def _missing(where: Node, name: str) -> Node | None:
        """A new directory, None if it is there."""
        return None if name in (where.children or {}) else where.directory(name)

    def _populate_events(
        self, where: Node, group: Group, l3_id: int, node: int | None, events: tuple[str, ...]
    ) -> None:
        for event in events:
            where.file(event, 0o444, partial(self._show_event, group, l3_id, node, event))

    def _show_event(self, group: Group, l3_id: int, node: int | None, event: str, _caller: Caller) -> str:
        nodes = self.domains.nodes(l3_id) if node is None else (node,)
        return self.monitor.show(group, l3_id, nodes, event, self.table)

    def _show_telemetry(self, group: Group, package: int, event: str, _caller: Caller) -> str:
        return self.monitor.show_telemetry(group, package, event, self.table)

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
            return control.closid, self._new_rmid(control.closid)
        if self.profile.era.always_limbo:
            closid = self._new_closid()
            return closid, self._new_rmid(closid)
        rmid = self._new_rmid(0)
        try:
            return self._new_closid(), rmid
        except OSError:
            self._release(rmid)
            raise

    def _new_rmid(self, closid: int) -> int:
        if not self.profile.monitoring:
            return 0
        try:
            return self.monitor.pool.alloc(closid)
        except OSError:
            self.status.puts("Out of RMIDs\n")
            raise

    def _new_closid(self) -> int:
        taken = {group.closid for group in self._controls}
        free = [closid for closid in range(self.profile.num_closids) if closid not in taken]
        if not free:
            self.status.puts("Out of CLOSIDs\n")
            fail(errno.ENOSPC)
        # Of several with as few, the first; only on Arm does an RMID go with a CLOSID
        return min(free, key=self.monitor.pool.dirty) if self.profile.pmgs else free[0]

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
        if group.parent is not control and self.profile.monitoring:
            # Where the RMID changes, what has run until now belongs to the old one
            self.monitor.settle(group, self.table)
        group.parent.children.remove(group)
        group.parent, group.closid = control, control.closid
        group.rmid = self.monitor.pool.pair(control.closid, group.rmid)
        control.children.append(group)

    # -- CPUs go off- and online

    def switch(self, l3_id: int, node: int | None, online: bool) -> None:
        """Let all CPUs of an L3 cache, or of one of its sub-NUMA nodes, go off- or online.

        Raises OSError EINVAL for a cache or node that does not exist, EBUSY if no CPU would be left.
        """
        self._settle()
        was_there = l3_id in self.domains.l3_ids
        changed = self.domains.switch(l3_id, node, online)
        is_there = l3_id in self.domains.l3_ids
        if was_there and not is_there:
            self.allocation.went_offline(l3_id)
            self.monitor.assignments.went_offline(l3_id)
        if is_there and not was_there:
            self.allocation.came_online(l3_id)
        if not online:
            for gone in changed:
                self.monitor.went_offline(self.groups(), gone)
        for group in self.groups() if self.profile.events else ():
            mon_data = group.node.find("mon_data")
            if is_there:
                self._populate_cache(mon_data, group, l3_id)
            self._take_offline(mon_data, l3_id, changed if not online else [])

    def _take_offline(self, mon_data: Node, l3_id: int, nodes: list[int]) -> None:
        cache = f"mon_L3_{l3_id:02d}"
        gone = [f"{cache}/mon_sub_L3_{node:02d}" for node in nodes]
        for path in gone if l3_id in self.domains.l3_ids else [cache] if nodes else []:
            mon_data.find(path).remove()

    # -- counts

    def _settle(self) -> None:
        """Charge what the threads have run until now, before something changes."""
        for group in self.groups():
            self.monitor.settle(group, self.table)

    def reconfigured(self, l3_id: int) -> None:
        """Bandwidth events of a cache are configured anew: their counts start anew for all groups.

        Raises OSError EINVAL for a cache that does not exist.
        """
        if l3_id not in self.domains.l3_ids:
            fail(errno.EINVAL)
        self._settle()
        self.monitor.reconfigured(self.groups(), l3_id)

    # -- for tests

    def place(self, tid: int) -> str:
        """Where a thread is, as cpu_resctrl_groups says it."""
        self.table.refresh(list(self.groups()))
        group = self.table.group_of(tid)
        return f"res:{group.control.node.path or '/'}\nmon:{group.node.name if group.parent else ''}\n"

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
                "total": self.profile.usable_rmids,
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
