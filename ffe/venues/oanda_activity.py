"""What OANDA's numbered transactions say happened since one of them: fills of anybody's orders, money that moved, the balance after it."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ffe.money import ZERO
from ffe.orders.models import Side
from ffe.venues import oanda_orders, reply
from ffe.venues.clients import OandaClient
from ffe.venues.models import Activity, CashEvent, Execution

# A transaction may arrive between reading the list and reading the balance; both are then read again.
ROUNDS = 5
_PROTECTIVE = ("STOP_LOSS_ORDER", "TAKE_PROFIT_ORDER", "TRAILING_STOP_LOSS_ORDER", "GUARANTEED_STOP_LOSS_ORDER")
# Types that move money without a fill, and where each keeps its amount.
_CASH = {
    "TRANSFER_FUNDS": "amount",
    "DAILY_FINANCING": "financing",
    "DIVIDEND_ADJUSTMENT": "dividendAdjustment",
}
# What only a fill may carry: trades that it opened, reduced or closed.
_UNITS = ("tradeOpened", "tradeReduced", "tradesClosed")
_ADDS = ("pl", "financing", "dividendAdjustment")


def transactions(client: OandaClient, since: str) -> list[dict[str, Any]]:
    """Everything after `since`, oldest first, page by page until the venue's own last id is reached."""
    from oandapyV20.endpoints.transactions import TransactionsSinceID

    collected: list[dict[str, Any]] = []
    last = int(since)
    while True:
        page = client.read(TransactionsSinceID(client.account_id, params={"id": str(last)}))
        collected += (news := reply.entries(page, "transactions"))
        newest = max((reply.integer(item, "id") for item in news), default=last)
        if newest >= reply.integer(page, "lastTransactionID"):
            return sorted(collected, key=lambda item: reply.integer(item, "id"))
        if newest == last:
            raise reply.malformed(f"no transaction after {last}, which is not the last", page)
        last = newest


def activity(client: OandaClient, since: str) -> Activity:
    """Balance and transactions of the same moment: a balance that is older or newer than the last transaction is read again.

    Raises:
        VenueReadError: a transaction moved money or units in a way that nobody here knows.
    """
    from oandapyV20.endpoints.accounts import AccountSummary

    collected, last = list[dict[str, Any]](), since
    for _ in range(ROUNDS):
        collected += transactions(client, last)
        last = reply.text(collected[-1], "id") if collected else since
        answer = client.read(AccountSummary(client.account_id))
        if reply.integer(answer, "lastTransactionID") == int(last):
            break
    else:
        raise reply.malformed(f"the account changed {ROUNDS} times while it was read, or its balance is late", answer)
    summary = reply.need(answer, "account")
    home = reply.text(summary, "currency")
    names = _TradeNames(client)
    fills = [item for item in collected if item.get("type") == "ORDER_FILL"]
    cash = [event for item in collected if (event := _cash_event(item, home)) is not None]
    moved = sum((_moved(item) for item in fills), ZERO) + sum((event.amount for event in cash), ZERO)
    return Activity(
        executions=tuple(part for item in fills for part in _executions(item, home, names)),
        cash=tuple(cash),
        totals={home: reply.number(summary, "balance")},
        moved={home: moved},
        checkpoint=last,
    )


class _TradeNames:
    """Our client id on a trade, by its number; each is asked for once."""

    def __init__(self, client: OandaClient) -> None:
        self._client, self._known = client, dict[str, str | None]()

    def __call__(self, trade_id: str) -> str | None:
        from oandapyV20.endpoints.trades import TradeDetails

        if trade_id not in self._known:
            answer = self._client.read(TradeDetails(self._client.account_id, tradeID=trade_id))
            self._known[trade_id] = oanda_orders.client_id(reply.need(answer, "trade"))
        return self._known[trade_id]


def _executions(item: dict[str, Any], home: str, name_of: Callable[[str], str | None]) -> list[Execution]:
    """One for each trade that the fill opened, reduced or closed."""
    reason = reply.text(item, "reason")
    side = Side.BUY if reply.number(item, "units") > 0 else Side.SELL
    opened = reply.optional_entry(item, "tradeOpened")
    opening = None if opened is None else reply.text(opened, "tradeID")
    found = []
    parts = zip(oanda_orders.parts(item), oanda_orders.fills(item, home), strict=True)
    for part, fill in parts:
        trade_id = reply.text(part, "tradeID")
        entry = None if trade_id == opening else name_of(trade_id)
        found.append(
            Execution(
                venue_order_id=reply.text(item, "orderID"),
                client_order_id=reply.first_text(item, "clientOrderID"),
                protects=entry if reason in _PROTECTIVE else None,
                closes=None if trade_id == opening else entry or "",
                cause=reason,
                instrument=reply.canonical(reply.text(item, "instrument")),
                side=side,
                fill=fill,
            )
        )
    return found


def _moved(item: dict[str, Any]) -> Decimal:
    """What a fill did to the balance: profit and financing less what it cost."""
    added = _sum(item, _ADDS)
    return added - oanda_orders.fee(item)


def _cash_event(item: dict[str, Any], home: str) -> CashEvent | None:
    kind = reply.text(item, "type")
    if kind == "ORDER_FILL":
        return None
    if any(item.get(key) is not None for key in _UNITS):
        raise reply.malformed(f"{kind} moved units, and is not known", item)
    if item.get("accountBalance") is None:
        return None
    if kind not in _CASH:
        raise reply.malformed(f"{kind} moved money, and is not known", item)
    return CashEvent(
        venue_id=reply.text(item, "id"),
        cause=kind,
        currency=home,
        amount=reply.number(item, _CASH[kind]),
        instrument=None,
        time=reply.moment(item, "time"),
    )


def _sum(item: dict[str, Any], keys: Sequence[str]) -> Decimal:
    return sum((reply.number(item, key) for key in keys if item.get(key) is not None), ZERO)
