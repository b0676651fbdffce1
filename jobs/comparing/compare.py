"""The same prompts under several performance profiles: speed, price, memory, and what it does to the pictures."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from jobs.committed import COMMITTED_COLUMNS, Wanted, fetch_requests, wanted_images
from jobs.comparing.picture_difference import pixels_of, psnr, ssim
from jobs.jobfile.jobfile import MAX_NAME, JobFile
from jobs.jobfile.model import PerformanceEntry
from jobs.submit import SubmitResult, submit
from jobs.wiring import open_store
from pipeline.clean_up.packs import all_records
from pipeline.errors import JobFileError
from pipeline.job import Job, JobState, job_from_json
from pipeline.layout import job_key
from pipeline.ledger.checkpoint import committed_table
from pipeline.ledger.gpu_figures import busy_share, mean_watts
from pipeline.performance import PROFILES
from pipeline.ports import Store
from pipeline.record import Outcome, Record
from pipeline.status import Status

_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFigures:
    """What one profile gave."""

    profile: str
    job: str
    state: JobState
    images: int
    """That are there."""
    failed: int
    images_per_second: float | None
    """Of one device, start-up apart; None when all of its images were there already and nothing was rendered."""
    usd_per_image: Decimal | None
    """GPU time alone; None when nothing was rendered."""
    memory_bytes: int
    """Most that the device held at once; 0 when not known."""
    gpu_busy: float | None
    """Share of the batches' time in which the GPU computed, from 0 to 1; None where its driver does not tell."""
    gpu_watts: float | None
    """Power drawn meanwhile; None as above."""
    levers: tuple[str, ...]
    """What was in force, from the records: of the request and of the execution profile."""
    psnr: float | None
    """Decibels to the first profile's images, the mean; None for the first one itself."""
    worst_psnr: float | None
    ssim: float | None
    """Structural similarity to the first profile's images, the mean."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One image under every profile."""

    prompt: str
    seed: int
    keys: tuple[str, ...]
    """In the order of the profiles; empty where there is no image."""
    psnr: tuple[float | None, ...]
    """Decibels to the first one."""
    ssim: tuple[float | None, ...]
    """Structural similarity to the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All profiles, and the images one by one."""

    store: str
    profiles: tuple[ProfileFigures, ...]
    pairs: tuple[Pair, ...]


def compare(
    job_file: JobFile,
    profiles: Sequence[str],
    *,
    address: str | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> Comparison:
    """Render a job once under each profile; the images are committed like any others, so a second call costs nothing.

    Args:
        job_file: what to make; its own `performance` is passed over.
        profiles: names; the first is what the others are compared with.
        address: an existing Ray cluster; None for one on this machine.
        on_status: told the status of the job that runs.

    Raises:
        JobFileError: fewer than two profiles, one twice, or one that does not exist.
        UserError: the job cannot be run.
    """
    if len(profiles) < 2 or len(set(profiles)) < len(profiles):
        raise JobFileError("--profiles: name two or more different ones, such as safe,fast")
    for profile in profiles:
        if profile not in PROFILES:
            raise JobFileError(f'--profiles: there is no profile "{profile}"; there are {", ".join(PROFILES)}')
    store = open_store(job_file.store)
    results = [submit(_with(job_file, profile), address=address, on_status=on_status) for profile in profiles]
    jobs = [job_from_json(store.get(job_key(result.job))) for result in results]
    pairs = _pairs(store, [_images(store, job) for job in jobs])
    figures = [
        _figures(place, profile, result=result, job=job, records=_records(store, job), pairs=pairs)
        for place, (profile, result, job) in enumerate(zip(profiles, results, jobs, strict=True))
    ]
    return Comparison(store=store.uri, profiles=tuple(figures), pairs=tuple(pairs))


def _with(job_file: JobFile, profile: str) -> JobFile:
    """The job under this profile, with a name of its own."""
    name = f"{job_file.name[: MAX_NAME - len(profile) - 1].strip('-')}-{profile}"
    return job_file.model_copy(update={"name": name, "performance": PerformanceEntry(profile=profile)})


def _images(store: Store, job: Job) -> list[Wanted]:
    """Every image of the job in manifest order."""
    with tempfile.TemporaryDirectory(prefix="spotrender-") as folder, ThreadPoolExecutor(_THREADS) as executor:
        files = fetch_requests(store, job, Path(folder), executor)
        return list(wanted_images(files, committed_table(store, job, executor, COMMITTED_COLUMNS)))


def _records(store: Store, job: Job) -> list[Record]:
    """Every record of the job, also of earlier calls."""
    with ThreadPoolExecutor(_THREADS) as executor:
        return [stored.record for stored in all_records(store, job, executor)]


def _pairs(store: Store, rows: list[list[Wanted]]) -> list[Pair]:
    """The images side by side, with their distance from the first."""

    def pair(same: tuple[Wanted, ...]) -> Pair:
        keys = tuple(one.key for one in same)
        pictures = [pixels_of(store.get(key)) if key else None for key in keys]
        first = pictures[0]
        both = [(first, other) if first is not None and other is not None else None for other in pictures]
        return Pair(
            prompt=same[0].prompt,
            seed=same[0].seed,
            keys=keys,
            psnr=tuple(psnr(*two) if two else None for two in both),
            ssim=tuple(ssim(*two) if two else None for two in both),
        )

    with ThreadPoolExecutor(_THREADS) as executor:
        return list(executor.map(pair, zip(*rows, strict=True)))


def _figures(
    place: int, profile: str, *, result: SubmitResult, job: Job, records: list[Record], pairs: list[Pair]
) -> ProfileFigures:
    """One profile's row, from its records and its pictures."""
    batches = [record for record in records if record.profile is not None]
    rendered = sum(image.outcome is Outcome.RENDERED for record in batches for image in record.images)
    device_ns = sum(record.gpu_nanoseconds for record in batches)
    cost = sum((record.usd for record in batches), Decimal(0))
    apart = [pair.psnr[place] for pair in pairs]
    alike = [pair.ssim[place] for pair in pairs]
    changing = {f"{name}={value}" for model in job.models for name, value in model.levers.items()}
    levers = sorted({lever for record in batches if record.profile for lever in record.profile.levers} | changing)
    return ProfileFigures(
        profile=profile,
        job=result.job,
        state=result.state,
        images=sum(bool(pair.keys[place]) for pair in pairs),
        failed=result.failed,
        images_per_second=rendered * 1e9 / device_ns if device_ns else None,
        usd_per_image=cost / rendered if rendered else None,
        memory_bytes=max((record.memory_bytes for record in batches), default=0),
        gpu_busy=busy_share(batches),
        gpu_watts=mean_watts(batches),
        levers=tuple(levers),
        psnr=_mean(apart) if place else None,
        worst_psnr=min((value for value in apart if value is not None), default=None) if place else None,
        ssim=_mean(alike) if place else None,
        warnings=result.warnings,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of what there is."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
