"""Whether compiling a model repays itself: what it saves on the images that are left, against what it takes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileTerms:
    """What compiling a model for batches of one shape means, as far as its renderer knows it."""

    key: str
    """Name of all that compiled code depends on: torch, its compiler, the GPU, the model, its levers and the shape."""
    what: str
    """For a person, such as `sdxl at 1024x1024, 4 at once`."""
    must: bool
    """Compile whatever it costs: the user asked for it."""
    seconds: float
    """What it takes from nothing; assumed by the kind of model."""
    cached_seconds: float
    """What it takes with the code that another worker compiled; assumed."""
    gain: float
    """Share of a batch's time that it saves, from 0 to 1; assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """What workers measured of the same; None where none has."""

    seconds: float | None = None
    cached_seconds: float | None = None
    eager_step_seconds: float | None = None
    """One image, one step, not compiled."""
    compiled_step_seconds: float | None = None

    @property
    def gain(self) -> float | None:
        """Share of the time that compiling saves; 0 where it saves none."""
        if self.eager_step_seconds is None or self.compiled_step_seconds is None:
            return None
        return max(0.0, 1 - self.compiled_step_seconds / self.eager_step_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Both sides of the decision."""

    images: int
    """Left for this worker."""
    saves_seconds: float
    """On all of them."""
    takes_seconds: float
    measured: bool
    """Whether both sides were measured, and not assumed."""

    @property
    def pays(self) -> bool:
        """Whether it saves more than it takes."""
        return self.saves_seconds > self.takes_seconds


def balance(terms: CompileTerms, known: Experience, *, images: int, seconds_per_image: float, cached: bool) -> Balance:
    """Weigh it; what was measured goes before what is assumed.

    Args:
        terms: of the renderer.
        known: what was measured.
        images: left for this worker, of this model and shape.
        seconds_per_image: on the device, not compiled.
        cached: whether compiled code is at hand.
    """
    takes = known.cached_seconds if cached else known.seconds
    gain = known.gain
    return Balance(
        images=images,
        saves_seconds=images * seconds_per_image * (terms.gain if gain is None else gain),
        takes_seconds=(terms.cached_seconds if cached else terms.seconds) if takes is None else takes,
        measured=takes is not None and gain is not None,
    )


def refusal(terms: CompileTerms, weighed: Balance) -> str:
    """Why it is left out, for a person, with the arithmetic."""
    how = "measured" if weighed.measured else "assumed"
    return (
        f"{terms.what}: not compiled: on {weighed.images} images left for a worker it would save "
        f"{weighed.saves_seconds:.1f} s and take {weighed.takes_seconds:.1f} s ({how}); compile: on does it"
    )
