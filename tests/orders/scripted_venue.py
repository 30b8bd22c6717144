"""A venue in memory, or in a locked file so that it survives killed clients and is shared by processes.

`dedupes` makes it one like Coinbase (spot: brackets hold units, a client id is good once), otherwise it is one like OANDA (margin:
a stop and a target that live and die with the position). Everything that happens gets the next number of one log, told or not.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ffe.errors import NotSentError
from ffe.market.models import parse_instrument
from ffe.orders.models import Fill, OrderState, Side
from ffe.venues.models import (
    Activity,
    CashEvent,
    Execution,
    OrderRequest,
    Protection,
    VenueOrder,
    VenuePosition,
    WorkingKind,
    WorkingOrder,
)

FIRST = 6410
PRICE = Decimal("1.2272")
FEE = Decimal("0.25")
NEVER = datetime(2018, 1, 1, tzinfo=UTC)
CAUSES = {
    WorkingKind.STOP_LOSS: "STOP_LOSS_ORDER",
    WorkingKind.TAKE_PROFIT: "TAKE_PROFIT_ORDER",
    WorkingKind.TRAILING_STOP: "TRAILING_STOP_LOSS_ORDER",
    WorkingKind.BRACKET: "BRACKET",
    WorkingKind.OTHER: "LIMIT_ORDER",
}


class Placed(BaseModel):
    """An order that the venue has, or (`arrives` in the future) will have. `filled` None: nothing was executed yet."""

    request: OrderRequest
    plan: str
    arrives: datetime
    looks: int = 0
    filled: Decimal | None = None

    @property
    def client_order_id(self) -> str:
        return self.request.client_order_id

    @property
    def units(self) -> Decimal:
        return self.request.units


class Happened(BaseModel):
    """One line of the venue's log: what it did to units and money. `told` false: nobody ever hears of it."""

    execution: Execution | None = None
    cash: CashEvent | None = None
    moved: dict[str, Decimal] = {}
    told: bool = True


class State(BaseModel):
    placed: list[Placed] = []
    log: list[Happened] = []
    resting: list[WorkingOrder] = []
    ended: dict[str, str] = {}
    number: int = 0


