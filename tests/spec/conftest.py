"""Where the execution spec is held: both venues through their real SDKs and the simulator, and both paper accounts on the same market."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ffe.clock import SystemClock
from ffe.errors import OrderRejectedError
from ffe.market.models import Instrument, parse_instrument
from ffe.orders.models import OrderState, Side
from ffe.settings import PaperSettings
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.coinbase import CoinbaseBroker
from ffe.venues.models import Execution, OrderRequest, Protection, VenueOrder, WorkingOrder
from ffe.venues.oanda import OandaBroker
from ffe.venues.paper import PaperBroker
from ffe.venues.paper_book import PaperBook
from ffe.venues.paper_data import ReadingCoinbaseClient, ReadingOandaClient
from ffe.venues.wire import Limits

FAST = Limits(attempts=2, backoff=0.01)
ROUTES = {"EURUSD": "oanda.pricing", "BTCUSD": "coinbase.best_bid_ask"}
CALM = {"coinbase_fill_after_polls": 1, "coinbase_duplicate_error": False, "oanda_cancel_reason": None, "depth": {}}


@dataclass
class Simulator:
    """The real simulator in a process of its own, its clock standing still."""

    info: dict[str, Any]

    def control(self, path: str, **body: Any) -> None:
        door = self.info["control"]
        headers = {"Authorization": f"Bearer {door['token']}"}
        answer = httpx.post(f"{door['base_url']}/{path}", json=body or None, headers=headers, trust_env=False)
        answer.raise_for_status()

    def oanda(self, kind: type[OandaClient] = OandaClient) -> OandaBroker:
        door = self.info["oanda"]
        client = kind(door["base_url"], door["token"], door["account_id"], FAST)
        return OandaBroker(client, SystemClock())

    def coinbase(self, kind: type[CoinbaseClient] = CoinbaseClient) -> CoinbaseBroker:
        door = self.info["coinbase"]
        client = kind(door["base_url"], door["api_key"], door["api_secret"], FAST)
        return CoinbaseBroker(client, SystemClock(), sleep=lambda _: None)

    def calm(self) -> None:
        """Nothing halted, out or faulty."""
        self.control("resume")
        self.control("switches", **CALM)
        self.control("faults", faults=[])


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("spec") / "data"
    command = [sys.executable, "-m", "simulator", "--port", "0", "--data-dir", str(folder), "--exit-with-stdin"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        found = Simulator(json.loads(process.stdout.readline()))
        found.control("clock", rate=0)
        yield found
    finally:
        process.stdin.close()
        process.wait(15)
        process.stdout.close()


@dataclass
class Place:
    """A broker, an instrument that it trades, one that it does not, and orders that suit them."""

    broker: Any
    again: Callable[[], Any]
    simulator: Simulator
    instrument: Instrument
    unlisted: Instrument
    unit: Decimal

    @property
    def can(self) -> Any:
        return self.broker.capabilities

    @property
    def outage(self) -> dict[str, str]:
        return {"venue": self.broker.venue}

    def off(self, price: Decimal, percent: str) -> Decimal:
        """`price` moved by so many percent, on the instrument's grid."""
        tick = self.broker.spec(self.instrument).price_increment
        return Decimal(price * (1 + Decimal(percent) / 100)).quantize(tick)

    def bare(self, **changes: Any) -> OrderRequest:
        """An entry without protection, with room for slippage in its bound."""
        side = changes.get("side", Side.BUY)
        quote = self.broker.quote(self.instrument)
        bound = self.off(quote.ask, "0.4") if side is Side.BUY else self.off(quote.bid, "-0.4")
        values = {
            "client_order_id": str(uuid4()),
            "instrument": self.instrument.symbol,
            "side": side,
            "units": self.unit,
            "price_bound": bound,
        }
        return OrderRequest(**(values | changes))

    def entry(self, **changes: Any) -> OrderRequest:
        """A long entry with a stop 2 % below and a target 2 % above."""
        mid = self.broker.quote(self.instrument).mid
        return self.bare(**({"stop_loss": self.off(mid, "-2"), "take_profit": self.off(mid, "2")} | changes))

    def exit(self, **changes: Any) -> OrderRequest:
        """A reduce-only close of all that is held."""
        held = self.broker.position(self.instrument)
        values = {
            "client_order_id": str(uuid4()),
            "instrument": self.instrument.symbol,
            "side": Side.SELL if held.units > 0 else Side.BUY,
            "units": abs(held.units),
            "reduce_only": True,
            "cancel_first": held.protection,
        }
        return OrderRequest(**(values | changes))

    def protection(self, entry: OrderRequest, **changes: Any) -> Protection:
        mid = self.broker.quote(self.instrument).mid
        values = {
            "client_order_id": str(uuid4()),
            "entry_client_order_id": entry.client_order_id,
            "instrument": entry.instrument,
            "side": Side.SELL,
            "units": entry.units,
            "stop_loss": self.off(mid, "-2"),
            "take_profit": self.off(mid, "2"),
        }
        return Protection(**(values | changes))

    def submit(self, request: OrderRequest) -> VenueOrder:
        order: VenueOrder = self.broker.submit(request, self.broker.checkpoint())
        return order

    def outcome(self, request: OrderRequest) -> VenueOrder:
        """What became of the order, where some venues reject what others accept and cancel."""
        try:
            return self.submit(request)
        except OrderRejectedError as error:
            return VenueOrder(
                client_order_id=request.client_order_id,
                venue_order_id=None,
                state=OrderState.REJECTED,
                reason=error.reason,
                fills=(),
            )

    def units(self) -> Decimal:
        return Decimal(self.broker.position(self.instrument).units)

    def working(self) -> list[WorkingOrder]:
        return [item for item in self.broker.working_orders() if item.instrument == self.instrument.symbol]

    def move(self, percent: str) -> None:
        """The market jumps, and three minutes go by in which the venue meets what rests."""
        jump = {"kind": "price_jump", "route": ROUTES[self.instrument.symbol], "instrument": self.instrument.symbol}
        self.simulator.control("faults", faults=[jump | {"percent": percent, "count": 1}])
        self.again().quote(self.instrument)
        self.simulator.control("faults", faults=[])
        self.simulator.control("clock", advance_seconds=180)

    def executions(self, since: str, client_order_ids: Sequence[str]) -> list[Execution]:
        """What those orders and their protection did; at some venues an activity repeats what was before the checkpoint."""
        found = self.broker.activity(since).executions
        return [item for item in found if {item.client_order_id, item.protects} & set(client_order_ids)]

    def flatten(self) -> None:
        """Nothing held, nothing resting."""
        if self.units() != 0:
            self.submit(self.exit())
        assert self.units() == 0


@pytest.fixture(params=["oanda", "coinbase", "paper-oanda", "paper-coinbase"])
def place(request: pytest.FixtureRequest, simulator: Simulator, tmp_path: Path) -> Iterator[Place]:
    """Each broker in turn, flat and undisturbed before and after."""
    kind, _, venue = request.param.rpartition("-")

    def again() -> Any:
        if kind != "paper":
            return getattr(simulator, venue)()
        data = simulator.oanda(ReadingOandaClient) if venue == "oanda" else simulator.coinbase(ReadingCoinbaseClient)
        chosen = PaperSettings()
        book = PaperBook(tmp_path / "paper.sqlite", f"paper-{venue}", chosen.balance)
        return PaperBroker(data, book, SystemClock(), chosen)

    names = ("EURUSD", "CADJPY", "1000") if venue == "oanda" else ("BTCUSD", "ADAUSD", "0.01")
    here = Place(again(), again, simulator, parse_instrument(names[0]), parse_instrument(names[1]), Decimal(names[2]))
    simulator.calm()
    here.flatten()
    yield here
    simulator.calm()
    here.flatten()
