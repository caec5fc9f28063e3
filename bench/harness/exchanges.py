"""What `exchanges` has servers do: whatever takes several commands or several clients to see.

The general load generators send one kind of command and ask nobody else. Here every connection is
ours, the requests are made beforehand, and replies are known to the byte, so that Python has little to
do between two of them: a step sends to all connections, then reads from all.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from .resp import Connection, encode
from .servers import Server

CLIENTS = 50
PIPELINES = (1, 16)
KEY_COUNT = 10_000
KEYS_PER_BATCH = 1000
VALUE = b"value"
REQUESTS_PER_CLIENT = 20
"""Different requests of each connection, sent again and again."""
SUBSCRIBERS_MANY = 100
REPLY_VALUE = b"$%d\r\n%b\r\n" % (len(VALUE), VALUE)

SCRIPT_OF_ONE_KEY = b"return redis.call('get', KEYS[1])"
SCRIPT_OF_THREE_KEYS = (
    b"redis.call('set', KEYS[1], ARGV[1]) redis.call('incr', KEYS[2]) "
    b"return redis.call('get', KEYS[3])"
)


def plain_key(family: bytes, number: int) -> bytes:
    """A key that lies anywhere."""
    return b"%b:%d" % (family, number)


def tagged_key(family: bytes, number: int) -> bytes:
    """A key in the shard of all others of its number."""
    return b"%b:{%d}" % (family, number)


Key = Callable[[bytes, int], bytes]


def dataset() -> Iterator[tuple[bytes, int]]:
    """The keys that requests read, as batches of commands with their count of reply lines."""
    for name in (plain_key, tagged_key):
        for family in (b"read", b"size", b"time"):
            for first in range(0, KEY_COUNT, KEYS_PER_BATCH):
                numbers = range(first, first + KEYS_PER_BATCH)
                sets = [encode(b"SET", name(family, number), VALUE) for number in numbers]
                yield b"".join(sets), len(sets)


class Load(ABC):
    """The clients of one server."""

    @abstractmethod
    def step(self) -> int:
        """Send and read everything once; how many operations that was."""


class Requests(Load):
    """Clients that do not know of one another: each sends a request and reads its reply."""

    def __init__(
        self,
        stack: ExitStack,
        server: Server,
        request: Callable[[random.Random], bytes],
        reply: bytes,
        pipeline: int,
    ) -> None:
        chance = random.Random(pipeline)
        self._clients = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        self._requests = [
            [b"".join(request(chance) for _ in range(pipeline)) for _ in self._clients]
            for _ in range(REQUESTS_PER_CLIENT)
        ]
        self._replies = reply * pipeline
        self._operations = pipeline * CLIENTS
        self._next = 0

    def step(self) -> int:
        requests = self._requests[self._next]
        self._next = (self._next + 1) % REQUESTS_PER_CLIENT
        for client, request in zip(self._clients, requests, strict=True):
            client.send(request)
        for client in self._clients:
            client.expect(self._replies)
        return self._operations


class HandOver(Load):
    """Fifty clients wait in BRPOP, each for a list of its own; another one pushes to all in one pipeline."""

    def __init__(self, stack: ExitStack, server: Server) -> None:
        self._waiting = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        self._pushing: Connection = stack.enter_context(server.connect())
        lists = [f"list:{number}".encode() for number in range(CLIENTS)]
        self._pops = [encode(b"BRPOP", name, b"0") for name in lists]
        self._popped = [b"*2\r\n$%d\r\n%b\r\n%b" % (len(name), name, REPLY_VALUE) for name in lists]
        self._pushes = b"".join(encode(b"LPUSH", name, VALUE) for name in lists)
        self._pushed = b":1\r\n" * CLIENTS

    def step(self) -> int:
        for connection, pop in zip(self._waiting, self._pops, strict=True):
            connection.send(pop)
        self._pushing.exchange(self._pushes, self._pushed)
        for connection, popped in zip(self._waiting, self._popped, strict=True):
            connection.expect(popped)
        return CLIENTS


class Messages(Load):
    """Publishers with a channel each, whose subscribers read everything. An operation is a PUBLISH."""

    def __init__(
        self, stack: ExitStack, server: Server, publishers: int, subscribers: int, pipeline: int
    ) -> None:
        self._publishers = [stack.enter_context(server.connect()) for _ in range(publishers)]
        self._operations = pipeline * publishers
        self._published = b":%d\r\n" % subscribers * pipeline
        self._publications: list[bytes] = []
        self._subscribers: list[tuple[Connection, bytes]] = []
        for number in range(publishers):
            channel = b"channel:%d" % number
            name = b"$%d\r\n%b\r\n" % (len(channel), channel)
            self._publications.append(encode(b"PUBLISH", channel, VALUE) * pipeline)
            messages = b"*3\r\n$7\r\nmessage\r\n%b%b" % (name, REPLY_VALUE) * pipeline
            for _ in range(subscribers):
                connection = stack.enter_context(server.connect())
                request = encode(b"SUBSCRIBE", channel)
                connection.exchange(request, b"*3\r\n$9\r\nsubscribe\r\n%b:1\r\n" % name)
                self._subscribers.append((connection, messages))

    def step(self) -> int:
        for connection, publication in zip(self._publishers, self._publications, strict=True):
            connection.send(publication)
        for connection in self._publishers:
            connection.expect(self._published)
        for connection, messages in self._subscribers:
            connection.expect(messages)
        return self._operations


@dataclass(frozen=True)
class Exchange:
    """One row of the comparison."""

    name: str
    operations: int
    """In a slice, roughly."""
    open: Callable[[ExitStack, Server], Load]


def all_exchanges() -> Sequence[Exchange]:
    """Every exchange."""
    return [*script_exchanges(), *transaction_exchanges(), *client_exchanges()]


def script_exchanges() -> Iterator[Exchange]:
    for text, keys in ((SCRIPT_OF_ONE_KEY, 1), (SCRIPT_OF_THREE_KEYS, 3)):
        for pipeline in PIPELINES:
            yield Exchange(
                f"EVALSHA of {keys} key{'s' if keys > 1 else ''} P{pipeline}",
                5_000 * pipeline // keys,
                script_load(text, keys, pipeline),
            )


def script_load(text: bytes, keys: int, pipeline: int) -> Callable[[ExitStack, Server], Load]:
    def open_load(stack: ExitStack, server: Server) -> Load:
        with server.connect() as connection:
            digest = connection.call(b"SCRIPT", b"LOAD", text)

        def request(chance: random.Random) -> bytes:
            families = (b"read",) if keys == 1 else (b"write", b"count", b"read")
            names = [plain_key(family, chance.randrange(KEY_COUNT)) for family in families]
            arguments = () if keys == 1 else (VALUE,)
            return encode(b"EVALSHA", digest, b"%d" % keys, *names, *arguments)

        return Requests(stack, server, request, REPLY_VALUE, pipeline)

    return open_load


def transaction_exchanges() -> Iterator[Exchange]:
    for where, name in (("one shard", tagged_key), ("several shards", plain_key)):
        for pipeline in PIPELINES:
            yield Exchange(
                f"MULTI of 5 over {where} P{pipeline}",
                3_000 * min(pipeline, 4),
                transaction_load(name, pipeline),
            )


def transaction_load(name: Key, pipeline: int) -> Callable[[ExitStack, Server], Load]:
    def request(chance: random.Random) -> bytes:
        number = chance.randrange(KEY_COUNT)
        commands = (
            (b"MULTI",),
            (b"SET", name(b"write", number), VALUE),
            (b"GET", name(b"read", number)),
            (b"STRLEN", name(b"size", number)),
            (b"EXPIRE", name(b"time", number), b"1000000"),
            (b"EXISTS", name(b"read", number)),
            (b"EXEC",),
        )
        return b"".join(encode(*command) for command in commands)

    queued = b"+OK\r\n" + b"+QUEUED\r\n" * 5
    replies = b"*5\r\n+OK\r\n%b:%d\r\n:1\r\n:1\r\n" % (REPLY_VALUE, len(VALUE))

    def open_load(stack: ExitStack, server: Server) -> Load:
        return Requests(stack, server, request, queued + replies, pipeline)

    return open_load


def client_exchanges() -> Iterator[Exchange]:
    yield Exchange("LPUSH to a blocked BRPOP", 5_000, HandOver)
    for publishers, subscribers in ((CLIENTS, 1), (1, SUBSCRIBERS_MANY)):
        for pipeline in PIPELINES:
            yield Exchange(
                f"PUBLISH to {subscribers} P{pipeline}",
                5_000 * pipeline if subscribers == 1 else 250 * pipeline,
                message_load(publishers, subscribers, pipeline),
            )


def message_load(
    publishers: int, subscribers: int, pipeline: int
) -> Callable[[ExitStack, Server], Load]:
    def open_load(stack: ExitStack, server: Server) -> Load:
        return Messages(stack, server, publishers, subscribers, pipeline)

    return open_load
