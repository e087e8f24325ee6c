# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which thread is in which group, and the ``tasks`` files.

The kernel copies a thread's group to what it forks or clones. That cannot be observed from outside, so it is derived
when it matters:

- a new thread of a process is taken to have been made by the process's first thread (/proc does not tell which thread
  made it), a new process by the thread that /proc lists it under;
- a process whose parent ended before anybody looked is taken to be in the root group.

A thread that existed before the first write that named its process stays where it was, as in the kernel. Thread numbers
are those of the emulator's own pid namespace, whoever reads or writes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .groups import Group
from .kernfs import Caller
from .kstr import INT, fail, kstrto, strim
from .proc import Machine, Thread
from .status import LastCommand

PURGE_FROM = 256
"""Tracked threads from which on the dead ones of the root group are looked for."""


@dataclass(eq=False)
class Task:
    """A tracked thread. ``charged``: nanoseconds of CPU time counted; ``settled``: its forks whose place is known."""

    thread: Thread
    group: Group
    charged: int
    settled: set[int] = field(default_factory=set)


def parse_one(text: str) -> int:
    """The pid in a write, before 6.7. Raises OSError EINVAL for anything but one number."""
    try:
        pid = kstrto(strim(text), 0, INT)
    except OSError:
        fail(errno.EINVAL)
    if pid < 0:
        fail(errno.EINVAL)
    return pid


def parse_list(text: str, status: LastCommand) -> Iterator[int]:
    """The pids in a write, one after the other, from 6.7 on.

    Raises OSError EINVAL at the first element that is no number, having said so in ``status``; the ones before it have
    been yielded, and the kernel has moved them.
    """
    rest = text
    while rest and rest[0] != "\n":
        word, _comma, rest = rest.partition(",")
        word = strim(word)
        try:
            pid = kstrto(word, 0, INT)
        except OSError:
            status.printf(f"Task list parsing error pid {word}\n")
            fail(errno.EINVAL)
        if pid < 0:
            status.printf(f"Invalid pid {pid}\n")
            fail(errno.EINVAL)
        yield pid


