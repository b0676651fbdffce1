"""Every error that Spotrender raises on purpose, as one tree.

::

    SpotrenderError
    ├── UserError                  the user must mend something: exit 2, nothing written
    │   ├── ManifestError          rows of a manifest, with file and line
    │   ├── JobFileError           a job file or an option
    │   ├── ModelError             a model that is unknown, unsafe or cannot do what is asked
    │   ├── StoreRefusedError      no such bucket, no access, a bad store URI
    │   ├── ClusterRefusedError    other code version, missing device, another store
    │   ├── BillError              a cloud's bill that cannot be read, or is in another currency
    │   ├── ImageFileError         a file that is no image, or does not say what it was rendered from
    │   └── JobRefusedError        no such job, or a job that cannot do this now
    ├── RetriedError               tried again by itself
    │   ├── StoreUnavailableError  the store did not answer as it should
    │   ├── InfrastructureError    node, actor, Ray or network
    │   ├── DeviceBrokenError      the device failed on a batch; its process is not to be trusted any more
    │   ├── PriceUnknownError      no source knows a price now; what was known before holds meanwhile
    │   └── HandedBackError        the worker was told to leave; not a fault
    ├── ImageError                 recorded against an image while the job goes on
    │   ├── BadRequestError        the pipeline raises on this request
    │   ├── BadOutputError         the output gate refused the picture
    │   ├── SafetyBlankedError     the safety checker blanked the picture
    │   └── OutOfMemoryError       the batch does not fit
    ├── LeaseLostError             another driver has taken the job over; this one stops
    ├── ModelUnavailableError      the model cannot be loaded by this worker
    ├── NotToldError               somebody who wants to hear of a job could not be told
    ├── AlreadyExistsError         a create-only put found the key taken
    └── NotFoundError              there is no object of this key
"""

from collections.abc import Sequence


class SpotrenderError(Exception):
    """The root of the tree; its text is one message for a person, without secrets."""


class UserError(SpotrenderError):
    """What the user must mend: shown as ``error: place: what, and the remedy``; exit code 2."""


class ManifestError(UserError):
    """A manifest with problems: the first ones in full, and the count of all.

    Args:
        problems: lines such as ``prompts.jsonl:412: seed must be ..., got "x"``; the first 20.
        count: how many problems there are in all; the number shown when not given.
    """

    def __init__(self, problems: Sequence[str], *, count: int | None = None) -> None:
        self.problems = tuple(problems)
        self.count = len(self.problems) if count is None else count
        lines = list(self.problems)
        if self.count > len(lines):
            lines.append(f"... and {self.count - len(lines)} more problems")
        super().__init__("\n".join(lines))


class JobFileError(UserError):
    """A job file or a command-line option that makes no sense."""


class ModelError(UserError):
    """A model that is unknown, unsafe to load, or cannot do what the job asks."""


class StoreRefusedError(UserError):
    """The store said a final no: no such bucket, no access, or a URI that names no store."""


class ClusterRefusedError(UserError):
    """A cluster or worker that must not render this job: other code, no device, another store."""


class BillError(UserError):
    """A cloud's bill that cannot be read, has other columns, or is in another currency."""


class ImageFileError(UserError):
    """A file that is no PNG, WebP or JPEG, or carries no request (any more) that could be read back."""


class JobRefusedError(UserError):
    """There is no such job, or it is in a state in which this cannot be done."""


class RetriedError(SpotrenderError):
    """What Spotrender tries again by itself."""


class StoreUnavailableError(RetriedError):
    """The store did not answer as it should, also after the store's own retries."""


class InfrastructureError(RetriedError):
    """A node, an actor, Ray or the network failed; not the request's fault."""


class DeviceBrokenError(RetriedError):
    """The device failed on a batch: its memory may be poisoned, so this process must not render anything more.

    Whether the batch or the device is to blame is not known yet; the driver finds out in fresh processes.
    """


class PriceUnknownError(RetriedError):
    """A source does not know a price, or did not tell it properly; carries the reason in one line."""


class HandedBackError(RetriedError):
    """The worker was told to leave and handed its work back, perhaps in the middle of a batch."""


class ImageError(SpotrenderError):
    """What is recorded against an image while the job goes on."""


class BadRequestError(ImageError):
    """The pipeline raises on this request."""


class BadOutputError(ImageError):
    """The output gate refused the picture: NaN, one colour, or another size."""


class SafetyBlankedError(ImageError):
    """The model's safety checker blanked the picture."""


class OutOfMemoryError(ImageError):
    """The batch does not fit into the memory of the device or the host."""


class LeaseLostError(SpotrenderError):
    """Another driver holds the job's lease: this one writes nothing more and stops."""


class ModelUnavailableError(SpotrenderError):
    """The model cannot be loaded by this worker; carries the reason in one line."""


class NotToldError(SpotrenderError):
    """Somebody who wants to hear of a job could not be told; the job goes on.

    Args:
        reason: one line, without secrets.
        final: whether telling it again would end the same way.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class AlreadyExistsError(SpotrenderError):
    """A create-only put, or a put conditional on an ETag, found another object there."""


class NotFoundError(SpotrenderError):
    """There is no object of this key in the store."""
