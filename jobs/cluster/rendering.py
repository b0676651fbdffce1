"""`cluster render`: from a job to the files of a cluster that can run it, with what that costs an hour at most."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from jobs.cluster.rendering_mark import MARK
from jobs.cluster.table import target
from jobs.cluster.target import Line, Pool, Rendering, Wanted
from jobs.jobfile.jobfile import JobFile, NodeEntry
from jobs.planning.planning import plan_job
from jobs.prices.node_offers import capped, node_offers
from jobs.profiles import node_types
from pipeline.errors import JobFileError
from pipeline.job import NodeOffer

_MARKETS = ("spot", "on_demand", "local")
"""In the order in which nodes are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a cluster would be; the files are written only where a folder was named."""

    job: str
    """Its name."""
    target: str
    lines: tuple[Line, ...]
    most_usd_per_hour: Decimal
    """Of all lines, with every node up."""
    creates: tuple[str, ...]
    files: tuple[str, ...]
    """Paths below the folder."""
    folder: str
    """Empty: nothing was written."""
    notes: tuple[str, ...]
    next: tuple[str, ...]


def render(
    job_file: JobFile, kind: str, *, options: Mapping[str, str], environ: Mapping[str, str], nodes: int = 1
) -> tuple[Rendered, Mapping[str, str]]:
    """Render a cluster for a job; writes nothing.

    Args:
        job_file: where it names no nodes, the plan chooses among those of the target.
        kind: name of the target.
        options: for the target.
        environ: as for prices.
        nodes: so many at most, where the job names none.

    Returns:
        What it would be, and the text of each file.

    Raises:
        UserError: the job, the target or an option has problems.
    """
    make = target(kind)
    chosen, notes = (job_file, ()) if job_file.nodes else _planned(job_file, kind, nodes)
    offers = capped(node_offers(chosen, environ, gpus_here=0), chosen.workers)
    made = make(Wanted(job=chosen, pools=pools(offers), options=options))
    for text in made.files.values():
        if MARK not in text.partition("\n")[0]:
            raise ValueError(f"a file of {kind} does not begin with its mark")
    return _rendered(job_file, kind, made, notes), made.files


def pools(offers: tuple[NodeOffer, ...]) -> tuple[Pool, ...]:
    """The offers by type and market; those that differ in zone alone are one pool."""
    found: dict[tuple[str, str], Pool] = {}
    for offer in sorted(offers, key=lambda one: _MARKETS.index(one.market)):
        pool = found.get((offer.type, offer.market))
        zones = (offer.zone,) if offer.zone else ()
        if pool is None:
            pool = Pool(
                type=offer.type,
                market=offer.market,
                max=0,
                usd_per_hour=offer.usd_per_hour,
                price_source=offer.price_source,
                provider=offer.provider,
                gpu=offer.gpu,
                gpus=offer.gpus,
                region=offer.region,
                zones=zones,
            )
        if pool.region != offer.region:
            raise JobFileError(
                f"nodes: {offer.type} is asked for in {pool.region} and in {offer.region}; a cluster stands in one "
                "region: render one for each, of job files that name it"
            )
        dearer = offer if offer.usd_per_hour > pool.usd_per_hour else pool
        found[offer.type, offer.market] = replace(
            pool,
            max=pool.max + offer.max,
            zones=tuple(dict.fromkeys((*pool.zones, *zones))) if pool.zones or not pool.max else (),
            usd_per_hour=dearer.usd_per_hour,
            price_source=dearer.price_source,
        )
    return tuple(found.values())


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files; one that is there already is replaced if it is of an earlier call.

    Raises:
        JobFileError: a file is somebody else's, or cannot be written; nothing was.
    """
    for name in files:
        place = folder / name
        try:
            first = _first_line(place) if place.exists() else MARK
        except OSError as error:
            raise JobFileError(f"{place}: cannot be read: {error.strerror}; name another folder with --to") from error
        if MARK not in first:
            raise JobFileError(f"{place}: is not of an earlier `cluster render`; move it, or name another folder")
    for name, text in files.items():
        place = folder / name
        fresh = place.with_name(f".{place.name}.new")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(place)
        except OSError as error:
            raise JobFileError(f"{place}: cannot be written: {error.strerror}; name another folder") from error


def _first_line(place: Path) -> str:
    with place.open(encoding="utf-8", errors="replace") as file:
        return file.readline(1000)


def written(rendered: Rendered, folder: str) -> Rendered:
    """The same, with the folder in which the files now lie."""
    place = shlex.quote(folder)
    return replace(rendered, folder=folder, next=tuple(line.replace("{folder}", place) for line in rendered.next))


def _planned(job_file: JobFile, kind: str, nodes: int) -> tuple[JobFile, tuple[str, ...]]:
    """The job with the type of node that the plan chose, among those that this kind of cluster can launch."""
    known = node_types()
    here = {name: row for name, row in known.items() if row.provider == kind} or known
    entries = [NodeEntry(type=name, market="spot", max=nodes) for name, row in here.items() if row.spot_usd_per_hour]
    entries += [NodeEntry(type=name, market="on_demand", max=nodes) for name in here]
    plan = plan_job(job_file.model_copy(update={"nodes": tuple(entries)}))
    if plan.chosen is None:
        raise JobFileError(
            "the plan finds no type of node for this job (`spotrender plan` says why); name them: nodes:"
        )
    row = plan.chosen
    entry = next(one for one in entries if (one.type, one.market) == (row.node_type, row.market))
    note = (
        f"the job names no nodes: the plan's choice is {row.nodes} x {row.node_type} {row.market.replace('_', ' ')}; "
        "name more types under nodes: so that a drought of one does not stop the job"
    )
    return job_file.model_copy(update={"nodes": (entry.model_copy(update={"max": row.nodes}),)}), (*plan.notes, note)


def _rendered(job_file: JobFile, kind: str, made: Rendering, notes: tuple[str, ...]) -> Rendered:
    return Rendered(
        job=job_file.name,
        target=kind,
        lines=made.lines,
        most_usd_per_hour=sum((line.most_usd_per_hour for line in made.lines), Decimal(0)),
        creates=made.creates,
        files=tuple(made.files),
        folder="",
        notes=(*notes, *made.notes),
        next=made.next,
    )
