"""The two load generators people know, as command lines and as parsers of what they print."""

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .processes import die_with_parent

SLICE_SECONDS_MAX = 120.0
CONNECTIONS = 50


class ClientError(Exception):
    """A load generator failed, or did something else than it was asked to."""


@dataclass(frozen=True)
class ClientReport:
    """What the client says of one slice. Latencies in milliseconds, as seen by the client."""

    operations: int
    operations_per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


class Load(Protocol):
    """A way to put load on a server."""

    @property
    def program(self) -> str:
        """Key of the program in `Programs`."""

    def arguments(self, port: str, operations: int) -> list[str]:
        """Command line without the program. Files are named relative to a scratch folder."""

    def parse(self, output: str, folder: Path) -> ClientReport:
        """Read the report of a run that went well."""


@dataclass(frozen=True)
class Memtier:
    """memtier_benchmark: GET and SET over keys chosen evenly at random.

    Without `--randomize --distinct-client-seed` all connections of every run ask for the same
    short sequence of keys, and the working set is a few thousand keys that fit any cache.
    """

    ratio: str
    pipeline: int
    value_bytes: int
    key_count: int

    @property
    def program(self) -> str:
        return "memtier_benchmark"

    def arguments(self, port: str, operations: int) -> list[str]:
        return [
            *("--server", "127.0.0.1", "--port", port),
            *("-t", "1", "-c", str(CONNECTIONS), "-n", str(operations // CONNECTIONS)),
            *("--ratio", self.ratio, "--pipeline", str(self.pipeline), "-d", str(self.value_bytes)),
            *("--key-pattern", "R:R", "--key-minimum", "1", "--key-maximum", str(self.key_count)),
            *("--randomize", "--distinct-client-seed"),
            *("--hide-histogram", "--json-out-file", "memtier.json"),
        ]

    def parse(self, output: str, folder: Path) -> ClientReport:
        return parse_memtier((folder / "memtier.json").read_text())


@dataclass(frozen=True)
class RedisBenchmark:
    """redis-benchmark: one kind of command, keys chosen evenly from `key_count`.

    `what` is one of its named tests, ("-t", "set"), or the words of a command, in which
    "__rand_int__" stands for a key's twelve digits.
    """

    what: tuple[str, ...]
    pipeline: int
    key_count: int

    @property
    def program(self) -> str:
        return "redis-benchmark"

    def arguments(self, port: str, operations: int) -> list[str]:
        return [
            *("-h", "127.0.0.1", "-p", port, "-c", str(CONNECTIONS), "-n", str(operations)),
            *("-P", str(self.pipeline), "-r", str(self.key_count), *self.what),
        ]

    def parse(self, output: str, folder: Path) -> ClientReport:
        return parse_redis_benchmark(output)


def run_client(load: Load, program: str, port: int, operations: int) -> ClientReport:
    """Run one slice of load to its end. The client is ended if it takes far too long."""
    with tempfile.TemporaryDirectory(prefix="darter-bench-") as folder:
        try:
            run = subprocess.run(
                [program, *load.arguments(str(port), operations)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SLICE_SECONDS_MAX,
                check=False,
                preexec_fn=die_with_parent,
            )
        except subprocess.TimeoutExpired as error:
            raise ClientError(f"{load.program} took over {SLICE_SECONDS_MAX:.0f} s") from error
        if run.returncode != 0:
            tail = (run.stderr or run.stdout).strip()[-500:]
            raise ClientError(f"{load.program} exited {run.returncode}: {tail}")
        # redis-benchmark fails by itself; memtier goes on and counts an error as an operation.
        if "error response" in run.stderr:
            raise ClientError(f"{load.program}: {first_error(run.stderr)}")
        report = load.parse(run.stdout, Path(folder))
    if report.operations < operations * 0.99:
        raise ClientError(f"{load.program} did {report.operations} of {operations} operations")
    return report


def first_error(text: str) -> str:
    return next(line for line in text.splitlines() if "error response" in line)


def parse_memtier(text: str) -> ClientReport:
    """From the JSON file. Errors and unexpected misses make the run worthless, so they raise."""
    stats = json.loads(text)["ALL STATS"]
    totals = stats["Totals"]
    if totals["Connection Errors"] or stats["Runtime"]["Interrupted"] != "false":
        raise ClientError("memtier_benchmark met connection errors")
    gets = stats["Gets"]
    if gets["Misses/sec"] > 0.01 * gets["Ops/sec"]:
        raise ClientError("memtier_benchmark asked for keys that were never loaded")
    latency = totals["Percentile Latencies"]
    return ClientReport(
        operations=totals["Count"],
        operations_per_second=totals["Ops/sec"],
        p50_ms=latency["p50.00"],
        p99_ms=latency["p99.00"],
        p999_ms=latency["p99.90"],
    )


def parse_redis_benchmark(output: str) -> ClientReport:
    """From the long text output.

    It has no line for the 99.9th percentile; the distribution's steps halve the distance to
    100 % each, and the first one at or above 99.9 (99.902) stands for it.
    """
    completed = re.search(r"^\s*(\d+) requests completed in", output, re.MULTILINE)
    throughput = re.search(r"throughput summary: ([\d.]+) requests", output)
    summary = re.search(r"^\s*avg\s+min\s+p50\s+p95\s+p99\s+max\n([\d. ]+)$", output, re.MULTILINE)
    steps = re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds", output, re.MULTILINE)
    high_steps = [float(at) for percent, at in steps if float(percent) >= 99.9]
    if not (completed and throughput and summary and high_steps):
        raise ClientError(f"redis-benchmark printed something else: {output[-500:]}")
    numbers = [float(word) for word in summary.group(1).split()]
    return ClientReport(
        operations=int(completed.group(1)),
        operations_per_second=float(throughput.group(1)),
        p50_ms=numbers[2],
        p99_ms=numbers[4],
        p999_ms=high_steps[0],
    )
