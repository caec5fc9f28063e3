"""A server under measurement: finding it, starting it, asking the kernel about it, ending it.

Every server is started the same way: loopback, one port, persistence off, one I/O thread, a
working directory of its own that is deleted afterwards, pinned to nothing. It is ended by its
process id only. A server cannot outlive the harness: it is stopped when the `Server` context ends,
for whatever reason it ends, and the kernel kills it should the harness itself be killed.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from .processes import cpu_clock_of, die_with_parent
from .resp import Connection, ServerError

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 5.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
COMMON_OPTIONS = ("--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
PEER_OPTIONS = (*COMMON_OPTIONS, "--io-threads", "1")
PEER_BINARY = re.compile(r"(redis|valkey)-server(-[0-9.]+)?")
VERSION = re.compile(r"\bv?=?(\d+(\.\d+)+)")


@dataclass(frozen=True)
class ServerSpec:
    """A server that can be started: `command` holds "{port}" where the port belongs."""

    name: str
    version: str
    command: tuple[str, ...]

    def published_command(self) -> str:
        """The command line as recorded: with the program's name instead of its place here."""
        program = Path(self.command[0]).name
        return shlex.join([program, *self.command[1:]]).replace("'{port}'", "PORT")


def with_log(spec: ServerSpec, policy: str) -> ServerSpec:
    """The same server with a log of changes, synced as `policy` (`appendfsync`) says."""
    words = list(spec.command)
    words[words.index("--appendonly") + 1] = "yes"
    return replace(spec, command=(*words, "--appendfsync", policy))


def darter_specs(
    path: Path, workers: Sequence[int], reactors: Sequence[str], routings: Sequence[str] = ("auto",)
) -> list[ServerSpec]:
    """One spec per configuration of Darter, `darter-w1-epoll`, `darter-w2-epoll-queue` and so on. A
    single worker has nobody to route to, so it has the first routing only."""
    version = read_version(str(path))
    specs = []
    for reactor in reactors:
        for count in workers:
            for routing in routings if count > 1 else routings[:1]:
                name = f"darter-w{count}-{reactor}" + ("" if routing == "auto" else f"-{routing}")
                options = ("--workers", str(count), "--reactor", reactor, "--routing", routing)
                specs.append(ServerSpec(name, version, (str(path), *COMMON_OPTIONS, *options)))
    return specs


def peer_spec(text: str) -> ServerSpec:
    """A peer given as NAME=COMMAND; without "{port}" in it, Redis's options are added."""
    name, separator, command = text.partition("=")
    words = tuple(shlex.split(command))
    if not separator or not name or not words:
        raise ValueError(f"not NAME=PATH or NAME=COMMAND: {text!r}")
    options = () if any("{port}" in word for word in words) else PEER_OPTIONS
    return ServerSpec(name, read_version(words[0]), words + options)


def peers_on_path() -> Iterator[ServerSpec]:
    """Redis and Valkey servers found on PATH, named by their major version (`redis-7`)."""
    seen_versions: set[tuple[str, str]] = set()
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        for name in names:
            match = PEER_BINARY.fullmatch(name)
            path = os.path.join(folder, name)
            if not match or not os.access(path, os.X_OK):
                continue
            family, version = match.group(1), read_version(path)
            if (family, version) not in seen_versions:
                seen_versions.add((family, version))
                major = version.split(".")[0]
                yield ServerSpec(f"{family}-{major}", version, (path, *PEER_OPTIONS))


def read_version(path: str) -> str:
    """The version that `path --version` prints, or "unknown"."""
    if shutil.which(path) is None:
        raise ValueError(f"no such program: {path}")
    try:
        run = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    match = VERSION.search(run.stdout + run.stderr)
    return match.group(1) if match else "unknown"


