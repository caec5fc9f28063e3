"""Traces of requests that others have published, as object numbers and sizes.

| format | a request is | who publishes so |
|---|---|---|
| arc | a line `first count ignored number`: a run of blocks | the ARC paper's traces |
| lirs | a line with a block number; `*` lines are none | the LIRS paper's traces |
| oracle | 24 bytes: time, object, size, next access (u32 u64 u32 i64) | libCacheSim's oracleGeneral |
| twitter | `time,key,key size,value size,client,operation,ttl` | Twitter's cache clusters |
"""

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

DEFAULT_BYTES = 512
"""The size of an object where the trace does not say: a block."""

SIZE_MAX = 64 << 10
"""Larger objects are cut: loopback is not what is measured."""

ORACLE = struct.Struct("<IQIq")
Request = tuple[int, int]


def read_trace(path: Path, form: str, requests: int) -> Iterator[Request]:
    """The first `requests` pairs of object number and size."""
    return islice(READERS[form](path), requests)


def read_arc(path: Path) -> Iterator[Request]:
    for fields in words_of(path):
        first, count = int(fields[0]), int(fields[1])
        for block in range(first, first + count):
            yield block, DEFAULT_BYTES


def read_lirs(path: Path) -> Iterator[Request]:
    for fields in words_of(path):
        if fields[0] != "*":
            yield int(fields[0]), DEFAULT_BYTES


def read_oracle(path: Path) -> Iterator[Request]:
    with path.open("rb") as file:
        while record := file.read(ORACLE.size):
            if len(record) < ORACLE.size:
                raise ValueError(f"{path}: the last record is cut off")
            _, number, size, _ = ORACLE.unpack(record)
            yield number, bounded(size)


def read_twitter(path: Path) -> Iterator[Request]:
    """Reads only: what a look-aside cache writes follows from its misses."""
    numbers: dict[str, int] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for at, line in enumerate(file, 1):
            fields = line.rstrip("\n").split(",")
            if len(fields) < 7:
                raise ValueError(f"{path}, line {at}: {len(fields)} fields instead of 7")
            if fields[5] in ("get", "gets"):
                number = numbers.setdefault(fields[1], len(numbers))
                yield number, bounded(int(fields[3]))


def words_of(path: Path) -> Iterator[list[str]]:
    """The words of each line that has some."""
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            if fields := line.split():
                yield fields


def bounded(size: int) -> int:
    return min(max(size, 1), SIZE_MAX)


READERS = {"arc": read_arc, "lirs": read_lirs, "oracle": read_oracle, "twitter": read_twitter}
