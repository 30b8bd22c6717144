"""Trading processes against the real simulator through the real SDKs, killed where they are told: `drill_simulator.py READY FOLDER`.

READY is the simulator's own line. Each line on stdin is a case, `{"venue", "act", "place"}`; its answer is one line on stdout. Every
step of a case is a process of its own, forked from this one, which has everything imported and nothing open.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from ffe.clock import parse_time
from ffe.decision.models import Action, Author, Decision
from ffe.ledger.ledger import Ledger
from ffe.ledger.schema import METADATA
from ffe.market.models import Timeframe, parse_instrument
from ffe.orders.models import Intent, Leg, Order, Side
from ffe.orders.reconcile import Reconciliation, reconcile
from ffe.orders.service import OrderService
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.coinbase import CoinbaseBroker
from ffe.venues.oanda import OandaBroker
from ffe.venues.wire import Limits

SYMBOLS = {"oanda": ("EURUSD", Decimal(1000)), "coinbase": ("BTCUSD", Decimal("0.01"))}
BAR = timedelta(minutes=5)
EPOCH = datetime(2018, 1, 1, tzinfo=UTC)
FAST = Limits(attempts=2, backoff=0.01)
Step = Callable[[str], None]


class SimulatorClock:
    """The venue's clock, which stands still; sleeping moves it on."""

    def __init__(self, door: dict[str, str]) -> None:
        self._door = door
        self._now = self._move(0)

    def _move(self, seconds: float) -> datetime:
        headers = {"Authorization": f"Bearer {self._door['token']}"}
        body = {"rate": 0, "advance_seconds": seconds}
        answer = httpx.post(f"{self._door['base_url']}/clock", json=body, headers=headers, trust_env=False, timeout=20)
        answer.raise_for_status()
        return parse_time(answer.json()["clock"])

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now = self._move(seconds)


class DyingOanda(OandaClient):
    on_wire: Step

    def send(self, endpoint: Any) -> Any:
        order = type(endpoint).__name__ == "OrderCreate"
        if order:
            self.on_wire("wire before")
        answer = super().send(endpoint)
        if order:
            self.on_wire("wire after")
        return answer


class DyingCoinbase(CoinbaseClient):
    on_wire: Step

    def send(self, method_name: str, **kwargs: Any) -> Any:
        order = method_name == "create_order"
        if order:
            self.on_wire("wire before")
        answer = super().send(method_name, **kwargs)
        if order:
            self.on_wire("wire after")
        return answer


