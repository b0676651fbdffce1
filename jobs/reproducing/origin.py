"""What is known of an image beside its file: the model, where LoRAs lie, and under which profile it was rendered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.jobfile.values import shown
from jobs.profiles import profile_names, read_profile
from jobs.watching.listing import list_jobs
from jobs.wiring import resolve_model
from pipeline.assignment import Output
from pipeline.errors import ImageFileError, ModelError, NotFoundError
from pipeline.job import Job
from pipeline.layout import record_key
from pipeline.ledger.checkpoint import committed_table
from pipeline.manifest.problems import FieldError
from pipeline.manifest.row import FIELDS
from pipeline.model import Model
from pipeline.ports import Store
from pipeline.record import Profile, record_from_json
from pipeline.renderers.table import renderer_kind
from pipeline.request import Request, Variant

_READERS = 8
_CHECKED = ("prompt", "negative_prompt", "seed", "width", "height", "steps", "guidance_scale")
"""Fields that a manifest could have given, so a file may not say more of them than a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How to render an image again."""

    model: Model
    variant: Variant
    """With places from which LoRAs can be loaded."""
    output: Output
    job: str = ""
    """The job of the store that made it; empty when none is known."""
    profile: Profile | None = None
    """Under which it was rendered; None when nobody knows."""


def check_plausible(request: Request, path: Path) -> None:
    """A file is anybody's: what it asks for must be what a manifest may ask for.

    Raises:
        ImageFileError: it is not.
    """
    values = {name: getattr(request, name, None) for name in ("prompt", "negative_prompt", "seed")}
    values |= {name: getattr(request.variant, name) for name in ("width", "height", "steps", "guidance_scale")}
    for name in _CHECKED:
        try:
            FIELDS[name](values[name])
        except FieldError as error:
            raise ImageFileError(f"{path}: its request makes no sense: {name} {error}") from None
    try:
        renderer_kind(request.variant.renderer)
    except ModelError as error:
        raise ImageFileError(f"{path}: its request makes no sense: {error}") from None


def origin_of(request: Request, *, store: Store | None, model: str | None, extension: str) -> Origin:
    """What to render with: what the store's job had, or the model that is named, or one that ships.

    Nothing is ever loaded from where only the file says: it may be anybody's.

    Args:
        request: as the file has it.
        store: where a job may have made the image; None: not asked.
        model: a name as `--model` takes it; goes before the store's.
        extension: of the file.

    Raises:
        ModelError: no model is known for it, or the named one is another.
    """
    variant = request.variant
    output = Output(format={"jpg": "jpeg"}.get(extension, extension))
    found = _in_store(request, store) if store is not None else None
    if model is not None:
        named = _named(model, variant)
        profile = None if found is None else found.profile
        found = Origin(model=named, variant=variant, output=output if found is None else found.output, profile=profile)
    if found is None:
        found = Origin(model=_shipped(variant, asked=store is not None), variant=variant, output=output)
    if any(not lora.source for lora in found.variant.loras):
        raise ModelError("it was rendered with LoRAs: say --store of the job that made it, which knows where they lie")
    kind = renderer_kind(variant.renderer)
    if kind.pixel_version != variant.pixel_version:
        raise ModelError(
            f"it was rendered by pixel version {variant.pixel_version} of {variant.renderer}, this is"
            f" {kind.pixel_version}: use the version of spotrender that made it"
        )
    if problem := kind.problem(found.model, found.variant):
        raise ModelError(f"model {found.model.name} cannot render it: {problem}")
    return found


def _in_store(request: Request, store: Store) -> Origin | None:
    """What a job of the store knows of it: of one that rendered it, else of one that could have."""
    could: Origin | None = None
    for job, variant, model in _jobs_with(request.variant, store):
        origin = Origin(model=model, variant=variant, output=job.output, job=job.id)
        could = could or origin
        with ThreadPoolExecutor(_READERS) as executor:
            table = committed_table(store, job, executor, ("image_id", "outcome", "record"))
        rows = table.filter([one == request.image_id for one in table["image_id"].to_pylist()]).to_pylist()
        if rows and rows[0]["outcome"] == "rendered":
            return replace(origin, profile=_profile(store, job.id, rows[0]["record"]))
    return could


def _jobs_with(variant: Variant, store: Store) -> Iterator[tuple[Job, Variant, Model]]:
    """The jobs, the newest first, that asked for such images."""
    for listed in list_jobs(store):
        job = listed.job
        for number, known in enumerate(job.variants):
            if known == variant:
                yield job, known, job.model_of(number)
                break


def _profile(store: Store, job: str, record: str) -> Profile | None:
    """Under which profile a record was rendered; None where clean-up has removed it."""
    try:
        return record_from_json(store.get(record_key(job, record))).profile
    except (NotFoundError, ValueError, KeyError, TypeError):
        return None


def _named(name: str, variant: Variant) -> Model:
    """The model that the user names, in the revision that the file says. Raises: ModelError: it is another one."""
    commit = variant.model.rpartition("@")[2] if variant.model.startswith("hub:") else ""
    options = {"revision": commit} if commit and not Path(name).expanduser().exists() else None
    model = resolve_model(name, precision=variant.precision, options=options)
    if (model.revision, model.renderer) != (variant.model, variant.renderer):
        raise ModelError(
            f"--model {name}: that is {model.revision}, but the image was rendered by {shown(variant.model)}"
        )
    return model


def _shipped(variant: Variant, *, asked: bool) -> Model:
    """A model that ships with us, where one made it. Raises: ModelError: none did."""
    for name in profile_names():
        profile = read_profile(name)
        if profile is None or not (Path(profile.source).is_dir() or profile.renderer != "diffusers"):
            continue
        model = resolve_model(name, precision=variant.precision)
        if (model.revision, model.renderer) == (variant.model, variant.renderer):
            return model
    where = "no job of the store asked for such images; " if asked else ""
    raise ModelError(
        f"{where}the image was rendered by {shown(variant.model)}: say --model with a profile, folder or hub repository"
        " that you trust, or --store of the job that made it"
    )
