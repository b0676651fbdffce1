"""Schedulers by short name, and which of them a model can be paired with so that its images are determined.

Source of the table: the documentation of diffusers, `api/schedulers/overview`, "A1111/k-diffusion -> diffusers".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from pipeline.renderers.diffusion.families import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """One scheduler: a class of diffusers, and what is changed in the model's own configuration."""

    class_name: str
    """Class in diffusers."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of the configuration."""
    flow: bool = False
    """For models trained by flow matching; the others are for models that predict noise, image or velocity."""
    stochastic: bool = False
    """Draws noise in its steps."""
    zero_snr: bool = False
    """Can do schedules rescaled to a zero signal-to-noise ratio at the end."""


_KARRAS = MappingProxyType({"use_karras_sigmas": True})
_PLAIN = MappingProxyType({"use_karras_sigmas": False})
_MULTISTEP = "DPMSolverMultistepScheduler"
_DPMPP = {"algorithm_type": "dpmsolver++", "solver_order": 2}
_DPMPP_SDE = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}

SCHEDULERS: Mapping[str, Scheduler] = MappingProxyType(
    {
        "ddim": Scheduler(class_name="DDIMScheduler", zero_snr=True),
        "ddpm": Scheduler(class_name="DDPMScheduler", stochastic=True, zero_snr=True),
        "deis": Scheduler(class_name="DEISMultistepScheduler"),
        "dpm2": Scheduler(class_name="KDPM2DiscreteScheduler", changes=_PLAIN),
        "dpm2_a": Scheduler(class_name="KDPM2AncestralDiscreteScheduler", changes=_PLAIN, stochastic=True),
        "dpm2_karras": Scheduler(class_name="KDPM2DiscreteScheduler", changes=_KARRAS),
        "dpmpp_2m": Scheduler(class_name=_MULTISTEP, changes=MappingProxyType(_DPMPP | _PLAIN), zero_snr=True),
        "dpmpp_2m_karras": Scheduler(class_name=_MULTISTEP, changes=MappingProxyType(_DPMPP | _KARRAS), zero_snr=True),
        "dpmpp_2m_sde": Scheduler(
            class_name=_MULTISTEP, changes=MappingProxyType(_DPMPP_SDE | _PLAIN), stochastic=True, zero_snr=True
        ),
        "dpmpp_2m_sde_karras": Scheduler(
            class_name=_MULTISTEP, changes=MappingProxyType(_DPMPP_SDE | _KARRAS), stochastic=True, zero_snr=True
        ),
        "dpmpp_2s": Scheduler(class_name="DPMSolverSinglestepScheduler", changes=_PLAIN),
        "dpmpp_2s_karras": Scheduler(class_name="DPMSolverSinglestepScheduler", changes=_KARRAS),
        "euler": Scheduler(class_name="EulerDiscreteScheduler", changes=_PLAIN, zero_snr=True),
        "euler_a": Scheduler(class_name="EulerAncestralDiscreteScheduler", stochastic=True, zero_snr=True),
        "euler_karras": Scheduler(class_name="EulerDiscreteScheduler", changes=_KARRAS, zero_snr=True),
        "euler_trailing": Scheduler(
            class_name="EulerDiscreteScheduler",
            changes=MappingProxyType({"use_karras_sigmas": False, "timestep_spacing": "trailing"}),
            zero_snr=True,
        ),
        "heun": Scheduler(class_name="HeunDiscreteScheduler", changes=_PLAIN),
        "heun_karras": Scheduler(class_name="HeunDiscreteScheduler", changes=_KARRAS),
        "lcm": Scheduler(class_name="LCMScheduler", stochastic=True, zero_snr=True),
        "pndm": Scheduler(class_name="PNDMScheduler", changes=MappingProxyType({"skip_prk_steps": True})),
        "tcd": Scheduler(class_name="TCDScheduler", stochastic=True, zero_snr=True),
        "unipc": Scheduler(class_name="UniPCMultistepScheduler", changes=_PLAIN, zero_snr=True),
        "unipc_karras": Scheduler(class_name="UniPCMultistepScheduler", changes=_KARRAS, zero_snr=True),
        "flow_euler": Scheduler(
            class_name="FlowMatchEulerDiscreteScheduler",
            changes=MappingProxyType({"stochastic_sampling": False}),
            flow=True,
        ),
        "flow_euler_sde": Scheduler(
            class_name="FlowMatchEulerDiscreteScheduler",
            changes=MappingProxyType({"stochastic_sampling": True}),
            flow=True,
            stochastic=True,
        ),
        "flow_lcm": Scheduler(class_name="FlowMatchLCMScheduler", flow=True, stochastic=True),
    }
)
"""Every scheduler that a request may name."""

OWN_RANDOMNESS = frozenset({"DPMSolverSDEScheduler", "CosineDPMSolverMultistepScheduler"})
"""Scheduler classes that draw from a source of their own, not from the images' generators."""


def is_flow(class_name: str, config: Mapping[str, Any]) -> bool:
    """Whether a scheduler of this class and configuration does flow matching."""
    flags = config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
    return class_name.startswith("FlowM") or bool(flags)


def own_scheduler_problem(family: Family, class_name: str, config: Mapping[str, Any]) -> str | None:
    """Why the scheduler in the model's own folder cannot be used, or None."""
    if class_name in OWN_RANDOMNESS:
        return f"its scheduler {class_name} draws from its own source of randomness; name another scheduler"
    draws = config.get("stochastic_sampling") or class_name == "FlowMatchLCMScheduler"
    if draws and not family.passes_generator:
        return (
            f"its scheduler {class_name} draws noise in its steps, and this pipeline hands it no generator, so that no "
            "image would be determined by its seed; name another scheduler, such as flow_euler"
        )
    return None


def scheduler_problem(family: Family, facts: Mapping[str, str], name: str) -> str | None:
    """Why this family cannot be paired with the scheduler of this name, or None.

    Args:
        family: of the model.
        facts: `flow` and `zero_snr` of the model's own scheduler, each `true` or `false`.
        name: short name; not empty.
    """
    scheduler = SCHEDULERS.get(name)
    if scheduler is None:
        near = get_close_matches(name.lower().replace("-", "_").replace("+", "p"), SCHEDULERS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"unknown scheduler {name!r}{hint} (there are {', '.join(sorted(SCHEDULERS))})"
    flow = facts.get("flow") == "true" if family.flow is None else family.flow
    if scheduler.flow != flow:
        fitting = sorted(key for key, row in SCHEDULERS.items() if row.flow == flow and not (flow and row.stochastic))
        kind = "trained by flow matching" if flow else "not trained by flow matching"
        return f"scheduler {name} does not fit a model {kind}; use one of {', '.join(fitting)}, or the model's own"
    if scheduler.stochastic and not family.passes_generator:
        return (
            f"scheduler {name} draws noise in its steps, and this pipeline hands it no generator, so that no image "
            "would be determined by its seed; use flow_euler or the model's own"
        )
    if facts.get("zero_snr") == "true" and not scheduler.zero_snr:
        fitting = sorted(key for key, row in SCHEDULERS.items() if row.zero_snr)
        return f"scheduler {name} cannot do this model's zero-SNR schedule; use one of {', '.join(fitting)}"
    return None
