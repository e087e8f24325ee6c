# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what guests need from Debian's packages: a QEMU with a model of the RDT registers, kernels, a root image.

What is there is not built again; a second call has nothing to do. Products lie in $KVMOPS_KERNEL_VM, by default
~/.cache/kvmops-kernel-vm. New versions of the packages are looked for when something has to be built, or with --update.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t

import debian
import mirrors
import products
from products import HERE, KERNELS, QEMU_VERSION, Product, home

if t.TYPE_CHECKING:
    import pathlib

# A recipe runs in namespaces of its own, with which all ends that it has started and mounted: they end with unshare,
# which ends with this program.
NAMESPACES = (
    "setpriv", "--pdeathsig", "KILL",
    "unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child",
)  # fmt: skip


class Failed(Exception):
    """A product could not be built; the reason has been printed."""


def find_versions(apt: debian.Apt) -> products.Versions:
    """Of each product, the newest versions of the packages that it is made of. A kernel that is gone is left out."""
    packages = (HERE / "recipes" / "root.packages").read_text().split("\n")
    versions: products.Versions = {
        "qemu": {"qemu": apt.newest("qemu", QEMU_VERSION, index="Sources")},
        "root": {
            package: apt.newest(package, suites=debian.ROOT_SUITES)
            for package in packages
            if package and not package.startswith("#")
        },
    }
    for kernel in KERNELS:
        try:
            versions[f"kernel-{kernel}"] = kernel_packages(apt, kernel)
        except debian.NoPackage as error:
            print(f"{error}. Where the kernels are named: {HERE / 'products.py'}", file=sys.stderr)
    return versions


def kernel_packages(apt: debian.Apt, kernel: str) -> dict[str, str]:
    """The packages that hold a kernel and its modules: one, or several on which that one depends."""
    version = apt.newest("linux-image-amd64", f"{kernel}.")
    image = next(name for name in apt.depends("linux-image-amd64", version) if name.startswith("linux-image-"))
    parts = [name for name in apt.depends(image, version) if name.startswith(("linux-binary-", "linux-modules-"))]
    return dict.fromkeys([image, *parts], version)


async def run(command: t.Sequence[str | pathlib.Path], directory: pathlib.Path, output: t.IO[str]) -> None:
    """Runs a command with its output in a file. Raises Failed. When this ends, however, nothing runs on."""
    process = await asyncio.create_subprocess_exec(
        *NAMESPACES, *command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        status = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if status:
        raise Failed(f"{os.fspath(command[0])} ended with {status}")


async def make(product: Product, apt: debian.Apt, directory: pathlib.Path, output: t.IO[str]) -> None:
    """Fetches the packages of a product into an empty directory and follows its recipe, which fills `directory`/out."""
    packages = [f"{package}={version}" for package, version in product.versions.items()]
    recipe = HERE / "recipes" / f"{product.kind}.sh"
    (directory / "out").mkdir()
    if product.kind == "root":  # its recipe gets the packages itself, those too on which they depend
        await run([recipe, apt.root_sources, apt.connection], directory, output)
    elif product.kind == "qemu":
        await run(apt.command("apt-get", "--quiet", "source", "--download-only", *packages), directory, output)
        await run([recipe, *directory.glob("*.dsc")], directory, output)
    else:
        await run(apt.command("apt-get", "--quiet", "download", *packages), directory, output)
        await run([recipe, *directory.glob("*.deb")], directory, output)


async def build(product: Product, apt: debian.Apt, slots: asyncio.Semaphore) -> None:
    """Builds a product, puts it in its place when it is complete, and says so. Raises Failed."""
    async with slots:
        start = time.monotonic()
        log = home() / "log" / product.name
        log.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=home()) as name, log.open("w+") as output:
            directory = home() / name
            try:
                await make(product, apt, directory, output)
            except Failed as error:
                output.seek(0)
                sys.stderr.writelines(output.readlines()[-20:])
                print(f"{product.name:12} FAILED: {error}. Its whole output: {log}", file=sys.stderr)
                raise
            (directory / "out").rename(product.path)
        print(f"{product.name:12} built in {time.monotonic() - start:4.0f} s: {product.path}", flush=True)


async def build_all(missing: t.Sequence[Product], apt: debian.Apt) -> bool:
    """Builds products, two at a time, since all but QEMU wait for the network. True if none failed."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    slots = asyncio.Semaphore(2)
    results = await asyncio.gather(*(build(product, apt, slots) for product in missing), return_exceptions=True)
    for result in results:
        if result and not isinstance(result, Failed):
            raise result
    return not any(results)


def missing_of(wanted: t.Iterable[str], versions: products.Versions) -> list[Product] | None:
    """The products that are to be built; None if for one of them no versions are known."""
    if any(name not in versions for name in wanted):
        return None
    found = [Product(name, versions[name]) for name in wanted]
    return [product for product in found if not product.path.is_dir()]


def update(apt: debian.Apt) -> products.Versions:
    """Gets new package lists, and keeps the versions that are found there."""
    print("Getting package lists", flush=True)
    apt.update()
    versions = find_versions(apt)
    file = home() / "versions.json"
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(versions, indent=2) + "\n")
    temporary.rename(file)
    return versions


@contextlib.contextmanager
def alone() -> t.Iterator[None]:
    """Waits until no other build runs here, and removes what an interrupted one has left."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in home().glob("unfinished-*"):
            shutil.rmtree(path)
        yield


def prune() -> None:
    """Removes the products that this checkout does not need."""
    versions = products.read_versions()
    needed = {Product(name, versions[name]).path for name in versions}
    for kind in products.RECIPES:
        for path in set(home().glob(f"{kind}-*")) - needed:
            print(f"Removing {path}")
            shutil.rmtree(path)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="build", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--kernel",
        action="append",
        choices=KERNELS,
        help="this kernel; may be repeated (default:\n$KVMOPS_KERNELS, or all)",
    )
    parser.add_argument("--update", action="store_true", help="look for new versions of the packages")
    parser.add_argument(
        "--prune", action="store_true", help="remove what older versions and other checkouts have built"
    )
    return parser.parse_args()


def main() -> int:
    """Builds what is missing."""
    options = parse_arguments()
    wanted = products.names(options.kernel or products.kernels())
    if not options.update and not options.prune and missing_of(wanted, products.read_versions()) == []:
        return 0
    with alone():
        missing = missing_of(wanted, products.read_versions())
        if options.update or missing is None or missing:
            apt = debian.Apt(home() / "apt")
            missing = missing_of(wanted, update(apt))
            if missing is None or not asyncio.run(build_all(missing, apt)):
                return 1
        if options.prune:
            prune()
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    try:
        sys.exit(main())
    except debian.NoPackage as error:
        sys.exit(str(error))
    except mirrors.NoMirror as error:
        sys.exit(f"{error}: Debian 12 is needed")
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("Interrupted")
