"""Which broker a mode gets, and which it is refused."""

from typing import Any

import pytest

from ffe.clock import SystemClock
from ffe.errors import LiveNotArmedError, MissingCredentialsError, NotSentError, RefusedError, UnknownNameError
from ffe.settings import CoinbaseSettings, LiveSettings, OandaSettings, Settings
from ffe.venues.factory import COINBASE_LIVE, OANDA_LIVE, OANDA_PRACTICE, coinbase_client, oanda_client, open_broker
from ffe.venues.paper import PaperBroker

LOOPBACK = "http://127.0.0.1:1/x"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)


def settings(mode: str, url: str | None = None, *, armed: bool = False, secrets: bool = True) -> Settings:
    if not secrets:
        return Settings(mode=mode, live=LiveSettings(armed=armed))
    return Settings(
        mode=mode,
        oanda=OandaSettings(base_url=url, token="t", account_id="101-1"),
        coinbase=CoinbaseSettings(base_url=url, api_key="k", api_secret="s"),
        live=LiveSettings(armed=armed),
    )


@pytest.mark.parametrize(
    ("mode", "url", "armed", "reached"),
    [
        ("sim", LOOPBACK, False, LOOPBACK),
        ("practice", None, False, OANDA_PRACTICE),
        ("practice", LOOPBACK, False, LOOPBACK),
        ("live", None, True, OANDA_LIVE),
        ("paper", None, False, OANDA_PRACTICE),
    ],
)
def test_each_mode_reaches_its_own_oanda_host(mode: str, url: str | None, armed: bool, reached: str) -> None:
    chosen = settings(mode, url, armed=armed)
    broker = open_broker("oanda", chosen, SystemClock())
    assert (broker.venue, broker.account) == ("oanda", "paper-oanda" if mode == "paper" else "101-1")
    assert oanda_client(chosen)._base_url == reached


@pytest.mark.parametrize(
    ("mode", "url", "armed", "reached"),
    [
        ("sim", LOOPBACK, False, LOOPBACK),
        ("practice", LOOPBACK, False, LOOPBACK),
        ("live", None, True, COINBASE_LIVE),
        ("paper", None, False, COINBASE_LIVE),
    ],
)
def test_each_mode_reaches_its_own_coinbase_host(mode: str, url: str | None, armed: bool, reached: str) -> None:
    chosen = settings(mode, url, armed=armed)
    assert coinbase_client(chosen)._base_url == reached
    assert open_broker("coinbase", chosen, SystemClock()).venue == "coinbase"


def test_live_is_refused_until_it_is_armed() -> None:
    for venue in ("oanda", "coinbase"):
        with pytest.raises(LiveNotArmedError, match="FFE_LIVE__ARMED"):
            open_broker(venue, settings("live"), SystemClock())


def test_coinbase_has_no_practice_venue_and_says_so() -> None:
    for url in (None, "https://api.coinbase.com"):
        with pytest.raises(RefusedError, match="no practice venue"):
            open_broker("coinbase", settings("practice", url), SystemClock())


def test_practice_never_reaches_the_live_host() -> None:
    with pytest.raises(RefusedError, match="live host"):
        open_broker("oanda", settings("practice", OANDA_LIVE), SystemClock())


@pytest.mark.parametrize(("venue", "name"), [("oanda", "FFE_OANDA__BASE_URL"), ("coinbase", "FFE_COINBASE__BASE_URL")])
def test_sim_talks_to_loopback_only(venue: str, name: str) -> None:
    with pytest.raises(RefusedError, match=name):
        open_broker(venue, settings("sim", "https://example.com"), SystemClock())
    with pytest.raises(MissingCredentialsError, match=name):
        open_broker(venue, settings("sim"), SystemClock())


@pytest.mark.parametrize("venue", ["oanda", "coinbase"])
def test_paper_gets_a_local_account_under_the_venues_name(venue: str) -> None:
    chosen = settings("paper")
    broker = open_broker(venue, chosen, SystemClock())
    assert isinstance(broker, PaperBroker)
    assert (broker.venue, broker.account) == (venue, f"paper-{venue}")
    assert not chosen.data_dir.exists()


def test_no_client_of_paper_mode_can_send() -> None:
    chosen = settings("paper")
    with pytest.raises(NotSentError, match="never sends"):
        oanda_client(chosen).send(object())
    with pytest.raises(NotSentError, match="never sends"):
        coinbase_client(chosen).send("create_order", client_order_id="c")


def test_a_paper_key_may_be_view_only_and_the_message_says_so() -> None:
    with pytest.raises(MissingCredentialsError, match=r"FFE_COINBASE__API_KEY.*view-only"):
        open_broker("coinbase", settings("paper", secrets=False), SystemClock())
    with pytest.raises(MissingCredentialsError, match=r"FFE_OANDA__TOKEN.*practice"):
        open_broker("oanda", settings("paper", secrets=False), SystemClock())


@pytest.mark.parametrize("mode", ["paper", "practice", "live"])
def test_missing_credentials_name_the_variables(mode: str) -> None:
    with pytest.raises(MissingCredentialsError, match="FFE_OANDA__TOKEN, FFE_OANDA__ACCOUNT_ID"):
        open_broker("oanda", settings(mode, armed=True, secrets=False), SystemClock())
    with pytest.raises(MissingCredentialsError, match="FFE_COINBASE__API_KEY, FFE_COINBASE__API_SECRET"):
        coinbase_client(settings(mode, secrets=False))


def test_an_unknown_venue_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="coinbase"):
        open_broker("coinbse", settings("sim", LOOPBACK), SystemClock())
