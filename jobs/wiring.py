"""The one place where names in a job file become objects: models, stores, manifests, nodes."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

from jobs.jobfile.jobfile import JobFile
from jobs.jobfile.notify import targets
from jobs.nearest import did_you_mean
from jobs.prices.node_offers import capped, node_offers
from jobs.profiles import ModelProfile, node_types, profile_names, read_profile
from pipeline.errors import JobFileError, ModelError, NotFoundError, StoreRefusedError, StoreUnavailableError
from pipeline.job import NodeOffer, Settings
from pipeline.model import Model
from pipeline.ports import Store

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_BLOCK = 1 << 20


def open_store(uri: str) -> Store:
    """The store under `uri`. Raises: StoreRefusedError: the URI names none."""
    from infra.stores import open_store as open_from_table

    return open_from_table(uri)


def store_of(uri: str | None, environ: Mapping[str, str]) -> Store:
    """The store that the user means: by option, or by `SPOTRENDER_STORE`. Raises: StoreRefusedError: there is none."""
    named = uri or environ.get("SPOTRENDER_STORE", "")
    if not named.strip():
        raise StoreRefusedError("which store? Say --store URI, or set SPOTRENDER_STORE")
    return open_store(named)


def resolve_model(
    name: str,
    *,
    precision: str | None = None,
    batch_size: int | None = None,
    options: Mapping[str, Any] | None = None,
    store: Store | None = None,
) -> Model:
    """Freeze a model: a profile's name, a folder, a single file, a hub repository, or one that the store has.

    What was pushed into the store is taken from there, by this process and by workers: the hub is not asked.

    Args:
        name: as the user wrote it; becomes the model's name.
        precision: `fp32`, `fp16` or `bf16`; None: the profile's, or the renderer's own choice.
        batch_size: preferred device batch.
        options: for the renderer; they override the profile's.
        store: that may have the model; None: it is not asked.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    from pipeline.renderers.table import renderer_kind

    profile = read_profile(name) or ModelProfile(name=name, source=name, licence="unknown")
    defaults = profile.defaults.model_dump(include={"width", "height", "steps", "guidance_scale", "scheduler"})
    chosen: dict[str, Any] = defaults | {"precision": precision or profile.precision, "batch_size": profile.batch_size}
    chosen = plain_options(chosen | profile.options | dict(options or {}))
    kind = renderer_kind(profile.renderer)
    if store is not None and profile.renderer == "diffusers":
        model = _by_store(kind, name, profile.source, chosen, store)
    else:
        _refuse_misspelt(name)
        model = kind.resolve(profile.source, **chosen)
    return replace(model, name=name, batch_size=batch_size or model.batch_size)


def resolve_here_first(name: str, *, store: Store, **values: Any) -> Model:
    """As `resolve_model`, but the store is asked only for what is not found without it, or not at all if it is silent.

    Raises:
        ModelError: as there.
    """
    try:
        return resolve_model(name, **values)
    except ModelError as error:
        try:
            return resolve_model(name, store=store, **values)
        except (StoreRefusedError, StoreUnavailableError):
            raise error from None


def _by_store(kind: Any, name: str, source: str, options: Mapping[str, Any], store: Store) -> Model:
    """A model of which the store may have the files. Raises: ModelError."""
    from pipeline.pushed_models import find_weights, folder_name, weights_of_folder
    from pipeline.renderers.diffusion.stored import StoredFiles

    if Path(source).expanduser().exists():
        model: Model = kind.resolve(source, **options)
        called = folder_name(source, profile=name if name != source else "")
        return replace(model, weights=weights_of_folder(store, called, model))
    weights = find_weights(store, source, options)
    if weights is not None:
        return cast("Model", kind.resolve_stored(source, StoredFiles(weights, store), **options))
    _refuse_misspelt(name)
    return cast("Model", kind.resolve(source, **options))


