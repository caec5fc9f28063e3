"""What is made of the samples: cost per operation, ratios within a round, medians, spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Sample:
    """One slice of load on one server."""

    round: int
    operations: int
    cpu_seconds: float
    kernel_seconds: float
    operations_per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float

    @property
    def cpu_us(self) -> float:
        """Server CPU time per operation, in microseconds."""
        return self.cpu_seconds * 1e6 / self.operations


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around it: half of the values lie between `low` and `high`."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)


@dataclass(frozen=True)
class Figures:
    """All samples of one server in one scenario, summed up."""

    cpu_us: Spread
    ratio: Spread | None
    kernel_share: float
    operations_per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


def sum_up(samples: Sequence[Sample], reference: Sequence[Sample]) -> Figures:
    """Figures of a server; ratios are taken round by round, then their median.

    A round's slices lie within seconds of each other, so whatever the machine was doing then
    touched both sides of the ratio. `reference` may be empty: then there are no ratios.
    """
    reference_us = {sample.round: sample.cpu_us for sample in reference}
    ratios = [
        sample.cpu_us / reference_us[sample.round]
        for sample in samples
        if sample.round in reference_us
    ]
    cpu_seconds = sum(sample.cpu_seconds for sample in samples)
    return Figures(
        cpu_us=Spread.of([sample.cpu_us for sample in samples]),
        ratio=Spread.of(ratios) if ratios else None,
        kernel_share=sum(sample.kernel_seconds for sample in samples) / cpu_seconds,
        operations_per_second=median(sample.operations_per_second for sample in samples),
        p50_ms=median(sample.p50_ms for sample in samples),
        p99_ms=median(sample.p99_ms for sample in samples),
        p999_ms=median(sample.p999_ms for sample in samples),
    )
