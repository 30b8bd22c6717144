"""The same metrics pushed over OTLP to a collector on loopback, which decodes the protobuf."""

import logging
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parent))

from filled_ledger import NOW, fill_ledger

from ffe.clock import FixedClock, SystemClock
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger
from ffe.observe.masking import masked
from ffe.observe.metrics import METRICS, LedgerMetrics
from ffe.observe.metrics.otlp import OtlpPush, endpoint_url, headers_of
from ffe.settings import Settings
from ffe.settings_operations import MetricsSettings


@dataclass
class Received:
    url: str
    status: int = 200
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def metrics(self) -> dict[str, Metric]:
        scope = self.requests[-1].resource_metrics[0].scope_metrics[0]
        return {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def collector() -> Iterator[Received]:
    received = Received("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.paths.append(self.path)
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            received.requests.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(received.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            received.came.release()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "ledger.sqlite"
    with closing(Ledger.open(f"sqlite:///{path}")) as ledger:
        fill_ledger(ledger)
    return path


@pytest.fixture
def ledger(filled: Path, tmp_path: Path) -> Iterator[Ledger]:
    shutil.copy(filled, tmp_path / "ledger.sqlite")
    with closing(Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def metrics(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerMetrics:
    monkeypatch.chdir(tmp_path)
    return LedgerMetrics(ledger, FixedClock(NOW), Settings(data_dir=tmp_path))


def test_every_metric_arrives_with_its_kind_and_value(collector: Received, metrics: LedgerMetrics) -> None:
    knobs = MetricsSettings(otlp_seconds=3600, otlp_headers=SecretStr("authorization=Bearer%20canary-7,x-team=a"))
    before = SystemClock().now().timestamp() * 1e9
    with closing(OtlpPush(metrics, collector.url, knobs)) as push:
        assert collector.came.acquire(timeout=20)
        assert push.shown == f"{collector.url}/v1/metrics"
    assert collector.paths == ["/v1/metrics"]
    assert collector.headers[0]["authorization"] == "Bearer canary-7"
    assert masked("it says Bearer canary-7") == "it says <masked>"
    found = collector.metrics()
    assert set(found) == set(METRICS)
    resource = collector.requests[0].resource_metrics[0].resource
    assert [(each.key, each.value.string_value) for each in resource.attributes] == [("service.name", "ffe")]
    point = found["api_calls_total"].sum.data_points[0]
    assert found["api_calls_total"].sum.is_monotonic
    assert (point.as_double, point.start_time_unix_nano) == (100, 0)
    assert point.time_unix_nano >= before
    assert {each.key: each.value.string_value for each in point.attributes} == {"source": "oanda"}
    assert found["drawdown_limit_ratio"].gauge.data_points[0].as_double == 0.05


def test_a_histogram_keeps_its_buckets(collector: Received, metrics: LedgerMetrics) -> None:
    with closing(OtlpPush(metrics, f"{collector.url}/v1/metrics/", MetricsSettings(otlp_seconds=3600))):
        assert collector.came.acquire(timeout=20)
    points = {
        point.attributes[1].value.string_value: point
        for point in collector.metrics()["cycle_stage_seconds"].histogram.data_points
    }
    model = points["model"]
    assert (model.count, model.sum) == (5, pytest.approx(14.5))
    assert model.bucket_counts[list(model.explicit_bounds).index(5.0)] == 5
    assert len(model.bucket_counts) == len(model.explicit_bounds) + 1
    assert sum(model.bucket_counts) == 5
    assert not model.HasField("min")
    assert set(points) == {"reconcile", "bars", "quality", "model", "decide", "orders"}


def test_it_is_pushed_again_and_again_until_it_is_closed(collector: Received, metrics: LedgerMetrics) -> None:
    with closing(OtlpPush(metrics, collector.url, MetricsSettings(otlp_seconds=1))):
        assert all(collector.came.acquire(timeout=20) for _ in range(2))
    there = len(collector.requests)
    assert not collector.came.acquire(timeout=1.5) or len(collector.requests) == there


def test_a_collector_that_refuses_is_logged_and_asked_again_later(
    collector: Received, metrics: LedgerMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    with closing(OtlpPush(metrics, collector.url, MetricsSettings(otlp_seconds=3600))) as push:
        assert collector.came.acquire(timeout=20)
        assert not push.push()
        collector.status = 200
        assert push.push()
    assert "400" in caplog.text


def test_a_ledger_that_cannot_be_read_is_logged_and_nothing_old_is_pushed(
    collector: Received, metrics: LedgerMetrics, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with ledger.database.writing_connection() as connection:
        connection.exec_driver_sql("DROP TABLE api_usage")
    with (
        caplog.at_level(logging.ERROR),
        closing(OtlpPush(metrics, collector.url, MetricsSettings(otlp_seconds=3600))) as push,
    ):
        assert not push.push()
    assert collector.requests == []
    assert f"no metrics for {collector.url}/v1/metrics" in caplog.text


def test_what_is_no_endpoint_or_no_headers_is_a_usage_error(metrics: LedgerMetrics) -> None:
    assert endpoint_url("https://collector.example/otlp") == "https://collector.example/otlp/v1/metrics"
    assert headers_of(None) == {}
    with pytest.raises(ConfigurationError, match=r"'collector:4318' is not an http\(s\) URL"):
        endpoint_url("collector:4318")
    with pytest.raises(ConfigurationError, match="is not name=value,name=value") as caught:
        headers_of(SecretStr("x=1,canary-8"))
    assert "canary" not in str(caught.value)
    secret = MetricsSettings(otlp_headers=SecretStr("x=canary-9"))
    with pytest.raises(ConfigurationError, match="sent in the clear: use https"):
        OtlpPush(metrics, "http://collector.example:4318", secret)
