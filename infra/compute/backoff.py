"""How long to wait before the next worker takes the place of one that ended."""


class Backoff:
    """Of one place for a worker: at once after a life that got ready, then longer each time that none did.

    Args:
        most_seconds: the longest wait.
    """

    def __init__(self, *, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self.failures = 0
        """Lives in a row that did not get ready."""

    def succeeded(self) -> None:
        """The worker got ready."""
        self.failures = 0

    def failed(self) -> float:
        """The worker ended; gives the seconds to wait: 0, 1, 2, 4 and so on."""
        self.failures += 1
        return 0.0 if self.failures == 1 else min(self._most_seconds, 2.0 ** (self.failures - 2))
