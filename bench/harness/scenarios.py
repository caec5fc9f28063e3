"""What `compare` asks of every server: the data it holds, and the load on top of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from .clients import Load, Memtier, RedisBenchmark
from .data_types import MEMBER_COUNT, POINT_COMMANDS, WHOLE_COMMANDS, Collections

KEY_COUNT = 1_000_000
COMMANDS_PER_BATCH = 1000
"""About 300 KB at most: small enough to be sent without reading (`Connection.send_batch`)."""

MEMTIER_PIPELINES = (1, 10, 30)
MEMTIER_RATIOS = ("1:10", "1:0")
MEMTIER_VALUE_BYTES = (32, 256)
REDIS_BENCHMARK_TESTS = ("ping_inline", "ping_mbulk", "set", "get", "mset", "incr")
REDIS_BENCHMARK_PIPELINES = (1, 16, 50)
STRING_KEY = "key:__rand_int__"
OTHER_COMMANDS = {
    "mget10": ("mget", *[STRING_KEY] * 10),
    "eval1": ("eval", "return redis.call('get', KEYS[1])", "1", STRING_KEY),
    "lpush": ("-t", "lpush"),
    "rpop": ("-t", "rpop"),
    "sadd": ("-t", "sadd"),
    "hset": ("-t", "hset"),
    "zadd": ("-t", "zadd"),
    "xadd": ("xadd", "stream", "MAXLEN", "~", "100000", "*", "field", "value"),
}
"""Run when asked for by name. lpush comes before rpop, which pops what it pushed."""
MULTI_KEY = ("mset", "mget10")
MULTI_KEY_OPERATIONS = 50_000
NEW_KEY_COUNT = 1_000_000_000
"""So many that nearly every SET makes a key: at a memory limit, nearly every one evicts."""
DATA_TYPE_PIPELINES = (1, 16)
WHOLE_OPERATIONS = 50
SLICE_OPERATIONS = {1: 60_000, 10: 200_000, 16: 250_000, 30: 400_000, 50: 500_000}
"""Operations per slice at scale 1, by pipeline: roughly half a second of redis-server's CPU."""


@dataclass(frozen=True)
class Dataset:
    """Keys that are there before the load starts, so that every GET hits and no table grows."""

    prefixes: tuple[bytes, ...]
    value: bytes
    digits: int

    def describe(self) -> str:
        prefixes = ", ".join(prefix.decode() for prefix in self.prefixes)
        return f"{KEY_COUNT:,} keys {prefixes}* of {len(self.value)} bytes"

    def batches(self) -> Iterator[tuple[bytes, int]]:
        """SET commands for `KEY_COUNT` keys of each prefix, with their count of reply lines."""
        value = b"$%d\r\n%b\r\n" % (len(self.value), self.value)
        template = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n"
        for prefix in self.prefixes:
            for first in range(0, KEY_COUNT, COMMANDS_PER_BATCH):
                numbers = range(first, first + COMMANDS_PER_BATCH)
                keys = [b"%b%0*d" % (prefix, self.digits, number) for number in numbers]
                yield b"".join([template % (len(key), key) + value for key in keys]), len(keys)


@dataclass(frozen=True)
class Scenario:
    """One row of the comparison."""

    group: str
    name: str
    dataset: Dataset | Collections
    load: Load
    operations: int
    on_request: bool = False


def all_scenarios() -> list[Scenario]:
    """Every scenario, in an order that changes the dataset as seldom as possible."""
    return [
        *memtier_scenarios(),
        *new_key_scenarios(),
        *redis_benchmark_scenarios(),
        *data_type_scenarios(),
    ]


def memtier_scenarios() -> Iterator[Scenario]:
    for value_bytes in MEMTIER_VALUE_BYTES:
        # Keys are loaded from 0 on; memtier counts from 1, so it asks for one key fewer.
        dataset = Dataset((b"memtier-",), b"x" * value_bytes, digits=1)
        for ratio in MEMTIER_RATIOS:
            for pipeline in MEMTIER_PIPELINES:
                yield Scenario(
                    group=f"memtier {value_bytes} B",
                    name=f"memtier d{value_bytes} {ratio} P{pipeline}",
                    dataset=dataset,
                    load=Memtier(ratio, pipeline, value_bytes, KEY_COUNT - 1),
                    operations=SLICE_OPERATIONS[pipeline],
                )


def new_key_scenarios() -> Iterator[Scenario]:
    dataset = Dataset((b"memtier-",), b"x" * 32, digits=1)
    for pipeline in MEMTIER_PIPELINES:
        yield Scenario(
            group="new keys",
            name=f"new keys d32 P{pipeline}",
            dataset=dataset,
            load=Memtier("1:0", pipeline, 32, NEW_KEY_COUNT),
            operations=SLICE_OPERATIONS[pipeline],
            on_request=True,
        )


def redis_benchmark_scenarios() -> Iterator[Scenario]:
    strings = Dataset((b"key:",), b"VXK", digits=12)
    counters = Dataset((b"counter:",), b"10000000", digits=12)
    commands = {test: ("-t", test) for test in REDIS_BENCHMARK_TESTS}
    for name, what in {**OTHER_COMMANDS, **commands}.items():
        for pipeline in REDIS_BENCHMARK_PIPELINES:
            operations = SLICE_OPERATIONS[pipeline]
            yield Scenario(
                group="redis-benchmark",
                name=f"redis-benchmark {name} P{pipeline}",
                dataset=counters if name == "incr" else strings,
                load=RedisBenchmark(what, pipeline, KEY_COUNT),
                operations=MULTI_KEY_OPERATIONS if name in MULTI_KEY else operations,
                on_request=name in OTHER_COMMANDS,
            )


def data_type_scenarios() -> Iterator[Scenario]:
    """One command each, over collections that are there."""
    collections = Collections()
    for name, words in {**POINT_COMMANDS, **WHOLE_COMMANDS}.items():
        for pipeline in DATA_TYPE_PIPELINES:
            is_whole = name in WHOLE_COMMANDS
            yield Scenario(
                group="data types",
                name=f"data {name} P{pipeline}",
                dataset=collections,
                load=RedisBenchmark(words, pipeline, MEMBER_COUNT),
                operations=WHOLE_OPERATIONS if is_whole else SLICE_OPERATIONS[pipeline],
                on_request=True,
            )
