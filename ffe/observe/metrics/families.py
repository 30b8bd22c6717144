"""Families of samples as Prometheus takes them, made from the one table: the only place where a Decimal becomes a float."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ffe.ledger.monitoring_totals import BUCKETS, Latency
from ffe.observe.metrics.table import METRICS

Labels = tuple[str, ...]
L = TypeVar("L", bound=Labels)


def measured(name: str, samples: Mapping[L, float | Decimal]) -> Metric:
    """A gauge or counter with a value for each tuple of label values, in the order of the table.

    Raises:
        KeyError: the table has no such metric. ValueError: a sample with another number of labels.
    """
    spec = METRICS[name]
    kind = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    family = kind(spec.name, spec.help, labels=spec.labels)
    for labels, value in samples.items():
        family.add_metric(_as_many(name, labels), float(value))
    return family


def alone(name: str, value: float | Decimal) -> Metric:
    """A gauge without labels."""
    return measured(name, dict[Labels, float | Decimal]({(): value}))


def one_of(name: str, state: str, states: tuple[str, ...]) -> Metric:
    """1 for the state that is, 0 for the others."""
    return measured(name, {(each,): each == state for each in states})


def distributed(name: str, samples: Mapping[L, Latency]) -> Metric:
    """A histogram."""
    spec = METRICS[name]
    family = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
    bounds = [*map(str, BUCKETS), "+Inf"]
    for labels, latency in samples.items():
        family.add_metric(
            _as_many(name, labels), list(zip(bounds, accumulate(latency.counts), strict=True)), latency.seconds
        )
    return family


def _as_many(name: str, labels: Labels) -> Labels:
    if len(labels) != len(METRICS[name].labels):
        raise ValueError(f"{name} has labels {METRICS[name].labels}, not {labels}")
    return labels
