"""The real process with the real SDKs: start-up line, shutdown, restarts, SIGKILL, the folder lock, bad arguments."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import oandapyV20.oandapyV20 as oanda_sdk
import pytest
import requests
from coinbase.rest import RESTClient
from oandapyV20 import API, V20Error
from oandapyV20.endpoints import accounts, instruments, orders, positions, trades, transactions

from ffe.clock import parse_time
from simulator.serve import main

START = "2026-03-04T14:30:20Z"


class PlainHttp(requests.adapters.HTTPAdapter):
    """Sends https://127.0.0.1 requests of the SDK as http."""

    def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *arguments, **options)


def oanda(server: Any) -> API:
    base_url = server.line["oanda"]["base_url"]
    oanda_sdk.TRADING_ENVIRONMENTS[base_url] = {"api": base_url, "stream": base_url}
    api = API(server.line["oanda"]["token"], base_url, request_params={"timeout": (3, 10)})
    api.client.trust_env = False
    return api


def coinbase(server: Any) -> RESTClient:
    venue = server.line["coinbase"]
    base_url = venue["base_url"].removeprefix("http://")
    client = RESTClient(venue["api_key"], venue["api_secret"], base_url=base_url, timeout=10)
    client.session.trust_env = False
    client.session.mount("https://127.0.0.1", PlainHttp())
    return client


def market_order(units: str, **more: Any) -> dict[str, Any]:
    order = {"type": "MARKET", "instrument": "EUR_USD", "units": units, "timeInForce": "FOK"}
    return {"order": order | more}


def test_the_line_says_everything_a_client_needs(simulator_server: Any) -> None:
    line = simulator_server.line
    assert line["oanda"]["base_url"].endswith("/oanda")
    assert line["alpha_vantage"]["base_url"].endswith("/alphavantage/query")
    assert line["pid"] == simulator_server.process.pid
    assert line["market"].startswith("generated-")
    assert line["env"]["FFE_OANDA__ACCOUNT_ID"] == line["oanda"]["account_id"]
    assert line["env"]["FFE_COINBASE__API_SECRET"].startswith("-----BEGIN EC PRIVATE KEY-----")
    assert sorted(name for name in line["env"] if name.startswith("FFE_ALPHA")) == [
        "FFE_ALPHA_VANTAGE__API_KEY",
        "FFE_ALPHA_VANTAGE__BASE_URL",
    ]


def alpha_vantage(server: Any) -> dict[str, Any]:
    door = server.line["alpha_vantage"]
    pair = {"symbol": "BTC", "market": "USD", "interval": "5min"}
    query = {"function": "CRYPTO_INTRADAY", "apikey": door["api_key"]} | pair
    body: dict[str, Any] = httpx.get(door["base_url"], params=query, trust_env=False).json()
    return body


def test_the_alpha_vantage_key_is_a_free_one_unless_a_premium_plan_is_asked_for(
    simulator_server: Any, serve: Any, tmp_path: Path
) -> None:
    assert "premium endpoint" in alpha_vantage(simulator_server)["Information"]
    paid = serve(tmp_path, "--alpha-vantage-plan", "premium")
    try:
        assert len(alpha_vantage(paid)["Time Series Crypto (5min)"]) == 100
    finally:
        assert paid.stop() == 0


def test_the_oanda_sdk_runs_unchanged(simulator_server: Any) -> None:
    api, account = oanda(simulator_server), simulator_server.line["oanda"]["account_id"]
    assert api.request(accounts.AccountList())["accounts"][0]["id"] == account
    query = {"granularity": "M5", "count": 300, "price": "MBA"}
    assert len(api.request(instruments.InstrumentsCandles("EUR_USD", params=query))["candles"]) == 300
    order = orders.OrderCreate(account, data=market_order("100", clientExtensions={"id": "sdk-1"}))
    assert "orderFillTransaction" in api.request(order)
    assert api.request(orders.OrderDetails(account, "@sdk-1"))["order"]["state"] == "FILLED"
    assert len(api.request(trades.OpenTrades(account))["trades"]) == 1
    assert api.request(transactions.TransactionsSinceID(account, params={"id": 2}))["transactions"]
    api.request(positions.PositionClose(account, "EUR_USD", data={"longUnits": "ALL"}))
    with pytest.raises(V20Error, match="UNITS_INVALID"):
        api.request(orders.OrderCreate(account, data=market_order("0")))


def test_the_coinbase_sdk_runs_unchanged(simulator_server: Any) -> None:
    client = coinbase(simulator_server)
    assert client.get_api_key_permissions().can_trade
    seconds = int(client.get_unix_time().epoch_seconds) // 300 * 300
    candles = client.get_candles("BTC-USD", str(seconds - 300 * 299), str(seconds), "FIVE_MINUTE").candles
    assert len(candles) == 300
    product = client.get_product("ETH-USD")
    assert product.base_increment == "0.00000001"
    placed = client.create_order("sdk-1", "ETH-USD", "BUY", {"market_market_ioc": {"quote_size": "50"}})
    order = client.get_order(placed.success_response["order_id"]).order
    assert order.status == "FILLED"
    assert client.get_fills(order_ids=[order.order_id]).fills[0].size == order.filled_size
    assert client.list_orders(product_ids=["ETH-USD"]).orders[0].client_order_id == "sdk-1"
    with pytest.raises(requests.HTTPError, match="404"):
        client.get_order("none")
    with pytest.raises(requests.HTTPError, match="Missing Required Scopes"):
        viewer(simulator_server).create_order("sdk-2", "ETH-USD", "BUY", {"market_market_ioc": {"quote_size": "50"}})


def viewer(server: Any) -> RESTClient:
    key = server.control("coinbase/keys", can_trade=False)
    client = coinbase(server)
    client.api_key, client.api_secret = key["api_key"], key["api_secret"]
    return client


