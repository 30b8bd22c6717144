"""OANDA's smaller verbs: close a trade or a position, set or replace a trade's protection, cancel a pending order, record a reject."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from ffe.money import ZERO, plain
from simulator.instruments import ForexPair
from simulator.margin import Trade
from simulator.oanda_fills import Execution
from simulator.oanda_orders import OrderDesk, Purpose
from simulator.oanda_protection import STOP, TARGET, TRAILING, Ledger
from simulator.oanda_request import MarketOrder, Protection, RejectedError, number, protection, trailing_stop
from simulator.oanda_rows import Order
from simulator.web import Call, Json, Reply

MESSAGES = {
    "UNITS_MIMIMUM_NOT_MET": "The units specified are less than the minimum trade size",
    "UNITS_PRECISION_EXCEEDED": "The units specified contain more precision than is allowed for the Order's instrument",
    "UNITS_LIMIT_EXCEEDED": "The units specified exceed the maximum number of units allowed",
    "INSTRUMENT_UNKNOWN": "The instrument specified is unknown",
    "TRADE_DOESNT_EXIST": "The Trade specified does not exist",
    "ORDER_DOESNT_EXIST": "The Order specified does not exist",
    "NO_SUCH_TRADE": "The Trade specified does not exist",
}
FIELDS = {STOP: "stopLoss", TARGET: "takeProfit", TRAILING: "trailingStopLoss"}


class Closing:
    def __init__(self, ledger: Ledger, desk: OrderDesk) -> None:
        self._book, self._account, self._log = ledger.book, ledger.account, ledger.log
        self._orders, self._protections, self._desk = ledger.orders, ledger.protections, desk

    def rejected(
        self, kind: str, reason: str, fields: Json, name: str = "orderRejectTransaction", status: int = 400
    ) -> Reply:
        """Records the reject as a transaction of its own and answers with it."""
        known = {key: value for key, value in fields.items() if key != "type"}
        row = self._log.record(kind, **known, reason="CLIENT_ORDER", rejectReason=reason)
        body = {name: row, "relatedTransactionIDs": [row["id"]], "lastTransactionID": row["id"]}
        return Reply({**body, "errorCode": reason, "errorMessage": MESSAGES.get(reason, reason)}, status)

    def find_trade(self, specifier: str) -> Trade | None:
        """By id, or by `@client-id`: the newest trade of that client id."""
        if not specifier.startswith("@"):
            return self._account.trades.get(specifier)
        trades = reversed(self._account.trades.values())
        return next((trade for trade in trades if (trade.client or {}).get("id") == specifier[1:]), None)

    def _open_trade(self, specifier: str) -> Trade | None:
        trade = self.find_trade(specifier)
        return trade if trade is not None and trade.units != 0 else None

    def _done(self, **transactions: Any) -> Reply:
        tail = {"relatedTransactionIDs": self._log.batch_ids(), "lastTransactionID": self._log.last_id}
        return Reply({**{name: row for name, row in transactions.items() if row is not None}, **tail})

    def cancel_order(self, call: Call) -> Reply:
        order = self._orders.find(call.params["order"])
        if order is None or order.state != "PENDING" or order.trade_id is None:
            fields = {"orderID": call.params["order"]}
            return self.rejected(
                "ORDER_CANCEL_REJECT", "ORDER_DOESNT_EXIST", fields, "orderCancelRejectTransaction", 404
            )
        row = self._protections.remove(order.trade_id, order.kind, "CLIENT_REQUEST")
        return self._done(orderCancelTransaction=row)

    def close_trade(self, call: Call) -> Reply:
        trade = self._open_trade(call.params["trade"])
        if trade is None:
            return self.rejected("MARKET_ORDER_REJECT", "TRADE_DOESNT_EXIST", _close(call.params["trade"]), status=404)
        try:
            units = _part(call.body.get("units", "ALL"), abs(trade.units), "CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE")
        except RejectedError as rejected:
            return self.rejected("MARKET_ORDER_REJECT", rejected.reason, _close(trade.id))
        signed = units.copy_sign(trade.units)
        closes = {"tradeClose": {"tradeID": trade.id, "units": str(call.body.get("units", "ALL"))}}
        order = _order(self._book.pairs[trade.instrument], -signed)
        purpose = Purpose("TRADE_CLOSE", "MARKET_ORDER_TRADE_CLOSE", closes)
        done = self._desk.execute(order, Execution([(trade, signed)]), purpose)
        return self._done(**done)

    def close_position(self, call: Call) -> Reply:
        """`longUnits` and `shortUnits`: ALL, NONE or a number."""
        pair = self._book.pairs.get(call.params["instrument"])
        if pair is None:
            return self.rejected("MARKET_ORDER_REJECT", "INSTRUMENT_UNKNOWN", {}, "longOrderRejectTransaction", 404)
        held = self._account.position(pair.name)
        side, sign = ("long", 1) if call.body.get("longUnits", "NONE") != "NONE" else ("short", -1)
        asked = call.body.get(f"{side}Units", "NONE")
        name = f"{side}OrderRejectTransaction"
        try:
            if asked == "NONE":
                raise RejectedError("CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION")
            if held * sign <= 0:
                raise RejectedError("CLOSEOUT_POSITION_DOESNT_EXIST")
            units = _part(asked, abs(held), "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE")
        except RejectedError as rejected:
            status = 404 if rejected.reason == "CLOSEOUT_POSITION_DOESNT_EXIST" else 400
            return self.rejected("MARKET_ORDER_REJECT", rejected.reason, {"instrument": pair.name}, name, status)
        order = _order(pair, -units * sign)
        closes = {f"{side}PositionCloseout": {"instrument": pair.name, "units": str(asked)}}
        purpose = Purpose("POSITION_CLOSEOUT", "MARKET_ORDER_POSITION_CLOSEOUT", closes)
        done = self._desk.execute(order, self._desk.netting(order), purpose)
        return self._done(**{side + name[0].upper() + name[1:]: row for name, row in done.items()})

    def set_protection(self, call: Call) -> Reply:
        """PUT trades/{id}/orders: a named part replaces, null cancels, an absent part stays."""
        trade = self._open_trade(call.params["trade"])
        if trade is None:
            body = {"errorCode": "NO_SUCH_TRADE", "errorMessage": MESSAGES["NO_SUCH_TRADE"]}
            return Reply({**body, "lastTransactionID": self._log.last_id}, 404)
        pair, wanted = self._book.pairs[trade.instrument], list[tuple[str, Protection | None]]()
        for kind, field in FIELDS.items():
            if field not in call.body:
                continue
            try:
                wanted.append((kind, _details(call.body[field], pair, kind)))
            except RejectedError as rejected:
                return self.rejected(
                    f"{kind}_ORDER_REJECT", rejected.reason, {"tradeID": trade.id}, f"{field}OrderRejectTransaction"
                )
        done: Json = {}
        for kind, part in wanted:
            done |= self._exchange(trade, kind, part)
        return self._done(**done)

    def protect(self, raw: Json) -> Reply:
        """POST orders of type STOP_LOSS or TAKE_PROFIT for a trade that has none yet."""
        kind = str(raw["type"])
        trade = self._open_trade(str(raw.get("tradeID", "@" + str(raw.get("clientTradeID")))))
        try:
            if trade is None:
                raise RejectedError("TRADE_DOESNT_EXIST")
            if (trade.stop_id if kind == STOP else trade.target_id) is not None:
                raise RejectedError(f"{kind}_ORDER_ALREADY_EXISTS")
            part = protection(raw, self._book.pairs[trade.instrument], kind)
        except RejectedError as rejected:
            status = 404 if rejected.reason == "TRADE_DOESNT_EXIST" else 400
            return self.rejected(f"{kind}_ORDER_REJECT", rejected.reason, raw, status=status)
        row = self._place(trade, kind, part, None) if part is not None else None
        return replace(self._done(orderCreateTransaction=row), status=201)

    def _exchange(self, trade: Trade, kind: str, part: Protection | None) -> Json:
        field = FIELDS[kind]
        old = self._protections.order_of(trade, kind)
        replaced_by = None if part is None or old is None else str(int(self._log.next_id) + 1)
        reason = "CLIENT_REQUEST" if part is None else "CLIENT_REQUEST_REPLACED"
        done = {f"{field}OrderCancelTransaction": self._protections.remove(trade.id, kind, reason, None, replaced_by)}
        if part is not None:
            done[f"{field}OrderTransaction"] = self._place(trade, kind, part, old)
        return done

    def _place(self, trade: Trade, kind: str, part: Protection, old: Order | None) -> Json:
        level = part.level(trade.price, 1 if trade.units > 0 else -1)
        distance = part.distance if kind == TRAILING else None
        if distance is not None:
            level = self._protections.begin_trailing(trade.id, distance)
        reason = "CLIENT_ORDER" if old is None else "REPLACEMENT"
        replaces = None if old is None else old.id
        return self._protections.create(
            trade.id, kind, level, reason, client=part.client, replaces=replaces, distance=distance
        )


def _details(value: Any, pair: ForexPair, kind: str) -> Protection | None:
    return trailing_stop(value, pair) if kind == TRAILING else protection(value, pair, kind)


def _close(specifier: str) -> Json:
    return {"tradeClose": {"tradeID": specifier, "units": "ALL"}}


def _order(pair: ForexPair, units: Decimal) -> MarketOrder:
    return MarketOrder(pair, units, "FOK", "REDUCE_ONLY", None, None, None, None, None, None, {"units": plain(units)})


def _part(asked: Any, whole: Decimal, excess: str) -> Decimal:
    """Units to close of `whole`. Raises RejectedError."""
    if asked == "ALL":
        return whole
    units = number(asked, "UNITS_INVALID")
    if units <= ZERO or units != units.to_integral_value():
        raise RejectedError("UNITS_INVALID")
    if units > whole:
        raise RejectedError(excess)
    return units
