"""What happened in a Coinbase portfolio since a moment: fills of anybody's orders, and the wallets after them.

Fills can appear late, so each reading begins two minutes before the newest one it has seen. The checkpoint carries the ids of those
two minutes, each with its time, so that a fill counts once whatever the order in which the venue lists them, and also when it is
missing from one list and back in the next.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ffe.clock import parse_time, rfc3339
from ffe.money import ZERO, plain, round_nearest
from ffe.orders.models import Side
from ffe.venues import coinbase_orders, reply
from ffe.venues.clients import CoinbaseClient
from ffe.venues.coinbase_pages import OrderDocuments, paged
from ffe.venues.models import Activity, Balance, Execution

MARGIN = timedelta(seconds=120)
# A fill may arrive between reading the fills and reading the wallets; both are then read again.
ROUNDS = 5
MICROSECOND = timedelta(microseconds=1)
# Wallets of coins have eight digits at this venue.
_UNIT = Decimal("0.00000001")
_MARK, _AGE = "|", "~"


@dataclass(frozen=True)
class Place:
    """`time RFC 3339|id~age,id~age`: the newest fill seen, and which fills of the two minutes before it, ages in microseconds.

    Without ids (`seen` None): only a moment, as `Broker.checkpoint` gives it.
    """

    time: datetime
    seen: dict[str, datetime] | None

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError for what was never a checkpoint."""
        moment, mark, ids = text.partition(_MARK)
        time = parse_time(moment)
        aged = (each.split(_AGE) for each in ids.split(",") if each)
        return cls(time, {number: time - int(age) * MICROSECOND for number, age in aged} if mark else None)

    def __str__(self) -> str:
        ages = {number: (self.time - at) // MICROSECOND for number, at in (self.seen or {}).items()}
        return f"{rfc3339(self.time)}{_MARK}{','.join(f'{number}{_AGE}{ages[number]}' for number in sorted(ages))}"

    def is_new(self, fill: dict[str, Any]) -> bool:
        if self.seen is None:
            return reply.moment(fill, "trade_time") >= self.time
        return reply.text(fill, "entry_id") not in self.seen


def activity(client: CoinbaseClient, since: str, balances: Callable[[], dict[str, Balance]]) -> Activity:
    """Executions oldest first. Deposits and withdrawals have no list here: they show as totals that the trades don't explain."""
    place = Place.parse(since)
    start = rfc3339(place.time - MARGIN)
    before = _totals(balances())
    for _ in range(ROUNDS):
        listed = [_in_base(fill) for fill in paged(client, "get_fills", "fills", start_sequence_timestamp=start)]
        totals = _totals(balances())
        if totals == before:
            break
        before = totals
    else:
        raise reply.malformed(f"the wallets changed {ROUNDS} times while they were read", {"since": since})
    fills = {reply.text(fill, "entry_id"): fill for fill in listed}
    news = sorted((fill for fill in fills.values() if place.is_new(fill)), key=_order)
    documents = OrderDocuments(client)
    return Activity(
        executions=tuple(_execution(fill, documents) for fill in news),
        cash=(),
        totals=totals,
        moved=_moved(news),
        checkpoint=str(_next(place, fills)) if news else since,
    )


def _totals(balances: dict[str, Balance]) -> dict[str, Decimal]:
    return {name: each.available + each.hold for name, each in balances.items()}


def _order(fill: dict[str, Any]) -> tuple[datetime, str]:
    return reply.moment(fill, "trade_time"), reply.text(fill, "entry_id")


def _next(place: Place, fills: dict[str, dict[str, Any]]) -> Place:
    """Every fill stays known, listed now or not, while the next reading may list it."""
    newest = max((place.time, *(reply.moment(fill, "trade_time") for fill in fills.values())))
    known = (place.seen or {}) | {number: _listed_until(fill) for number, fill in fills.items()}
    return Place(newest, {number: at for number, at in known.items() if at >= newest - MARGIN})


def _listed_until(fill: dict[str, Any]) -> datetime:
    """The later of its two times: the venue's pages do not agree on which of them its filter goes by."""
    times = [key for key in ("trade_time", "sequence_timestamp") if fill.get(key) is not None]
    return max(reply.moment(fill, key) for key in times)


def _in_base(fill: dict[str, Any]) -> dict[str, Any]:
    """A fill of an order that somebody placed for an amount of money states its size in money."""
    if fill.get("size_in_quote") is not True:
        return fill
    price = reply.number(fill, "price")
    if price <= 0:
        raise reply.malformed("a fill without a price", fill)
    return fill | {"size": plain(round_nearest(reply.number(fill, "size") / price, _UNIT)), "size_in_quote": False}


def _execution(fill: dict[str, Any], documents: Callable[[str], dict[str, Any]]) -> Execution:
    order = documents(reply.text(fill, "order_id"))
    product = reply.canonical(reply.text(fill, "product_id"))
    return Execution(
        venue_order_id=reply.text(order, "order_id"),
        client_order_id=reply.first_text(order, "client_order_id"),
        protects=parent_name(order, documents),
        cause=reply.text(order, "order_type"),
        instrument=product,
        side=Side(reply.text(fill, "side")),
        fill=coinbase_orders.fill(fill, _currencies(fill)[1]),
    )


def parent_name(order: dict[str, Any], documents: Callable[[str], dict[str, Any]]) -> str | None:
    """Client order id of the entry to which the venue attached this order; None for any other order."""
    parent = reply.first_text(order, "originating_order_id")
    return None if parent is None else reply.first_text(documents(parent), "client_order_id")


def _currencies(fill: dict[str, Any]) -> tuple[str, str]:
    base, mark, quote = reply.text(fill, "product_id").partition("-")
    if not mark:
        raise reply.malformed("product_id is not BASE-QUOTE", fill)
    return base, quote


def _moved(fills: Iterable[dict[str, Any]]) -> dict[str, Decimal]:
    """By currency. The fee is taken in the quote, from what is paid or from what is received."""
    moved: dict[str, Decimal] = {}
    for fill in fills:
        base, quote = _currencies(fill)
        sign = Side(reply.text(fill, "side")).sign
        size, price = reply.number(fill, "size"), reply.number(fill, "price")
        moved[base] = moved.get(base, ZERO) + sign * size
        moved[quote] = moved.get(quote, ZERO) - sign * size * price - reply.number(fill, "commission")
    return moved
