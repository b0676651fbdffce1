"""What a GPU is: memory, bandwidth, and the arithmetic that its maker promises."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One row of `configs/gpus.yaml`; peaks are dense, in teraFLOPS with fp32 accumulation."""

    name: str
    aliases: tuple[str, ...] = ()
    """Other names of the same card."""
    architecture: str
    compute_capability: str
    vram_gb: int
    """As the card is sold."""
    visible_gib: float
    """What torch is given of it."""
    bandwidth_gb_s: int
    fp16_tflops: float
    bf16_tflops: float | None = None
    """None: it has no such arithmetic."""
    fp8_tflops: float | None = None
    tdp_watts: int
    purchase_usd: Decimal | None = None
    """What the card costs to buy, where somebody told; None where nobody did."""
    year: int
    source: str
    as_of: str
    certain: bool = True
    note: str = ""

    @property
    def visible_bytes(self) -> int:
        """Memory that torch can have."""
        return int(self.visible_gib * 2**30)

    @property
    def fp32_tflops(self) -> float:
        """Half of what half precision reaches at best: tensor cores take fp32 as TF32 where they take it at all."""
        return self.fp16_tflops / 2 if self.bf16_tflops is not None else self.fp16_tflops / 8

    def peak_tflops(self, precision: str) -> float | None:
        """Dense peak at `fp32`, `fp16`, `bf16`, `fp8` or `int8`; None where the card cannot compute so."""
        peaks = {
            "fp32": self.fp32_tflops,
            "fp16": self.fp16_tflops,
            "bf16": self.bf16_tflops,
            "fp8": self.fp8_tflops,
            "int8": self.fp8_tflops or 2 * self.fp16_tflops,
        }
        return peaks[precision]
