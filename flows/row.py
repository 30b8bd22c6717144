"""One instrument on its way through a cycle, and the report made of all of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from prefect.futures import PrefectFuture

from ffe.cycle import ordering, report, steps
from ffe.cycle.bars import Bars
from ffe.decision.models import Action, Author, Context, Decision
from ffe.decision.verdict import Verdict
from ffe.market.models import Instrument
from ffe.orders.models import Order, OrderState
from ffe.risk.models import Sizing
from ffe.sources.models import BarBatch
from flows.verdicts import Verdicts
from tasks import runtime
from tasks.incidents import incident_key
from tasks.stages import Stages

R = TypeVar("R")

# Who says HOLD when a step fails: the gate that could not do its work.
AUTHORS = {
    "reconcile-venue": Author.RISK_GATE,
    "fetch-bars": Author.DATA_GATE,
    "check-bars": Author.DATA_GATE,
    "plan-order": Author.RISK_GATE,
}


@dataclass
class Row:
    """Everything known of one instrument in this cycle so far."""

    cycle: steps.Cycle
    instrument: Instrument
    bars: Bars | None = None
    checked: steps.Checked | None = None
    decision: Decision | None = None
    planned: ordering.Planned | None = None
    earlier: Order | None = None
    order: Order | None = None
    error: report.ErrorSummary | None = None

    @property
    def batch(self) -> BarBatch | None:
        return None if self.bars is None else self.bars.batch

    @property
    def standing(self) -> tuple[Decision | None, Sizing | None]:
        """The decision after the risk gate and the arithmetic of its order; those of the earlier run where that one ordered."""
        if self.earlier is not None:
            ledger = runtime.engine().ledger
            return ledger.decision(self.earlier.decision_id), ledger.sizing(self.earlier.decision_id)
        if self.planned is None:
            return self.decision, None
        return self.planned.decision, None if self.planned.plan is None else self.planned.plan.sizing

    @property
    def undecided(self) -> bool:
        return self.decision is None and self.error is None and self.earlier is None

    @property
    def context(self) -> Context | None:
        return None if self.checked is None else self.checked.context

    @property
    def tradeable(self) -> tuple[Decision, Context, BarBatch] | None:
        """What an order is planned from; None for a HOLD, an error, or an order that is there already."""
        if self.decision is None or self.context is None or self.batch is None:
            return None
        if self.error is not None or self.decision.action is Action.HOLD:
            return None
        return self.decision, self.context, self.batch

    @property
    def reversing(self) -> bool:
        """Whether the close just filled is the first half of a reversal: the entry is planned anew, from what is there now."""
        plan = None if self.planned is None else self.planned.plan
        closed = self.order is not None and self.order.state is OrderState.FILLED and self.error is None
        return plan is not None and plan.then_reverse and closed

    def rank(self) -> tuple[int, str]:
        """Most confident first: when several want one balance, they get it in this order."""
        return (-(0 if self.decision is None else self.decision.confidence), self.instrument.symbol)

    def settle(self, future: "PrefectFuture[R]", step: str) -> R | None:
        """The task's result; a failed one becomes this row's error, and its HOLD where nothing was decided yet."""
        try:
            return future.result()
        except Exception as error:  # noqa: BLE001 - one instrument's failure never stops the others
            self.fail(error, incident_key(future.task_run_id), step)
            return None

    def fail(self, error: BaseException, incident: str, step: str) -> None:
        self.error = report.ErrorSummary(type=type(error).__name__, message=str(error), incident=incident)
        if step in AUTHORS:
            engine = runtime.engine()
            reasoning = f"{step} failed: {type(error).__name__}: {error}"
            code = f"{step.replace('-', '_')}_failed"
            self.decision = self.cycle.hold(engine, self.instrument, AUTHORS[step], code, reasoning)

    def find_earlier_order(self) -> None:
        """A rerun of a bar that was ordered already takes up that order and asks nobody again."""
        if self.undecided and self.batch is not None:
            self.earlier = ordering.placed_order(
                runtime.engine(), self.instrument, self.cycle.timeframe, self.batch.bar_close
            )

    def decide(self, verdicts: Verdicts) -> None:
        if self.context is None:
            return
        symbol = self.instrument.symbol
        self.error = verdicts.errors.get(symbol)
        why = None if self.error is None else f"{self.error.type}: {self.error.message}"
        verdict = verdicts.answers.get(symbol, Verdict(calls=(), answer=None, error=why))
        self.decision = steps.decide(runtime.engine(), self.cycle, self.context, verdict)

    def report(self) -> report.InstrumentReport:
        decision, sizing = self.standing
        freshness = None if self.checked is None else self.checked.freshness
        values: dict[str, Any] = {
            "bar_close": None if self.batch is None else self.batch.bar_close,
            "source": None if self.batch is None else self.batch.source,
            "age_seconds": None if freshness is None else round(freshness.age_seconds, 1),
            "limit_seconds": None if freshness is None else freshness.limit_seconds,
            "quality": report.quality_summary(
                None if self.checked is None else self.checked.report, freshness, self.batch
            ),
            "decision": None if decision is None else report.decision_summary(decision),
            "sizing": None if sizing is None else report.sizing_summary(sizing),
            "order": None if self.order is None else report.order_summary(self.order, placed_now=self.earlier is None),
            "error": self.error,
        }
        return report.blank_row(self.instrument).model_copy(update=values)


def cycle_report(cycle: steps.Cycle, rows: list[Row], started_at: datetime, stages: Stages) -> report.CycleReport:
    engine = runtime.engine()
    return report.CycleReport(
        cycle_id=cycle.id,
        mode=engine.settings.mode.value,
        timeframe=cycle.timeframe,
        started_at=started_at,
        finished_at=engine.clock.now(),
        timings_ms=stages.timings,
        instruments=tuple(row.report() for row in rows),
    )
