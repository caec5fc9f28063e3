"""What `memory` fills a server with: one case per kind of data, 16-byte keys and members."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .resp import encode

COMMANDS_PER_BATCH = 500
TTL_SECONDS = 1_000_000


@dataclass(frozen=True)
class Case:
    """A way to add items: `command` makes the one that adds item `number`."""

    name: str
    what: str
    command: Callable[[int], bytes]
    reply_lines: int = 1

    def batches(self, first: int, last: int) -> Iterator[tuple[bytes, int]]:
        """Commands for items `first` up to, not including, `last`, with their reply lines."""
        for start in range(first, last, COMMANDS_PER_BATCH):
            numbers = range(start, min(start + COMMANDS_PER_BATCH, last))
            yield b"".join(map(self.command, numbers)), len(numbers) * self.reply_lines


def key(number: int) -> bytes:
    """16 bytes."""
    return b"key:%012d" % number


def member(number: int) -> bytes:
    """16 bytes, and no integer."""
    return b"member:%09d" % number


def string_32(number: int) -> bytes:
    return encode(b"SET", key(number), b"v%031d" % number)


def string_32_ttl(number: int) -> bytes:
    seconds = b"%d" % (TTL_SECONDS + number % 1000)
    return encode(b"SET", key(number), b"v%031d" % number, b"EX", seconds)


def string_integer(number: int) -> bytes:
    # Beyond the small numbers that Redis keeps ready-made.
    return encode(b"SET", key(number), b"%d" % (1_000_000_000 + number))


def string_100(number: int) -> bytes:
    return encode(b"SET", key(number), b"v%099d" % number)


def hash_5(number: int) -> bytes:
    fields = [(b"field%d" % index, b"value:%010d" % (number + index)) for index in range(5)]
    return encode(b"HSET", key(number), *[word for field in fields for word in field])


def set_member(number: int) -> bytes:
    return encode(b"SADD", b"set", member(number))


def sorted_set_member(number: int) -> bytes:
    return encode(b"ZADD", b"sorted-set", b"%d.5" % (number * 7919 % 1_000_003), member(number))


def list_item(number: int) -> bytes:
    return encode(b"RPUSH", b"list", b"v%031d" % number)


def stream_entry(number: int) -> bytes:
    entry_id = b"%d-0" % (1_700_000_000_000 + number)
    return encode(b"XADD", b"stream", entry_id, b"a", b"a%07d" % number, b"b", b"b%07d" % number)


CASES = (
    Case("string", "32 B value", string_32),
    Case("string-ttl", "32 B value with TTL", string_32_ttl),
    Case("integer", "integer value", string_integer),
    Case("string-100", "100 B value", string_100),
    Case("hash", "hash of 5 small fields", hash_5),
    Case("set", "member of one set, 16 B", set_member),
    Case("sorted-set", "member of one sorted set, 16 B", sorted_set_member),
    Case("list", "item of one list, 32 B", list_item),
    Case("stream", "entry of one stream, 2 small fields", stream_entry, reply_lines=2),
)