class Venue:
    """`attaches`: an entry's stop and target are placed with it. `holds_stops` false: nothing can rest here at all.

    `overlap`: how many lines before the checkpoint are told again, as Coinbase does.
    """

    def __init__(
        self, dedupes: bool, path: Path | None = None, *, attaches: bool = True, holds_stops: bool = True
    ) -> None:
        self.dedupes, self.path, self.attaches, self.holds_stops = dedupes, path, attaches, holds_stops
        self.state, self._depth = State(), 0
        self.prices: dict[str, tuple[Decimal, Decimal]] = {}
        self.closed, self.overlap = False, 0

    @classmethod
    def load(cls, path: Path, *, dedupes: bool, **options: Any) -> "Venue":
        venue = cls(dedupes, path, **options)
        with venue.opened():
            return venue

    @contextmanager
    def opened(self) -> Iterator[State]:
        """The state as it is now, held against other processes and kept on leaving. May be nested."""
        if self.path is None or self._depth > 0:
            yield self.state
            return
        self._depth += 1
        try:
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self.path.exists():
                    self.state = State.model_validate_json(self.path.read_text())
                before = self.state.model_dump_json()
                yield self.state
                if self.state.model_dump_json() != before:
                    fresh = self.path.with_suffix(".new")
                    fresh.write_text(self.state.model_dump_json())
                    os.replace(fresh, self.path)
        finally:
            self._depth -= 1

    @property
    def placed(self) -> list[Placed]:
        return self.state.placed

    # orders of ours

    def place(self, request: OrderRequest, plan: str, arrives: datetime, now: datetime = NEVER) -> Placed:
        with self.opened() as state:
            known = [order for order in state.placed if order.client_order_id == request.client_order_id]
            if known and self.dedupes:
                known[0].arrives = min(known[0].arrives, arrives)
            else:
                known = [Placed(request=request, plan=plan, arrives=arrives)]
                state.placed.append(known[0])
                self.end(request.cancel_first, "CANCELLED")
            self.settle(max(now, arrives if plan != "late" else NEVER))
            return known[0]

    def settle(self, now: datetime) -> None:
        """Executes what has arrived and is due."""
        for order in self.state.placed:
            due = order.plan != "kill_rest" and (order.plan != "accept" or order.looks >= 2)
            if due and order.filled is None and order.arrives <= now:
                self._execute(order)

    def _execute(self, order: Placed) -> None:
        request, units = order.request, order.units * (Decimal("0.5") if order.plan == "partial" else 1)
        if request.reduce_only:
            units = min(units, self._free(request))
        if units <= 0:
            order.plan = "kill_rest"
            return
        order.filled = units
        number = self.state.placed.index(order)
        fill = self._fill(f"f{number}-{order.client_order_id}", units, PRICE, FEE, order.arrives)
        self._book(request.instrument, request.side, fill, f"v-{order.client_order_id}", order.client_order_id)
        if not request.reduce_only and self.attaches:
            self._attach(request, units)

    def _free(self, request: OrderRequest) -> Decimal:
        """Units that a close may take; on spot not those that another order holds."""
        held = -self.units(request.instrument) * request.side.sign
        orders = self.state.resting if self.dedupes else []
        on_hold = [order.units or Decimal(0) for order in orders if order.instrument == request.instrument]
        return held - sum(on_hold, Decimal(0))

    def _attach(self, request: OrderRequest, units: Decimal) -> None:
        other = Side.SELL if request.side is Side.BUY else Side.BUY
        values = {"instrument": request.instrument, "side": other, "protects": request.client_order_id}
        self._protect(values, units, request.stop_loss, request.take_profit, request.trailing_distance)

    def _protect(
        self,
        values: dict[str, Any],
        units: Decimal,
        stop: Decimal | None,
        target: Decimal | None,
        trailing: Decimal | None,
    ) -> tuple[str, ...]:
        if self.dedupes:
            if stop is None and target is None:
                return ()
            return (self.rest(kind=WorkingKind.BRACKET, stop=stop, target=target, units=units, **values),)
        made = []
        if stop is not None:
            made.append(self.rest(kind=WorkingKind.STOP_LOSS, stop=stop, **values))
        if trailing is not None:
            made.append(self.rest(kind=WorkingKind.TRAILING_STOP, stop=PRICE - trailing, **values))
        if target is not None:
            made.append(self.rest(kind=WorkingKind.TAKE_PROFIT, target=target, **values))
        return tuple(made)

    def protect(self, protection: Protection) -> tuple[str, ...]:
        """On spot the order carries its own id and no word of the entry; on margin it replaces what the entry has."""
        with self.opened() as state:
            values: dict[str, Any] = {"instrument": protection.instrument, "side": protection.side}
            if self.dedupes:
                known = [o.venue_order_id for o in state.resting if o.client_order_id == protection.client_order_id]
                if known:
                    return tuple(known)
                values["client_order_id"] = protection.client_order_id
            else:
                values["protects"] = protection.entry_client_order_id
                old = [o.venue_order_id for o in state.resting if o.protects == protection.entry_client_order_id]
                self.end(old, "CANCELLED")
            prices = (protection.stop_loss, protection.take_profit, protection.trailing_distance)
            return self._protect(values, protection.units, *prices)

    def report(self, order: Placed) -> VenueOrder:
        """FILLED at once, or ACCEPTED first and FILLED, half filled or cancelled when looked at again."""
        state = OrderState.ACCEPTED if order.filled is None else OrderState.FILLED
        if order.plan == "partial":
            state = OrderState.PARTIAL if order.looks < 2 else OrderState.CANCELLED
        elif order.plan == "kill_rest":
            state = OrderState.CANCELLED
        number = f"v-{order.client_order_id}"
        executions = [line.execution for line in self.state.log if line.execution is not None]
        return VenueOrder(
            client_order_id=order.client_order_id,
            venue_order_id=number,
            state=state,
            reason="MARKET_HALTED" if order.plan == "kill_rest" else None,
            fills=tuple(each.fill for each in executions if each.venue_order_id == number),
            protection_ids=tuple(o.venue_order_id for o in self.state.resting if o.protects == order.client_order_id),
        )

    # what others do

    def trade(
        self,
        instrument: str,
        side: Side,
        units: str,
        *,
        at: datetime,
        told: bool = True,
        cause: str = "MARKET_ORDER",
        client_order_id: str | None = None,
    ) -> str:
        """A trade that no request of ours made; its fill id."""
        with self.opened():
            fill = self._fill(f"x{self._next()}", Decimal(units), PRICE, FEE, at)
            self._book(instrument, side, fill, f"o-{fill.venue_fill_id}", client_order_id, cause=cause, told=told)
            return fill.venue_fill_id

    def hit(self, venue_order_id: str, *, at: datetime, units: str | None = None, named: bool = True) -> None:
        """A resting order fills, whole or in part; whole, it ends its siblings. `named` false: the venue says not whose it was."""
        with self.opened() as state:
            order = next(each for each in state.resting if each.venue_order_id == venue_order_id)
            whole = abs(self.units(order.instrument)) if order.units is None else order.units
            size = whole if units is None else Decimal(units)
            if size >= whole:
                siblings = [o.venue_order_id for o in state.resting if o.protects == order.protects and order.protects]
                self.end([venue_order_id], "FILLED")
                self.end(siblings, "CANCELLED")
            fill = self._fill(f"x{self._next()}", size, order.stop or order.target or PRICE, FEE, at)
            self._book(
                order.instrument,
                order.side,
                fill,
                venue_order_id,
                order.client_order_id,
                cause=CAUSES[order.kind],
                protects=order.protects if named else None,
            )

    def rest(
        self,
        *,
        instrument: str,
        side: Side,
        kind: WorkingKind = WorkingKind.OTHER,
        units: Decimal | None = None,
        **values: Any,
    ) -> str:
        with self.opened() as state:
            number = f"r{self._next()}"
            blank = {"client_order_id": None, "protects": None} | values
            order = WorkingOrder(
                venue_order_id=number, instrument=instrument, side=side, kind=kind, units=units, **blank
            )
            state.resting.append(order)
            return number

    def end(self, ids: Sequence[str], how: str) -> None:
        with self.opened() as state:
            for order in [order for order in state.resting if order.venue_order_id in ids]:
                state.resting.remove(order)
                state.ended[order.venue_order_id] = how

    def cancel(self, ids: Sequence[str]) -> None:
        """Raises NotSentError for what has filled or was never there."""
        with self.opened() as state:
            resting = {order.venue_order_id for order in state.resting}
            wrong = [each for each in ids if each not in resting and state.ended.get(each) != "CANCELLED"]
            self.end(ids, "CANCELLED")
            if wrong:
                raise NotSentError(f"not cancelled: {', '.join(wrong)}")

    def pay(self, amount: str, cause: str, *, at: datetime, told: bool = True, currency: str = "USD") -> None:
        with self.opened() as state:
            event = CashEvent(
                venue_id=f"c{self._next()}",
                cause=cause,
                currency=currency,
                amount=Decimal(amount),
                instrument=None,
                time=at,
            )
            state.log.append(Happened(cash=event, moved={currency: Decimal(amount)}, told=told))

    # what the venue says

    def units(self, instrument: str) -> Decimal:
        executions = (line.execution for line in self.state.log if line.execution is not None)
        own = [each.fill.units * each.side.sign for each in executions if each.instrument == instrument]
        return sum(own, Decimal(0))

    def positions(self) -> list[VenuePosition]:
        names = sorted({line.execution.instrument for line in self.state.log if line.execution is not None})
        return [
            VenuePosition(
                instrument=name,
                units=self.units(name),
                average_price=PRICE,
                protection=tuple(o.venue_order_id for o in self.state.resting if o.instrument == name),
            )
            for name in names
            if self.units(name) != 0
        ]

    def activity(self, since: str) -> Activity:
        start = max(0, int(since) - FIRST)
        told = [line for line in self.state.log[max(0, start - self.overlap) :] if line.told]
        new = [line for line in self.state.log[start:] if line.told]
        return Activity(
            executions=tuple(line.execution for line in told if line.execution is not None),
            cash=tuple(line.cash for line in told if line.cash is not None),
            totals=_sum([{"USD": Decimal(100_000)}, *(line.moved for line in self.state.log)]),
            moved=_sum([line.moved for line in new]),
            checkpoint=self.checkpoint(),
        )

    def checkpoint(self) -> str:
        return str(FIRST + len(self.state.log))

    def _next(self) -> int:
        self.state.number += 1
        return self.state.number

    def _fill(self, number: str, units: Decimal, price: Decimal, fee: Decimal, at: datetime) -> Fill:
        return Fill(venue_fill_id=number, units=units, price=price, fee=fee, fee_currency="USD", time=at)

    def _book(
        self,
        instrument: str,
        side: Side,
        fill: Fill,
        venue_order_id: str,
        client_order_id: str | None,
        *,
        cause: str = "MARKET_ORDER",
        protects: str | None = None,
        told: bool = True,
    ) -> None:
        execution = Execution(
            venue_order_id=venue_order_id,
            client_order_id=client_order_id,
            protects=protects,
            cause=cause,
            instrument=instrument,
            side=side,
            fill=fill,
        )
        moved = {"USD": -fill.fee} if told else {}
        if self.dedupes and told:
            moved = {
                parse_instrument(instrument).base: fill.units * side.sign,
                "USD": -fill.units * fill.price * side.sign - fill.fee,
            }
        self.state.log.append(Happened(execution=execution, moved=moved, told=told))
        if not self.dedupes and self.units(instrument) == 0:
            dependent = [o.venue_order_id for o in self.state.resting if o.instrument == instrument and o.protects]
            self.end(dependent, "CANCELLED")


def _sum(parts: Sequence[dict[str, Decimal]]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for part in parts:
        for currency, amount in part.items():
            total[currency] = total.get(currency, Decimal(0)) + amount
    return total
