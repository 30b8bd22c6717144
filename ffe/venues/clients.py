"""The vendors' own SDKs, set up so that they can be trusted with an order: timeouts, deadlines, no logs of their own.

`read` retries, `send` sends at most once; both return plain dicts and raise only `ffe.errors.VenueError` and its children.
The SDKs are imported on the first call: `ffe --help` need not pay for them.
"""

import logging
from typing import Any
from urllib.parse import urlsplit

from ffe.errors import AuthenticationError, NotSentError
from ffe.settings import is_loopback
from ffe.venues.calls import Caller, Reply
from ffe.venues.wire import Limits, Lines, WireAdapter, prepare_session

_SILENT = logging.CRITICAL + 1


class OandaClient:
    """OANDA v20 through oandapyV20. `base_url` ends before `/v3`; endpoints are the SDK's own request objects."""

    def __init__(self, base_url: str, token: str, account_id: str, limits: Limits | None = None) -> None:
        self.account_id = account_id.strip()
        self._base_url, self._token = base_url.rstrip("/"), _header_text("oanda token", token)
        self._limits = limits or Limits()
        self._caller = Caller(
            "oanda", Lines(self._open), self._limits, hidden=(self._token,), reject_reason=_oanda_reason
        )

    def read(self, endpoint: Any) -> Reply:
        """Reply of a GET endpoint. Raises as `Caller.read`."""
        return self._caller.read(type(endpoint).__name__, lambda api: api.request(endpoint))

    def send(self, endpoint: Any) -> Reply:
        """Reply of a POST or PUT endpoint, sent at most once. Raises as `Caller.send`."""
        return self._caller.send(type(endpoint).__name__, lambda api: api.request(endpoint))

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._caller.close()

    def _open(self, adapter: WireAdapter) -> Any:
        from oandapyV20 import API, oandapyV20

        # The SDK prints URLs and whole error bodies; ours go into the incident, masked.
        logging.getLogger(oandapyV20.__name__).setLevel(_SILENT)
        environment = f"ffe:{self._base_url}"
        oandapyV20.TRADING_ENVIRONMENTS.setdefault(environment, {"api": self._base_url, "stream": self._base_url})
        api = API(
            access_token=self._token,
            environment=environment,
            headers={"Accept-Datetime-Format": "RFC3339"},
            request_params={"timeout": self._limits.timeout},
        )
        prepare_session(api.client, adapter, loopback=is_loopback(self._base_url))
        return api


class CoinbaseClient:
    """Coinbase Advanced Trade through coinbase-advanced-py. `base_url` ends before `/api/v3`; calls go by method name.

    The SDK speaks https only; a plain http URL, allowed on loopback alone, is reached by swapping the scheme in the adapter.
    """

    def __init__(self, base_url: str, api_key: str, api_secret: str, limits: Limits | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = _header_text("coinbase api_key", api_key)
        self._secret = api_secret.strip().replace("\\n", "\n")
        self._limits = limits or Limits()
        parts = urlsplit(self._base_url)
        plain_host = parts.hostname if parts.scheme == "http" else None
        lines: Lines[Any] = Lines(self._open, plain_host=plain_host)
        self._caller = Caller(
            "coinbase",
            lines,
            self._limits,
            hidden=(self._key, self._secret),
            reject_reason=_coinbase_reason,
            unauthorized_retries=1,
        )

    def read(self, method_name: str, **kwargs: Any) -> Reply:
        """Reply of a method of `RESTClient` that changes nothing, as plain dicts all the way down. Raises as `Caller.read`."""
        return self._caller.read(method_name, lambda sdk: plain_data(getattr(sdk, method_name)(**kwargs)))

    def send(self, method_name: str, **kwargs: Any) -> Reply:
        """Reply of a method that changes something, sent at most once. Raises as `Caller.send`."""
        if method_name == "create_order" and not kwargs.get("client_order_id"):
            raise NotSentError("coinbase create_order: an empty client_order_id would be replaced by a random one")
        return self._caller.send(method_name, lambda sdk: plain_data(getattr(sdk, method_name)(**kwargs)))

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._caller.close()

    def _open(self, adapter: WireAdapter) -> Any:
        from coinbase.jwt_generator import build_rest_jwt
        from coinbase.rest import RESTClient

        _silence("coinbase")
        try:
            build_rest_jwt("GET /", self._key, self._secret)
        except Exception:  # noqa: BLE001 - the SDK raises bare Exception; its text may quote the key
            raise AuthenticationError("coinbase api_secret is neither a PEM private key nor base64 of one") from None
        parts = urlsplit(self._base_url)
        sdk = RESTClient(
            api_key=self._key,
            api_secret=self._secret,
            base_url=f"{parts.netloc}{parts.path}",
            timeout=self._limits.timeout,
        )
        prepare_session(sdk.session, adapter, loopback=is_loopback(self._base_url))
        return sdk


def plain_data(value: Any) -> Any:
    """Dicts, lists and scalars of an SDK reply, however deep; its own `to_dict` stops after one list."""
    if isinstance(value, dict):
        return {key: plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    if hasattr(value, "to_dict"):
        return {key: plain_data(item) for key, item in vars(value).items()}
    return value


def _header_text(name: str, secret: str) -> str:
    """A secret fit for a header: the HTTP library's refusal of an unfit one would quote it."""
    text = secret.strip()
    if not text or not text.isascii() or not text.isprintable():
        raise AuthenticationError(f"{name} is empty or holds characters that no key has")
    return text


def _silence(prefix: str) -> None:
    """Takes away the handlers that the SDK hangs on its own loggers: every line would come twice, some with balances."""
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == prefix]:
        logger = logging.getLogger(name)
        logger.setLevel(_SILENT)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)


def _oanda_reason(body: Reply) -> str | None:
    for key in ("orderRejectTransaction", "orderCancelRejectTransaction"):
        rejected = body.get(key)
        if isinstance(rejected, dict) and rejected.get("rejectReason"):
            return str(rejected["rejectReason"])
    return _first_text(body, "rejectReason", "errorCode", "errorMessage")


def _coinbase_reason(body: Reply) -> str | None:
    return _first_text(body, "error", "error_details", "message")


def _first_text(body: Reply, *keys: str) -> str | None:
    return next((str(body[key]) for key in keys if body.get(key)), None)
