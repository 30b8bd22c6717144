"""Metrics of everything that the ledger knows: one table of names, read at every scrape, for Prometheus and OpenTelemetry."""

from ffe.observe.metrics.collector import LedgerMetrics
from ffe.observe.metrics.server import MetricsServer
from ffe.observe.metrics.table import METRICS

__all__ = ["METRICS", "LedgerMetrics", "MetricsServer"]
