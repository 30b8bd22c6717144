"""The same metrics pushed to an OpenTelemetry collector, over OTLP/HTTP.

The collector is read once for each export and its families are handed to the exporter as they are: an SDK instrument each would read the
ledger once for every one of them, and there is none that could tell of a histogram which was counted elsewhere. Sums and histograms
are cumulative since the ledger began, whose time is not known, so their start time is 0 (unknown, in the words of the protocol).
Points carry the wall clock's time, also in `sim`: a backend refuses samples of another year.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from pydantic import SecretStr

from ffe.clock import SystemClock
from ffe.errors import ConfigurationError, LedgerError
from ffe.observe.masking import masked, remember
from ffe.settings import is_loopback
from ffe.settings_operations import MetricsSettings

_LOG = logging.getLogger(__name__)
_PATH = "/v1/metrics"
_RESOURCE = Resource({"service.name": "ffe"})
_SCOPE = InstrumentationScope("ffe.observe.metrics")
_UNKNOWN_START = 0
# The protocol's smallest and largest value are optional, and not on record; the SDK's type has no way to say so.
_NOT_RECORDED: Any = None
TIMEOUT_SECONDS = 10.0


def endpoint_url(endpoint: str) -> str:
    """Where metrics go: the collector's URL with the protocol's path, unless it ends with that already.

    Raises:
        ConfigurationError: no http(s) URL.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"FFE_METRICS__OTLP_ENDPOINT {masked(endpoint)!r} is not an http(s) URL")
    url = endpoint.rstrip("/")
    return url if url.endswith(_PATH) else url + _PATH


def headers_of(text: SecretStr | None) -> dict[str, str]:
    """`name=value,name=value` with percent-encoded values, as OTEL_EXPORTER_OTLP_HEADERS is written. The values are masked from then on.

    Raises:
        ConfigurationError: a part without a name or a value. Its text is not repeated.
    """
    headers = {}
    for part in "" if text is None else text.get_secret_value().split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if not name or not value:
            raise ConfigurationError("FFE_METRICS__OTLP_HEADERS is not name=value,name=value")
        headers[name.lower()] = unquote(value)
        remember(value)
        remember(unquote(value))
    return headers


def as_otlp(families: Iterable[Family], at_nanoseconds: int) -> MetricsData:
    """One resource, one scope, a metric for each family that has a sample. Names are those of the samples, so that rules fit both."""
    metrics = [
        Metric(family.name, family.documentation, "", _data(family, at_nanoseconds))
        for family in families
        if family.samples
    ]
    scope = ScopeMetrics(_SCOPE, [_named(metric) for metric in metrics], "")
    return MetricsData([ResourceMetrics(_RESOURCE, [scope], "")])


def _named(metric: Metric) -> Metric:
    """A collector adds `_total` to a monotonic sum by itself where it writes for Prometheus; here the name stays as it is scraped."""
    is_counter = isinstance(metric.data, Sum)
    name = f"{metric.name}_total" if is_counter else metric.name
    return Metric(name, metric.description, metric.unit, metric.data)


def _data(family: Family, at: int) -> Gauge | Sum | Histogram:
    if family.type == "histogram":
        points = [_distribution(labels, samples, at) for labels, samples in _series(family)]
        return Histogram(points, AggregationTemporality.CUMULATIVE)
    start = _UNKNOWN_START if family.type == "counter" else at
    numbers = [NumberDataPoint(dict(each.labels), start, at, each.value) for each in family.samples]
    if family.type == "counter":
        return Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    return Gauge(numbers)


def _series(family: Family) -> Iterator[tuple[dict[str, str], list[Sample]]]:
    """Samples of a histogram by the labels of their series."""
    series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        series.setdefault(labels, []).append(sample)
    return ((dict(labels), samples) for labels, samples in series.items())


def _distribution(labels: Mapping[str, str], samples: list[Sample], at: int) -> HistogramDataPoint:
    buckets = [(float(each.labels["le"]), int(each.value)) for each in samples if "le" in each.labels]
    cumulative = [count for _, count in buckets]
    return HistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=_UNKNOWN_START,
        time_unix_nano=at,
        count=cumulative[-1],
        sum=next(each.value for each in samples if each.name.endswith("_sum")),
        bucket_counts=[now - before for before, now in zip([0, *cumulative], cumulative, strict=False)],
        explicit_bounds=[bound for bound, _ in buckets[:-1]],
        min=_NOT_RECORDED,
        max=_NOT_RECORDED,
    )


class OtlpPush:
    """Pushes `collector`'s metrics every `otlp_seconds` from a thread of its own until `close`. A failed push is logged, the next one tries again."""

    def __init__(self, collector: Collector, endpoint: str, settings: MetricsSettings) -> None:
        """Raises ConfigurationError for an endpoint or headers that can't be used, and for headers over plain http to another machine."""
        self.url, headers = endpoint_url(endpoint), headers_of(settings.otlp_headers)
        if headers and self.url.startswith("http:") and not is_loopback(self.url):
            raise ConfigurationError("FFE_METRICS__OTLP_HEADERS would be sent in the clear: use https")
        session = requests.Session()
        session.trust_env = not is_loopback(self.url)
        self._session, self._collector, self._seconds = session, collector, settings.otlp_seconds
        self._exporter = OTLPMetricExporter(
            endpoint=self.url,
            headers=headers,
            timeout=min(TIMEOUT_SECONDS, settings.otlp_seconds),
            session=session,
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-push", daemon=True)
        self._thread.start()

    @property
    def shown(self) -> str:
        """The URL as a person may see it."""
        return masked(self.url)

    def push(self) -> bool:
        """One read of the ledger and one export; whether both were done."""
        at = round(SystemClock().now().timestamp() * 1e9)
        try:
            done = self._exporter.export(as_otlp(self._collector.collect(), at))
        except LedgerError as error:
            _LOG.error("no metrics for %s: %s", self.shown, masked(str(error)))
            return False
        return done is MetricExportResult.SUCCESS

    def close(self) -> None:
        """A push that is under way is waited for; what comes after it is in the ledger, for the next process."""
        self._ended.set()
        self._thread.join()
        self._exporter.shutdown()
        self._session.close()

    def _run(self) -> None:
        while True:
            self.push()
            if self._ended.wait(self._seconds):
                return
