"""Coinbase's documents: accounts, products, order book, candles, orders and fills, in the venue's own field names and text numbers."""

from datetime import UTC, datetime, timedelta

from ffe.money import ZERO, plain
from simulator.book import Book
from simulator.coinbase_request import gateway_error
from simulator.coinbase_rows import SpotFill, SpotOrder
from simulator.instruments import Product
from simulator.wallets import Wallet
from simulator.web import Call, Json

GRANULARITIES = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1800,
    "ONE_HOUR": 3600,
    "TWO_HOUR": 7200,
    "FOUR_HOUR": 14400,
    "SIX_HOUR": 21600,
    "ONE_DAY": 86400,
}
MAX_CANDLES = 350
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "USD": "US Dollar", "USDC": "USDC"}
KINDS = {
    "market_market_ioc": ("MARKET", "IMMEDIATE_OR_CANCEL"),
    "sor_limit_ioc": ("LIMIT", "IMMEDIATE_OR_CANCEL"),
    "limit_limit_fok": ("LIMIT", "FILL_OR_KILL"),
    "limit_limit_gtc": ("LIMIT", "GOOD_UNTIL_CANCELLED"),
    "stop_limit_stop_limit_gtc": ("STOP_LIMIT", "GOOD_UNTIL_CANCELLED"),
    "trigger_bracket_gtc": ("BRACKET", "GOOD_UNTIL_CANCELLED"),
}
TOP_SIZE = "100"


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def wallet(row: Wallet, portfolio: str, *, active: bool) -> Json:
    return {
        "uuid": row.id,
        "name": f"{row.currency} Wallet",
        "currency": row.currency,
        "available_balance": {"value": plain(row.available), "currency": row.currency},
        "default": row.currency == "USD",
        "active": active,
        "created_at": iso(row.created),
        "updated_at": iso(row.updated),
        "deleted_at": None,
        "type": "ACCOUNT_TYPE_FIAT" if row.currency == "USD" else "ACCOUNT_TYPE_CRYPTO",
        "ready": active,
        "hold": {"value": plain(row.hold), "currency": row.currency},
        "retail_portfolio_id": portfolio,
        "platform": "ACCOUNT_PLATFORM_CONSUMER",
    }


def product(book: Book, item: Product) -> Json:
    now, quote = book.clock.now(), book.quote(item.symbol)
    day = book.market.bars(item.symbol, 3600, now - timedelta(days=1), now)
    halted = quote is None or not quote.open
    change = ZERO if not day else (day[-1].trade.close / day[0].trade.open - 1) * 100
    return {
        "product_id": item.product_id,
        "price": "" if not day else plain(day[-1].trade.close),
        "price_percentage_change_24h": plain(round(change, 8)),
        "volume_24h": plain(sum((bar.volume for bar in day), ZERO)),
        "volume_percentage_change_24h": "0",
        "base_increment": plain(item.base_increment),
        "quote_increment": plain(item.quote_increment),
        "price_increment": plain(item.price_increment),
        "quote_min_size": plain(item.quote_min),
        "quote_max_size": plain(item.quote_max),
        "base_min_size": plain(item.base_min),
        "base_max_size": plain(item.base_max),
        "base_name": NAMES[item.base],
        "quote_name": NAMES[item.quote],
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": halted,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": item.quote,
        "base_currency_id": item.base,
        "base_display_symbol": item.base,
        "quote_display_symbol": item.quote,
        "view_only": False,
        "alias": "",
        "alias_to": [],
        "product_venue": "CBE",
    }


def price_book(book: Book, item: Product) -> Json:
    quote, depth = book.quote(item.symbol), book.depth(item.symbol)
    size = TOP_SIZE if depth is None else plain(depth)
    if quote is None:
        return {"product_id": item.product_id, "bids": [], "asks": [], "time": iso(book.clock.now())}
    return {
        "product_id": item.product_id,
        "bids": [{"price": plain(quote.bid), "size": size}],
        "asks": [{"price": plain(quote.ask), "size": size}],
        "time": iso(quote.time),
    }