class Engine:
    """One process: a ledger, a broker and a clock of its own. Passing `place` is its end."""

    def __init__(self, ready: dict[str, Any], venue: str, ledger: str, bar: datetime, place: str | None) -> None:
        self._place, self.venue = place, venue
        self.clock = SimulatorClock(ready["control"])
        door = ready[venue]
        client: Any
        if venue == "oanda":
            client = DyingOanda(door["base_url"], door["token"], door["account_id"], FAST)
            self.broker: Any = OandaBroker(client, self.clock)
        else:
            client = DyingCoinbase(door["base_url"], door["api_key"], door["api_secret"], FAST)
            self.broker = CoinbaseBroker(client, self.clock, sleep=self.clock.sleep)
        client.on_wire = self.pass_by
        self.ledger = Ledger.open(ledger)
        symbol, self.units = SYMBOLS[venue]
        self.instrument = parse_instrument(symbol)
        self.bar = bar

    def pass_by(self, here: str) -> None:
        if here == self._place:
            os.kill(os.getpid(), signal.SIGKILL)

    def reconcile(self) -> Reconciliation:
        return reconcile(
            self.ledger, self.broker, self.clock, cycle_id="drill", sleep=self.clock.sleep, on_step=self.pass_by
        )

    def enter(self) -> Order:
        quote, spec = self.broker.quote(self.instrument), self.broker.spec(self.instrument)

        def off(percent: int) -> Decimal:
            return (quote.ask * (100 + percent) / 100).quantize(spec.price_increment)

        prices = {"price_bound": off(1), "stop_loss": off(-10), "take_profit": off(10)}
        money = {"reserve_amount": (self.units * quote.ask * Decimal("1.02")).quantize(Decimal("0.01"))}
        intent = self._intent(Leg.ENTRY, Side.BUY, self.units, quote.ask, **prices, **money)
        return self._execute(intent)

    def exit(self) -> Order:
        held = self.broker.position(self.instrument)
        planned = self.ledger.order_for(self.broker.account, self.instrument.symbol, Timeframe.M5, self.bar, Leg.EXIT)
        units = planned.units if planned is not None else held.units
        changes = {"cancel_first": held.protection, "price_bound": None, "stop_loss": None, "take_profit": None}
        bid = self.broker.quote(self.instrument).bid
        return self._execute(self._intent(Leg.EXIT, Side.SELL, units, bid, reserve_amount=Decimal(0), **changes))

    def strip(self) -> None:
        """What a person does who cancels stop and target in the venue's own app."""
        self.broker.cancel([order.venue_order_id for order in self.broker.working_orders()])

    def _execute(self, intent: Intent) -> Order:
        available = self.broker.account_state([self.instrument]).available
        service = OrderService(self.ledger, self.broker, self.clock, sleep=self.clock.sleep, on_step=self.pass_by)
        return service.execute(intent, available)

    def _intent(self, leg: Leg, side: Side, units: Decimal, price: Decimal, **changes: Any) -> Intent:
        decision_id = f"{self.venue}-{leg}-{self.bar:%d%H%M}"
        place = {"instrument": self.instrument.symbol, "timeframe": Timeframe.M5, "bar_close": self.bar}
        self.ledger.start_cycle(decision_id, "sim", "5m", self.clock.now())
        self.ledger.record_decision(
            Decision(
                id=decision_id,
                cycle_id=decision_id,
                action=Action(side.value),
                confidence=75,
                decided_by=Author.MODEL,
                reason_code="model",
                reasoning="drill",
                decided_at=self.clock.now(),
                **place,
            )
        )
        account = {"venue": self.venue, "account": self.broker.account, "reserve_currency": "USD", "confidence": 75}
        terms = {"leg": leg, "side": side, "units": units, "reference_price": price}
        return Intent.model_validate({"decision_id": decision_id, **place, **account, **terms, **changes})


