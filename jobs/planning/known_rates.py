"""What is known of how fast a job's images are rendered: its shapes, and what the ledger saw of such images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.freezing import Frozen
from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.models import CatalogueModel
from pipeline.estimates.throughput import Measurement
from pipeline.estimates.work import Work, work_of
from pipeline.model import Model
from pipeline.reports.measured import SessionRate, Shape, TypeHistory
from pipeline.request import Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How fast jobs rendered one shape."""

    rates: tuple[float, ...]
    """Images per second of one GPU, one for each job."""
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What estimates rest on."""

    catalogue: Catalogue
    on_types: Mapping[tuple[str, Shape], Seen]
    """By node type."""
    on_cards: Mapping[tuple[str, Shape], Seen]
    """By card of the catalogue."""
    histories: Mapping[tuple[str, str], TypeHistory]
    """By type and market."""


def known_from(
    catalogue: Catalogue, rates: Sequence[SessionRate], histories: Mapping[tuple[str, str], TypeHistory]
) -> Known:
    """What the catalogue and a ledger tell; thousands of sessions become a row for each type, card and shape."""
    types, cards = dict[tuple[str, Shape], list[SessionRate]](), dict[tuple[str, Shape], list[SessionRate]]()
    names = {gpu: card.name for gpu in {one.gpu for one in rates} if (card := catalogue.gpu(gpu)) is not None}
    for one in rates:
        types.setdefault((one.node_type, one.shape), []).append(one)
        if one.gpu in names:
            cards.setdefault((names[one.gpu], one.shape), []).append(one)
    return Known(catalogue=catalogue, on_types=_seen(types), on_cards=_seen(cards), histories=histories)


ENOUGH_IMAGES = 20
"""Of a job, for its speed to count beside that of others; fewer are mostly first batches."""


def _seen(sessions: Mapping[tuple[str, Shape], Sequence[SessionRate]]) -> dict[tuple[str, Shape], Seen]:
    return {key: _of_jobs(some) for key, some in sessions.items()}


def _of_jobs(sessions: Sequence[SessionRate]) -> Seen:
    """Sessions of one job count by the images that each made: they are one measurement, however many nodes it had."""
    jobs: dict[str, tuple[int, float]] = {}
    for one in sessions:
        images, seconds = jobs.get(one.job, (0, 0.0))
        jobs[one.job] = (images + one.images, seconds + one.gpu_seconds)
    least = min(ENOUGH_IMAGES, max(images for images, _ in jobs.values()))
    return Seen(
        rates=tuple(images / seconds for images, seconds in jobs.values() if images >= least),
        images=sum(images for images, _ in jobs.values()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Images of a job that are alike in all that decides their cost."""

    model: Model
    variant: Variant
    """Of one of them."""
    work: Work
    images: int


def shares_of(frozen: Frozen, images: Mapping[int, int], catalogue: Catalogue) -> list[Share]:
    """The images to render, put together where only seeds, words or schedulers differ.

    Args:
        frozen: the job.
        images: to render, by the number of their variant.
        catalogue: for their arithmetic.
    """
    models = {model.name: model for model in frozen.job.models}
    found: dict[tuple[str, Work], Share] = {}
    for number, count in images.items():
        variant, model = frozen.job.variants[number], models[frozen.job.variant_models[number]]
        work = _work(catalogue, model, variant)
        before = found.get((model.name, work))
        found[model.name, work] = Share(
            model=model, variant=variant, work=work, images=count + (before.images if before else 0)
        )
    return list(found.values())


def measurements(
    share: Share, known: Known, seen: Mapping[tuple[str, Shape], Seen], *, only: str | None = None
) -> list[Measurement]:
    """What was seen of the share's model, in any shape.

    Args:
        share: images to render.
        known: with the catalogue.
        seen: by type or card, and shape.
        only: of this type or card; None: of all.
    """
    return [
        Measurement(
            origin="measured",
            work=_work_in_shape(share, known.catalogue, shape),
            card=name,
            rates=one.rates,
            images=one.images,
        )
        for (name, shape), one in seen.items()
        if shape.model == share.model.name and only in {None, name}
    ]


def _work_in_shape(share: Share, catalogue: Catalogue, shape: Shape) -> Work:
    """An image of the share's model in another shape, or in its own."""
    work, here = share.work, catalogued(catalogue, share.model)
    if (work.width, work.height, work.steps) == shape[1:]:
        return work
    width, height, steps = shape[1:]
    if here is None:
        units = _units(width, height, steps)
        return replace(work, width=width, height=height, steps=steps, teraflops=units)
    return work_of(
        catalogue,
        here,
        width=width,
        height=height,
        steps=steps,
        precision=work.precision,
        quantization=work.quantization,
    )


def _units(width: int, height: int, steps: int) -> float:
    """Stands for the arithmetic of an image whose model is not in the catalogue: pixels by steps."""
    return width * height * steps / 1e6


def _work(catalogue: Catalogue, model: Model, variant: Variant) -> Work:
    """One image of the variant; of a model that the catalogue does not know, in units that compare shapes alone."""
    here = catalogued(catalogue, model)
    quantization = str(model.levers.get("quantization", "none"))
    if here is None:
        return Work(
            model=model.name,
            width=variant.width,
            height=variant.height,
            steps=variant.steps,
            precision=variant.precision,
            quantization=quantization,
            teraflops=_units(variant.width, variant.height, variant.steps),
        )
    return work_of(
        catalogue,
        here,
        width=variant.width,
        height=variant.height,
        steps=variant.steps,
        guidance_scale=variant.guidance_scale,
        precision=variant.precision,
        quantization=quantization,
    )


def catalogued(catalogue: Catalogue, model: Model) -> CatalogueModel | None:
    """The model in the catalogue."""
    return catalogue.model(model.name) or catalogue.model(model.source)
