"""What a job file, and a model's profile, say of models: values for rows that leave them out, LoRAs, performance."""

from typing import Any

from pydantic import model_validator

from jobs.jobfile.values import (
    Attention,
    Compile,
    FilledText,
    Guidance,
    Memory,
    OnOff,
    Profile,
    Quantization,
    Scale,
    Seed,
    Share,
    Side,
    StepCache,
    Steps,
    Switch,
    Text,
)
from jobs.written import Written


class LoraEntry(Written):
    """One LoRA: a folder, a file or a hub repository, and how strong it is."""

    source: FilledText
    scale: Scale = 1.0


class Defaults(Written):
    """Columns for the manifest rows that leave them out."""

    negative_prompt: Text | None = None
    seed: Seed | None = None
    width: Side | None = None
    height: Side | None = None
    steps: Steps | None = None
    guidance_scale: Guidance | None = None
    scheduler: Text | None = None
    loras: tuple[LoraEntry, ...] | None = None
    tags: dict[str, Text] | None = None

    def given(self) -> dict[str, Any]:
        """Only what the user wrote, as plain values."""
        return self.model_dump(exclude_none=True)


class DistilledEntry(Written):
    """A LoRA that was distilled from a model, and how many steps and what guidance it was made for."""

    lora: FilledText
    """A folder, a file or a hub repository."""
    scale: Scale = 1.0
    steps: Steps
    guidance_scale: Guidance
    scheduler: Text = ""


class PerformanceEntry(Written):
    """How the model is made to render: a profile, and levers that differ from it."""

    profile: Profile = "safe"
    quantization: Quantization | None = None
    step_cache: StepCache | None = None
    guidance_until: Share | None = None
    distilled: OnOff | None = None
    """Whether to use a LoRA that needs fewer steps, where the model's profile or `distilled_lora` names one."""
    distilled_lora: DistilledEntry | None = None
    """That LoRA; to name it is to ask for it."""
    compile: Compile | None = None
    attention: Attention | None = None
    channels_last: Switch | None = None
    memory: Memory | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_word_is_a_profile(cls, value: Any) -> Any:
        """`performance: fast` is short for a mapping with nothing but the profile."""
        return {"profile": value} if isinstance(value, str) else value
