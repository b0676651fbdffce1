"""The base of all that users write in YAML."""

from pydantic import BaseModel, ConfigDict


class Written(BaseModel):
    """A part of a file: what is not known is refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
