"""A venue in memory for the drills: it knows what really happened, and answers late, twice, wrongly or not at all when it is told to.

Two kinds. `margin` is like OANDA: netted position, trades that carry their stop and target, client ids not deduped. `spot` is like
Coinbase: wallets, client ids deduped, part fills, and a bracket that holds the units it protects. With `rests` False nothing can
rest there and exits have to be watched. Written from venues.md and `ffe.venues.protocol` alone, so that it is a second opinion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueReadError
from ffe.market.models import Instrument
from ffe.orders.models import Fill, OrderState, Side
from ffe.venues.models import (
    AccountState,
    Activity,
    Balance,
    Capabilities,
    CashEvent,
    Conversion,
    Execution,
    InstrumentSpec,
    OrderRequest,
    Protection,
    Quote,
    VenueOrder,
    VenuePosition,
    WorkingKind,
    WorkingOrder,
)

EPOCH = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)
ZERO = Decimal(0)
PRICES = {
    "EURUSD": Decimal("1.22710"),
    "GBPUSD": Decimal("1.40550"),
    "BTCUSD": Decimal("7000.00"),
    "ETHUSD": Decimal("380.00"),
}
SYMBOLS = {"margin": ("EURUSD", "GBPUSD"), "spot": ("BTCUSD", "ETHUSD")}
LATENESS = (3, 20, 45)


def capabilities(kind: str, *, rests: bool) -> Capabilities:
    margin = kind == "margin"
    return Capabilities(
        short=margin,
        margin=margin,
        dedupes_client_order_id=not margin,
        part_fills=not margin,
        protection="attached" if rests else "none",
        protection_follows_position=margin,
        trailing_stop=margin,
        protection_holds_units=not margin,
    )


@dataclass
class Placed:
    """One order that reached the venue, or will at `arrives`. `attach`: after how long its protection appears; None never."""

    number: int
    request: OrderRequest
    plan: str
    arrives: datetime
    attach: timedelta | None
    state: OrderState | None = None
    reason: str | None = None
    fills: list[Fill] = field(default_factory=list)
    looks: int = 0
    filled_at: datetime | None = None
    attached: bool = False


@dataclass
class Trade:
    """Units that one order opened; on a spot venue all units of a symbol are one."""

    name: str | None
    symbol: str
    units: Decimal
    price: Decimal


@dataclass
class Resting:
    number: str
    name: str | None
    entry: str | None
    symbol: str
    kind: WorkingKind
    side: Side
    units: Decimal | None
    stop: Decimal | None
    target: Decimal | None
    state: str = "open"
    filled: Decimal = ZERO


class DrillVenue:
    """`clock` tells the time; `rng` decides what goes wrong, as often as `wrong` says."""

    def __init__(self, kind: str, clock: Callable[[], datetime], rng: Random, *, rests: bool, wrong: float) -> None:
        self.kind, self.now, self.rng, self.wrong, self.rests = kind, clock, rng, wrong, rests
        self.capabilities = capabilities(kind, rests=rests)
        self.margin = kind == "margin"
        self.prices = {symbol: PRICES[symbol] for symbol in SYMBOLS[kind]}
        self.cash = Decimal(3000)
        self.trades: list[Trade] = []
        self.placed: list[Placed] = []
        self.resting: list[Resting] = []
        self.executions: list[tuple[int, Execution, dict[str, Decimal]]] = []
        self.money: list[tuple[int, CashEvent]] = []
        self.sequence = 0
        self.wire: dict[str, int] = {}
        self.overclosed: list[str] = []

    # the truth

    def units(self, symbol: str) -> Decimal:
        return sum((trade.units for trade in self.trades if trade.symbol == symbol), ZERO)

    def open(self) -> list[Resting]:
        return [each for each in self.resting if each.state == "open"]

    def settle(self) -> None:
        """What time alone does: late orders arrive, accepted ones fill, protection is attached."""
        for order in self.placed:
            if order.state is None and order.arrives <= self.now():
                self._arrive(order)
            live = order.state in {OrderState.ACCEPTED, OrderState.PARTIAL}
            if live and (order.looks >= 2 or self.now() - order.arrives > timedelta(seconds=3)):
                self._finish(order)
            waiting = not order.attached and order.filled_at is not None and order.attach is not None
            if waiting and self.now() - order.filled_at >= order.attach:
                self._attach(order)

    def _arrive(self, order: Placed) -> None:
        request, refused = order.request, self._refused(order.request)
        if refused is not None:
            order.state, order.reason = (OrderState.CANCELLED if self.margin else OrderState.REJECTED), refused
        elif order.plan == "kill":
            order.state, order.reason = OrderState.CANCELLED, "MARKET_HALTED"
        elif order.plan == "accept":
            order.state = OrderState.ACCEPTED
        elif order.plan == "partial":
            self._fill(order, self._half(request.units, request.instrument))
            order.state = OrderState.PARTIAL
        else:
            self._fill(order, request.units)
            self._end(order, OrderState.FILLED)

    def _half(self, units: Decimal, symbol: str) -> Decimal:
        step = self.step(symbol)
        return max((units / 2 // step) * step, step)

    def _finish(self, order: Placed) -> None:
        if order.state is OrderState.PARTIAL:
            self._end(order, OrderState.CANCELLED)
            return
        refused = self._refused(order.request)
        if refused is not None:
            order.state, order.reason = OrderState.CANCELLED, refused
            return
        self._fill(order, order.request.units)
        self._end(order, OrderState.FILLED)

    def _end(self, order: Placed, state: OrderState) -> None:
        order.state, order.filled_at = state, self.now()
        if order.attach is not None and order.attach == timedelta(0):
            self._attach(order)

    def _netted_by_an_entry(self, request: OrderRequest) -> bool:
        """Whether an entry of ours went the way of this close: on a margin account it has taken the units away, and no close came twice."""
        opened = [order.request for order in self.placed if not order.request.reduce_only]
        return any((each.instrument, each.side) == (request.instrument, request.side) for each in opened)

    def _refused(self, request: OrderRequest) -> str | None:
        held, symbol = self.units(request.instrument), request.instrument
        if request.reduce_only:
            signed = request.units * request.side.sign
            short = held * signed >= 0 or abs(held) < request.units
            if short and not self._netted_by_an_entry(request):
                self.overclosed.append(request.client_order_id)
            if held * signed >= 0:
                return "REDUCE_ONLY" if self.margin else "INSUFFICIENT_FUND"
        if not self.margin:
            if request.side is Side.SELL:
                return "INSUFFICIENT_FUND" if request.units > held - self._held_back(symbol) else None
            needed = request.units * self._price(symbol, Side.BUY) * Decimal("1.001")
            return "INSUFFICIENT_FUND" if needed > self.cash else None
        if any(trade.name == request.client_order_id for trade in self.trades):
            return "CLIENT_TRADE_ID_ALREADY_EXISTS"
        return None

    def _held_back(self, symbol: str) -> Decimal:
        return sum((each.units or ZERO for each in self.open() if each.symbol == symbol), ZERO)

    def _price(self, symbol: str, side: Side) -> Decimal:
        return self.prices[symbol] + self.tick(symbol) * side.sign

    def tick(self, symbol: str) -> Decimal:
        return Decimal("0.00001") if self.margin else Decimal("0.01")

    def step(self, symbol: str) -> Decimal:
        return Decimal(1) if self.margin else Decimal("0.0001")

    def _fill(self, order: Placed, units: Decimal) -> None:
        request = order.request
        fills = self._trade(
            request.instrument,
            request.side,
            units,
            name=request.client_order_id,
            order_id=f"v{order.number}",
            protects=None,
            cause="MARKET_ORDER",
            opens=not request.reduce_only,
        )
        order.fills += fills

    def _trade(
        self,
        symbol: str,
        side: Side,
        units: Decimal,
        *,
        name: str | None,
        order_id: str,
        protects: str | None,
        cause: str,
        opens: bool,
        only: str | None = None,
    ) -> list[Fill]:
        """Executes: opposite trades first, oldest first, each an execution of its own at a margin venue."""
        price = self._price(symbol, side)
        parts: list[tuple[Decimal, str | None, Decimal]] = []
        left = units
        if self.margin:
            for trade in [t for t in self.trades if t.symbol == symbol and t.units * side.sign < 0]:
                if only is not None and trade.name != only:
                    continue
                taken = min(left, abs(trade.units))
                if taken == 0:
                    break
                profit = taken * (price - trade.price) * -side.sign
                trade.units += taken * side.sign
                left -= taken
                parts.append((taken, trade.name, profit))
                if trade.units == 0:
                    self.trades.remove(trade)
                    self._drop_protection(trade)
            if left > 0 and opens:
                self.trades.append(Trade(name, symbol, left * side.sign, price))
                parts.append((left, None, ZERO))
        else:
            parts.append((units, None, ZERO))
            self.trades.append(Trade(None, symbol, units * side.sign, price))
        return [self._execution(symbol, side, price, part, name, order_id, protects, cause) for part in parts]

    def _drop_protection(self, trade: Trade) -> None:
        if trade.name is not None:
            for each in self.open():
                if each.entry == trade.name:
                    each.state = "cancelled"

    def _execution(
        self,
        symbol: str,
        side: Side,
        price: Decimal,
        part: tuple[Decimal, str | None, Decimal],
        name: str | None,
        order_id: str,
        protects: str | None,
        cause: str,
    ) -> Fill:
        units, closes, profit = part
        self.sequence += 1
        fee = ZERO if self.margin else (units * price * Decimal("0.001")).quantize(Decimal("0.00000001"))
        fill = Fill(
            venue_fill_id=f"x{self.sequence}", units=units, price=price, fee=fee, fee_currency="USD", time=self.now()
        )
        if self.margin:
            moved = {"USD": profit}
        else:
            moved = {symbol[:3]: units * side.sign, "USD": -units * price * side.sign - fee}
        self.cash += moved["USD"]
        execution = Execution(
            venue_order_id=order_id,
            client_order_id=name,
            protects=protects,
            closes=closes,
            cause=cause,
            instrument=symbol,
            side=side,
            fill=fill,
        )
        self.executions.append((self.sequence, execution, moved))
        return fill

    def _attach(self, order: Placed) -> None:
        """Stop and target of what the order filled, unless it has been closed since."""
        order.attached = True
        request = order.request
        filled = sum((fill.units for fill in order.fills), ZERO)
        if not self.rests or filled == 0 or request.reduce_only or request.stop_loss is None:
            return
        closing = Side.SELL if request.side is Side.BUY else Side.BUY
        if self.margin:
            if not any(trade.name == request.client_order_id for trade in self.trades):
                return
            self._rest_on_trade(request, closing)
        elif filled <= self.units(request.instrument) - self._held_back(request.instrument):
            self._rest(None, request, WorkingKind.BRACKET, closing, filled, request.stop_loss, request.take_profit)

    def _rest_on_trade(self, request: OrderRequest | Protection, closing: Side) -> None:
        if request.stop_loss is not None:
            self._rest(None, request, WorkingKind.STOP_LOSS, closing, None, request.stop_loss, None)
        if request.take_profit is not None:
            self._rest(None, request, WorkingKind.TAKE_PROFIT, closing, None, None, request.take_profit)
        if request.trailing_distance is not None:
            stop = self.prices[request.instrument] - request.trailing_distance * -closing.sign
            self._rest(None, request, WorkingKind.TRAILING_STOP, closing, None, stop, None)

    def _rest(
        self,
        name: str | None,
        request: OrderRequest | Protection,
        kind: WorkingKind,
        side: Side,
        units: Decimal | None,
        stop: Decimal | None,
        target: Decimal | None,
    ) -> Resting:
        self.sequence += 1
        # A bracket that we placed ourselves has no parent at the venue; an attached one has.
        entry = request.client_order_id if isinstance(request, OrderRequest) else request.entry_client_order_id
        parent = None if name is not None else entry
        made = Resting(f"p{self.sequence}", name, parent, request.instrument, kind, side, units, stop, target)
        self.resting.append(made)
        return made

    # what other people and the market do

    def move(self, symbol: str, price: Decimal, *, in_part: bool = False) -> None:
        """A new price; stops and targets that it meets fill, oldest first."""
        self.prices[symbol] = price
        for each in self.open():
            if each.symbol == symbol and self._met(each, price):
                self._trigger(each, in_part=in_part and not self.margin)

    def _met(self, each: Resting, price: Decimal) -> bool:
        down = each.side is Side.SELL
        stopped = each.stop is not None and (price <= each.stop if down else price >= each.stop)
        reached = each.target is not None and (price >= each.target if down else price <= each.target)
        return each.state == "open" and (stopped or reached)

    def _trigger(self, each: Resting, *, in_part: bool) -> None:
        units = each.units
        if units is None:
            held = [t for t in self.trades if t.name == each.entry and t.symbol == each.symbol]
            units = abs(sum((t.units for t in held), ZERO))
        if units == 0:
            each.state = "cancelled"
            return
        taken = self._half(units, each.symbol) if in_part else units
        each.filled += taken
        if each.units is not None:
            each.units -= taken
        if not in_part or each.units == 0:
            each.state = "filled"
        self._trade(
            each.symbol,
            each.side,
            taken,
            name=each.name,
            order_id=each.number,
            protects=each.entry,
            cause="STOP_LOSS_ORDER",
            opens=False,
            only=each.entry,
        )

    def by_hand(self, symbol: str, side: Side, units: Decimal) -> None:
        """A trade that somebody else makes in this account, as far as units that nothing holds allow."""
        if not self.margin and side is Side.SELL:
            units = min(units, self.units(symbol) - self._held_back(symbol))
        if units > 0:
            self.sequence += 1
            number = f"h{self.sequence}"
            self._trade(symbol, side, units, name=None, order_id=number, protects=None, cause="MANUAL", opens=True)

    def pay_in(self, amount: Decimal) -> None:
        self.sequence += 1
        self.cash += amount
        if self.margin:
            event = CashEvent(
                venue_id=f"c{self.sequence}",
                cause="TRANSFER_FUNDS",
                currency="USD",
                amount=amount,
                instrument=None,
                time=self.now(),
            )
            self.money.append((self.sequence, event))

    # what a broker asks

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """One request of a broker. Reads fail now and then; what is sent has fates of its own."""
        self.settle()
        if name not in {"submit", "protect", "cancel"} and self.rng.random() < self.wrong * 0.3:
            raise VenueReadError("502")
        answer = getattr(self, f"_on_{name}")(*args)
        self.settle()
        return answer

    def _on_checkpoint(self) -> str:
        return str(self.sequence)

    def _on_account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        one = Conversion(gain=Decimal(1), loss=Decimal(1), position=Decimal(1))
        return AccountState(
            venue="drill",
            account="drill",
            currency="USD",
            equity=self.cash,
            available=self.available(),
            balances=(Balance(currency="USD", available=self.cash, hold=ZERO),),
            conversions={"USD": one},
            source="drill",
            time=self.now(),
        )

    def available(self) -> Decimal:
        if not self.margin:
            return self.cash
        used = sum((abs(trade.units) * trade.price * Decimal("0.02") for trade in self.trades), ZERO)
        return max(self.cash - used, ZERO)

    def _on_spec(self, instrument: Instrument) -> InstrumentSpec:
        symbol = instrument.symbol
        return InstrumentSpec(
            instrument=symbol,
            venue=instrument.venue,
            price_increment=self.tick(symbol),
            size_increment=self.step(symbol),
            min_size=self.step(symbol),
            max_size=None,
            min_notional=None,
            max_notional=None,
            margin_rate=Decimal("0.02") if self.margin else None,
            taker_fee_rate=ZERO,
            pip=self.tick(symbol) * 10,
            tradeable=True,
            status="online",
            fetched_at=self.now(),
        )

    def _on_quote(self, instrument: Instrument) -> Quote:
        symbol = instrument.symbol
        return Quote(
            instrument=symbol,
            bid=self._price(symbol, Side.SELL),
            ask=self._price(symbol, Side.BUY),
            time=self.now(),
            tradeable=True,
            status="online",
        )

    def _on_position(self, instrument: Instrument) -> VenuePosition:
        symbol = instrument.symbol
        ids = tuple(each.number for each in self.open() if each.symbol == symbol)
        units = self.units(symbol)
        return VenuePosition(instrument=symbol, units=units, average_price=None, protection=ids if units != 0 else ())

    def _on_positions(self) -> list[VenuePosition]:
        from ffe.market.models import parse_instrument

        return [self._on_position(parse_instrument(symbol)) for symbol in self.prices if self.units(symbol) != 0]

    def _on_working_orders(self) -> list[WorkingOrder]:
        resting = [
            WorkingOrder(
                venue_order_id=each.number,
                client_order_id=each.name,
                protects=each.entry,
                instrument=each.symbol,
                kind=each.kind,
                side=each.side,
                units=each.units,
                stop=each.stop,
                target=each.target,
            )
            for each in self.open()
        ]
        live = [
            WorkingOrder(
                venue_order_id=f"v{order.number}",
                client_order_id=order.request.client_order_id,
                protects=None,
                instrument=order.request.instrument,
                kind=WorkingKind.OTHER,
                side=order.request.side,
                units=order.request.units,
            )
            for order in self.placed
            if order.state is OrderState.ACCEPTED
        ]
        return resting + live

    def _on_activity(self, since: str) -> Activity:
        """A spot venue repeats what it told before the checkpoint, without counting it again."""
        after = int(since) if self.margin else int(since) - 2
        executions = [(number, each, moved) for number, each, moved in self.executions if number > after]
        cash = [(number, event) for number, event in self.money if number > int(since)]
        moved: dict[str, Decimal] = {}
        for number, _, parts in executions:
            for currency, amount in parts.items():
                if number > int(since):
                    moved[currency] = moved.get(currency, ZERO) + amount
        for _, event in cash:
            moved[event.currency] = moved.get(event.currency, ZERO) + event.amount
        totals = {"USD": self.cash}
        if not self.margin:
            totals |= {symbol[:3]: self.units(symbol) for symbol in self.prices}
        return Activity(
            executions=tuple(each for _, each, _ in executions),
            cash=tuple(event for _, event in cash),
            totals=totals,
            moved=moved,
            checkpoint=str(self.sequence),
        )

    def _on_lookup(self, request: OrderRequest, checkpoint: str) -> VenueOrder | None:
        for order in self.placed:
            if order.request.client_order_id == request.client_order_id and order.state is not None:
                order.looks += 1
                self.settle()
                return self._report(order)
        return None

    def _report(self, order: Placed) -> VenueOrder:
        name = order.request.client_order_id
        if order.state is None:
            raise AssertionError("an order that has not arrived can't be reported")
        return VenueOrder(
            client_order_id=name,
            venue_order_id=f"v{order.number}",
            state=order.state,
            reason=order.reason,
            fills=tuple(order.fills),
            protection_ids=tuple(each.number for each in self.open() if each.entry == name),
        )

    def _on_submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        fate = self._fate()
        if fate == "not_sent":
            raise NotSentError("connection refused")
        if fate == "reject":
            raise OrderRejectedError("400", reason="INSUFFICIENT_MARGIN")
        if not self.margin and request.cancel_first:
            self._on_cancel(request.cancel_first, calm=True)
        name = request.client_order_id
        self.wire[name] = self.wire.get(name, 0) + 1
        if fate == "lost_before":
            raise OutcomeUnknownError("reset")
        order = self._place(request, fate)
        self.settle()
        if fate in {"lost_after", "late"} or order.state is None:
            raise OutcomeUnknownError("no reply")
        if fate == "bug":
            raise OutcomeUnknownError("RuntimeError: the reply could not be understood")
        if order.state is OrderState.REJECTED:
            raise OrderRejectedError("refused", reason=str(order.reason))
        return self._report(order)

    def _fate(self) -> str:
        if self.rng.random() >= self.wrong:
            return "fill"
        ends = ("accept", "partial" if not self.margin else "accept", "kill", "reject", "not_sent")
        return self.rng.choice((*ends, "bug", "late", "late", "lost_before", "lost_before", "lost_after", "lost_after"))

    def _place(self, request: OrderRequest, fate: str) -> Placed:
        late = timedelta(seconds=self.rng.choice(LATENESS) if fate == "late" else 0)
        known = [each for each in self.placed if each.request.client_order_id == request.client_order_id]
        if known and not self.margin:
            known[0].arrives = min(known[0].arrives, self.now() + late)
            return known[0]
        plan = fate if fate in {"accept", "partial", "kill"} else "fill"
        attach: timedelta | None = timedelta(0)
        if self.rng.random() < self.wrong:
            attach = self.rng.choice((None, timedelta(seconds=3), timedelta(seconds=30)))
        order = Placed(len(self.placed) + 1, request, plan, self.now() + late, attach)
        self.placed.append(order)
        return order

    def _on_protect(self, protection: Protection) -> tuple[str, ...]:
        fate = self._fate()
        if fate == "not_sent":
            raise NotSentError("connection refused")
        if fate == "reject" or not self.rests:
            raise OrderRejectedError("400", reason="STOP_LOSS_ON_FILL_LOSS")
        if fate == "lost_before":
            raise OutcomeUnknownError("reset")
        ids = self._protect_trade(protection) if self.margin else self._protect_units(protection)
        if fate in {"lost_after", "late", "bug"}:
            raise OutcomeUnknownError("no reply")
        return ids

    def _protect_trade(self, protection: Protection) -> tuple[str, ...]:
        name = protection.entry_client_order_id
        if not any(trade.name == name for trade in self.trades):
            raise OrderRejectedError("404", reason="NO_SUCH_TRADE")
        for each in self.open():
            if each.entry == name:
                each.state = "cancelled"
        self._rest_on_trade(protection, protection.side)
        return tuple(each.number for each in self.open() if each.entry == name)

    def _protect_units(self, protection: Protection) -> tuple[str, ...]:
        for each in self.resting:
            if each.name == protection.client_order_id:
                if each.state != "open":
                    raise OutcomeUnknownError("it has that bracket already, and it does not work")
                return (each.number,)
        if protection.stop_loss is None or protection.take_profit is None:
            raise OrderRejectedError("400", reason="BRACKET_NEEDS_BOTH")
        if protection.units > self.units(protection.instrument) - self._held_back(protection.instrument):
            raise OrderRejectedError("200", reason="INSUFFICIENT_FUND")
        made = self._rest(
            protection.client_order_id,
            protection,
            WorkingKind.BRACKET,
            protection.side,
            protection.units,
            protection.stop_loss,
            protection.take_profit,
        )
        return (made.number,)

    def _on_cancel(self, numbers: Sequence[str], *, calm: bool = False) -> None:
        fate = "fill" if calm else self._fate()
        if fate in {"not_sent", "reject"}:
            raise NotSentError("connection refused")
        if fate == "lost_before":
            raise OutcomeUnknownError("reset")
        for number in numbers:
            for each in self.resting:
                if each.number != number:
                    continue
                if each.filled > 0:
                    each.state = "cancelled" if each.state == "open" else each.state
                    raise NotSentError(f"{number} has filled")
                each.state = "cancelled"
        if fate in {"lost_after", "late", "bug"}:
            raise OutcomeUnknownError("no reply")
