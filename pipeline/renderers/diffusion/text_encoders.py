"""Text encoders that stand on the device only while they encode, where memory is short.

While they are away the pipeline has none, which is how diffusers wants it when it is given embeddings: nothing asks
then where they are, and the pipeline's device is the denoiser's.
"""

from typing import Any

import torch


class TextEncoders:
    """Those of one loaded pipeline. For the thread that denoises.

    Args:
        pipe: the whole pipeline, its text encoders included.
        device: where they encode.
    """

    def __init__(self, pipe: Any, device: torch.device) -> None:
        self._pipe, self._device = pipe, device
        self._away: dict[str, Any] = {}
        self.moves = 0
        """How often they came."""

    def bring(self) -> None:
        """Put them onto the device and into the pipeline, where they are not."""
        if self._away:
            self.moves += 1
        for name, module in self._away.items():
            module.to(self._device)
            setattr(self._pipe, name, module)
        self._away = {}

    def send_away(self) -> None:
        """Free the device of them."""
        if self._away:
            return
        self._away = text_encoders_of(self._pipe)
        for name, module in self._away.items():
            module.to("cpu")
            setattr(self._pipe, name, None)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def text_encoders_of(pipe: Any) -> dict[str, Any]:
    """The text encoders that a pipeline has now, by the name of the component."""
    return {
        name: part
        for name, part in pipe.components.items()
        if name.startswith("text_encoder") and isinstance(part, torch.nn.Module)
    }
