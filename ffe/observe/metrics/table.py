"""Every metric that there is: name, kind, help and labels. Nothing can be exposed that has no line here (`families.measured`).

Names follow Prometheus: base units, `_total` for what only grows, and no label without a bound on its values. Ages and times are those of
the engine's clock (`clock_timestamp_seconds`), which in `sim` is the simulator's and not the wall clock: a rule compares with that one.
A counter is read from rows that are never deleted, or begins at zero each day; what retention deletes is a gauge over a stretch of time,
with the stretch in its name or help: a counter that falls to anything but zero would show as a burst. Money is a float here and nowhere else.
"""

from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter", "histogram"]


class MetricSpec(NamedTuple):
    """`name` is the family's; a histogram's samples are `name_bucket`, `name_sum` and `name_count`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[str, ...]:
        """The names that samples of this family have."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


_SERIES = ("instrument", "timeframe", "source")
_HELD = ("venue", "account", "instrument")

_BARS = (
    MetricSpec(
        "data_staleness_seconds", "gauge", "Open-market seconds since the newest recorded bar closed.", labels=_SERIES
    ),
    MetricSpec(
        "data_staleness_limit_seconds",
        "gauge",
        "Above this age nothing is traded; 1d has no such limit.",
        labels=_SERIES,
    ),
    MetricSpec(
        "data_fresh", "gauge", "1 when the freshness gate would let the newest recorded bar pass.", labels=_SERIES
    ),
    MetricSpec("market_open", "gauge", "1 while the instrument's market is open.", ("instrument",)),
    MetricSpec(
        "quality_reports_24h",
        "gauge",
        "Batches of bars checked in the last 24 hours by outcome.",
        ("instrument", "timeframe", "outcome"),
    ),
    MetricSpec("source_fetches_total", "counter", "Fetches of a bar source by outcome.", ("source", "outcome")),
    MetricSpec(
        "source_requests_today", "gauge", "Requests against a source's daily budget, this UTC day.", ("source",)
    ),
    MetricSpec("source_circuit_closed", "gauge", "0 while a source is left alone.", ("source",)),
)

_CYCLES = (
    MetricSpec("cycles_total", "counter", "Finished cycles by outcome.", ("mode", "timeframe", "outcome")),
    MetricSpec(
        "cycles_unfinished_24h",
        "gauge",
        "Cycles of the last 24 hours that were started more than 15 minutes ago and never finished.",
        ("mode", "timeframe"),
    ),
    MetricSpec("cycle_stage_seconds", "histogram", "How long a stage of a cycle took.", ("timeframe", "stage")),
    MetricSpec(
        "cycle_last_finished_timestamp_seconds",
        "gauge",
        "When the newest cycle finished, by the engine's clock.",
        ("timeframe",),
    ),
    MetricSpec("cycle_idle_seconds", "gauge", "Open-market seconds since the newest cycle finished.", ("timeframe",)),
    MetricSpec("cycle_period_seconds", "gauge", "Length of the timeframe, once a cycle of it ran.", ("timeframe",)),
    MetricSpec(
        "cycle_scheduled",
        "gauge",
        "1 when the newest cycles of the timeframe came one period apart, so that another is due.",
        ("timeframe",),
    ),
    MetricSpec(
        "cycle_instrument",
        "gauge",
        "1 for each instrument of the newest cycles of a timeframe that is scheduled.",
        ("timeframe", "instrument"),
    ),
)

