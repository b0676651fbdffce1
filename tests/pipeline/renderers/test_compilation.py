"""Compiled for real, on this CPU, with as little of a model as will do: the next worker takes the code of the first."""

import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor.utils import fresh_cache

from pipeline.renderers.diffusion.compilation import Compilation, GraphShape, load_code, saved_code
from pipeline.request import Lora


class Denoiser(torch.nn.Module):
    """A layer and something to fuse with it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """A pass."""
        return torch.relu(self.layer(latents)) * 2


def shape(batch_size: int, *loras: Lora) -> GraphShape:
    """Of a small batch."""
    return GraphShape(width=8, height=8, batch_size=batch_size, guided=False, guidance_ends=False, loras=loras)


def compilation(denoiser: torch.nn.Module, *, must: bool = False, identity: str = "m") -> Compilation:
    """As if in a new process."""
    torch.compiler.reset()
    counters.clear()
    return Compilation(denoiser, whole=True, must=must, name="tiny", identity={"model": identity})


@pytest.mark.filterwarnings("default::DeprecationWarning")  # inductor's own imports
def test_next_worker_takes_the_code_of_the_first() -> None:
    """On a machine that never compiled it nothing is compiled anew, and the result has the same bits."""
    denoiser, latents = Denoiser(), torch.ones(4, 8)
    with torch.no_grad():
        with compilation(denoiser).compiling(shape(4)):
            first = denoiser(latents)
        code = saved_code()
        with fresh_cache():
            assert load_code(code)
            second = compilation(denoiser)
            with second.compiling(shape(4)):
                again = denoiser(latents)
            assert counters["inductor"]["fxgraph_cache_hit"] == 1
            assert counters["inductor"]["fxgraph_cache_miss"] == 0
            assert torch.equal(first, again)
            second.choose(shape(2))
            denoiser(latents[:2])
            assert counters["stats"]["unique_graphs"] == 1, "a shape that was not to be compiled was"
    assert (second.has(shape(4)), second.has(shape(2))) == (True, False)
    assert second.terms(shape(4)) is None


def test_code_that_torch_cannot_read_is_told_apart() -> None:
    """Nothing is raised: it is compiled anew."""
    assert not load_code(b"")
    assert not load_code(b"nothing that torch wrote")


def test_code_is_named_by_all_that_it_depends_on() -> None:
    """Another model, shape or way to compile is another name; the same is the same."""
    lora = Lora(source="l", revision="r", scale=0.5)
    one = compilation(Denoiser(), must=True)
    names = [one.terms(shape(4)), one.terms(shape(2)), one.terms(shape(4, lora))]
    names.append(compilation(Denoiser(), must=True, identity="other").terms(shape(4)))
    keys = [terms.key for terms in names if terms is not None]
    assert len(set(keys)) == len(names)
    same = compilation(Denoiser(), must=True).terms(shape(4))
    assert same is not None
    assert same.key == keys[0]
    assert compilation(Denoiser()).terms(shape(4, lora)) is None


def test_model_that_gave_up_stays_as_it_is() -> None:
    """After a failure nothing is tried again."""
    one = compilation(Denoiser(), must=True)
    one.give_up("no compiler")
    assert one.terms(shape(4)) is None
    assert not one.has(shape(4))