class Case:
    """A process is killed at `place` of `act`; another one comes after it; then ledger and venue are compared."""

    def __init__(self, ready: dict[str, Any], ledger: str, venue: str, act: str, place: str) -> None:
        self._ready, self._ledger, self._venue, self._act, self._place = ready, ledger, venue, act, place
        self._bar = EPOCH

    def run(self) -> dict[str, Any]:
        self._next_bar()
        if self._act != "enter":
            self._live(lambda engine: engine.enter() and engine.reconcile() and None)
            self._next_bar()
        if self._act == "protect":
            self._live(lambda engine: engine.strip())
        died = self._fork(self._place, lambda engine: _do(engine, self._act))[0] == signal.SIGKILL
        self._live(self._recover)
        SimulatorClock(self._ready["control"]).sleep(150)
        return {"died": died, **self._live(self._truth)}

    def _next_bar(self) -> None:
        clock = SimulatorClock(self._ready["control"])
        clock.sleep(BAR.total_seconds())
        self._bar = bar_of(clock.now())

    def _recover(self, engine: Engine) -> None:
        """What the next cycle on the same bar does: reconcile, then the same decision once more."""
        engine.reconcile()
        if self._act in {"enter", "exit"}:
            _do(engine, self._act)

    def _truth(self, engine: Engine) -> dict[str, Any]:
        engine.reconcile()
        before = _dump(engine.ledger)
        found = engine.reconcile()
        changed = [name for name, rows in _dump(engine.ledger).items() if rows != before[name]]
        leg = Leg.EXIT if self._act == "exit" else Leg.ENTRY
        order = next(each for each in engine.ledger.orders(10) if each.leg is leg and each.venue == self._venue)
        account = engine.broker.account
        there = engine.broker.position(engine.instrument)
        here = engine.ledger.position(self._venue, account, engine.instrument.symbol)
        stops = [each for each in engine.broker.working_orders() if each.stop is not None]
        answer = {
            "state": order.state.value,
            "events": [
                [each.to_state.value, each.reason, each.detail] for each in engine.ledger.order_events(order.id)
            ],
            "at_the_venue": self._orders_at_venue(order.client_order_id),
            "held": str(there.units.normalize()),
            "booked": str(here.units.normalize()),
            "external": str(here.external.normalize()),
            "stops": len(stops),
            "open_orders": [each.state.value for each in engine.ledger.open_orders(self._venue, account)],
            "reservations": len(engine.ledger.open_reservations()),
            "differences": [each.message for each in found.open],
            "changed_by_a_second_look": changed,
        }
        if there.units != 0:
            self._close(engine)
        return answer | {"held_in_the_end": str(engine.broker.position(engine.instrument).units.normalize())}

    def _close(self, engine: Engine) -> None:
        engine.clock.sleep(BAR.total_seconds())
        engine.bar = bar_of(engine.clock.now())
        engine.exit()
        engine.reconcile()

    def _orders_at_venue(self, client_order_id: str) -> int:
        door = self._ready["control"]
        headers = {"Authorization": f"Bearer {door['token']}"}
        state = httpx.get(f"{door['base_url']}/state", headers=headers, trust_env=False, timeout=20).json()
        if self._venue == "coinbase":
            return sum(row["client_id"] == client_order_id for row in state["coinbase_order"].values())
        bodies = [row["body"] for row in state["oanda_order"].values()]
        markets = [body for body in bodies if body["type"] == "MARKET"]
        return sum(body.get("clientExtensions", {}).get("id") == client_order_id for body in markets)

    def _live(self, work: Callable[[Engine], Any]) -> Any:
        code, said = self._fork(None, work)
        if code != 0:
            raise RuntimeError(said)
        return said

    def _fork(self, place: str | None, work: Callable[[Engine], Any]) -> tuple[int, Any]:
        """How the process ended (0, 1 or the signal's number), and what it said."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(writing, lambda: work(Engine(self._ready, self._venue, self._ledger, self._bar, place)))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        status = os.waitpid(pid, 0)[1]
        code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return code, json.loads(said) if said else None


def bar_of(now: datetime) -> datetime:
    """The bar that closed last."""
    return now - (now - EPOCH) % BAR


def _child(writing: int, work: Callable[[], Any]) -> None:
    import traceback

    code, said = 0, None
    try:
        said = work()
    except Exception:  # noqa: BLE001 - whatever it is, the parent must hear of it
        code, said = 1, traceback.format_exc()
    with os.fdopen(writing, "w") as pipe:
        pipe.write(json.dumps(said))
    os._exit(code)


def _do(engine: Engine, act: str) -> None:
    if act == "enter":
        engine.enter()
    elif act == "exit":
        engine.exit()
    else:
        engine.reconcile()


def _dump(ledger: Ledger) -> dict[str, list[str]]:
    with ledger.database.engine.connect() as connection:
        return {
            name: sorted(repr(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{name}"')))
            for name in METADATA.tables
        }


def main() -> None:
    logging.disable(logging.CRITICAL)
    ready, ledger = json.loads(sys.argv[1]), f"sqlite:///{Path(sys.argv[2])}/ledger.sqlite"
    _import_sdks()
    Ledger.open(ledger).close()
    for line in sys.stdin:
        case = json.loads(line)
        try:
            said = Case(ready, ledger, case["venue"], case["act"], case["place"]).run()
        except RuntimeError as error:
            said = {"error": str(error)}
        print(json.dumps(said), flush=True)


def _import_sdks() -> None:
    """So that each fork has them."""
    import coinbase.rest
    import oandapyV20.endpoints.accounts
    import oandapyV20.endpoints.orders
    import oandapyV20.endpoints.positions
    import oandapyV20.endpoints.pricing
    import oandapyV20.endpoints.trades
    import oandapyV20.endpoints.transactions

    del coinbase, oandapyV20


if __name__ == "__main__":
    main()
