# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Prometheus and its friends, started for tests: each on a free port of the loopback address, with its files
in a directory of its own. None of them outlives the process that has started it.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from waiting import wait_until

if t.TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping, Sequence
    from typing import Self

Labels = dict[str, str]


class Daemon:
    """A server that answers HTTP at `address` when it is up; a context manager. `around` is put before its command."""

    def __init__(self, directory: pathlib.Path, around: Sequence[str] = ()) -> None:
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self._around = around
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process: what is around it becomes the server."""
        assert self._process
        return self._process.pid

    def command(self) -> list[str]:
        """Its command line."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / "log"
        with log.open("wb") as output:
            argv = [*self._around, "setpriv", "--pdeathsig=KILL", *self.command()]
            self._process = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            wait_until(self._is_up, f"{argv} answers", patience=30)
        except AssertionError as error:
            self.__exit__()
            raise RuntimeError(f"{error}\n{log.read_text(errors='replace')}") from error
        return self

    def _is_up(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise AssertionError(f"{self.command()} has ended with {self._process.returncode}")
        try:
            self.get("/")
        except OSError:
            return False
        return True

    def __exit__(self, *_exc: object) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def get(self, path: str, **query: str) -> str:
        """What it answers to a GET. Raises OSError."""
        url = f"http://{self.address}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text: str = answer.read().decode()
        return text


class NodeExporter(Daemon):
    """node_exporter with its textfile collector alone, over the files in `textfiles`."""

    @property
    def textfiles(self) -> pathlib.Path:
        """The directory of the files."""
        return self.directory / "textfiles"

    def command(self) -> list[str]:
        """Its command line."""
        self.textfiles.mkdir(exist_ok=True)
        return [
            "prometheus-node-exporter",
            f"--web.listen-address={self.address}",
            "--web.disable-exporter-metrics",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={self.textfiles}",
        ]


class LibvirtExporter(Daemon):
    """prometheus-libvirt-exporter over the domains at a libvirt URI."""

    def __init__(self, directory: pathlib.Path, uri: str, around: Sequence[str] = ()) -> None:
        super().__init__(directory, around)
        self._uri = uri

    def command(self) -> list[str]:
        """Its command line."""
        return ["prometheus-libvirt-exporter", f"--web.listen-address={self.address}", f"--libvirt.uri={self._uri}"]


class Alertmanager(Daemon):
    """Alertmanager with one receiver, which nobody is behind."""

    def command(self) -> list[str]:
        """Its command line."""
        config = self.directory / "alertmanager.yml"
        config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        return [
            "prometheus-alertmanager",
            f"--config.file={config}",
            f"--storage.path={self.directory / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]

    def alerts(self) -> list[dict[str, t.Any]]:
        """The alerts that it was told of."""
        alerts: list[dict[str, t.Any]] = json.loads(self.get("/api/v2/alerts"))
        return alerts


class Prometheus(Daemon):
    """Prometheus. `targets`: job -> addresses; `rules`: a file; `alertmanager`: its address; `lookback`: for how long a
    value holds that nobody has said to be the last.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        targets: Mapping[str, Sequence[str]],
        rules: pathlib.Path | None = None,
        alertmanager: str = "",
        lookback: str = "5m",
    ) -> None:
        super().__init__(directory)
        self._lookback = lookback
        self._config = {
            "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(rules)] if rules else [],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
                for job, addresses in targets.items()
            ],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []},
        }

    @property
    def data(self) -> pathlib.Path:
        """Where it keeps its blocks."""
        return self.directory / "data"

    def command(self) -> list[str]:
        """Its command line."""
        config = self.directory / "prometheus.yml"
        # JSON is YAML
        config.write_text(json.dumps(self._config))
        return [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self.data}",
            # What tests lay down may be old
            "--storage.tsdb.retention.time=10y",
            f"--query.lookback-delta={self._lookback}",
            f"--web.listen-address={self.address}",
        ]

    def backfill(self, exposition: str) -> None:
        """Lay down values with times, as OpenMetrics; before it is started."""
        self.directory.mkdir(parents=True, exist_ok=True)
        source = self.directory / "values"
        source.write_text(exposition)
        argv = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(source), str(self.data)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    def query(self, expression: str, **more: str) -> list[tuple[Labels, float]]:
        """The vector that an expression has now, or at `time`. Raises ValueError with what Prometheus says of it."""
        result = self._data("/api/v1/query", query=expression, **more)["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[tuple[Labels, list[float]]]:
        """The values that an expression has from start to end, at each step; NaN where it has none.

        Raises ValueError with what Prometheus says of it.
        """
        more = {"start": str(start), "end": str(end), "step": str(step)}
        result = self._data("/api/v1/query_range", query=expression, **more)["result"]
        times = [start + step * number for number in range(int((end - start) / step) + 1)]
        found = [(one["metric"], {when: float(value) for when, value in one["values"]}) for one in result]
        return [(labels, [values.get(when, math.nan) for when in times]) for labels, values in found]

    def _data(self, path: str, **query: str) -> t.Any:
        try:
            return json.loads(self.get(path, **query))["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{query['query']}: {error.read().decode()}") from error

    def wait_for(self, expression: str) -> list[tuple[Labels, float]]:
        """The vector that an expression has as soon as it has one."""
        wait_until(lambda: self.query(expression), f"Prometheus knows {expression}", patience=30)
        return self.query(expression)


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
