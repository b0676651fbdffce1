"""What others published: how many images a second a GPU makes of a model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One row of `configs/throughput.yaml`."""

    id: str
    model: str
    """Name in the catalogue."""
    width: int
    height: int
    steps: int
    batch: int
    precision: str
    """`fp16`, `bf16`, `fp8` or `int8`: arithmetic of the denoiser."""
    engine: str
    """`eager`, `compiled` or `tensorrt`."""
    gpu: str
    """Name in the catalogue."""
    images_per_second: float
    source: str
    as_of: str
    used: bool = True
    """Whether estimates may rest on it; where not, `note` says why."""
    contradicts: tuple[str, ...] = ()
    """Ids of claims that cannot be true beside it."""
    note: str = ""