class Server:
    """A started server, ready for commands; a context manager that ends it."""

    def __init__(
        self,
        spec: ServerSpec,
        port: int,
        folder: Path | None = None,
        start_seconds_max: float = START_SECONDS_MAX,
    ) -> None:
        """With a `folder` it works there, on what there is, and leaves it; else in one that is deleted."""
        self.spec = spec
        self.port = port
        self.start_seconds_max = start_seconds_max
        self._own_folder = None if folder else tempfile.TemporaryDirectory(prefix="darter-bench-")
        self._folder = folder or Path(self._own_folder.name if self._own_folder else "")
        self._process: subprocess.Popen[bytes] | None = None
        self._cpu_clock = 0

    def __enter__(self) -> "Server":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        assert self._process is not None, "used outside of its context"
        return self._process.pid

    def connect(self) -> Connection:
        return Connection(self.port)

    def cpu_seconds(self) -> float:
        """CPU time of all threads, dead ones included, in user and kernel mode.

        The process's CPU clock is the sum that /proc/<pid>/stat shows as utime + stime, in
        nanoseconds instead of ticks of 10 ms. io_uring's kernel workers are threads of the
        process and count.
        """
        return time.clock_gettime(self._cpu_clock)

    def kernel_seconds(self) -> float:
        """The part of `cpu_seconds` spent in the kernel, in ticks (usually 10 ms)."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[12]) / TICKS_PER_SECOND

    def rss_bytes(self) -> int:
        """Resident memory as the kernel counts it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        if match is None:
            raise ServerError(f"{self.name}: gone")
        return int(match.group(1)) * 1024

    def used_bytes(self, connection: Connection) -> int:
        """`used_memory` as the server itself counts it."""
        match = re.search(rb"^used_memory:(\d+)", connection.call(b"INFO", b"memory"), re.MULTILINE)
        if match is None:
            raise ServerError(f"{self.name}: no used_memory in INFO")
        return int(match.group(1))

    def check_alive(self) -> None:
        """A server that died would otherwise look like a very fast one."""
        assert self._process is not None, "used outside of its context"
        if self._process.poll() is not None:
            raise ServerError(f"{self.name} exited {self._process.returncode}: {self._log_end()}")

    def _start(self) -> None:
        refuse_taken_port(self.port)
        command = [word.replace("{port}", str(self.port)) for word in self.spec.command]
        with open(self._log_path(), "wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the harness, which then ends the servers
                preexec_fn=die_with_parent,
            )
        self._cpu_clock = cpu_clock_of(self._process.pid)
        deadline = time.monotonic() + self.start_seconds_max
        while not self._answers_ping():
            self.check_alive()
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name}: no PONG on port {self.port}: {self._log_end()}")
            time.sleep(0.02)
        # A child that lost a race for the port would leave us measuring somebody else's server.
        self.check_alive()

    def _answers_ping(self) -> bool:
        try:
            with Connection(self.port, timeout_seconds=1.0) as connection:
                return connection.call(b"PING") == b"PONG"
        except (OSError, ServerError):
            return False

    def _stop(self) -> None:
        process, self._process = self._process, None
        try:
            if process is not None:
                end_process(process, self.port)
        finally:
            if self._own_folder is not None:
                self._own_folder.cleanup()

    def _log_path(self) -> str:
        return os.path.join(self._folder, "server.log")

    def _log_end(self) -> str:
        text = Path(self._log_path()).read_text(errors="replace").strip()
        return "\n".join(text.splitlines()[-5:]) or "(it logged nothing)"


def end_process(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Ask politely, then less so, then not at all; returns when the process is gone."""
    if process.poll() is None:
        try:
            with Connection(port, timeout_seconds=1.0) as connection:
                connection.call(b"SHUTDOWN", b"NOSAVE")
        except (OSError, ServerError):
            pass  # a closed connection is the answer to expect
    for signal_number in (None, signal.SIGTERM, signal.SIGKILL):
        if signal_number is not None:
            process.send_signal(signal_number)
        try:
            process.wait(STOP_SECONDS_MAX)
            return
        except subprocess.TimeoutExpired:
            continue


def refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(f"port {port} is taken; choose another --port-base") from error
