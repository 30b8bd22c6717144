"""The language model: how long it took lately, what it was given and gave, and how good its probabilities are.

Model calls are deleted in time, so these are gauges over the last half hour and no counters (see `monitoring_recent`); counters of
calls, errors and seconds are `api_*_total` with the runtime as source.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from prometheus_client.core import Metric
from sqlmodel import Session

from ffe.ledger import monitoring
from ffe.ledger.monitoring_recent import Asked
from ffe.observe.metrics.families import Labels, measured

WINDOW = timedelta(minutes=30)
PERCENTILES = (50, 95, 100)


def model(calls: Sequence[Asked]) -> Iterator[Metric]:
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    outcomes: Counter[Labels] = Counter()
    tokens: Counter[Labels] = Counter()
    for call in calls:
        seconds[call.model].append(call.seconds)
        outcomes[call.model, "answered" if call.answered else "failed"] += 1
        tokens[call.model, "prompt"] += call.prompt_tokens
        tokens[call.model, "completion"] += call.completion_tokens
    latencies = {
        (name, str(share)): percentile(taken, share) for name, taken in seconds.items() for share in PERCENTILES
    }
    yield measured("model_latency_seconds", latencies)
    yield measured("model_calls_30m", outcomes)
    yield measured("model_tokens_30m", tokens)


def percentile(values: Sequence[float], share: int) -> float:
    """Nearest rank: the smallest value that at least `share` % of all are not above. With few values it is one of the largest."""
    return sorted(values)[max(0, math.ceil(share * len(values) / 100) - 1)]


def feedback(session: Session) -> Iterator[Metric]:
    brier = monitoring.newest_brier(session)
    scores = {} if brier is None else {("before",): brier[0], ("after",): brier[1]}
    yield measured("calibration_brier_score", scores)
    grades = monitoring.grades_by_timeframe(session)
    yield measured("grades_total", {(timeframe,): count for timeframe, count in grades.items()})
