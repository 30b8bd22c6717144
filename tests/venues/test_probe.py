"""What a venue's replies mean for the five questions, reply by reply; tests/observe/test_preflight.py asks the real simulator."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.errors import FfeError, PermissionDeniedError, VenueReadError
from ffe.market.models import parse_instrument
from ffe.venues import probe
from ffe.venues.probe import Heard, ProviderAnswers
from ffe.venues.probe_coinbase import WITHDRAWALS, CoinbaseProbe
from ffe.venues.probe_oanda import OandaProbe

AT = datetime(2024, 5, 15, 12, tzinfo=UTC)
BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
PERMISSIONS = {"can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": "p"}
WALLET = {"currency": "USD", "active": True, "ready": True, "available_balance": {"value": "12.5", "currency": "USD"}}
COINBASE: dict[str, Any] = {
    "permissions": PERMISSIONS,
    "portfolios": {"portfolios": [{"uuid": "p", "deleted": False}]},
    "accounts": [WALLET],
    "prices": {"pricebooks": [{"product_id": "BTC-USD", "bids": [{"price": "1"}], "asks": [{"price": "2"}]}]},
    "time": {"epoch_millis": "1715774400000"},
}
PRICE = {"instrument": "EUR_USD", "bids": [{"price": "1"}], "asks": [{"price": "2"}]}
OANDA: dict[str, Any] = {
    "accounts": {"accounts": [{"id": "101"}]},
    "instruments": {"instruments": [{"name": "EUR_USD"}]},
    "summary": {"account": {"marginAvailable": "90", "NAV": "100", "currency": "USD"}},
    "prices": {"prices": [PRICE], "time": "2024-05-15T12:00:00.000000000Z"},
}


class Client:
    account_id = "101"

    def close(self) -> None:
        self.closed = True


def heard(replies: dict[str, Any]) -> dict[str, Heard]:
    return {
        name: Heard(None, value, AT, AT) if isinstance(value, FfeError) else Heard(value, None, AT, AT)
        for name, value in replies.items()
    }


def at_coinbase(**changes: Any) -> ProviderAnswers:
    return CoinbaseProbe(Client(), [BTC]).judge(heard(COINBASE | changes))


def at_oanda(*, open_market: bool = True, **changes: Any) -> ProviderAnswers:
    quoting = [EUR] if open_market else []
    return OandaProbe(Client(), [EUR], quoting).judge(heard(OANDA | changes))


def test_whole_replies_answer_every_question() -> None:
    for found in (at_coinbase(), at_oanda()):
        assert {answer.says for answer in found.answers.values()} == {"yes"}
        assert found.refusals == ()
    assert at_coinbase().balance_readable.detail == "12.5 USD available"
    assert at_oanda().balance_readable.detail == "90 USD available of 100"


DOWN = VenueReadError("503")
SAID: list[tuple[ProviderAnswers, str, str, str]] = [
    (at_coinbase(permissions=PERMISSIONS | {"can_view": False}), "can_trade", "no", "no view permission"),
    (at_coinbase(permissions=PERMISSIONS | {"can_trade": "yes"}), "can_trade", "unknown", "not true or false"),
    (at_coinbase(accounts=[]), "balance_readable", "no", "no USD wallet"),
    (at_coinbase(accounts=[]), "account_active", "yes", "is listed"),
    (at_coinbase(accounts=DOWN), "account_active", "yes", "is listed"),
    (at_coinbase(portfolios=DOWN), "account_active", "yes", "active and ready"),
    (at_coinbase(portfolios=DOWN, accounts=DOWN), "account_active", "unknown", "503"),
    (at_coinbase(permissions=DOWN, accounts=DOWN), "account_active", "unknown", "503"),
    (at_coinbase(portfolios={"portfolios": []}), "account_active", "no", "not among those"),
    (at_coinbase(portfolios={"portfolios": [{"uuid": "p", "deleted": True}]}), "account_active", "no", "is deleted"),
    (at_coinbase(accounts=[WALLET | {"ready": False}]), "account_active", "no", "not active and ready"),
    (at_coinbase(accounts=[WALLET | {"ready": None}]), "account_active", "yes", "is listed"),
    (at_coinbase(prices={"pricebooks": []}), "market_data_readable", "no", "no bid and ask of BTC-USD"),
    (
        at_coinbase(prices={"pricebooks": [{"product_id": "BTC-USD", "bids": [], "asks": []}]}),
        "market_data_readable",
        "no",
        "no bid and ask of BTC-USD",
    ),
    (at_oanda(accounts={"accounts": [{"id": "other"}]}), "account_active", "no", "closed, or another token's"),
    (at_oanda(accounts=PermissionDeniedError("403")), "account_active", "no", "forbidden: 403"),
    (at_oanda(accounts=PermissionDeniedError("403")), "authenticated", "unknown", "not shown: 403"),
    (at_oanda(instruments={"instruments": []}), "can_trade", "no", "may not trade EURUSD"),
    (at_oanda(summary={"account": {}}), "balance_readable", "no", "marginAvailable is missing"),
    (at_oanda(prices={"prices": []}), "market_data_readable", "no", "no price of EURUSD"),
    (at_oanda(prices={"prices": [PRICE | {"bids": []}]}), "market_data_readable", "no", "no bid and ask of EURUSD"),
    (at_oanda(prices={"prices": [PRICE | {"bids": []}]}, open_market=False), "market_data_readable", "yes", "EURUSD"),
]


@pytest.mark.parametrize(("found", "question", "says", "detail"), SAID)
def test_what_a_reply_holds_decides(found: ProviderAnswers, question: str, says: str, detail: str) -> None:
    answer = found.answers[question]
    assert (answer.says, detail in answer.detail) == (says, True), answer
    assert answer.passes == (says == "yes")


@pytest.mark.parametrize("right", [True, None, "false"])
def test_a_key_that_does_not_clearly_say_that_it_can_not_withdraw_is_refused(right: Any) -> None:
    assert at_coinbase(permissions=PERMISSIONS | {"can_transfer": right}).refusals == (WITHDRAWALS,)


def test_an_error_of_another_kind_than_ours_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        probe.hear(lambda: 1 / 0, FixedClock(AT))


def test_half_of_the_round_trip_may_be_wrong() -> None:
    read = Heard(None, None, AT, AT + timedelta(seconds=2))
    assert probe.offset(read, AT + timedelta(seconds=4)) == (timedelta(seconds=3), timedelta(seconds=1))


def test_a_closed_probe_closes_its_client() -> None:
    client = Client()
    for made in (CoinbaseProbe(client, [BTC]), OandaProbe(client, [EUR], [])):
        client.closed = False
        made.close()
        assert client.closed


@pytest.mark.parametrize(
    "told", ["99999999999999999999999", "-9999999999999999", "253402300800000", "1e999999999999", "12.5"]
)
def test_a_time_that_no_calendar_has_is_none(told: str) -> None:
    assert CoinbaseProbe(Client(), [BTC]).server_time(heard(COINBASE | {"time": {"epoch_millis": told}})) is None


def test_a_time_before_the_first_year_is_none_of_oanda_either() -> None:
    prices = {"prices": [], "time": "0001-01-01T00:00:00+05:00"}
    assert OandaProbe(Client(), [EUR], []).server_time(heard(OANDA | {"prices": prices})) is None


def test_the_time_is_the_venues_and_none_where_it_said_none() -> None:
    coinbase, oanda = CoinbaseProbe(Client(), [BTC]), OandaProbe(Client(), [EUR], [])
    for found in (coinbase.server_time(heard(COINBASE)), oanda.server_time(heard(OANDA))):
        assert found is not None
        assert found[1] == AT
    assert coinbase.server_time(heard(COINBASE | {"time": {}})) is None
    assert coinbase.server_time(heard(COINBASE | {"time": DOWN})) is None
    assert oanda.server_time(heard(OANDA | {"prices": {"prices": [], "time": "noon"}})) is None
    assert oanda.server_time(heard(OANDA | {"prices": DOWN})) is None


def test_the_page_of_a_proxy_is_left_out_of_an_answer() -> None:
    page = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
    assert probe.unknown(f"coinbase get_accounts: 503: {page}").detail == "coinbase get_accounts: 503"
    assert probe.no(page).detail == page
