"""The metrics over HTTP, as Prometheus scrapes them."""

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from ffe.errors import ConfigurationError

HOST = "127.0.0.1"


def registry_of(collector: Collector) -> CollectorRegistry:
    """A registry with nothing else in it: what the library counts of the serving process itself is nobody's business here."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


class MetricsServer:
    """Serves `/metrics` from its own threads until `close`. Port 0 takes a free one; `url` has the one that it got."""

    def __init__(self, collector: Collector, port: int, host: str = HOST) -> None:
        """Raises ConfigurationError when the address can't be served: taken, or not this machine's."""
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry_of(collector))
        except OSError as error:
            where = f"port {port}" if host == HOST else f"{host} port {port}"
            hint = "choose another with --port" if host == HOST else "choose another with --host and --port"
            raise ConfigurationError(f"{where} can't be served: {error.strerror}; {hint}") from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/metrics"

    def wait(self) -> None:
        """Until the server is closed, or the process is interrupted."""
        self._thread.join()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
