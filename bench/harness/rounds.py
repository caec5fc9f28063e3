"""Interleaving: all servers get a short slice of load each, in a new order every round.

Run one after the other for a minute each, two servers are measured on two different machines: the
clock frequency, the neighbours and the kernel's mood have changed in between. Here the slices that
are compared lie next to each other, and the order within a round is shuffled so that no server
always comes after the same one.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from .clients import run_client
from .data_types import Collections
from .figures import Sample
from .scenarios import Dataset, Scenario
from .servers import Server


def load_dataset(servers: Sequence[Server], dataset: Dataset | Collections) -> None:
    """Replace whatever the servers hold by `dataset`."""
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for server in servers]
        for connection in connections:
            connection.call(b"FLUSHALL")
        for commands, reply_lines in dataset.batches():
            for connection in connections:
                connection.send_batch(commands, reply_lines)


def run_rounds(
    scenario: Scenario,
    servers: Sequence[Server],
    programs: Mapping[str, str],
    rounds: int,
    scale: float,
    shuffle: random.Random,
    settle: Callable[[Server], None] = lambda _server: None,
) -> dict[str, list[Sample]]:
    """Samples of each server by name. One more round goes first, to warm up, and is dropped. What a
    server still does until `settle` returns belongs to the slice before."""
    samples: dict[str, list[Sample]] = {server.name: [] for server in servers}
    program = programs[scenario.load.program]
    for number in range(rounds + 1):
        order = list(servers)
        shuffle.shuffle(order)
        for server in order:
            operations = int(scenario.operations * (scale if number else 0.3))
            sample = run_slice(scenario, server, program, operations, number, settle)
            if number:
                samples[server.name].append(sample)
    return samples


def run_slice(
    scenario: Scenario,
    server: Server,
    program: str,
    operations: int,
    number: int,
    settle: Callable[[Server], None],
) -> Sample:
    """One server's turn. The cost includes that of accepting and closing the connections."""
    kernel_before, cpu_before = server.kernel_seconds(), server.cpu_seconds()
    report = run_client(scenario.load, program, server.port, operations)
    settle(server)
    server.check_alive()
    return Sample(
        round=number,
        operations=report.operations,
        cpu_seconds=server.cpu_seconds() - cpu_before,
        kernel_seconds=server.kernel_seconds() - kernel_before,
        operations_per_second=report.operations_per_second,
        p50_ms=report.p50_ms,
        p99_ms=report.p99_ms,
        p999_ms=report.p999_ms,
    )
