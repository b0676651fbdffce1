"""The driver: hands tasks out, takes attempts back, and owns all retries. Pure over its ports.

State lives in the store: a driver that dies at any instruction is replaced by another one that reads the checkpoint.
What concerns workers is `pipeline/driving/foreman.py`'s; here is the loop, and what is due by the clock.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from pipeline.driving.foreman import Foreman
from pipeline.driving.limits import limit_reached, must_end
from pipeline.driving.measuring import Measuring
from pipeline.driving.orders import Orders
from pipeline.driving.pulse import Publish, Pulse
from pipeline.driving.staffing import Staffing
from pipeline.driving.standing import Standing
from pipeline.driving.watchdog import Watchdog
from pipeline.errors import StoreUnavailableError
from pipeline.job import JobState, Settings
from pipeline.ledger.accounts import Accounts
from pipeline.ledger.buckets import instant
from pipeline.ledger.type_accounts import by_type
from pipeline.ports import Compute
from pipeline.status import Status


class Drive:
    """One driver of one job. `run` returns the state in which it leaves the job.

    Args:
        standing: the job.
        settings: as they are now.
        accounts: the node sessions.
        compute: the workers.
        publish: told the status, often; the heartbeat says when it should reach the store.
        orders: what people ask of this driver.
        fence: number of this driver.
        earlier_seconds: wall time of the drivers before.
        workers: at most so many, in whole nodes; None: as the settings say.
        others_usd: what other jobs of this name have cost that were submitted this month.
    """

    def __init__(
        self,
        *,
        standing: Standing,
        settings: Settings,
        accounts: Accounts,
        compute: Compute,
        publish: Publish,
        orders: Orders,
        fence: int,
        earlier_seconds: float = 0.0,
        workers: int | None = None,
        others_usd: Callable[[], Decimal] = Decimal,
    ) -> None:
        self._standing, self._settings, self._accounts, self._compute = standing, settings, accounts, compute
        self._job, self._plan, self._progress, self._books = (
            standing.job,
            standing.plan,
            standing.progress,
            standing.books,
        )
        self._clock, self._policy = standing.clock, standing.policy
        self._orders, self._fence, self._others_usd = orders, fence, others_usd
        self._pulse = Pulse(
            accounts=accounts,
            store=standing.store,
            clock=standing.clock,
            publish=publish,
            policy=standing.policy,
            outage_seconds=lambda: self._settings.outage_seconds,
        )
        self._measuring = Measuring(
            standing,
            now_ns=standing.clock.now_ns(),
            before=by_type(accounts.sessions.values(), standing.clock.now_ns()),
        )
        self._foreman = Foreman(
            standing=standing,
            settings=lambda: self._settings,
            accounts=accounts,
            compute=compute,
            store_failed=self._pulse.store_failed,
            measuring=self._measuring,
        )
        self._staffing = Staffing(
            standing=standing,
            settings=lambda: self._settings,
            foreman=self._foreman,
            compute=compute,
            workers=workers,
        )
        self._started_ns = self._ledger_ns = self._measured_ns = self._clock.now_ns()
        self._watchdog = Watchdog(limit_seconds=self._policy.progress_seconds, now_ns=self._started_ns)
        self._earlier_seconds = earlier_seconds
        self._stopping: JobState | None = None
        self._stopping_since_ns = 0
        self._phase = "starting"
        self._message = ""
        self._over = False

    def run(self) -> JobState:
        """Drive until every image is there or given up, or until told to stop; then leave the ledger complete."""
        if self._progress.missing:
            self._phase = "starting workers"
            self._pulse.beat(self.status)
            if reached := self._too_much(self._clock.now_ns()):
                self.stop(JobState.STOPPED, reached)
                return self._state_at_end()
            self._staffing.begin()
            self._compute.start()
            self._phase = ""
            self._pulse.beat(self.status, force=True)
        while self._progress.missing and not self._drained():
            for event in self._compute.events(timeout_seconds=self._policy.tick_seconds):
                self._foreman.hear(event)
                self._staffing.hear(event)
            self._foreman.make_rounds()
            self._pulse.make_sessions_known()
            self._foreman.dispatch()
            self._tick()
        state = self._state_at_end()
        self._measure(state)
        return state

    def stop(self, state: JobState, message: str) -> None:
        """Finish the batches in flight, then leave the job in this state; the first call counts."""
        if self._stopping is None:
            self._stopping, self._message = state, message
            self._stopping_since_ns = self._clock.now_ns()
            self._phase = "finishing the batches in flight"
            self._foreman.stop()

    def closed(self) -> None:
        """The compute is closed; it may be started again."""
        self._staffing.end()

    def save(self) -> None:
        """Write what this driver learned for others. Raises: StoreUnavailableError."""
        self._foreman.save()

    def _measure(self, state: JobState | None = None) -> None:
        """Let whoever watches know how things stand."""
        self._measured_ns = now_ns = self._clock.now_ns()
        self._measuring.look(
            self.status(state),
            now_ns=now_ns,
            by_type=by_type(self._accounts.sessions.values(), now_ns),
            workers=Counter() if self._over else self._foreman.crew.states(),
            queued=len(self._foreman.work.handout.queue),
            budget_usd=self._settings.budget_usd,
        )

    def status(self, state: JobState | None = None, *, phase: str | None = None) -> Status:
        """Where the job stands now."""
        now_ns, progress, foreman = self._clock.now_ns(), self._progress, self._foreman
        pace = progress.images_per_second(now_ns, foreman.work.intake.first_render_ns or now_ns)
        return Status(
            job=self._job.id,
            state=state or self._alive(),
            phase=phase or self._phase or foreman.phase,
            total=self._plan.images,
            rendered=progress.counts[1],
            reused=progress.counts[2],
            failed=progress.counts[3],
            rendered_now=progress.rendered_now,
            images_per_second=pace,
            eta_seconds=progress.missing / pace if pace and not self._over else None,
            usd=self._accounts.accrued_usd(now_ns),
            workers_ready=0 if self._over else len(foreman.crew.ready),
            workers_starting=0 if self._over else foreman.crew.starting,
            workers_lost=foreman.lost,
            seconds=self._earlier_seconds + (now_ns - self._started_ns) / 1e9,
            message=self._message or ("" if self._over else foreman.trouble or self._pulse.trouble or self._waits()),
            started_at=instant(self._started_ns).isoformat(),
            updated_at=instant(now_ns).isoformat(),
            fence=self._fence,
            on_time=None if self._over else self._staffing.on_time,
            month_usd=None
            if self._settings.usd_per_month is None
            else self._others_usd() + self._accounts.accrued_usd(now_ns),
            outlook="" if self._over else self._staffing.outlook,
            remarks=foreman.remarks.told,
            retries=dict(foreman.work.returns.counts),
        )

    def _alive(self) -> JobState:
        """The state of a job that has a driver."""
        foreman = self._foreman
        if not foreman.crew.ready and self._progress.rendered_now == 0 and not self._over:
            return JobState.RECOVERING if foreman.lost else JobState.PENDING
        return JobState.RECOVERING if foreman.recovering else JobState.RUNNING

    def _waits(self) -> str:
        """What a person should know although nothing is wrong: nodes that go, and a drought of capacity."""
        said = []
        if nodes := self._foreman.crew.reclaimed_nodes:
            said.append("1 node is being reclaimed" if nodes == 1 else f"{nodes} nodes are being reclaimed")
        if cut_off := self._foreman.crew.cut_off:
            who = "" if len(cut_off) == len(self._foreman.crew.ready) else f"{len(cut_off)} of the workers: "
            said.append(f"waiting for the store: {who}{cut_off[0].store_silent}")
        said += self._foreman.held_up
        said += [text for text in (self._staffing.outlook, self._staffing.reserve, self._staffing.waits) if text]
        seconds = self._watchdog.drought_seconds(self._clock.now_ns())
        if not self._staffing.waits and seconds > self._policy.drought_seconds and not self._foreman.crew.starting:
            said.append(f"no worker for {seconds / 60:.0f} min: waiting for capacity")
        return "; ".join(said)

    def _tick(self) -> None:
        """What is due by the clock: orders, limits, heartbeat, ledger."""
        now_ns = self._clock.now_ns()
        self._books.collect()
        if (changed := self._orders.changed_settings()) is not None:
            self._settings = changed
            self._staffing.changed()
        if self._stopping is None and (asked := self._orders.stop()) is not None:
            self.stop(*asked)
        if self._stopping is None and (reached := self._limit(now_ns)):
            self.stop(JobState.STOPPED, reached)
        self._staffing.look()
        self._pulse.beat(self.status)
        if now_ns - self._measured_ns > self._policy.metrics_seconds * 1e9:
            self._measure()
        if now_ns - self._ledger_ns > self._policy.ledger_seconds * 1e9:
            self._ledger_ns = now_ns
            try:
                self._foreman.save()
                self._books.write_open(self._progress.missing_of_bucket)
                self._books.write_nodes(self._accounts)
            except StoreUnavailableError as error:
                self._pulse.store_failed(str(error))

    def _limit(self, now_ns: int) -> str | None:
        """Why the job must stop now, or None."""
        idle = self._watchdog.look(
            now_ns,
            left=self._progress.missing,
            workers=len(self._foreman.crew.usable),
            store_answers=not (self._pulse.trouble or self._foreman.crew.outage_seconds(now_ns)),
        )
        if idle and self._foreman.work.returns.counts:
            idle += f" ({_counted(self._foreman.work.returns.counts)} came back)"
        return (
            self._too_much(now_ns)
            or self._pulse.outage
            or self._cut_off(now_ns)
            or self._foreman.stuck
            or (idle and f"{idle}; look at the workers' logs, then submit again")
        )

    def _too_much(self, now_ns: int) -> str | None:
        """Why no more may be spent, in money or time."""
        seconds = self._staffing.rates.batch_seconds if self._foreman.work.handout.busy else 0.0
        return limit_reached(
            self._settings,
            accrued_usd=self._accounts.accrued_usd(now_ns),
            rendered=self._progress.counts[1],
            now=datetime.fromtimestamp(now_ns / 1e9, UTC),
            in_flight_usd=self._accounts.usd_per_second(now_ns) * Decimal(repr(seconds)),
            others_usd=self._others_usd(),
        )

    def _cut_off(self, now_ns: int) -> str | None:
        """Why the job must stop when the store answers the driver, but has not answered any worker for too long."""
        seconds = self._foreman.crew.outage_seconds(now_ns)
        if seconds <= self._settings.outage_seconds:
            return None
        said = self._foreman.crew.cut_off[0].store_silent
        return f"the store has not answered any worker for {seconds:.0f} s ({said}); mend that and submit again"

    def _drained(self) -> bool:
        """Whether a stopping driver has nothing more to wait for."""
        if self._stopping is None:
            return False
        if self._foreman.work.busy and must_end(
            self._settings, accrued_usd=self._accounts.accrued_usd(self._clock.now_ns())
        ):
            self._message += (
                f"; the batches in flight were given up, as budget.hard_excess of {self._settings.hard_excess:f} says"
            )
            return True
        waited = (self._clock.now_ns() - self._stopping_since_ns) / 1e9
        return waited > self._policy.drain_seconds or not self._foreman.work.busy

    def _state_at_end(self) -> JobState:
        self._over = True
        if self._progress.missing and self._stopping is not None:
            return self._stopping
        self._message = ""
        return JobState.COMPLETED_WITH_FAILURES if self._progress.counts[3] else JobState.SUCCEEDED


def _counted(counts: dict[str, int]) -> str:
    """`3 INFRASTRUCTURE, 1 BAD_OUTPUT`."""
    return ", ".join(f"{count} {cause}" for cause, count in sorted(counts.items()))
