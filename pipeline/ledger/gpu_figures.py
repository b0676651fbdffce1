"""How busy GPUs were over many batches, each weighed by its time; only batches of which anybody knows it count."""

from collections.abc import Callable, Iterable

from pipeline.record import GpuUse, Record


def busy_share(records: Iterable[Record]) -> float | None:
    """Share of the batches' time in which the GPU computed anything, from 0 to 1; None when nobody told."""
    return _mean(records, lambda use: use.busy)


def mean_watts(records: Iterable[Record]) -> float | None:
    """Power that the GPU drew on average; None when nobody told."""
    return _mean(records, lambda use: use.watts)


def _mean(records: Iterable[Record], figure: Callable[[GpuUse], float | None]) -> float | None:
    weighed = nanoseconds = 0.0
    for record in records:
        value = None if record.gpu_use is None else figure(record.gpu_use)
        if value is not None:
            weighed += value * record.gpu_nanoseconds
            nanoseconds += record.gpu_nanoseconds
    return weighed / nanoseconds if nanoseconds else None
