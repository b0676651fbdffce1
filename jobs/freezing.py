"""A job file becomes a frozen job: models resolved, manifest read and checked, every request with its image id."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from jobs.jobfile.jobfile import JobFile
from jobs.jobfile.model import DistilledEntry
from jobs.jobfile.wildcard_files import wildcard_reader
from jobs.performance import with_performance
from jobs.profiles import profile_names, read_profile
from jobs.token_counting import TokenCounter
from jobs.wiring import open_manifest, open_store, precision_problem, resolve_model, settings_of
from pipeline.assignment import Output
from pipeline.errors import ModelError
from pipeline.job import Job, NodeOffer, Settings, TaskSizes
from pipeline.manifest.expansion import Expansion, Templates
from pipeline.manifest.formats import read_rows
from pipeline.manifest.problems import Problems
from pipeline.manifest.resolve import Resolver, defaults_of
from pipeline.manifest.spool import spool
from pipeline.manifest.sweep import Sweep
from pipeline.model import Model
from pipeline.request import Lora, Variant
from pipeline.request_table import RequestTable
from pipeline.templates.binding import Binder
from pipeline.templates.wildcards import WildcardFiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_BATCH = 4
"""Task sizes are multiples of this where neither the model nor the user says what a batch is."""

TUNED_BATCH = 16
"""The same where workers measure which batch is best: a shorter task would be padded to a whole batch."""

LARGEST_TASK = 64
"""Images of one task: some minutes of work on most GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A job whose manifest has no problems, before anything is written to the store."""

    job: Job
    settings: Settings
    files: tuple[Path, ...]
    """Local requests files; they live as long as the context that made them."""
    rows: int
    """Manifest rows."""
    requests: int
    """What they became by templates and sweep: as many, where there is neither."""
    distinct: int
    """Images to be."""
    warnings: tuple[str, ...]

    def table(self) -> RequestTable:
        """The requests, read lazily."""
        return RequestTable(self.files, self.job.variants)


class Models(Mapping[str, Model]):
    """The models that rows may name, each resolved when it is first asked for.

    Args:
        job_file: says the job's own model and how models are loaded.
        offers: nodes that may render them.
        resolve: as `resolve_model`.
    """

    def __init__(
        self, job_file: JobFile, offers: Sequence[NodeOffer], *, resolve: Callable[..., Model] = resolve_model
    ) -> None:
        self._job_file, self._offers, self._resolve = job_file, offers, resolve
        self.notes: list[str] = []
        """What of the performance profile the models go without."""
        self._names = (job_file.model, *(name for name in profile_names() if name != job_file.model))
        self._resolved: dict[str, Model] = {}

    def __getitem__(self, name: str) -> Model:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._resolved:
            own = name == self._job_file.model
            model = self._resolve(
                name,
                precision=self._job_file.precision,
                batch_size=self._job_file.fixed_batch,
                options=self._job_file.model_options if own else None,
            )
            if self._job_file.tuned:
                model = replace(model, batch_size=None)
            self._resolved[name], notes = with_performance(
                model, self._job_file.performance, self._offers, distilled=_distilled(name)
            )
            self.notes.extend(notes)
        return self._resolved[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextmanager
def freeze(
    job_file: JobFile,
    *,
    environ: Mapping[str, str],
    stdin: BinaryIO | None,
    cluster: tuple[int, int] | None = None,
    now: datetime | None = None,
    only_rows: "NDArray[np.bool_] | None" = None,
    resolve: Callable[..., Model] | None = None,
) -> Iterator[Frozen]:
    """Read and check everything that a job is made of. Nothing is written to the store.

    Args:
        job_file: as the user wrote it.
        environ: for prices of this machine.
        stdin: what a manifest `-` reads.
        cluster: nodes of the cluster that the job is for, and GPUs of each; None for this machine.
        now: the instant of the submit; the present one when not given.
        only_rows: which rows, after templates and sweep, the job is of; None: all.
        resolve: makes models of names; a model without a revision is one that is only planned with. None: as
            `resolve_model` does with the job's store.

    Raises:
        UserError: the manifest, the model or the settings have problems; all problems of a manifest at once.
    """
    settings = settings_of(job_file, environ, cluster=cluster)
    store = open_store(job_file.store)
    models = Models(job_file, settings.nodes, resolve=resolve or partial(resolve_model, store=store))
    own = models[job_file.model]
    if problem := precision_problem(own.precision, settings.nodes):
        raise ModelError(f"model {own.name}: {problem}")
    defaults = defaults_of(job_file.defaults.given())
    resolver = Resolver(
        models=models,
        model=job_file.model,
        defaults=defaults,
        problem=partial(_problem, job_file.output_settings()),
        lora=_lora,
        images_per_prompt=job_file.images_per_prompt,
    )
    with (
        tempfile.TemporaryDirectory(prefix="spotrender-") as folder,
        open_manifest(job_file.manifest, stdin=stdin) as (stream, shown),
    ):
        problems = Problems(shown)
        name = "-" if job_file.manifest == "-" else job_file.manifest
        expansion = _expansion(job_file, seed=defaults.seed)
        rows = expansion.rows(read_rows(stream, name, problems), problems)
        if only_rows is not None:
            rows = (row for row, wanted in zip(rows, only_rows, strict=True) if wanted)
        count_tokens = TokenCounter(store, Path(folder) / "tokenizers")
        spooled = spool(rows, resolver, Path(folder), problems, count_tokens=count_tokens)
        used = {name: models[name] for name in dict.fromkeys(spooled.variant_models)}
        job = Job(
            name=job_file.name,
            digest=spooled.digest,
            models=tuple(used.values()),
            variants=spooled.variants,
            variant_models=spooled.variant_models,
            output=job_file.output_settings(),
            sizes=_sizes(job_file, own, settings.nodes),
            images=spooled.images,
            request_files=len(spooled.files),
            submitted_at=now or datetime.now(UTC),
            manifest=_without_credentials(job_file.manifest),
        )
        yield Frozen(
            job=job,
            settings=settings,
            files=spooled.files,
            rows=expansion.rows_read,
            requests=spooled.rows,
            distinct=spooled.distinct_images,
            warnings=(*models.notes, *spooled.warnings, *_never_used(settings)),
        )


def _never_used(settings: Settings) -> tuple[str, ...]:
    """What is worth a thought of a reserve for a deadline that is not there."""
    if settings.deadline is not None:
        return ()
    unused = [f"{offer.max} x {offer.type}" for offer in settings.nodes if offer.only_for_deadline]
    return tuple(f"{nodes} are only_for_deadline, and the job has no deadline: they are not used" for nodes in unused)


def _distilled(name: str) -> DistilledEntry | None:
    """What the profile of a model names for `performance: max`."""
    profile = read_profile(name)
    return profile.distilled if profile else None


def _expansion(job_file: JobFile, *, seed: int) -> Expansion:
    """What the job file makes of each row."""
    entry = job_file.templates
    binder = Binder(WildcardFiles(wildcard_reader(job_file)))
    return Expansion(
        templates=None if entry is None else Templates(binder=binder, draws=entry.draws, limit=entry.limit),
        sweep=job_file.sweep.sweep() if job_file.sweep else Sweep(),
        seed=seed,
        images_per_prompt=job_file.images_per_prompt,
    )


def _sizes(job_file: JobFile, model: Model, offers: Sequence[NodeOffer]) -> TaskSizes:
    """Tasks of whole batches; where a worker is to find out what a batch is, none too short for a large one."""
    found = job_file.tuned or any(offer.gpu != "cpu" for offer in offers)
    batch = job_file.fixed_batch or model.batch_size or (TUNED_BATCH if found else DEFAULT_BATCH)
    return TaskSizes(batch=batch, largest=max(batch, LARGEST_TASK // batch * batch), tuned=job_file.tuned)


def _problem(output: Output, model: Model, variant: Variant) -> str | None:
    """Why an image of this variant cannot be made, or cannot be stored."""
    from pipeline.imaging.encode import size_problem
    from pipeline.renderers.table import renderer_kind

    problem = renderer_kind(model.renderer).problem(model, variant)
    return problem or size_problem(output, variant.width, variant.height)


def _lora(source: str, scale: float) -> Lora:
    from pipeline.renderers.diffusion.loras import resolve_lora

    return resolve_lora(source, scale=scale)


def _without_credentials(location: str) -> str:
    """The location as it may be kept and shown."""
    parts = urlsplit(location)
    return location if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
