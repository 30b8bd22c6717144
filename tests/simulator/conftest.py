"""A scripted market and a whole simulator in one process for fast tests; and the real server as a child process for the real SDKs."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from coinbase import jwt_generator

from simulator.app import Credentials, Venues, build_venues
from simulator.book import Book
from simulator.clock import SimClock
from simulator.coinbase_auth import Key
from simulator.market import Ohlc, SimBar, SimQuote
from simulator.state import State

START = datetime(2026, 3, 4, 14, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACCOUNT = "101-001-1234567-001"
PORTFOLIO = "3f1d8b5e-3b1c-5a55-9d7e-0d6b6a3c1a01"
LEVELS = {
    "BTCUSD": ("50000.00", "50000.10"),
    "ETHUSD": ("2500.00", "2500.05"),
    "EURUSD": ("1.10000", "1.10010"),
    "GBPUSD": ("1.25000", "1.25020"),
    "USDJPY": ("150.000", "150.010"),
    "EURGBP": ("0.88000", "0.88010"),
}


class ScriptedMarket:
    """Flat prices that a test moves: `move` sets bid and ask from a minute on, `spike` widens the bid's range within one."""

    key = "scripted"

    def __init__(self, start: datetime = START) -> None:
        self._start, self.open = start, True
        opened = start - timedelta(days=9)
        self._levels = {symbol: [(opened, Decimal(bid), Decimal(ask))] for symbol, (bid, ask) in LEVELS.items()}
        self._spikes: dict[tuple[str, datetime], tuple[Decimal, Decimal]] = {}

    def symbols(self) -> list[str]:
        return list(self._levels)

    def start(self) -> datetime:
        return self._start

    def move(self, symbol: str, bid: str, ask: str, at: datetime) -> None:
        self._levels[symbol].append((at, Decimal(bid), Decimal(ask)))
        self._levels[symbol].sort()

    def spike(self, symbol: str, minute: datetime, low: str, high: str) -> None:
        self._spikes[symbol, minute] = Decimal(low), Decimal(high)

    def level(self, symbol: str, at: datetime) -> tuple[Decimal, Decimal] | None:
        known = [(bid, ask) for since, bid, ask in self._levels[symbol] if since <= at]
        return known[-1] if known else None

    def quote(self, symbol: str, at: datetime) -> SimQuote | None:
        level = self.level(symbol, at)
        return None if level is None else SimQuote(*level, at, self.open)

    def bars(self, symbol: str, seconds: int, start: datetime, end: datetime) -> list[SimBar]:
        first = -(-int(start.timestamp()) // seconds) * seconds
        opens = [datetime.fromtimestamp(t, UTC) for t in range(first, int(end.timestamp()) + 1, seconds)]
        return [bar for opened in opens if opened < end and (bar := self._bar(symbol, opened)) is not None]

    def _bar(self, symbol: str, opened: datetime) -> SimBar | None:
        level = self.level(symbol, opened)
        if level is None:
            return None
        bid, spread = level[0], level[1] - level[0]
        low, high = self._spikes.get((symbol, opened), (bid, bid))
        side = Ohlc(bid, max(bid, high), min(bid, low), bid)
        other = Ohlc(*(value + spread for value in (side.open, side.high, side.low, side.close)))
        return SimBar(opened, other, side, other, Decimal("12.5"))


@dataclass
class Lab:
    """The whole simulator in this process, on a clock that stands still."""

    folder: Path
    market: ScriptedMarket = field(default_factory=ScriptedMarket)
    carry: Any = None

    def __post_init__(self) -> None:
        self.clock = SimClock(self.market.start(), monotonic=lambda: 0.0)
        self.runner = asyncio.Runner()
        self.key: Key
        self.open()

    def open(self) -> None:
        self.state = State(self.folder, wait_seconds=0.2)
        self.book = Book(self.market, self.clock, self.state)
        credentials = Credentials("token", "AV", "control")
        self.venues: Venues = build_venues(self.book, credentials, ACCOUNT, PORTFOLIO, self.carry)
        self.key = self.venues.coinbase.keys.issue()

    def restart(self) -> None:
        self.state.close()
        self.open()

    def close(self) -> None:
        self.state.close()
        self.runner.close()

    def send(self, method: str, path: str, headers: dict[str, str], **options: Any) -> httpx.Response:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.venues.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
                return await client.request(method, path, headers=headers, **options)

        return self.runner.run(exchange())

    def oanda(self, method: str, path: str, **options: Any) -> httpx.Response:
        """`path` below the account, or from `/v3` on when it begins with a slash."""
        full = f"/oanda{path}" if path.startswith("/") else f"/oanda/v3/accounts/{ACCOUNT}/{path}"
        headers = {"Authorization": "Bearer token", **options.pop("headers", {})}
        return self.send(method, full, headers, **options)

    def coinbase(self, method: str, path: str, *, key: Key | None = None, **options: Any) -> httpx.Response:
        """`path` below `/api/v3/brokerage`; signed as the SDK signs."""
        full, key = f"/coinbase/api/v3/brokerage/{path}", key or self.key
        jwt = jwt_generator.build_rest_jwt(f"{method} sim{full}", key.name, key.secret)
        headers = {"Authorization": f"Bearer {jwt}", **options.pop("headers", {})}
        return self.send(method, full, headers, **options)

    def control(self, path: str, **body: Any) -> Any:
        reply = self.send("POST", f"/_sim/{path}", {"Authorization": "Bearer control"}, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def dump(self) -> Any:
        return self.send("GET", "/_sim/state", {"Authorization": "Bearer control"}).json()

    def advance(self, minutes: float) -> None:
        self.control("clock", advance_seconds=minutes * 60)

    def minute(self, ahead: int) -> datetime:
        """Open of the minute that begins `ahead` minutes after the current one."""
        return self.clock.now().replace(second=0, microsecond=0) + ahead * MINUTE

    def order(self, size: int, /, instrument: str = "EUR_USD", **more: Any) -> httpx.Response:
        """An OANDA market order."""
        order = {"type": "MARKET", "instrument": instrument, "units": str(size), "timeInForce": "FOK"} | more
        return self.oanda("POST", "orders", json={"order": order})

    def summary(self) -> dict[str, Any]:
        account: dict[str, Any] = self.oanda("GET", "summary").json()["account"]
        return account

    def trades(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.oanda("GET", "openTrades").json()["trades"]
        return found

    def buy(self, client_id: str, **more: Any) -> Any:
        """A Coinbase order: 0.01 BTC at the market unless `more` says otherwise."""
        body = {
            "client_order_id": client_id,
            "product_id": "BTC-USD",
            "side": "BUY",
            "order_configuration": {"market_market_ioc": {"base_size": "0.01"}},
        }
        return self.coinbase("POST", "orders", json=body | more).json()

    def read(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.coinbase("GET", f"orders/historical/{order_id}").json()["order"]
        return found

    def bought(self, client_id: str, **more: Any) -> dict[str, Any]:
        """Placed and read once, so matched."""
        return self.read(self.buy(client_id, **more)["success_response"]["order_id"])

    def wallets(self) -> dict[str, tuple[Decimal, Decimal]]:
        accounts = self.coinbase("GET", "accounts").json()["accounts"]
        return {
            row["currency"]: (Decimal(row["available_balance"]["value"]), Decimal(row["hold"]["value"]))
            for row in accounts
        }


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    laboratory = Lab(tmp_path / "venue")
    yield laboratory
    laboratory.close()


@pytest.fixture
def make_lab() -> type[Lab]:
    return Lab


@dataclass
class Server:
    process: subprocess.Popen[str]
    line: dict[str, Any]

    def control(self, path: str, **body: Any) -> Any:
        control = self.line["control"]
        headers = {"Authorization": f"Bearer {control['token']}"}
        reply = httpx.post(f"{control['base_url']}/{path}", json=body, headers=headers, trust_env=False)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def state(self) -> Any:
        control = self.line["control"]
        headers = {"Authorization": f"Bearer {control['token']}"}
        return httpx.get(f"{control['base_url']}/state", headers=headers, trust_env=False).json()

    def stop(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def start_server(data_dir: Path, *more: str) -> Server:
    command = [sys.executable, "-m", "simulator", "--data-dir", str(data_dir), "--exit-with-stdin", *more]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Server(process, json.loads(process.stdout.readline()))


@pytest.fixture
def serve() -> Any:
    """`serve(data_dir, *arguments)` starts a simulator; whatever is still running at the end is stopped."""
    return start_server


@pytest.fixture(scope="module")
def simulator_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("simulator"))
    yield server
    assert server.stop() == 0