def plain_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options as renderers take them, without those that are None."""
    return {key: _plain_value(value) for key, value in values.items() if value is not None}


def _refuse_misspelt(name: str) -> None:
    """A bare word that is no profile and nothing on disk is a slip of the keyboard."""
    if read_profile(name) is not None:
        return
    if _REPOSITORY.fullmatch(name) or Path(name).expanduser().exists() or os.sep in name:
        return
    known = profile_names()
    hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    raise ModelError(f'there is no model "{name}"{hint} (or give a folder, a file or a hub repository org/name)')


def _plain_value(value: Any) -> Any:
    """Option values as renderers take them: numbers with a fraction as floats."""
    return float(value) if isinstance(value, Decimal) else value


@contextmanager
def open_manifest(location: str, *, stdin: BinaryIO | None = None) -> Iterator[tuple[BinaryIO, str]]:
    """A seekable stream of the manifest's bytes and the name that messages give it.

    What lies on S3 is downloaded first, stdin is copied, both to a temporary file that is gone afterwards.

    Args:
        location: a local path, `s3://bucket/key`, or `-`.
        stdin: what `-` reads.

    Raises:
        JobFileError: it cannot be opened.
    """
    if location == "-":
        if stdin is None:
            raise JobFileError("manifest: `-` reads stdin, and there is none here; give a path")
        with tempfile.TemporaryFile() as spooled:
            while block := stdin.read(_BLOCK):
                spooled.write(block)
            spooled.seek(0)
            yield spooled, "stdin"
    elif location.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="spotrender-") as folder, _fetched(location, folder) as stream:
            yield stream, location
    elif "://" in location:
        raise JobFileError(f"manifest: {location}: must be a local path, s3://bucket/key or - for stdin")
    else:
        with _opened(Path(location)) as stream:
            yield stream, location


def _opened(path: Path) -> BinaryIO:
    """A local file. Raises: JobFileError: it cannot be opened."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        near = did_you_mean(path.name, _neighbours(path))
        raise JobFileError(f"{path}: there is no such file{near or '; is the path right?'}") from None
    except OSError as error:
        raise JobFileError(f"{path}: cannot be opened: {error.strerror}") from error


def _neighbours(path: Path) -> list[str]:
    """Names of what lies beside a path."""
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []


def _fetched(location: str, folder: str) -> BinaryIO:
    """An object on S3, copied into the folder. Raises: JobFileError: there is none."""
    root, _, key = location.rpartition("/")
    if not key or root == "s3:/":
        raise JobFileError(f"manifest: {location}: must name an object, s3://bucket/key")
    path = Path(folder) / "manifest"
    try:
        open_store(root).download(key, str(path))
    except NotFoundError:
        raise JobFileError(f"manifest: {location}: there is no such object") from None
    return path.open("rb")


def settings_of(
    job_file: JobFile,
    environ: Mapping[str, str],
    *,
    gpus_here: int | None = None,
    cluster: tuple[int, int] | None = None,
) -> Settings:
    """What may change while the job lives, from the job file and the price tables.

    Args:
        job_file: as the user wrote it.
        environ: may hold `SPOTRENDER_LOCAL_USD_PER_HOUR`.
        gpus_here: GPUs of this machine; looked up when not given.
        cluster: nodes of the cluster that is used instead, and GPUs of each.

    Raises:
        JobFileError: an unknown node type, or a price that is no number.
    """
    return Settings(
        nodes=capped(node_offers(job_file, environ, gpus_here=gpus_here, cluster=cluster), job_file.workers),
        budget_usd=job_file.budget.usd,
        usd_per_image=job_file.budget.usd_per_image,
        usd_per_month=job_file.budget.usd_per_month,
        hard_excess=job_file.budget.hard_excess,
        deadline=job_file.deadline,
        notify=targets(job_file.notify),
        deliver=None if job_file.deliver is None else job_file.deliver.values(),
        on_rebalance=job_file.on_rebalance,
        outage_seconds=job_file.store_outage_seconds,
        owner=job_file.owner,
        tags=dict(job_file.tags),
        retention_seconds=job_file.retention,
    )


def precision_problem(precision: str, offers: Sequence[NodeOffer]) -> str | None:
    """Why a node type that the job allows cannot render in this precision, or None."""
    types = node_types()
    unfit = [offer.type for offer in offers if offer.type in types and not types[offer.type].bf16]
    if precision != "bf16" or not unfit:
        return None
    return f"{', '.join(unfit)} has no bf16 arithmetic; set precision: fp16 or fp32, or take it out of nodes"