_TRADING = (
    MetricSpec("decisions_total", "counter", "Decisions by author and action.", ("decided_by", "action")),
    MetricSpec("holds_total", "counter", "HOLD decisions by author and reason.", ("decided_by", "reason_code")),
    MetricSpec("orders", "gauge", "Orders of all time by the state that they are in.", ("venue", "state")),
    MetricSpec(
        "order_unknown_age_seconds",
        "gauge",
        "Age of the oldest order that was sent and whose outcome is unknown; 0 when there is none.",
        ("venue",),
    ),
    MetricSpec("reservations_open", "gauge", "Orders that hold balance.", ("venue", "currency")),
    MetricSpec("reservations_open_amount", "gauge", "Balance that they hold.", ("venue", "currency")),
    MetricSpec("position_units", "gauge", "Units that our orders made; negative is short.", _HELD),
    MetricSpec(
        "position_notional",
        "gauge",
        "Units times the newest price on record: the last close that a decision was made from within a day, else the entry price.",
        (*_HELD, "currency"),
    ),
    MetricSpec("position_pnl_realised", "gauge", "Realised over all time, before fees.", (*_HELD, "currency")),
    MetricSpec(
        "position_pnl_unrealised", "gauge", "At the price of position_notional, before fees.", (*_HELD, "currency")
    ),
    MetricSpec("account_equity", "gauge", "Equity of the newest mark.", ("venue", "account", "currency")),
    MetricSpec(
        "account_drawdown_ratio",
        "gauge",
        "How far equity is below its peak since a person last resumed trading, as a share of the peak.",
        ("venue", "account"),
    ),
    MetricSpec("drawdown_limit_ratio", "gauge", "Drawdown at which the kill switch trips (FFE_RISK__MAX_DRAWDOWN)."),
    MetricSpec("kill_switch", "gauge", "1 for the state that the kill switch is in, 0 for the others.", ("state",)),
)

_MODEL = (
    MetricSpec(
        "model_latency_seconds",
        "gauge",
        "Latency of the model calls of the last 30 minutes; percentile 100 is the slowest.",
        ("model", "percentile"),
    ),
    MetricSpec("model_calls_30m", "gauge", "Model calls of the last 30 minutes by outcome.", ("model", "outcome")),
    MetricSpec("model_tokens_30m", "gauge", "Tokens of the model calls of the last 30 minutes.", ("model", "kind")),
    MetricSpec("calibration_brier_score", "gauge", "Brier score of the newest calibration's grades.", ("fit",)),
    MetricSpec("grades_total", "counter", "Decisions that were graded.", ("timeframe",)),
)

_OPERATIONS = (
    MetricSpec("clock_timestamp_seconds", "gauge", "The engine's clock: in sim the simulator's."),
    MetricSpec("incidents_1h", "gauge", "Incidents of the last hour, repetitions counted.", ("type",)),
    MetricSpec("incidents_24h", "gauge", "Incidents of the last 24 hours, repetitions counted.", ("type",)),
    MetricSpec(
        "api_calls_total", "counter", "Calls of venues, bar services and models; begins at 0 each UTC day.", ("source",)
    ),
    MetricSpec(
        "api_errors_total",
        "counter",
        "Calls that were refused or had no answer that can be read; begins at 0 each UTC day.",
        ("source",),
    ),
    MetricSpec("api_seconds_total", "counter", "Time that calls took; begins at 0 each UTC day.", ("source",)),
    MetricSpec("differences_open", "gauge", "Open differences between venue and ledger.", ("venue", "kind")),
    MetricSpec("check_passed", "gauge", "1 when the newest run of a standing check passed.", ("check",)),
    MetricSpec("check_broken", "gauge", "Items that the newest run of a standing check found broken.", ("check",)),
    MetricSpec(
        "check_age_seconds", "gauge", "Age of the newest run of a standing check; +Inf when it never ran.", ("check",)
    ),
    MetricSpec(
        "preflight_outcome", "gauge", "1 for the outcome of the newest preflight, 0 for the others.", ("outcome",)
    ),
    MetricSpec(
        "invariant_holds", "gauge", "1 when the newest reality check found that it holds; unknown is 0.", ("invariant",)
    ),
    MetricSpec(
        "component_healthy",
        "gauge",
        "1 for the ledger while it can be read, the disk while it has room, a provider while its newest preflight has all that is needed.",
        ("component",),
    ),
    MetricSpec("disk_free_bytes", "gauge", "Free space in the data folder."),
    MetricSpec("disk_free_limit_bytes", "gauge", "Below this health is failing (FFE_HEALTH__MIN_FREE_MB)."),
)

METRICS: dict[str, MetricSpec] = {spec.name: spec for spec in (*_BARS, *_CYCLES, *_TRADING, *_MODEL, *_OPERATIONS)}
