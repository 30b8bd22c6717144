"""A trading process of the drills: the real ledger and order path, asking the director before each step that others could see.

It is forked by `drill_director` and does everything through a pipe: the venue is there, the time is there, and so is the permission to
begin a transaction, to sleep and to go on. While it waits for an answer it can be killed, which is how it dies at any place.
"""

import mmap
import os
import struct
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from drill_venue import EPOCH, ZERO
from sqlalchemy import event
from sqlmodel import Session

from ffe import errors
from ffe.decision.models import Action, Author, Decision
from ffe.ledger.database import Database
from ffe.ledger.ledger import Ledger
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.orders.flatten import flatten
from ffe.orders.models import Intent, Leg, Side
from ffe.orders.protection import check_exits
from ffe.orders.reconcile import acknowledge, reconcile
from ffe.orders.service import OrderService
from ffe.orders.switch import SwitchState
from ffe.venues.models import (
    AccountState,
    Activity,
    Capabilities,
    InstrumentSpec,
    OrderRequest,
    Protection,
    Quote,
    VenueOrder,
    VenuePosition,
    WorkingOrder,
)

ACCOUNT = "drill"
VENUES = {"margin": "oanda", "spot": "coinbase"}


@dataclass(frozen=True)
class Setting:
    """What all processes of one schedule share."""

    database: "DrillDatabase"
    kind: str
    capabilities: Capabilities
    time: mmap.mmap


def read_time(time: mmap.mmap) -> datetime:
    return EPOCH + timedelta(microseconds=struct.unpack_from("q", time)[0])


class CrashError(BaseException):
    """The end of a process that is played by a thread: not an Exception, so no handler of the engine may swallow it."""


class Line:
    """The process's end of the pipe."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def ask(self, kind: str, *args: Any) -> Any:
        self._connection.send((kind, args))
        answer = self._connection.recv()
        if answer is None:
            raise CrashError(kind)
        return said(answer)


def said(answer: tuple[tuple[str, str, str | None] | None, Any]) -> Any:
    """The value of an answer, or its error raised: exceptions with their own arguments don't travel through a pipe."""
    error, value = answer
    if error is None:
        return value
    name, message, reason = error
    kind_of = getattr(errors, name)
    raise kind_of(message, reason=reason) if reason is not None else kind_of(message)


class DrillClock:
    def __init__(self, time: mmap.mmap, line: Line) -> None:
        self._time, self._line = time, line

    def now(self) -> datetime:
        return read_time(self._time)

    def sleep(self, seconds: float) -> None:
        self._line.ask("sleep", seconds)


