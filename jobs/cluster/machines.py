"""Machines that somebody rents or has: scripts around `ray start`, for the head and for the workers of each pool."""

import shlex
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from jobs.cluster.any_machine import NO_HEAD_PRICE, HeadPrice, check_label, head_lines, pool_line
from jobs.cluster.options import read_options
from jobs.cluster.rendering_mark import MARK
from jobs.cluster.target import Rendering, Wanted
from jobs.written import Written


class MachinesOptions(Written):
    """Keys of `--with`."""

    head_usd_per_hour: HeadPrice = None
    """What the head costs; None: it is not known, and not counted."""


def runpod(wanted: Wanted) -> Rendering:
    """Pods of RunPod in one private network. A spot pod is stopped five seconds after SIGTERM, or without any."""
    return _rendering(wanted, drain_seconds=4, node_name="${RUNPOD_POD_ID:-}")


def bare(wanted: Wanted) -> Rendering:
    """Machines of any kind, whose owner ends them by SIGTERM to `ray start`, half a minute before they go."""
    return _rendering(wanted, drain_seconds=30, node_name="")


def _rendering(wanted: Wanted, *, drain_seconds: int, node_name: str) -> Rendering:
    """The scripts. Raises: JobFileError: a type that makes no label."""
    options = read_options(wanted.options, MachinesOptions)
    for pool in wanted.pools:
        check_label(pool.type)
    made = {"head.sh": _filled("head.sh", job=wanted.job.name)}
    for pool in wanted.pools:
        name = f"worker-{pool.name}.sh"
        made[name] = _filled(
            "worker.sh",
            job=wanted.job.name,
            file=name,
            pool=f"{pool.type} {pool.market.replace('_', ' ')}",
            most=pool.max,
            type=shlex.quote(pool.type),
            market=pool.market,
            labels=shlex.quote(",".join(f"{key}={value}" for key, value in pool.labels.items())),
            drain_seconds=drain_seconds,
            node_name=node_name,
        )
    return Rendering(
        lines=(*head_lines(options.head_usd_per_hour), *map(pool_line, wanted.pools)),
        creates=("nothing: you start the machines, in one private network, and end them when the job has ended",),
        files=made,
        notes=_notes(wanted, options),
        next=_next(wanted, options),
    )


def _filled(template: str, **values: Any) -> str:
    """A script. No value comes from outside but the job's name, which is a slug, and a type that makes a label."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML
    text = (files("infra") / "cluster" / "machines" / f"{template}.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(mark=MARK, **values)


def _notes(wanted: Wanted, options: MachinesOptions) -> tuple[str, ...]:
    notes = []
    if options.head_usd_per_hour is None:
        notes.append(NO_HEAD_PRICE)
    if all(pool.market == "spot" for pool in wanted.pools):
        notes.append("the head drives the job: put it on a machine that is not reclaimed; a small one without GPU does")
    return tuple(notes)


def _next(wanted: Wanted, options: MachinesOptions) -> tuple[str, ...]:
    said = options.head_usd_per_hour
    price = f"SPOTRENDER_HEAD_USD_PER_HOUR={said} " if said is not None else ""
    return (
        "sh {folder}/head.sh 10.0.0.5    # there; then ~/.ray/auth_token to every other machine",
        *(f"sh {{folder}}/worker-{pool.name}.sh 10.0.0.5:6379 10.0.0.6    # on each of them" for pool in wanted.pools),
        f"{price}RAY_AUTH_MODE=token spotrender submit JOB.yaml --address 10.0.0.5:6379    # on any of them",
    )
