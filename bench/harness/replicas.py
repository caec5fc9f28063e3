"""A replica of each server under measurement, the same program for all of them.

What a primary spends on its replica is part of what an operation costs it: a slice of load is over when
the replica has everything. What the replica spends counts for nobody.
"""

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack

from .resp import Connection, ServerError
from .servers import COMMON_OPTIONS, PEER_OPTIONS, Server, ServerSpec, read_version

SYNC_SECONDS_MAX = 60.0
LOOK_AGAIN_SECONDS = 0.005


class Replicas:
    """One for each server, by its name."""

    def __init__(
        self, stack: ExitStack, servers: Sequence[Server], program: str, port_base: int
    ) -> None:
        """Start them, each on a port of its own, and wait until they have all data; `stack` ends them."""
        self._of: dict[str, Server] = {}
        for index, server in enumerate(servers):
            spec = spec_of_replica(program, server)
            replica = stack.enter_context(Server(spec, port_base + index))
            self._of[server.name] = replica
        for server in servers:
            self.catch_up(server)

    def catch_up(self, server: Server, seconds_max: float = SYNC_SECONDS_MAX) -> None:
        """Wait until the server's replica has everything."""
        replica = self._of[server.name]
        deadline = time.monotonic() + seconds_max
        with server.connect() as primary, replica.connect() as other:
            while not has_everything(primary, other):
                server.check_alive()
                replica.check_alive()
                if time.monotonic() > deadline:
                    raise ServerError(f"{replica.name}: behind for {seconds_max:.0f} s")
                time.sleep(LOOK_AGAIN_SECONDS)


def spec_of_replica(program: str, server: Server) -> ServerSpec:
    """How it is started. A Darter has no I/O threads to be told of."""
    version = read_version(program)
    options = COMMON_OPTIONS if program.rpartition("/")[2] == "darter" else PEER_OPTIONS
    following = ("--replicaof", f"127.0.0.1 {server.port}")
    return ServerSpec(f"replica of {server.name}", version, (program, *options, *following))


def has_everything(primary: Connection, replica: Connection) -> bool:
    """Whether the link is up and both are at the same place."""
    theirs = replica.call(b"INFO", b"replication")
    ours = primary.call(b"INFO", b"replication")
    return field(theirs, b"master_link_status") == b"up" and field(
        theirs, b"slave_repl_offset"
    ) == field(ours, b"master_repl_offset")


def field(info: bytes, name: bytes) -> bytes:
    """A field of INFO, empty if it is not there."""
    match = re.search(rb"^" + name + rb":([^\r\n]*)", info, re.MULTILINE)
    return match.group(1) if match else b""
