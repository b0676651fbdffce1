"""Jobs as spot nodes would have rendered them, by dice: what varies in a real ledger varies here, in the same places.

Cards of one type differ a little, jobs differ from each other (prompts, software, the neighbours of that day), batches
within a job differ; machines boot quickly or slowly; nodes are reclaimed, with the batch they had, and replaced.
"""

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.pipeline.reports.made_ledger import Batch, Life


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One type of node, as it really is; nobody who plans is told."""

    seed: int
    batch_seconds: float
    """Of one batch of `IMAGES_OF_A_BATCH` images, the median."""
    usd_per_hour: Decimal
    boot_seconds: float
    reclaims_per_hour: float
    jobs_differ: float
    """Standard deviation of the logarithm of a job's speed."""
    nodes_differ: float
    batches_differ: float
    boots_differ: float

    @property
    def node_type(self) -> str:
        """A name of its own."""
        return f"made-{self.seed:03d}"


IMAGES_OF_A_BATCH = 4
STEPS = 30
SIDE = 1024


def drawn_world(seed: int, *, batch_seconds: float) -> World:
    """A world by dice.

    Args:
        seed: of the dice.
        batch_seconds: about what a batch takes.
    """
    dice = random.Random(seed)
    return World(
        seed=seed,
        batch_seconds=batch_seconds * math.exp(dice.gauss(0, 0.4)),
        usd_per_hour=Decimal(f"{dice.uniform(0.2, 3):.4f}"),
        boot_seconds=dice.uniform(90, 300),
        reclaims_per_hour=dice.choice([0.0, 0.02, 0.1, 0.3]),
        jobs_differ=dice.uniform(0.01, 0.08),
        nodes_differ=dice.uniform(0.01, 0.05),
        batches_differ=dice.uniform(0.02, 0.10),
        boots_differ=dice.uniform(0.1, 0.4),
    )


def drawn_job(world: World, number: int, *, batches: int, nodes: int) -> Sequence[Life]:
    """One job of this world: its nodes, until all of its batches are rendered.

    Args:
        world: where.
        number: of the job; its dice follow from it.
        batches: that it has.
        nodes: that it holds at once.
    """
    dice = random.Random(f"{world.seed} {number}")
    pace = world.batch_seconds * math.exp(dice.gauss(0, world.jobs_differ))
    lives: list[_Life] = [_begun(world, dice, pace, at=0.0) for _ in range(nodes)]
    waiting = [(life.at, place) for place, life in enumerate(lives)]
    heapq.heapify(waiting)
    left = batches
    while left:
        _, place = heapq.heappop(waiting)
        life = lives[place]
        seconds = life.pace * math.exp(dice.gauss(0, world.batches_differ))
        if life.at + seconds > life.reclaimed_at:
            life.batches.append(Batch(seconds=max(0.0, life.reclaimed_at - life.at), fate="lost"))
            life.at, life.ends = max(life.at, life.reclaimed_at), "reclaimed"
            lives.append(_begun(world, dice, pace, at=life.at))
            place = len(lives) - 1
        else:
            life.batches.append(
                Batch(images=IMAGES_OF_A_BATCH, seconds=seconds, model="sdxl", width=SIDE, height=SIDE, steps=STEPS)
            )
            life.at += seconds
            left -= 1
        heapq.heappush(waiting, (lives[place].at, place))
    end = max(life.at for life in lives if life.batches)
    return [life.told(world, place, end) for place, life in enumerate(lives)]


@dataclass(slots=True, kw_only=True)
class _Life:
    """A node that lives."""

    starts: float
    startup: float
    pace: float
    reclaimed_at: float
    at: float
    batches: list[Batch]
    ends: str = "released"

    def told(self, world: World, place: int, end: float) -> Life:
        """As the ledger is to hold it; released nodes are held until the job's last image."""
        startup = min(self.startup, end - self.starts)
        return Life(
            name=f"{world.node_type}-{place}",
            node_type=world.node_type,
            usd_per_hour=world.usd_per_hour,
            starts=self.starts,
            startup=startup,
            batches=self.batches,
            idle=max(0.0, end - max(self.at, self.starts + startup)) if self.ends == "released" else 0.0,
            ends=self.ends,
        )


def _begun(world: World, dice: random.Random, pace: float, *, at: float) -> _Life:
    """A node that is launched at this second of the job."""
    boot = world.boot_seconds * math.exp(dice.gauss(0, world.boots_differ))
    lives = dice.expovariate(world.reclaims_per_hour / 3600) if world.reclaims_per_hour else math.inf
    return _Life(
        starts=at,
        startup=boot,
        pace=pace * math.exp(dice.gauss(0, world.nodes_differ)),
        reclaimed_at=at + boot + lives,
        at=at + boot,
        batches=[],
    )
