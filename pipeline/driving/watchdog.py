"""Notices that a job gets nowhere although it could, and that it waits for capacity."""


class Watchdog:
    """How long nothing was committed while a worker was ready, and how long there was none.

    Args:
        limit_seconds: without a commit, while watched.
        now_ns: the present instant.
    """

    def __init__(self, *, limit_seconds: float, now_ns: int) -> None:
        self._limit_seconds = limit_seconds
        self._last_ns = self._worker_ns = now_ns
        self._left = -1
        self._idle_ns = 0

    def look(self, now_ns: int, *, left: int, workers: int, store_answers: bool) -> str | None:
        """Why the job must stop, or None.

        Args:
            now_ns: the present instant.
            left: images that are neither there nor given up.
            workers: that are ready; time without any is a drought, which is nobody's fault.
            store_answers: time in which it does not is an outage, which has a limit of its own.
        """
        passed_ns, self._last_ns = now_ns - self._last_ns, now_ns
        if workers:
            self._worker_ns = now_ns
        if left != self._left:
            self._left, self._idle_ns = left, 0
        elif workers and store_answers:
            self._idle_ns += passed_ns
        if self._idle_ns <= self._limit_seconds * 1e9:
            return None
        ready = "1 worker was" if workers == 1 else f"{workers} workers were"
        return f"nothing was committed for {self._idle_ns / 60e9:.0f} min although {ready} ready"

    def drought_seconds(self, now_ns: int) -> float:
        """For how long there has been no worker."""
        return (now_ns - self._worker_ns) / 1e9
