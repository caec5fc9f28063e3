"""The data types: which collections are there before the load, and the commands that meet them.

There is one big collection of each type, and for all but streams as many small ones, which are in
the packed form that servers give to few elements. Nothing grows but where a command must push: each
load changes or reads elements that are there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .resp import encode

MEMBER_COUNT = 100_000
"""Of a big collection; also how many small collections of a type there are."""
SMALL_MEMBER_COUNT = 10
SHARED_MEMBER_COUNT = MEMBER_COUNT // 10
"""Members that the two big sets have in common."""
MEMBERS_PER_COMMAND = 100
COMMANDS_PER_BATCH = 100
"""Batches stay small enough to be sent without reading (`Connection.send_batch`)."""

RANDOM = "__rand_int__"
"""What redis-benchmark replaces by twelve digits below `MEMBER_COUNT`."""
SMALL_MEMBER = "member:000000000005"

POINT_COMMANDS = {
    "zadd": ("ZADD", "big:zset", RANDOM, f"member:{RANDOM}"),
    "zincrby": ("ZINCRBY", "big:zset", "1", f"member:{RANDOM}"),
    "zscore": ("ZSCORE", "big:zset", f"member:{RANDOM}"),
    "zrank": ("ZRANK", "big:zset", f"member:{RANDOM}"),
    "zrange by rank": ("ZRANGE", "big:zset", "50000", "50009"),
    "zrange by score": ("ZRANGE", "big:zset", RANDOM, "+inf", "BYSCORE", "LIMIT", "0", "10"),
    "zadd small": ("ZADD", f"small:zset:{RANDOM}", RANDOM, SMALL_MEMBER),
    "zrank small": ("ZRANK", f"small:zset:{RANDOM}", SMALL_MEMBER),
    "zrange small by rank": ("ZRANGE", f"small:zset:{RANDOM}", "0", "-1"),
    "zrange small by score": ("ZRANGE", f"small:zset:{RANDOM}", "2", "7", "BYSCORE"),
    "lpush": ("LPUSH", "big:list", "element:000000000005"),
    "lpop": ("LPOP", "big:list"),
    "lindex": ("LINDEX", "big:list", "50000"),
    "lrange": ("LRANGE", "big:list", "50000", "50009"),
    "lpush small": ("LPUSH", f"small:list:{RANDOM}", "element:000000000005"),
    "lpop small": ("LPOP", f"small:list:{RANDOM}"),
    "lrange small": ("LRANGE", f"small:list:{RANDOM}", "0", "9"),
    "sadd": ("SADD", "big:set:1", f"member:{RANDOM}"),
    "sismember": ("SISMEMBER", "big:set:1", f"member:{RANDOM}"),
    "sadd small": ("SADD", f"small:set:{RANDOM}", SMALL_MEMBER),
    "sismember small": ("SISMEMBER", f"small:set:{RANDOM}", SMALL_MEMBER),
    "smembers small": ("SMEMBERS", f"small:set:{RANDOM}"),
    "hset": ("HSET", "big:hash", f"member:{RANDOM}", f"value:{RANDOM}"),
    "hget": ("HGET", "big:hash", f"member:{RANDOM}"),
    "hset small": ("HSET", f"small:hash:{RANDOM}", SMALL_MEMBER, f"value:{RANDOM}"),
    "hget small": ("HGET", f"small:hash:{RANDOM}", SMALL_MEMBER),
    "hgetall small": ("HGETALL", f"small:hash:{RANDOM}"),
    "xadd": ("XADD", "new:stream", "MAXLEN", "~", "100000", "*", "field", f"value:{RANDOM}"),
    "xrange": ("XRANGE", "big:stream", RANDOM, "+", "COUNT", "10"),
    "xreadgroup": (
        *("XREADGROUP", "GROUP", "readers", "one", "COUNT", "10"),
        *("STREAMS", "big:stream", RANDOM),
    ),
}
"""Each about some elements. What pushes comes before what pops."""

WHOLE_COMMANDS = {
    "sinter": ("SINTER", "big:set:1", "big:set:2"),
    "sintercard": ("SINTERCARD", "2", "big:set:1", "big:set:2"),
    "sinterstore": ("SINTERSTORE", "new:set", "big:set:1", "big:set:2"),
}
"""Each about two sets as a whole, so that a slice is few of them."""


@dataclass(frozen=True)
class Collections:
    """Collections of every type; the same on every server."""

    def describe(self) -> str:
        return f"collections of {MEMBER_COUNT:,} members, and {MEMBER_COUNT:,} of each type of 10"

    def batches(self) -> Iterator[tuple[bytes, int]]:
        """Commands with their count of reply lines."""
        yield from gather(big_collections())
        yield from gather(small_collections())


def gather(commands: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    """Puts commands that go out together into one batch."""
    batch: list[bytes] = []
    reply_lines = 0
    for command, lines in commands:
        batch.append(command)
        reply_lines += lines
        if len(batch) == COMMANDS_PER_BATCH:
            yield b"".join(batch), reply_lines
            batch, reply_lines = [], 0
    if batch:
        yield b"".join(batch), reply_lines


def big_collections() -> Iterator[tuple[bytes, int]]:
    yield encode(b"XGROUP", b"CREATE", b"big:stream", b"readers", b"0", b"MKSTREAM"), 1
    for first in range(0, MEMBER_COUNT, MEMBERS_PER_COMMAND):
        numbers = range(first, first + MEMBERS_PER_COMMAND)
        second_set_from = MEMBER_COUNT - SHARED_MEMBER_COUNT
        yield fill(b"ZADD", b"big:zset", [(b"%d" % n, member(n)) for n in numbers])
        yield fill(b"HSET", b"big:hash", [(member(n), b"value:%012d" % n) for n in numbers])
        yield fill(b"SADD", b"big:set:1", [(member(n),) for n in numbers])
        yield fill(b"SADD", b"big:set:2", [(member(second_set_from + n),) for n in numbers])
        yield fill(b"RPUSH", b"big:list", [(b"element:%012d" % n,) for n in numbers])
        ids = [b"%d-0" % (n + 1) for n in numbers]
        for entry_id in ids:
            yield encode(b"XADD", b"big:stream", entry_id, b"field", b"value:" + entry_id), 2
        claim = (b"XCLAIM", b"big:stream", b"readers", b"one", b"0", *ids, b"FORCE", b"JUSTID")
        yield encode(*claim), 1 + 2 * len(ids)


def small_collections() -> Iterator[tuple[bytes, int]]:
    members = [member(n) for n in range(SMALL_MEMBER_COUNT)]
    scored = [(b"%d" % n, name) for n, name in enumerate(members)]
    for number in range(MEMBER_COUNT):
        yield fill(b"ZADD", b"small:zset:%012d" % number, scored)
        yield fill(b"HSET", b"small:hash:%012d" % number, [(name, b"v" * 18) for name in members])
        yield fill(b"SADD", b"small:set:%012d" % number, [(name,) for name in members])
        yield fill(b"RPUSH", b"small:list:%012d" % number, [(name,) for name in members])


def member(number: int) -> bytes:
    return b"member:%012d" % number


def fill(name: bytes, key: bytes, elements: list[tuple[bytes, ...]]) -> tuple[bytes, int]:
    """One command that adds elements, and its one line of reply."""
    return encode(name, key, *(word for element in elements for word in element)), 1
