# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a visit of the kernel to a thread costs on this machine's processor, beside a file of a thread. Needs root.

No resctrl is needed. To tell the priority of a user's threads the kernel walks all threads (getpriority(2),
kernel/sys.c) as it does to list the `tasks` of a group. A file of a thread is read and parsed as the
library does it, though another one of the same kind (`cgroup`, shown by single_open() as cpu_resctrl_groups is).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "plugins/module_utils"))

from resctrl.kernel.files import read_piece  # noqa: E402
from resctrl.kernel.groups import parse_thread_groups  # noqa: E402

# A user who runs nothing else
_NOBODY = 65533
_PROCESSES = 40
_TURNS = 101
# A process with so many threads that wait
IDLE = """
import sys, threading
threading.stack_size(64 << 10)
end = threading.Event()
for _thread in range(int(sys.argv[1])):
    threading.Thread(target=end.wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def idle_threads(number: int) -> t.Iterator[int]:
    """A process with so many threads, as long as the block lasts; its id."""
    argv = ["/usr/bin/python3", "-I", "-c", IDLE, str(max(number, 0))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if not process.stdout or process.stdout.readline() != "ready\n":
                raise SystemExit("the idle threads did not start")
            yield process.pid
        finally:
            process.kill()


def count_threads() -> int:
    """The threads in the whole system; kernel threads too."""
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def nanoseconds(call: t.Callable[[], object]) -> int:
    """What a call takes."""
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start


def undisturbed(took: list[int]) -> float:
    """The lower quartile: on a busy machine a call may be interrupted as often as not."""
    return statistics.quantiles(took, n=4)[0]


def walk() -> float:
    """Nanoseconds of a walk over all threads; of another user than theirs, so that nothing but the walk is done."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setuid(_NOBODY)
        took = undisturbed([nanoseconds(lambda: os.getpriority(os.PRIO_USER, _NOBODY)) for _turn in range(_TURNS)])
        os.write(writer, str(took).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="ascii") as file:
        text = file.read()
    os.waitpid(pid, 0)
    return float(text)


def read(pid: int, tid: str) -> object:
    """Read and parse a file of a thread as Resctrl.group_of() does."""
    text = read_piece(f"/proc/{pid}/task/{tid}/cgroup")
    return parse_thread_groups(os.fsdecode(text.encode("utf-8", "surrogateescape")))


def measure(threads: int) -> dict[str, float]:
    """Nanoseconds of a visit and of a file, on this machine with so many threads."""
    each = (threads - count_threads()) // _PROCESSES
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(idle_threads(each - 1)) for _process in range(_PROCESSES)]
        there = count_threads()
        names = [(pid, tid) for pid in pids for tid in os.listdir(f"/proc/{pid}/task")]
        file = undisturbed([nanoseconds(functools.partial(read, pid, tid)) for pid, tid in names])
        return {"threads": there, "visit": walk() / there, "file": file}


if __name__ == "__main__":
    print(json.dumps([measure(int(number)) for number in sys.argv[1:]]))
