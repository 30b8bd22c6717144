"""Which broker a mode gets, and which it is refused.

sim talks to loopback only. paper reads the venue's market through clients that can't send, and fills in a book in the data folder.
practice is OANDA's practice host; Coinbase has none. live must be armed.
"""

from pydantic import SecretStr

from ffe.clock import Clock
from ffe.errors import LiveNotArmedError, MissingCredentialsError, RefusedError, UnknownNameError
from ffe.settings import Mode, Settings, is_loopback, require
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.paper_data import ReadingCoinbaseClient, ReadingOandaClient
from ffe.venues.protocol import Broker
from ffe.venues.wire import Limits

OANDA_PRACTICE = "https://api-fxpractice.oanda.com"
OANDA_LIVE = "https://api-fxtrade.oanda.com"
COINBASE_LIVE = "https://api.coinbase.com"
VENUES = ("coinbase", "oanda")
PAPER_BOOK = "paper.sqlite"


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
        return _in_mode(OandaBroker(oanda_client(settings), clock), settings, clock)
    if settings.mode is Mode.PRACTICE and not _on_loopback(settings.coinbase.base_url):
        raise RefusedError(
            "coinbase has no practice venue: use --mode sim, or set FFE_COINBASE__BASE_URL to a loopback one"
        )
    return _in_mode(CoinbaseBroker(coinbase_client(settings), clock), settings, clock)


def _in_mode(broker: Broker, settings: Settings, clock: Clock) -> Broker:
    """The venue's own broker, or in mode paper a local one that only reads it."""
    from ffe.venues.paper import PaperBroker
    from ffe.venues.paper_book import PaperBook

    if settings.mode is not Mode.PAPER:
        return broker
    book = PaperBook(settings.data_dir / PAPER_BOOK, f"paper-{broker.venue}", settings.paper.balance)
    return PaperBroker(broker, book, clock, settings.paper)


def oanda_client(settings: Settings, limits: Limits | None = None) -> OandaClient:
    """Client of the host that the mode allows. Raises MissingCredentialsError naming the variables; RefusedError for a wrong host."""
    _require_key(settings, "any OANDA account, a practice one too", "oanda.token", "oanda.account_id")
    url = settings.oanda.base_url
    if url is None:
        _require_simulator(settings, "oanda.base_url")
        url = OANDA_LIVE if settings.mode is Mode.LIVE else OANDA_PRACTICE
    _refuse_wrong_host(settings, "FFE_OANDA__BASE_URL", url)
    if settings.mode is Mode.PRACTICE and url.startswith(OANDA_LIVE):
        raise RefusedError(f"mode practice would reach the live host {OANDA_LIVE}: unset FFE_OANDA__BASE_URL")
    kind = ReadingOandaClient if settings.mode is Mode.PAPER else OandaClient
    return kind(url, _text(settings.oanda.token), settings.oanda.account_id or "", limits)


def coinbase_client(settings: Settings, limits: Limits | None = None) -> CoinbaseClient:
    """Client of the host that the mode allows. Raises as `oanda_client`."""
    _require_key(settings, "a view-only Coinbase key", "coinbase.api_key", "coinbase.api_secret")
    url = settings.coinbase.base_url
    if url is None:
        _require_simulator(settings, "coinbase.base_url")
        url = COINBASE_LIVE
    _refuse_wrong_host(settings, "FFE_COINBASE__BASE_URL", url)
    kind = ReadingCoinbaseClient if settings.mode is Mode.PAPER else CoinbaseClient
    return kind(url, _text(settings.coinbase.api_key), _text(settings.coinbase.api_secret), limits)


def _require_key(settings: Settings, enough: str, *names: str) -> None:
    """Paper reads the venue's own market, which asks for a key; the message then says what is enough."""
    try:
        require(settings, *names)
    except MissingCredentialsError as error:
        if settings.mode is not Mode.PAPER:
            raise
        raise MissingCredentialsError(f"{error}. Paper only reads: {enough} is enough") from None


def _require_simulator(settings: Settings, name: str) -> None:
    if settings.mode is Mode.SIM:
        require(settings, name)


def _refuse_wrong_host(settings: Settings, name: str, url: str) -> None:
    if settings.mode is Mode.SIM and not is_loopback(url):
        raise RefusedError(f"mode sim talks to the simulator on loopback only; {name} is {url}")


def _on_loopback(url: str | None) -> bool:
    return url is not None and is_loopback(url)


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
