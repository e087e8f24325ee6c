# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines with a real Linux kernel's resctrl, to run commands and tests in.

    with Guest(Machine(kernel="6.12", rdt={"rmids": 8})) as guest:
        guest.run(["mount", "-t", "resctrl", "resctrl", "/sys/fs/resctrl"], check=True)
        print(guest.run(["ls", "/sys/fs/resctrl"]).stdout)

A guest takes some seconds to start and then runs any number of commands, one at a time. Nothing outlasts it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import typing as t

from products import HERE, KERNELS, built

if t.TYPE_CHECKING:
    import types

CHECKOUT: t.Final = HERE.parents[1]
# How long a guest may take to start, and the agent to answer beyond a command's own limit. In seconds.
START_LIMIT: t.Final = 180
ANSWER_LIMIT: t.Final = 60
# The CPU features that the model has registers for. Those that are switched off cost time without hardware.
CPU_FLAGS: t.Final = "+cqm,+rdt-a,level=0x10,-la57,-pcid,-invpcid"
# With SVM, so that KVM works in the guest. "xlevel" lets it see AMD's own QoS features.
AMD_CPU: t.Final = "EPYC-Milan,+svm,+npt,+nrip-save,xlevel=0x80000020"
# Such a CPU has larger caches (its masks' bits are to be whole MiB for libvirt), finer counters, and neither Intel's
# MBA nor shareable ways.
AMD_RDT: t.Final = {"l3size": 32 << 20, "sparse": 1, "mba": 0, "cbm": 16, "share": 0, "scale": 4096, "width": 44}
KERNEL_ARGUMENTS: t.Final = (
    "console=ttyS0 quiet panic=-1 msr.allow_writes=on tsc=reliable random.trust_cpu=on "
    # What costs an emulated CPU time and a test nothing.
    "mitigations=off apparmor=0 audit=0 cryptomgr.notests hardened_usercopy=off init_on_alloc=0 no_timer_check "
    "nokaslr nowatchdog rcupdate.rcu_expedited=1"
)
# Where Python finds Ansible's modules.
ENVIRONMENT: t.Final = {"PYTHONPATH": "/run/python"}