class DrillDatabase(Database):
    """Asks before each transaction, once it has a `line`. Durability is for power cuts, which are not drilled here.

    Made once, in the process that forks the others: they find its statements compiled, and open connections of their own.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._of_this_process = threading.local()
        event.listen(self.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._ask("write")
        with super().write() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        self._ask("read")
        with super().read() as session:
            yield session

    def belongs_to(self, line: Any) -> None:
        """From now on this process (or the thread that plays one) asks there; None: nobody."""
        self._of_this_process.line = line

    def _ask(self, kind: str) -> None:
        line = getattr(self._of_this_process, "line", None)
        if line is not None:
            line.ask("transaction", kind)


class DrillBroker:
    """A broker whose venue is at the other end of the pipe."""

    def __init__(self, setting: Setting, line: Line) -> None:
        self.venue, self.account, self.capabilities = VENUES[setting.kind], ACCOUNT, setting.capabilities
        self._line = line

    def _call(self, name: str, *args: Any) -> Any:
        return self._line.ask("venue", name, args)

    def account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        return self._call("account_state", instruments)

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        return self._call("spec", instrument)

    def quote(self, instrument: Instrument) -> Quote:
        return self._call("quote", instrument)

    def position(self, instrument: Instrument) -> VenuePosition:
        return self._call("position", instrument)

    def positions(self) -> list[VenuePosition]:
        return self._call("positions")

    def working_orders(self) -> list[WorkingOrder]:
        return self._call("working_orders")

    def activity(self, since: str) -> Activity:
        return self._call("activity", since)

    def protect(self, protection: Protection) -> tuple[str, ...]:
        return self._call("protect", protection)

    def cancel(self, venue_order_ids: Sequence[str]) -> None:
        self._call("cancel", tuple(venue_order_ids))

    def checkpoint(self) -> str:
        return self._call("checkpoint")

    def submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        return self._call("submit", request, checkpoint)

    def lookup(self, request: OrderRequest, checkpoint: str) -> VenueOrder | None:
        return self._call("lookup", request, checkpoint)

    def resendable(self) -> bool:
        return self.capabilities.dedupes_client_order_id

    def close(self) -> None:
        """Nothing is kept open."""


class Actor:
    """One process with its own ledger connection. Each public method is an act that a schedule may name."""

    def __init__(self, name: str, setting: Setting, line: Line) -> None:
        self._name, self._line, self._acts = name, line, 0
        self._clock = DrillClock(setting.time, line)
        self._broker = DrillBroker(setting, line)
        setting.database.belongs_to(line)
        self._ledger = Ledger(setting.database)

    def carry_out(self, act: str, args: tuple[Any, ...]) -> None:
        """One act. A venue's error ends it, as it ends a cycle."""
        try:
            getattr(self, act)(*args)
        except errors.VenueError as error:
            self._line.ask("failed", act, f"{type(error).__name__}: {error}")

    def _cycle_id(self) -> str:
        self._acts += 1
        return f"{self._name}-{self._acts}"

    def reconcile(self) -> None:
        self._reconcile(self._cycle_id())

    def _reconcile(self, cycle_id: str) -> None:
        reconcile(
            self._ledger,
            self._broker,
            self._clock,
            cycle_id=cycle_id,
            sleep=self._clock.sleep,
            on_step=lambda step: self._line.ask("step", step),
        )

    def trade(self, symbol: str, bar: int, side: Side, share: int) -> None:
        """A cycle that decided `side` on this bar: reconcile, then enter, or close what is held the other way round."""
        cycle_id = self._cycle_id()
        self._reconcile(cycle_id)
        position = self._ledger.position(self._broker.venue, ACCOUNT, symbol)
        if position.units == 0:
            self._enter(cycle_id, symbol, bar, side, share)
        elif position.units * side.sign < 0:
            self._exit(cycle_id, symbol, bar, side, abs(position.units))

    def exit(self, symbol: str, bar: int) -> None:
        """A decision against what is held, without a reconciliation before it: as a process that is behind the others."""
        position = self._ledger.position(self._broker.venue, ACCOUNT, symbol)
        if position.units != 0:
            side = Side.SELL if position.units > 0 else Side.BUY
            self._exit(self._cycle_id(), symbol, bar, side, abs(position.units))

    def enter(self, symbol: str, bar: int, side: Side, share: int) -> None:
        """An entry without a look at anything first."""
        self._enter(self._cycle_id(), symbol, bar, side, share)

    def _enter(self, cycle_id: str, symbol: str, bar: int, side: Side, share: int) -> None:
        instrument = parse_instrument(symbol)
        quote, spec = self._broker.quote(instrument), self._broker.spec(instrument)
        margin = self._broker.capabilities.margin
        if side is Side.SELL and not margin:
            return
        read_at = self._clock.now()
        available = self._broker.account_state([instrument]).available
        step, price = spec.size_increment, quote.ask if side is Side.BUY else quote.bid
        units = Decimal(share * (100 if margin else 5)) * step
        amount = units * price * (Decimal("0.02") if margin else Decimal("1.01"))
        trailing = margin and share % 3 == 0
        intent = self._intent(
            cycle_id,
            symbol,
            bar,
            Leg.ENTRY,
            side,
            units,
            price,
            stop_loss=_rounded(price * (1 - Decimal("0.01") * side.sign), spec),
            take_profit=_rounded(price * (1 + Decimal("0.02") * side.sign), spec),
            reserve_amount=amount,
            trailing_distance=_rounded(price * Decimal("0.01"), spec) if trailing else None,
        )
        self._execute(intent, available, read_at)

    def _exit(self, cycle_id: str, symbol: str, bar: int, side: Side, units: Decimal) -> None:
        instrument = parse_instrument(symbol)
        quote, there = self._broker.quote(instrument), self._broker.position(instrument)
        if there.units * side.sign >= 0:
            return
        price = quote.ask if side is Side.BUY else quote.bid
        units = min(units, abs(there.units))
        intent = self._intent(
            cycle_id, symbol, bar, Leg.EXIT, side, units, price, cancel_first=there.protection, reserve_amount=ZERO
        )
        self._execute(intent, ZERO, None)

    def _intent(
        self,
        cycle_id: str,
        symbol: str,
        bar: int,
        leg: Leg,
        side: Side,
        units: Decimal,
        price: Decimal,
        **changes: Any,
    ) -> Intent:
        bar_close = EPOCH + timedelta(minutes=5 * bar)
        decision = Decision(
            id=f"{cycle_id}-{symbol}",
            cycle_id=cycle_id,
            instrument=symbol,
            timeframe=Timeframe.M5,
            bar_close=bar_close,
            action=Action(side.value),
            confidence=75,
            decided_by=Author.MODEL,
            reason_code="model",
            reasoning="drill",
            decided_at=self._clock.now(),
        )
        self._ledger.start_cycle(cycle_id, "sim", "5m", self._clock.now())
        self._ledger.record_decision(decision)
        values: dict[str, Any] = {
            "decision_id": decision.id,
            "venue": self._broker.venue,
            "account": ACCOUNT,
            "instrument": symbol,
            "timeframe": Timeframe.M5,
            "bar_close": bar_close,
            "leg": leg,
            "side": side,
            "units": units,
            "reference_price": price,
            "price_bound": None,
            "stop_loss": None,
            "take_profit": None,
            "reserve_currency": "USD",
            "confidence": 75,
        }
        return Intent(**(values | changes))

    def _execute(self, intent: Intent, available: Decimal, read_at: datetime | None) -> None:
        service = OrderService(
            self._ledger,
            self._broker,
            self._clock,
            sleep=self._clock.sleep,
            on_step=lambda step: self._line.ask("step", step),
        )
        service.execute(intent, available, read_at)

    def check_exits(self) -> None:
        check_exits(self._ledger, self._broker, self._clock, cycle_id=self._cycle_id(), sleep=self._clock.sleep)

    def switch(self, state: SwitchState, by: str) -> None:
        standing = self._ledger.set_switch(state, "drill", by, self._clock.now())
        self._line.ask("switched", standing.state)

    def flatten(self) -> None:
        """What `ffe flatten` does: the switch first, then everything closed."""
        now = self._clock.now()
        switch = self._ledger.set_switch(SwitchState.FLATTEN, "drill", "person", now)
        self._line.ask("switched", switch.state)
        self._flatten(switch)

    def carry_on_flatten(self) -> None:
        """What each reconciliation does while the switch is at flatten."""
        switch = self._ledger.switch()
        if switch.state is SwitchState.FLATTEN:
            self._flatten(switch)

    def _flatten(self, switch: Any) -> None:
        done = flatten(
            self._ledger,
            self._broker,
            self._clock,
            switch,
            cycle_id=self._cycle_id(),
            sleep=self._clock.sleep,
        )
        self._line.ask("flattened", done.flat)

    def acknowledge(self) -> None:
        """A person settles every difference that is open."""
        for each in self._ledger.differences():
            acknowledge(self._ledger, self._broker, self._clock, each.id, "seen")


def _rounded(price: Decimal, spec: InstrumentSpec) -> Decimal:
    return price.quantize(spec.price_increment)


def play(name: str, setting: Setting, connection: Any, acts: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
    """Carries out the acts. A venue's error ends one act; any other is a bug, and reported as one."""
    line = Line(connection)
    try:
        actor = Actor(name, setting, line)
        for act, args in acts:
            line.ask("act", act, args)
            actor.carry_out(act, args)
        connection.send(("done", ()))
    except (EOFError, BrokenPipeError, CrashError):
        return
    except Exception:  # noqa: BLE001 - whatever it is, the director must hear of it
        connection.send(("bug", (traceback.format_exc(),)))


def play_and_exit(name: str, setting: Setting, connection: Any, acts: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
    """The whole life of a forked process: it must not go on into what its parent does next."""
    try:
        play(name, setting, connection, acts)
    finally:
        os._exit(0)