def candles(book: Book, item: Product, call: Call) -> Json:
    """Newest first, both ends included, the forming bucket too. Raises RefusalError 400 over 350 buckets or for an unreadable query."""
    seconds = GRANULARITIES.get(call.one("granularity") or "")
    ends = [call.one("start") or "", call.one("end") or ""]
    if seconds is None:
        raise gateway_error("granularity is not supported")
    if not all(text.isdigit() and len(text) <= 11 for text in ends):
        raise gateway_error("start and end must be unix seconds")
    first, last = int(ends[0]), int(ends[1])
    if last < first:
        raise gateway_error("end must not be before start")
    if (last - first) // seconds > MAX_CANDLES:
        raise gateway_error(f"number of candles requested should be less than {MAX_CANDLES}")
    limit = call.one("limit") or str(MAX_CANDLES)
    if not limit.isdigit():
        raise gateway_error("limit must be a number")
    now, start = book.clock.now(), datetime.fromtimestamp(first, UTC)
    whole = datetime.fromtimestamp(last // seconds * seconds + seconds, UTC)
    bars = book.market.bars(item.symbol, seconds, start, min(whole, now)) if start < now else []
    return {
        "candles": [
            {
                "start": str(int(bar.time.timestamp())),
                "low": plain(bar.trade.low),
                "high": plain(bar.trade.high),
                "open": plain(bar.trade.open),
                "close": plain(bar.trade.close),
                "volume": plain(bar.volume),
            }
            for bar in list(reversed(bars))[: min(int(limit), MAX_CANDLES)]
        ]
    }


def order(row: SpotOrder, portfolio: str) -> Json:
    asked = row.base_size or (row.filled if row.status == "FILLED" else None)
    done = row.filled / asked * 100 if asked else ZERO
    total = row.value + row.fees if row.side == "BUY" else row.value - row.fees
    kind, time_in_force = KINDS[row.kind]
    document: Json = {
        "order_id": row.id,
        "product_id": row.product_id,
        "user_id": portfolio,
        "order_configuration": row.configuration,
        "side": row.side,
        "client_order_id": row.client_id,
        "status": row.status,
        "time_in_force": time_in_force,
        "created_time": iso(row.created),
        "completion_percentage": plain(round(done, 2)),
        "filled_size": plain(row.filled),
        "average_filled_price": plain(round(row.value / row.filled, 8) if row.filled else ZERO),
        "fee": "",
        "number_of_fills": str(row.fills),
        "filled_value": plain(row.value),
        "pending_cancel": False,
        "size_in_quote": row.quote_size is not None,
        "total_fees": plain(row.fees),
        "size_inclusive_of_fees": False,
        "total_value_after_fees": plain(total),
        "trigger_status": row.trigger_status,
        "order_type": kind,
        "reject_reason": row.reject_reason or "REJECT_REASON_UNSPECIFIED",
        "settled": row.status == "FILLED",
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": row.cancel_message,
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": plain(row.held),
        "last_fill_time": None if row.last_fill is None else iso(row.last_fill),
    }
    links = {
        "attached_order_id": row.attached_id,
        "attached_order_configuration": row.attached,
        "originating_order_id": row.parent_id,
    }
    return document | {name: value for name, value in links.items() if value is not None}


def fill(row: SpotFill, portfolio: str) -> Json:
    return {
        "entry_id": row.id,
        "trade_id": row.trade_id,
        "order_id": row.order_id,
        "trade_time": iso(row.time),
        "trade_type": "FILL",
        "price": plain(row.price),
        "size": plain(row.size),
        "commission": plain(row.fee),
        "product_id": row.product_id,
        "sequence_timestamp": iso(row.time),
        "liquidity_indicator": "MAKER" if row.maker else "TAKER",
        "size_in_quote": False,
        "user_id": portfolio,
        "side": row.side,
        "retail_portfolio_id": portfolio,
    }
