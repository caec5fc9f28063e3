"""Requests for a cache: synthetic ones, each with what is hard about real ones.

A workload is a sequence of object numbers. It is made for a cache of about `room` objects, so that the same shapes
come out at any size, and is determined by its seed. Sizes of values follow from the object's number.
"""

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

ONE_TIMERS = 1 << 40
"""Numbers from here on are used by one part of a workload only."""

MIXED = (16, 32, 48, 64, 100, 150, 200, 300, 500, 1000)
LARGE = (2000, 3000, 4000, 6000)


@dataclass(frozen=True)
class Workload:
    """`make(random, room, requests)` returns that many object numbers."""

    name: str
    what: str
    make: Callable[[random.Random, int, int], Sequence[int]]
    value_bytes: tuple[int, ...] = MIXED

    def size_of(self, number: int) -> int:
        """The size of an object's value."""
        return self.value_bytes[number * 2654435761 % (1 << 32) % len(self.value_bytes)]

    def mean_bytes(self) -> int:
        return sum(self.value_bytes) // len(self.value_bytes)


def zipf(rng: random.Random, objects: int, exponent: float, count: int) -> list[int]:
    """Numbers below `objects`, the k-th as likely as 1 / k^exponent."""
    weights = list(accumulate(k**-exponent for k in range(1, objects + 1)))
    return rng.choices(range(objects), cum_weights=weights, k=count)


def plain_zipf(exponent: float) -> Callable[[random.Random, int, int], Sequence[int]]:
    return lambda rng, room, count: zipf(rng, 10 * room, exponent, count)


def one_timers(share: float) -> Callable[[random.Random, int, int], Sequence[int]]:
    """Zipf, and between that objects nobody asks for twice."""

    def make(rng: random.Random, room: int, count: int) -> Sequence[int]:
        popular = zipf(rng, 5 * room, 0.9, count)
        return [
            ONE_TIMERS + at if rng.random() < share else number
            for at, number in enumerate(popular)
        ]

    return make


def scans(repeated: bool) -> Callable[[random.Random, int, int], Sequence[int]]:
    """Zipf, interrupted by walks over half as many objects as there is room for: others each time or the same."""

    def make(rng: random.Random, room: int, count: int) -> Sequence[int]:
        numbers = array("Q")
        cold = ONE_TIMERS
        while len(numbers) < count:
            numbers.extend(zipf(rng, 5 * room, 0.9, 2 * room))
            numbers.extend(range(cold, cold + room // 2))
            cold += 0 if repeated else room // 2
        return numbers[:count]

    return make


def loop(rng: random.Random, room: int, count: int) -> Sequence[int]:
    """Round and round over somewhat more than there is room for, with some popular objects."""
    popular = zipf(rng, room, 1.0, count)
    return [
        number if rng.random() < 0.3 else ONE_TIMERS + at % (room + room // 2)
        for at, number in enumerate(popular)
    ]


def shifting(rng: random.Random, room: int, count: int) -> Sequence[int]:
    """What is popular is something else from one moment to the next."""
    numbers = array("Q")
    phase = 0
    while len(numbers) < count:
        base = phase * 20 * room
        numbers.extend(base + number for number in zipf(rng, 5 * room, 1.0, 5 * room))
        phase += 1
    return numbers[:count]


def drifting(rng: random.Random, room: int, count: int) -> Sequence[int]:
    """Objects become popular and are forgotten, as news are."""
    ranks = zipf(rng, 5 * room, 1.0, count)
    return [rank + at * 2 // 5 for at, rank in enumerate(ranks)]


def locality(again: float) -> Callable[[random.Random, int, int], Sequence[int]]:
    """New objects, or what was asked for lately: the less lately, the less likely."""

    def make(rng: random.Random, room: int, count: int) -> Sequence[int]:
        numbers = array("Q")
        fresh = 0
        while len(numbers) < count:
            if numbers and rng.random() < again:
                back = 1 + int(rng.random() ** 3 * min(len(numbers) - 1, 5 * room))
                numbers.append(numbers[-back])
            else:
                numbers.append(fresh)
                fresh += 1
        return numbers

    return make


def sessions(rng: random.Random, room: int, count: int) -> Sequence[int]:
    """Users who come, ask for their own data some times within a while, and go; and pages all of them want."""
    pages = iter(zipf(rng, room, 1.0, count))
    numbers = array("Q")
    open_sessions: list[int] = []
    born = ONE_TIMERS
    for page in pages:
        if rng.random() < 0.5:
            numbers.append(page)
        elif not open_sessions or rng.random() < 0.2:
            born += 1
            open_sessions.append(born)
            numbers.append(born)
            if len(open_sessions) > room // 4:
                open_sessions.pop(0)
        else:
            numbers.append(rng.choice(open_sessions))
    return numbers


WORKLOADS = [
    *[
        Workload(f"zipf-{exponent}", f"Zipf {exponent}", plain_zipf(exponent))
        for exponent in (0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
    ],
    Workload("one-timers-20", "a fifth is asked for once", one_timers(0.2)),
    Workload("one-timers-50", "half is asked for once", one_timers(0.5)),
    Workload("scans", "scans of other objects each time", scans(repeated=False)),
    Workload("scans-again", "scans of the same objects", scans(repeated=True)),
    Workload("loop", "a loop that is too long", loop),
    Workload("shifting", "what is popular changes at once", shifting),
    Workload("drifting", "what is popular changes slowly", drifting),
    Workload("locality", "what was used lately is used again", locality(0.7)),
    Workload("sessions", "sessions of users", sessions),
    Workload("large", "Zipf 0.9, values of 2 to 6 KB", plain_zipf(0.9), LARGE),
]
