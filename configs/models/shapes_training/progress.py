"""Keeps a training run's state on disk, so that it may be stopped and resumed at any step."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(slots=True, kw_only=True)
class Average:
    """A running average (EMA) of a network's weights; the average is what is kept."""

    decay: float
    """Share of the old average that each step keeps, once warmed up."""
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    """The averaged weights by name; empty until the first update."""

    def update(self, module: nn.Module, *, step: int) -> None:
        """Take in the weights as they are after ``step``; early steps count for more."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in module.state_dict().items():
                if name not in self.weights:
                    self.weights[name] = value.detach().clone()
                elif value.is_floating_point():
                    self.weights[name].lerp_(value, 1 - decay)


def learning_rate(step: int, *, steps: int, peak: float) -> float:
    """Return the rate for ``step``: a 100-step rise, then half a cosine to a 50th of the peak."""
    if step < 100:
        return peak * (step + 1) / 100
    share = (step - 100) / max(1, steps - 100)
    floor = peak / 50
    cosine = torch.cos(torch.tensor(share * torch.pi)).item()
    return floor + (peak - floor) * 0.5 * (1 + cosine)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group of ``optimizer`` the learning rate ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write ``state`` so that ``path`` is at all times absent or whole."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_if_present(path: Path) -> dict[str, Any] | None:
    """Return the state saved at ``path``, or None where there is none yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def timestamped(write: Callable[[str], object] = sys.stdout.write) -> Callable[[str], None]:
    """Return a logger that puts the UTC time before each line."""

    def log(message: str) -> None:
        write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {message}\n")
        sys.stdout.flush()

    return log


def every_parameter(*modules: nn.Module) -> Iterable[nn.Parameter]:
    """Yield the parameters of all ``modules``."""
    for module in modules:
        yield from module.parameters()
