"""How busy a GPU is and what it draws, as NVIDIA's driver tells by NVML; a worker does without where it does not.

The driver keeps samples of the last seconds with their instants, so nobody has to poll while a batch renders.
"""

import importlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.record import GpuUse

_LOG = logging.getLogger(__name__)
_NS_PER_US: Final = 1_000


class NvmlGauge:
    """One GPU. Implements `pipeline.ports.Gauge`.

    Args:
        nvml: the library's Python binding, initialised.
        device: its handle of the GPU.
    """

    def __init__(self, nvml: Any, device: Any) -> None:
        self._nvml, self._device = nvml, device
        self._silent = False

    def between(self, started_ns: int, ended_ns: int) -> GpuUse | None:
        """See `pipeline.ports.Gauge`; once it has failed, nothing is asked any more."""
        if self._silent:
            return None
        try:
            return self._read(started_ns // _NS_PER_US, -(-ended_ns // _NS_PER_US))
        except Exception as error:  # noqa: BLE001 - a driver's trouble with its counters is no reason to stop rendering
            self._silent = True
            _LOG.info("the GPU's use cannot be read: %s: %s", type(error).__name__, error)
            return None

    def _read(self, started_us: int, ended_us: int) -> GpuUse:
        nvml, device = self._nvml, self._device
        percent = self._mean(nvml.NVML_GPU_UTILIZATION_SAMPLES, started_us, ended_us)
        milliwatts = self._mean(nvml.NVML_TOTAL_POWER_SAMPLES, started_us, ended_us)
        return GpuUse(
            busy=percent / 100 if percent is not None else nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100,
            watts=None if milliwatts is None else milliwatts / 1000,
            memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(device).used),
        )

    def _mean(self, kind: int, started_us: int, ended_us: int) -> float | None:
        """Of the driver's samples of this kind between two instants; None where it has none, or does not know them."""
        try:
            _, samples = self._nvml.nvmlDeviceGetSamples(self._device, kind, started_us)
        except self._nvml.NVMLError:
            return None
        return mean_between([(int(one.timeStamp), int(one.sampleValue.uiVal)) for one in samples], started_us, ended_us)


def mean_between(samples: Sequence[tuple[int, int]], started: int, ended: int) -> float | None:
    """The mean of the values from after the one instant until the other; None where there are none."""
    values = [value for at, value in samples if started < at <= ended]
    return sum(values) / len(values) if values else None


def open_gauge(environ: Mapping[str, str]) -> NvmlGauge | None:
    """The gauge of the first GPU that this process may use; None where there is no NVML, or it does not know that GPU.

    Args:
        environ: `CUDA_VISIBLE_DEVICES` names the GPUs, by number or by UUID.
    """
    nvml = _binding()
    if nvml is None:
        return None
    first = environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or "0"
    try:
        nvml.nvmlInit()
        by_number = first.isdecimal()
        device = nvml.nvmlDeviceGetHandleByIndex(int(first)) if by_number else nvml.nvmlDeviceGetHandleByUUID(first)
    except Exception as error:  # noqa: BLE001 - as above: whatever it is, the worker does without
        _LOG.info("the GPU's use is not known: %s: %s", type(error).__name__, error)
        return None
    return NvmlGauge(nvml, device)


def _binding() -> Any | None:
    """The `nvidia-ml-py` that is installed, or Ray's own copy of it; None without either."""
    for name in ("pynvml", "ray._private.thirdparty.pynvml"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
