"""Which broker a mode gets, and which it is refused.

sim talks to loopback only. paper fills locally and never gets a venue's broker, only its clients for data. practice is
OANDA's practice host; Coinbase has none. live must be armed.
"""

from pydantic import SecretStr

from ffe.clock import Clock
from ffe.errors import LiveNotArmedError, RefusedError, UnknownNameError
from ffe.settings import Mode, Settings, is_loopback, require
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.protocol import Broker

OANDA_PRACTICE = "https://api-fxpractice.oanda.com"
OANDA_LIVE = "https://api-fxtrade.oanda.com"
COINBASE_LIVE = "https://api.coinbase.com"
VENUES = ("coinbase", "oanda")


def open_broker(venue: str, settings: Settings, clock: Clock) -> Broker:
    """A broker that can place orders in this mode.

    Raises:
        UnknownNameError: no such venue.
        LiveNotArmedError, MissingCredentialsError, RefusedError: this mode may not, each naming what to set.
    """
    from ffe.venues.coinbase import CoinbaseBroker
    from ffe.venues.oanda import OandaBroker

    if venue not in VENUES:
        raise UnknownNameError("venue", venue, VENUES)
    if settings.mode is Mode.LIVE and not settings.live.armed:
        raise LiveNotArmedError("mode live places real orders: set FFE_LIVE__ARMED=true to allow it")
    if venue == "oanda":
        oanda = oanda_client(settings)
        _refuse_paper(settings)
        return OandaBroker(oanda, clock)
    if settings.mode is Mode.PRACTICE and not _on_loopback(settings.coinbase.base_url):
        raise RefusedError(
            "coinbase has no practice venue: use --mode sim, or set FFE_COINBASE__BASE_URL to a loopback one"
        )
    coinbase = coinbase_client(settings)
    _refuse_paper(settings)
    return CoinbaseBroker(coinbase, clock)


def oanda_client(settings: Settings) -> OandaClient:
    """Client of the host that the mode allows. Raises MissingCredentialsError naming the variables; RefusedError for a wrong host."""
    require(settings, "oanda.token", "oanda.account_id")
    url = settings.oanda.base_url
    if url is None:
        _require_simulator(settings, "oanda.base_url")
        url = OANDA_LIVE if settings.mode is Mode.LIVE else OANDA_PRACTICE
    _refuse_wrong_host(settings, "FFE_OANDA__BASE_URL", url)
    if settings.mode is Mode.PRACTICE and url.startswith(OANDA_LIVE):
        raise RefusedError(f"mode practice would reach the live host {OANDA_LIVE}: unset FFE_OANDA__BASE_URL")
    return OandaClient(url, _text(settings.oanda.token), settings.oanda.account_id or "")


def coinbase_client(settings: Settings) -> CoinbaseClient:
    """Client of the host that the mode allows. Raises as `oanda_client`."""
    require(settings, "coinbase.api_key", "coinbase.api_secret")
    url = settings.coinbase.base_url
    if url is None:
        _require_simulator(settings, "coinbase.base_url")
        url = COINBASE_LIVE
    _refuse_wrong_host(settings, "FFE_COINBASE__BASE_URL", url)
    return CoinbaseClient(url, _text(settings.coinbase.api_key), _text(settings.coinbase.api_secret))


def _require_simulator(settings: Settings, name: str) -> None:
    if settings.mode is Mode.SIM:
        require(settings, name)


def _refuse_wrong_host(settings: Settings, name: str, url: str) -> None:
    if settings.mode is Mode.SIM and not is_loopback(url):
        raise RefusedError(f"mode sim talks to the simulator on loopback only; {name} is {url}")


def _refuse_paper(settings: Settings) -> None:
    if settings.mode is Mode.PAPER:
        raise RefusedError("mode paper never places orders at a venue: use --mode sim, practice or live")


def _on_loopback(url: str | None) -> bool:
    return url is not None and is_loopback(url)


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
