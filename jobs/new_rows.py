"""Which rows of a job hold anything that no job of its store has made yet; what clean-up removed since was made."""

import os

import numpy as np
from numpy.typing import NDArray

from jobs.freezing import freeze
from jobs.jobfile.jobfile import JobFile
from jobs.planning.estimating import missing_images
from jobs.wiring import open_store
from pipeline.clean_up.collected import collected_ids
from pipeline.imaging.encode import extension
from pipeline.plan import Plan
from pipeline.request_table import id_words


def rows_with_new_images(job_file: JobFile) -> NDArray[np.bool_]:
    """For each row, after templates and sweep, whether some image of it is missing. Raises: UserError."""
    with freeze(job_file, environ=os.environ, stdin=None) as frozen:
        table = frozen.table()
        plan = Plan(table, frozen.job.sizes)
        store = open_store(job_file.store)
        missing = missing_images(store, frozen.job, plan)
        once = plan.find(id_words(collected_ids(store, extension(frozen.job.output))))
        missing[once[once >= 0]] = False
        wanted = np.zeros(frozen.requests, dtype=bool)
        wanted[plan.positions[missing] // job_file.images_per_prompt] = True
        return wanted