class GuestError(Exception):
    """The guest did not start, or has ended or hung."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a guest is to be.

    `cpus` are divided evenly among `sockets`, each of which is an L3 domain; or among sockets with the ids `l3_ids`, of
    which the first must be 0. `rdt` are the knobs of the model of the RDT registers (see README.md). `share` is the
    directory that the guest sees.
    """

    kernel: str = KERNELS[0]
    cpus: int = 4
    sockets: int = 2
    l3_ids: tuple[int, ...] = ()
    memory: int = 2048  # MiB
    cpu: str = "Icelake-Server"
    amd: bool = False
    rdt: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    append: str = ""  # to the kernel's command line
    icount: bool = False
    share: pathlib.Path = CHECKOUT
    writable: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError if the CPUs cannot be laid out so, or the directory hides the guest's own."""
        if self.share == pathlib.Path("/"):
            raise ValueError("The root directory cannot be shared")
        ids = self.ids
        if not ids or ids[0] != 0 or sorted(set(ids)) != list(ids):
            raise ValueError(f"L3 ids must rise and begin with 0: {ids}")
        if self.cpus % (len(ids) * self.nodes):
            raise ValueError(f"{self.cpus} CPUs cannot be divided among {len(ids)} sockets of {self.nodes} nodes")

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the sockets."""
        return self.l3_ids or tuple(range(self.sockets))

    @property
    def nodes(self) -> int:
        """Sub-NUMA nodes of each socket."""
        return self.rdt.get("snc", 1)

    def processor(self) -> list[str]:
        """The options of QEMU for the CPUs, their sockets and nodes."""
        model = AMD_CPU if self.amd else self.cpu
        if self.nodes > 1:
            model += ",model=106"  # the kernel accepts sub-NUMA clusters of models that it knows
        cores = self.cpus // len(self.ids)
        sockets = self.ids[-1] + 1
        dense = len(self.ids) == sockets
        present = self.cpus if dense else cores
        smp = f"cpus={present},maxcpus={sockets * cores},sockets={sockets},cores={cores},threads=1"
        options = ["-cpu", f"{model},{CPU_FLAGS}", "-smp", smp]
        device = f"{model.partition(',')[0]}-x86_64-cpu,thread-id=0"
        if not dense:
            for socket_id in self.ids[1:]:
                for core in range(cores):
                    options += ["-device", f"{device},socket-id={socket_id},core-id={core}"]
        if self.nodes > 1:
            options += self._numa(cores)
        return options

    def _numa(self, cores: int) -> list[str]:
        nodes = len(self.ids) * self.nodes
        options = []
        for node in range(nodes):
            options += ["-object", f"memory-backend-ram,id=memory{node},size={self.memory // nodes}M"]
            options += ["-numa", f"node,nodeid={node},memdev=memory{node}"]
        for index in range(self.cpus):
            node = index * nodes // self.cpus
            options += ["-numa", f"cpu,node-id={node},socket-id={index // cores},core-id={index % cores},thread-id=0"]
        return options

    def knobs(self) -> str:
        """The value of QEMU_RDT."""
        rdt = {**(AMD_RDT if self.amd else {}), **self.rdt}
        return ",".join(f"{name}={value}" for name, value in rdt.items())

    def command(self, console: pathlib.Path, agent: int) -> list[str]:
        """QEMU's command line. Its agent port is the socket with the file descriptor `agent`. Raises NotBuilt."""
        qemu, kernel, root = built("qemu"), built(f"kernel-{self.kernel}"), built("root")

        def share(tag: str, path: pathlib.Path, *, writable: bool = False) -> list[str]:
            escaped = str(path).replace(",", ",,")
            options = f"local,path={escaped},mount_tag={tag},security_model=none,multidevs=remap"
            return ["-virtfs", options if writable else options + ",readonly=on"]

        return [
            str(qemu / "qemu-system-x86_64"), "-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none",
            "-L", "/usr/share/qemu", "-L", "/usr/share/seabios", "-machine", "q35",
            # One thread for all CPUs: with several this QEMU loses a race with the kernel when it patches its own code.
            "-accel", "tcg,thread=single", *(["-icount", "shift=2,sleep=off"] if self.icount else []),
            *self.processor(), "-m", str(self.memory),
            "-kernel", str(kernel / "vmlinux"), "-initrd", str(kernel / "initramfs"),
            "-append", f'{KERNEL_ARGUMENTS} {self.append} share="{self.share}" share_writable={self.writable:d}',
            "-drive", f"file={root / 'root.img'},format=raw,if=none,id=root,readonly=on",
            "-device", "virtio-blk-pci,drive=root",
            *share("modules", kernel / "modules"), *share("harness", HERE),
            *share("share", self.share, writable=self.writable),
            "-object", "rng-random,filename=/dev/urandom,id=random", "-device", "virtio-rng-pci,rng=random",
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={agent}",
            "-device", "virtserialport,chardev=agent,name=kvmops.agent",
            "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        ]  # fmt: skip


class Guest:
    """A guest that runs as long as the `with` block lasts."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine()
        self.boot_seconds = 0.0

    def __enter__(self) -> Guest:
        """Starts it, and returns when it can run commands. Raises NotBuilt or GuestError."""
        self._directory = tempfile.TemporaryDirectory(prefix="guest-")
        self._start = time.monotonic()
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._lines = ours.makefile("rb")
        directory = pathlib.Path(self._directory.name)
        try:
            with theirs, (directory / "qemu").open("wb") as output:
                self._qemu = subprocess.Popen(
                    self.machine.command(directory / "console", theirs.fileno()),
                    env={**os.environ, "QEMU_RDT": self.machine.knobs()},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
        except BaseException:
            self._close()
            raise
        try:
            self._receive(START_LIMIT)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.boot_seconds = time.monotonic() - self._start
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: types.TracebackType | None,
    ) -> None:
        """Ends it. Nothing is lost: what it wrote to the shared directory is there already."""
        self._qemu.kill()
        self._qemu.wait()
        self._close()

    def _close(self) -> None:
        self._lines.close()
        self._socket.close()
        self._directory.cleanup()

    def console(self) -> str:
        """What the kernel has written on its console, and QEMU on its own."""
        texts = []
        for name in ("qemu", "console"):
            path = pathlib.Path(self._directory.name, name)
            texts += path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(line for line in texts if "doesn't support requested feature" not in line)

    def run(
        self,
        argv: t.Sequence[str],
        *,
        cwd: str | None = None,
        env: t.Mapping[str, str] | None = None,
        input: str = "",  # noqa: A002  # as subprocess names it
        timeout: float = 600,
        check: bool = False,
        echo: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the guest as root, by default in the shared directory, and waits for its end.

        `env` is added to the environment. `echo` passes its output on while it runs. Raises
        subprocess.CalledProcessError if it fails and `check` is set, subprocess.TimeoutExpired, GuestError.
        """
        command = list(argv)
        request = {
            "argv": command,
            "cwd": cwd or str(self.machine.share),
            "env": {**ENVIRONMENT, **(env or {})},
            "input": base64.b64encode(input.encode()).decode(),
            "timeout": timeout,
        }
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise self._error(f"The guest is gone: {error}") from error
        message, stdout, stderr = self._answer(timeout + ANSWER_LIMIT, echo=echo)
        if "timeout" in message:
            raise subprocess.TimeoutExpired(command, timeout, stdout, stderr)
        if check and message["status"]:
            failed = subprocess.CalledProcessError(message["status"], command, stdout, stderr)
            failed.add_note(stdout + stderr)
            raise failed
        return subprocess.CompletedProcess(command, message["status"], stdout, stderr)

    def shell(self, script: str, **options: t.Any) -> str:
        """What a shell script prints in the guest; it ends at the first command that fails. Raises as `run` does."""
        return self.run(["bash", "-euo", "pipefail", "-c", script], check=True, **options).stdout

    def _answer(self, limit: float, *, echo: bool) -> tuple[dict[str, t.Any], str, str]:
        """The last message of an answer, and what the command has written to stdout and stderr."""
        end = time.monotonic() + limit
        output = {1: b"", 2: b""}
        while "data" in (message := self._receive(end - time.monotonic())):
            data = base64.b64decode(message["data"])
            output[message["stream"]] += data
            if echo:
                stream = sys.stdout if message["stream"] == 1 else sys.stderr
                stream.buffer.write(data)
                stream.flush()
        stdout, stderr = (data.decode(errors="surrogateescape") for data in output.values())
        return message, stdout, stderr

    def _receive(self, timeout: float) -> dict[str, t.Any]:
        """The agent's next message."""
        self._socket.settimeout(max(timeout, 0.001))
        try:
            line = self._lines.readline()
        except TimeoutError as error:
            raise self._error("The guest does not answer") from error
        except OSError as error:
            raise self._error(f"The guest is gone: {error}") from error
        if not line:
            raise self._error(f"The guest has ended; QEMU's status is {self._qemu.wait()}")
        message: dict[str, t.Any] = json.loads(line)
        return message

    def _error(self, text: str) -> GuestError:
        return GuestError("\n".join([text, *self.console().splitlines()[-20:]]))
