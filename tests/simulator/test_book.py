"""The ledger rules of both venues as properties, restarts, the control interface and the state folder."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.money import plain
from simulator.codec import encode
from simulator.state import FolderBusyError, State
from simulator.wallets import NoFundsError

PROPERTY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PRICES = st.decimals(min_value="49000", max_value="51000", places=2)
RATES = st.decimals(min_value="1.09000", max_value="1.11000", places=5)


@contextmanager
def fresh(make_lab: Any) -> Iterator[Any]:
    with TemporaryDirectory() as folder:
        lab = make_lab(Path(folder))
        try:
            yield lab
        finally:
            lab.close()


SPOT_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL", "LIMIT", "BRACKET", "CANCEL", "WAIT"]),
        st.decimals(min_value="0.001", max_value="0.15", places=8),
        PRICES,
    ),
    min_size=1,
    max_size=12,
)


def spot_step(lab: Any, number: int, action: str, size: Decimal, price: Decimal) -> None:
    if action == "WAIT":
        lab.market.move("BTCUSD", plain(price), plain(price + Decimal("0.10")), lab.minute(1))
        lab.advance(3)
    elif action == "CANCEL":
        orders = [row["order_id"] for row in lab.coinbase("GET", "orders/historical/batch").json()["orders"]]
        lab.coinbase("POST", "orders/batch_cancel", json={"order_ids": orders or ["none"]})
    else:
        kind: dict[str, Any] = {"market_market_ioc": {"base_size": plain(size)}}
        if action == "LIMIT":
            kind = {"limit_limit_gtc": {"base_size": plain(size), "limit_price": plain(price)}}
        more = {"order_configuration": kind, "side": "SELL" if action == "SELL" else "BUY"}
        if action == "BRACKET":
            bracket = {"limit_price": "51500.00", "stop_trigger_price": "48500.00"}
            more["attached_order_configuration"] = {"trigger_bracket_gtc": bracket}
        lab.buy(f"order-{number}", **more)


@PROPERTY
@given(steps=SPOT_STEPS)
def test_coinbase_money_is_conserved_and_nothing_is_negative(make_lab: Any, steps: Any) -> None:
    with fresh(make_lab) as lab:
        for number, step in enumerate(steps):
            spot_step(lab, number, *step)
            assert all(available >= 0 and hold >= 0 for available, hold in lab.wallets().values())
        orders = lab.coinbase("GET", "orders/historical/batch").json()["orders"]
        fills = lab.coinbase("GET", "orders/historical/fills").json()["fills"]
        sign = {"BUY": 1, "SELL": -1}
        base = sum(sign[fill["side"]] * Decimal(fill["size"]) for fill in fills)
        spent = sum(sign[row["side"]] * Decimal(row["total_value_after_fees"]) for row in orders)
        wallets = lab.wallets()
        assert sum(wallets["BTC"]) == base
        assert sum(wallets["USD"]) == 10000 - spent


@PROPERTY
@given(steps=SPOT_STEPS)
def test_coinbase_fills_add_up_and_every_order_ends_once(make_lab: Any, steps: Any) -> None:
    with fresh(make_lab) as lab:
        for number, step in enumerate(steps):
            spot_step(lab, number, *step)
        lab.advance(1)
        spot_step(lab, len(steps), "CANCEL", Decimal(0), Decimal(0))
        spot_step(lab, len(steps), "CANCEL", Decimal(0), Decimal(0))
        fills = lab.coinbase("GET", "orders/historical/fills").json()["fills"]
        for row in lab.coinbase("GET", "orders/historical/batch").json()["orders"]:
            own = [Decimal(fill["size"]) for fill in fills if fill["order_id"] == row["order_id"]]
            assert sum(own) == Decimal(row["filled_size"])
            assert row["status"] in ("FILLED", "CANCELLED", "FAILED")
            assert Decimal(row["outstanding_hold_amount"]) == 0
        assert all(hold == 0 for _, hold in lab.wallets().values())


FOREX_STEPS = st.lists(
    st.tuples(st.integers(-20000, 20000).filter(bool), RATES, st.booleans()), min_size=1, max_size=10
)


@PROPERTY
@given(steps=FOREX_STEPS)
def test_oanda_ids_have_no_gap_and_the_log_adds_up_to_the_account(make_lab: Any, steps: Any) -> None:
    with fresh(make_lab) as lab:
        for units, rate, protected in steps:
            stop = {"stopLossOnFill": {"distance": "0.00500"}} if protected else {}
            lab.order(units, **stop)
            lab.market.move("EURUSD", plain(rate), plain(rate + Decimal("0.00010")), lab.minute(1))
            lab.advance(3)
        rows = lab.oanda("GET", "transactions/sinceid", params={"id": 0}).json()["transactions"]
        assert [row["id"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
        fills = [row for row in rows if row["type"] == "ORDER_FILL"]
        profit = sum(Decimal(row["pl"]) for row in fills)
        assert Decimal(lab.summary()["balance"]) == 100000 + profit
        assert sum(Decimal(trade["currentUnits"]) for trade in lab.trades()) == sum(Decimal(r["units"]) for r in fills)
        ended = {row["orderID"] for row in rows if row["type"] in ("ORDER_FILL", "ORDER_CANCEL")}
        accepted = {row["id"] for row in rows if row["type"] == "MARKET_ORDER"}
        assert accepted <= ended


@PROPERTY
@given(forex=FOREX_STEPS, spot=SPOT_STEPS)
def test_state_after_a_restart_equals_state_before(make_lab: Any, forex: Any, spot: Any) -> None:
    with fresh(make_lab) as lab:
        for units, _, protected in forex:
            lab.order(units, **({"takeProfitOnFill": {"price": "1.20000"}} if protected else {}))
        for number, step in enumerate(spot):
            spot_step(lab, number, *step)
        wallets, summary, before = lab.wallets(), lab.summary(), lab.dump()
        lab.restart()
        assert lab.dump() == before
        assert (lab.wallets(), lab.summary()) == (wallets, summary)


def test_a_request_that_breaks_leaves_nothing_behind(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lab.dump()

    def broken(*_: Any) -> None:
        raise LookupError("no price")

    monkeypatch.setattr(type(lab.venues.oanda.account), "filled", broken)
    with pytest.raises(LookupError):
        lab.order(1000)
    assert lab.dump() == before


def test_a_commit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    state = State(tmp_path)
    table = state.table("rows", dict)

    def put(**rows: object) -> None:
        with state.atomic():
            for key, value in rows.items():
                table.put(key, {"value": value})

    with pytest.raises(TypeError):
        put(good=1, bad=object())
    assert len(table) == 0
    put(good=1)
    with pytest.raises(TypeError):
        put(good=object())
    assert table.items() == [("good", {"value": 1})]
    with sqlite3.connect(tmp_path / "venue.sqlite") as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON row BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.close()
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        put(good=2)
    assert table["good"] == {"value": 1}
    state.close()
    again = State(tmp_path)
    assert again.table("rows", dict).get("good") == {"value": 1}
    again.close()


def test_a_folder_belongs_to_one_simulator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = State(tmp_path)
    with pytest.raises(FolderBusyError, match=r"held .* for 0.2 s"):
        State(tmp_path, wait_seconds=0.2)
    assert capsys.readouterr().err.count("waiting up to") == 1
    first.close()
    State(tmp_path, wait_seconds=0).close()


def test_a_wallet_never_goes_below_zero(lab: Any) -> None:
    wallets = lab.venues.coinbase.wallets
    with pytest.raises(NoFundsError, match=r"USD -1\.00 available"):
        wallets.move("USD", available=Decimal("-10001.00"))
    with pytest.raises(NoFundsError):
        wallets.move("BTC", hold=Decimal(-1))
    with pytest.raises(TypeError):
        encode({"value": object()})


def control(lab: Any, path: str, body: Any, token: str = "control") -> Any:
    return lab.send("POST", f"/_sim/{path}", {"Authorization": f"Bearer {token}"}, json=body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("halt", {"venue": "nyse"}),
        ("halt", {"instrument": "XAUUSD"}),
        ("halt", {}),
        ("outage", {"venue": "nyse"}),
        ("clock", {"set": "yesterday"}),
        ("clock", {"set": "2026-03-04T10:00:00"}),
        ("clock", {"advance_seconds": "ten"}),
        ("clock", {"advance_seconds": True}),
        ("clock", {"advance_seconds": -1}),
        ("clock", {"rate": -1}),
        ("switches", {"colour": "red"}),
        ("switches", {"coinbase_fill_after_polls": "two"}),
        ("switches", {"oanda_cancel_reason": 1}),
        ("switches", {"depth": {"BTCUSD": "deep"}}),
        ("switches", {"depth": "deep"}),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(lab: Any, path: str, body: Any) -> None:
    reply = control(lab, path, body)
    assert reply.status_code == 400
    assert reply.json()["error"]


def test_control_needs_its_own_token_and_json(lab: Any) -> None:
    assert control(lab, "halt", {"venue": "oanda"}, "token").status_code == 401
    assert lab.send("POST", "/_sim/halt", {"Authorization": "Bearer control"}, content=b"{").status_code == 400
    assert lab.oanda("GET", "pricing", params={"instruments": "EUR_USD"}).json()["prices"][0]["tradeable"]


def test_an_outage_answers_html_to_everything_until_it_ends(lab: Any) -> None:
    lab.control("outage", venue="oanda")
    reply = lab.oanda("GET", "summary")
    assert (reply.status_code, reply.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert lab.coinbase("GET", "accounts").status_code == 200
    lab.control("resume", venue="oanda")
    assert lab.oanda("GET", "summary").status_code == 200


def test_halts_and_switches_survive_a_restart(lab: Any) -> None:
    lab.control("halt", venue="coinbase")
    lab.control("switches", coinbase_fill_after_polls=4)
    lab.restart()
    assert lab.coinbase("GET", "products/BTC-USD").json()["trading_disabled"] is True
    assert lab.control("switches")["coinbase_fill_after_polls"] == 4


def test_the_clock_is_set_advanced_and_frozen(lab: Any) -> None:
    assert lab.control("clock", rate=0) == {"clock": "2026-03-04T14:30:20Z", "rate": 0.0}
    assert lab.control("clock", advance_seconds=30)["clock"] == "2026-03-04T14:30:50Z"
    assert lab.control("clock", set="2026-03-03T10:00:00Z")["clock"] == "2026-03-03T10:00:00Z"


def test_orders_placed_after_the_clock_went_back_still_trigger(lab: Any) -> None:
    lab.control("clock", set="2026-03-03T10:00:20Z")
    lab.order(1000, stopLossOnFill={"price": "1.09000"})
    lab.market.spike("EURUSD", lab.minute(2), "1.08990", "1.10000")
    lab.advance(4)
    assert lab.trades() == []


def test_control_issues_further_coinbase_keys(lab: Any) -> None:
    key = lab.control("coinbase/keys", kind="ed25519", can_trade=False, can_transfer=True)
    assert key["api_secret"].startswith("-----BEGIN PRIVATE KEY-----")
    assert key["api_key"] != lab.key.name


def test_alpha_vantage_answers_beside_the_venues(lab: Any) -> None:
    query = {"function": "NOTHING", "apikey": "AV"}
    assert "Error Message" in lab.send("GET", "/alphavantage/query", {}, params=query).json()