def test_a_killed_simulator_resumes_with_every_answered_order(serve: Any, tmp_path: Path) -> None:
    first = serve(tmp_path, "--start", START)
    account = first.line["oanda"]["account_id"]
    oanda(first).request(orders.OrderCreate(account, data=market_order("100", stopLossOnFill={"price": "0.90000"})))
    coinbase(first).create_order("kept", "BTC-USD", "BUY", {"market_market_ioc": {"quote_size": "50"}})
    first.control("clock", advance_seconds=90)
    before = first.state()
    first.process.kill()
    first.stop()
    second = serve(tmp_path)
    after = second.state()
    assert parse_time(before["clock"]) <= parse_time(after["clock"])
    for table in ("oanda_transaction", "oanda_trade", "oanda_order", "oanda_balance", "coinbase_order"):
        assert after[table].keys() == before[table].keys()
    assert second.line["oanda"]["account_id"] == account
    assert second.line["oanda"]["token"] != first.line["oanda"]["token"]
    again = coinbase(second).create_order("kept", "BTC-USD", "BUY", {"market_market_ioc": {"quote_size": "50"}})
    assert again.success_response["order_id"] in after["coinbase_order"]
    assert second.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_its_clock_kept(serve: Any, tmp_path: Path, number: int) -> None:
    server = serve(tmp_path, "--start", START)
    server.control("clock", advance_seconds=3600)
    server.process.send_signal(number)
    assert server.process.wait(20) == 0
    server.stop()
    resumed = serve(tmp_path)
    assert resumed.line["clock"] > "2026-03-04T15:30:20"
    assert resumed.stop() == 0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "70000 is not a port"),
        (["--start", "yesterday"], "yesterday"),
        (["--stale-minutes", "-1"], "must not be negative"),
        (["--bars", "nowhere"], "nowhere"),
        (["--seed", "-1"], "-1 is negative"),
        (["--faults", "nowhere.json"], "nowhere.json"),
    ],
)
def test_bad_arguments_end_with_2_and_say_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    try:
        code: Any = main(["--data-dir", str(tmp_path), *arguments])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert words in captured.err


def test_a_faulty_faults_file_ends_with_2_and_names_the_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "faults.json"
    path.write_text('{"faults": [{"kind": "html", "route": "*"}, {"kind": "reset", "rout": "*"}]}')
    assert main(["--data-dir", str(tmp_path), "--faults", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{path}: faults[1]: unknown key 'rout'; the nearest known is 'route'\n"


def test_faults_of_a_file_hold_from_the_first_request(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('{"seed": 5, "faults": [{"kind": "server_error", "status": 502, "route": "oanda.accounts.list"}]}')
    server = serve(tmp_path, "--faults", str(path))
    assert (server.line["faults"]["seed"], server.line["faults"]["faults"][0]["left"]) == (5, 1)
    with pytest.raises(V20Error) as caught:
        oanda(server).request(accounts.AccountList())
    assert caught.value.code == 502
    assert len(oanda(server).request(accounts.AccountList())["accounts"]) == 1
    assert server.stop() == 0


def test_a_corrupt_bar_file_is_named(tmp_path: Path) -> None:
    bars = tmp_path / "bars"
    bars.mkdir()
    (bars / "BTC-USD_1m_trades_x.csv").write_text("not a header\n")
    done = run("--data-dir", str(tmp_path), "--bars", str(bars))
    assert (done.returncode, done.stdout) == (2, "")
    assert "BTC-USD_1m_trades_x.csv" in done.stderr


def test_a_taken_folder_ends_with_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, serve: Any
) -> None:
    server = serve(tmp_path)
    monkeypatch.setattr("simulator.serve.LOCK_WAIT_SECONDS", 0.2)
    assert main(["--data-dir", str(tmp_path)]) == 4
    assert "another simulator" in capsys.readouterr().err
    assert server.stop() == 0


class Parent:
    """Stands in for the parent process: reads the line, asks something, then lets stdin end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reader, self._writer = os.pipe()
        self._out, self.line, self.status = io.StringIO(), {}, 0
        monkeypatch.setattr(sys, "stdout", self._out)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(self.reader, "rb")))
        self.thread = threading.Thread(target=self._act)
        self.thread.start()

    def _act(self) -> None:
        while not self._out.getvalue().endswith("\n"):
            time.sleep(0.02)
        self.line = json.loads(self._out.getvalue())
        headers = {"Authorization": f"Bearer {self.line['oanda']['token']}"}
        url = f"{self.line['oanda']['base_url']}/v3/accounts"
        self.status = httpx.get(url, headers=headers, trust_env=False).status_code
        os.close(self._writer)


def served(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Parent:
    """`main` in this process until its stdin ends."""
    with monkeypatch.context() as patch:
        parent = Parent(patch)
        assert main(["--exit-with-stdin", *arguments]) == 0
        parent.thread.join()
        sys.stdin.close()
    return parent


def test_it_ends_when_its_parent_does_and_resumes_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = served(monkeypatch, "--data-dir", str(tmp_path), "--start", START)
    assert (first.status, first.line["clock"][:19]) == (200, START[:19])
    second = served(monkeypatch, "--data-dir", str(tmp_path))
    assert second.line["clock"] > first.line["clock"]
    assert second.line["oanda"]["account_id"] == first.line["oanda"]["account_id"]


def test_recorded_bars_are_served_at_their_own_moment(
    tmp_path: Path, recorded_bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = served(monkeypatch, "--data-dir", str(tmp_path), "--bars", str(recorded_bars))
    assert parent.line["clock"].startswith("2018-04-04T")
    assert parent.line["market"].startswith("bars-")
