"""The OANDA account as JSON: summary, instruments, prices, trades, positions and orders, every number a string as the venue sends it."""

from collections.abc import Iterable
from decimal import Decimal

from ffe.money import ZERO, plain
from simulator.instruments import HOME, ForexPair
from simulator.margin import Trade, money
from simulator.oanda_log import USER_ID, stamp
from simulator.oanda_protection import STOP, TARGET, TRAILING, Ledger
from simulator.oanda_rows import Order
from simulator.web import Json

LIQUIDITY = 10_000_000
NO_MONEY = "0.0000"
DEPENDENTS = {"takeProfitOrder": TARGET, "stopLossOrder": STOP, "trailingStopLossOrder": TRAILING}


class Views:
    def __init__(self, ledger: Ledger) -> None:
        self._book, self._account, self._log = ledger.book, ledger.account, ledger.log
        self._orders, self._protections = ledger.orders, ledger.protections

    def state(self) -> Json:
        """What changes with every price: `AccountChangesState`, also part of the summary."""
        account = self._account
        unrealized, used = account.equity() - account.row.balance, account.margin_used()
        equity = account.equity()
        value = sum((self._value(trade) for trade in account.open_trades()), ZERO)
        closeout = ZERO if equity <= 0 else (used / 2 / equity).quantize(Decimal("0.00001"))
        return {
            "unrealizedPL": plain(money(unrealized)),
            "NAV": plain(money(equity)),
            "marginUsed": plain(money(used)),
            "marginAvailable": plain(money(account.available())),
            "positionValue": plain(money(value)),
            "marginCloseoutUnrealizedPL": plain(money(unrealized)),
            "marginCloseoutNAV": plain(money(equity)),
            "marginCloseoutMarginUsed": plain(money(used)),
            "marginCloseoutPercent": plain(closeout),
            "marginCloseoutPositionValue": plain(money(value)),
            "withdrawalLimit": plain(money(max(ZERO, min(account.row.balance, account.available())))),
            "marginCallMarginUsed": plain(money(used)),
            "marginCallPercent": plain(closeout * 2),
        }

    def summary(self) -> Json:
        row, trades = self._account.row, self._account.open_trades()
        head = {
            "id": row.account_id,
            "alias": "Primary",
            "currency": HOME,
            "balance": plain(row.balance),
            "createdByUserID": USER_ID,
            "createdTime": stamp(row.created),
            "guaranteedStopLossOrderMode": "DISABLED",
            "pl": plain(money(row.profit)),
            "resettablePL": plain(money(row.profit)),
            "resettablePLTime": "0",
            "financing": NO_MONEY,
            "commission": NO_MONEY,
            "guaranteedExecutionFees": NO_MONEY,
            "marginRate": "0.0333",
            "openTradeCount": len(trades),
            "openPositionCount": len({trade.instrument for trade in trades}),
            "pendingOrderCount": len(self._orders.pending()),
            "hedgingEnabled": False,
            "lastTransactionID": self._log.last_id,
        }
        if row.last_fill is not None:
            head["lastOrderFillTimestamp"] = stamp(row.last_fill)
        return head | self.state()

    def trade(self, trade: Trade) -> Json:
        document = {
            "id": trade.id,
            "instrument": trade.instrument,
            "price": plain(trade.price),
            "openTime": stamp(trade.opened),
            "state": "OPEN" if trade.units != 0 else "CLOSED",
            "initialUnits": plain(trade.initial_units),
            "initialMarginRequired": plain(trade.margin),
            "currentUnits": plain(trade.units),
            "realizedPL": plain(money(trade.realized)),
            "financing": NO_MONEY,
            **self._lifetime(trade),
        }
        if trade.client is not None:
            document["clientExtensions"] = trade.client
        for name, kind in DEPENDENTS.items():
            order = self._protections.order_of(trade, kind)
            if order is not None and order.state == "PENDING":
                document[name] = self.order(order)
        return document

    def trade_summary(self, trade: Trade) -> Json:
        document = self.trade(trade)
        for name in DEPENDENTS:
            order = document.pop(name, None)
            if order is not None:
                document[f"{name}ID"] = order["id"]
        return document

    def _lifetime(self, trade: Trade) -> Json:
        parts: Json = {}
        if trade.units != 0:
            margin = self._account.margin(self._book.pairs[trade.instrument], trade.units)
            parts |= {"unrealizedPL": plain(self._account.unrealized(trade)), "marginUsed": plain(margin)}
        if trade.closed_units:
            tick = self._book.pairs[trade.instrument].tick
            parts["averageClosePrice"] = plain((trade.closed_value / trade.closed_units).quantize(tick))
            parts["closingTransactionIDs"] = list(trade.closing_ids)
        if trade.closed_at is not None:
            parts["closeTime"] = stamp(trade.closed_at)
        return parts

    def order(self, order: Order) -> Json:
        document: Json = {"id": order.id, "createTime": stamp(order.created), "state": order.state, **order.body}
        if order.kind == TRAILING and order.level is not None:
            document["trailingStopValue"] = plain(order.level)
        if order.ended_by is None or order.ended_at is None:
            return document
        verb, time = ("filling", "filledTime") if order.state == "FILLED" else ("cancelling", "cancelledTime")
        document |= {f"{verb}TransactionID": order.ended_by, time: stamp(order.ended_at)}
        ends = {"tradeOpenedID": order.opened_trade, "tradeReducedID": order.reduced_trade}
        document |= {name: trade_id for name, trade_id in ends.items() if trade_id is not None}
        return document | ({"tradeClosedIDs": list(order.closed_trades)} if order.closed_trades else {})

    def position(self, instrument: str) -> Json:
        trades = [trade for trade in self._account.trades.values() if trade.instrument == instrument]
        longs, shorts = [t for t in trades if t.initial_units > 0], [t for t in trades if t.initial_units < 0]
        pair = self._book.pairs[instrument]
        used = sum((self._account.margin(pair, trade.units) for trade in trades), ZERO)
        whole = self._side(trades, pair)
        return {
            "instrument": instrument,
            **{name: whole[name] for name in ("pl", "unrealizedPL", "resettablePL", "financing")},
            "commission": NO_MONEY,
            "guaranteedExecutionFees": NO_MONEY,
            "marginUsed": plain(money(used)),
            "long": self._side(longs, pair),
            "short": self._side(shorts, pair),
        }

    def _side(self, trades: Iterable[Trade], pair: ForexPair) -> Json:
        trades = list(trades)
        live = [trade for trade in trades if trade.units != 0]
        units = sum((trade.units for trade in live), ZERO)
        profit = plain(money(sum((trade.realized for trade in trades), ZERO)))
        side: Json = {
            "units": plain(units),
            "pl": profit,
            "resettablePL": profit,
            "financing": NO_MONEY,
            "guaranteedExecutionFees": NO_MONEY,
            "unrealizedPL": plain(money(sum((self._account.unrealized(trade) for trade in live), ZERO))),
        }
        if live:
            average = sum((trade.units * trade.price for trade in live), ZERO) / units
            side |= {"averagePrice": plain(average.quantize(pair.tick)), "tradeIDs": [trade.id for trade in live]}
        return side

    def _value(self, trade: Trade) -> Decimal:
        factors = self._account.factors(self._book.pairs[trade.instrument].base)
        return money(abs(trade.units) * factors.position)

    def instrument(self, pair: ForexPair) -> Json:
        return {
            "name": pair.name,
            "type": "CURRENCY",
            "displayName": f"{pair.base}/{pair.quote}",
            "pipLocation": pair.pip_location,
            "displayPrecision": pair.precision,
            "tradeUnitsPrecision": 0,
            "minimumTradeSize": "1",
            "maximumTrailingStopDistance": plain(pair.max_trailing),
            "minimumTrailingStopDistance": plain(pair.min_trailing),
            "maximumPositionSize": "0",
            "maximumOrderUnits": plain(ForexPair.max_units),
            "marginRate": plain(pair.margin_rate),
            "guaranteedStopLossOrderMode": "DISABLED",
            "tags": [{"type": "ASSET_CLASS", "name": "CURRENCY"}],
        }

    def price(self, pair: ForexPair) -> Json | None:
        """None before the market's first quote."""
        quote = self._book.quote(pair.symbol)
        if quote is None:
            return None
        depth = self._book.depth(pair.symbol)
        liquidity = LIQUIDITY if depth is None else int(depth)
        bid, ask = plain(quote.bid), plain(quote.ask)
        return {
            "type": "PRICE",
            "instrument": pair.name,
            "time": stamp(quote.time),
            "status": "tradeable" if quote.open else "non-tradeable",
            "tradeable": quote.open,
            "bids": [{"price": bid, "liquidity": liquidity}],
            "asks": [{"price": ask, "liquidity": liquidity}],
            "closeoutBid": bid,
            "closeoutAsk": ask,
        }

    def home_conversions(self, pairs: Iterable[ForexPair]) -> list[Json]:
        """Factors to the home currency for every currency of `pairs` that the market can convert."""
        currencies = sorted({currency for pair in pairs for currency in (pair.base, pair.quote)})
        found = [(currency, self._account.conversion(currency)) for currency in currencies]
        return [
            {
                "currency": currency,
                "accountGain": plain(factors.gain),
                "accountLoss": plain(factors.loss),
                "positionValue": plain(factors.position),
            }
            for currency, factors in found
            if factors is not None
        ]