class TaskTable:
    """The threads that were named in a write, the other threads of their processes, and what these forked since."""

    def __init__(self, root: Group, machine: Machine) -> None:
        self._root = root
        self._machine = machine
        self._tasks: dict[int, Task] = {}
        self._processes: dict[int, set[int]] = {}
        self._crowd = PURGE_FROM

    # -- writes

    def move(self, pid: int, group: Group, caller: Caller, status: LastCommand) -> Task | None:
        """Put one thread in a group, as a write to ``tasks`` does; 0 is the caller itself.

        Returns the task if it must be placed there, None if it is there. Raises OSError ESRCH, EPERM, or EINVAL for a
        thread of another control group.
        """
        task = self._find(pid or caller.tid)
        if task is None:
            status.printf(f"No task {pid}\n")
            fail(errno.ESRCH)
        if caller.uid != 0 and caller.uid not in self._machine.owners(task.thread.tid):
            status.printf(f"No permission to move task {task.thread.tid}\n")
            fail(errno.EPERM)
        if task.group is group:
            return None
        if group.parent is not None and group.parent is not task.group.control:
            status.puts("Can't move task to different control group\n")
            fail(errno.EINVAL)
        self._adopt_children(task)
        return task

    def place(self, task: Task, group: Group) -> None:
        """Record that a task is now in a group."""
        task.group.tasks.pop(task.thread.tid, None)
        task.group = group
        group.tasks[task.thread.tid] = task

    def _find(self, tid: int) -> Task | None:
        task = self._tasks.get(tid)
        if task is not None:
            if task.thread.cpu_ns() is not None:
                return task
            self._drop(task)
        thread = self._machine.thread(tid)
        if thread is None:
            return None
        tgid = thread.tgid
        thread.close()
        self._forget_dead(self._processes.get(tgid, ()))
        if tgid not in self._processes:
            self._track_process(tgid, self._birthplace(tgid))
        else:
            self._adopt_threads(tgid)
        return self._tasks.get(tid)

    def _birthplace(self, tgid: int) -> Group:
        """Where a process that is not tracked is: where its nearest tracked ancestor forked its line, else the root."""
        if not self._tasks:
            return self._root
        child, parent = tgid, self._machine.parent(tgid)
        while parent and parent not in self._processes:
            child, parent = parent, self._machine.parent(parent)
        for tid in self._processes.get(parent, ()):
            task = self._tasks.get(tid)
            if task and child in self._machine.children(tid):
                return self._root if child in task.settled else task.group
        return self._root

    def _track_process(self, tgid: int, group: Group) -> None:
        if len(self._tasks) >= self._crowd:
            self._forget_dead(self._tasks)
            self._crowd = max(PURGE_FROM, 2 * len(self._tasks))
        self._processes[tgid] = set()
        for tid in self._machine.threads(tgid):
            self._track(tid, group, settled=True)

    def _track(self, tid: int, group: Group, settled: bool) -> Task | None:
        thread = self._machine.thread(tid)
        if thread is None:
            return None
        settled_children = set(self._machine.children(tid)) if settled else set()
        charged = (thread.cpu_ns() or 0) if settled else 0
        task = Task(thread, group, charged, settled_children)
        self._tasks[tid] = group.tasks[tid] = task
        self._processes.setdefault(thread.tgid, set()).add(tid)
        return task

    # -- what changes by itself

    def refresh(self, groups: Iterable[Group]) -> None:
        """Drop the dead of these groups and let what their threads cloned or forked inherit their group."""
        for group in groups:
            todo = list(group.tasks.values())
            while todo:
                task = todo.pop()
                if task.thread.cpu_ns() is None:
                    self._drop(task)
                    continue
                if task.thread.tid == task.thread.tgid:
                    todo += self._adopt_threads(task.thread.tgid)
                todo += self._adopt_children(task)

    def _adopt_threads(self, tgid: int) -> list[Task]:
        leader = self._tasks.get(tgid)
        known = self._processes[tgid]
        new = [tid for tid in self._machine.threads(tgid) if tid not in known]
        group = leader.group if leader else self._root
        return [task for tid in new if (task := self._track(tid, group, settled=False))]

    def _adopt_children(self, task: Task) -> list[Task]:
        adopted = []
        for pid in self._machine.children(task.thread.tid):
            if pid in task.settled:
                continue
            task.settled.add(pid)
            self._forget_dead(self._processes.get(pid, ()))
            if pid not in self._processes:
                child = self._track(pid, task.group, settled=False)
                adopted += [child] if child else []
        return adopted

    def _forget_dead(self, tids: Iterable[int]) -> None:
        for task in [self._tasks[tid] for tid in tids]:
            if task.thread.cpu_ns() is None:
                self._drop(task)

    def _drop(self, task: Task) -> None:
        tid, tgid = task.thread.tid, task.thread.tgid
        task.thread.close()
        task.group.tasks.pop(tid, None)
        if self._tasks.get(tid) is task:
            del self._tasks[tid]
        known = self._processes.get(tgid, set())
        known.discard(tid)
        if not known:
            self._processes.pop(tgid, None)

    # -- reads

    def group_of(self, tid: int) -> Group:
        """The group of a thread: the root for one that is not tracked."""
        task = self._tasks.get(tid)
        return task.group if task else self._root

    def members(self, group: Group, everyone: Iterable[Group]) -> list[int]:
        """Thread numbers a group's ``tasks`` lists: a CTRL_MON group's comprise those of its MON groups.

        ``everyone`` are all groups: the root's are the machine's threads that are in no other CTRL_MON group.
        """
        if not group.is_root:
            own = list(group.with_children())
            self.refresh(own)
            tasks = [task.thread for member in own for task in member.tasks.values()]
            return [thread.tid for thread in sorted(tasks, key=lambda t: (t.start, t.tid))]
        elsewhere = [other for other in everyone if other.control is not group]
        self.refresh(elsewhere)
        taken = {tid for other in elsewhere for tid in other.tasks}
        threads = (tid for pid in self._machine.processes() for tid in self._machine.threads(pid))
        return [tid for tid in threads if tid not in taken]
