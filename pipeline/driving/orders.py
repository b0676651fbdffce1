"""What people ask of a running driver: to stop, and settings that changed."""

from typing import Protocol

from pipeline.job import JobState, Settings


class Orders(Protocol):
    """Asked by the driver's loop several times a second, so it answers at once and raises nothing."""

    def stop(self) -> tuple[JobState, str] | None:
        """The state to leave the job in, and why; None while it should go on."""

    def changed_settings(self) -> Settings | None:
        """The settings, if they changed since the last call."""


class StopButton:
    """How Ctrl-C, or another thread, asks a running driver to stop after the batches in flight."""

    def __init__(self) -> None:
        self._pressed: tuple[JobState, str] | None = None

    def press(self, state: JobState, message: str) -> None:
        """Ask for it; taken up as soon as there is a driver."""
        self._pressed = self._pressed or (state, message)

    @property
    def pressed(self) -> tuple[JobState, str] | None:
        """The state to leave the job in, and why."""
        return self._pressed

    def stop(self) -> tuple[JobState, str] | None:
        """See `Orders.stop`."""
        return self._pressed

    def changed_settings(self) -> Settings | None:
        """A button changes no settings."""
        return None
