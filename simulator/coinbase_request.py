"""What a Coinbase order asks for, read as strictly as the venue does. The code of the first broken rule is the failure reason.

Two kinds of no: a body that is no order at all is a gateway error (400); an order that breaks a rule is HTTP 200 with `success: false`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ffe.money import decimal
from simulator.instruments import Product
from simulator.web import Json, RefusalError

SIZES = {
    "market_market_ioc": (),
    "sor_limit_ioc": ("limit_price",),
    "limit_limit_fok": ("limit_price",),
    "limit_limit_gtc": ("limit_price",),
    "stop_limit_stop_limit_gtc": ("limit_price", "stop_price"),
    "trigger_bracket_gtc": ("limit_price", "stop_trigger_price"),
}
ATTACHABLE = ("market_market_ioc", "sor_limit_ioc", "limit_limit_fok", "limit_limit_gtc")


class FailureError(Exception):
    """`code` is Coinbase's new_order_failure_reason; `preview` the same as a preview error."""

    def __init__(self, code: str, preview: str | None = None, message: str = "") -> None:
        super().__init__(code)
        self.code, self.preview, self.message = code, preview or f"PREVIEW_{code}", message


@dataclass(frozen=True)
class SpotRequest:
    client_id: str
    product: Product
    side: str
    kind: str
    configuration: Json
    base_size: Decimal | None
    quote_size: Decimal | None
    limit: Decimal | None
    stop: Decimal | None
    stop_up: bool
    post_only: bool
    attached: Json | None
    take_profit: Decimal | None
    stop_loss: Decimal | None


def gateway_error(message: str) -> RefusalError:
    body = {"error": "INVALID_ARGUMENT", "error_details": message, "message": message, "code": 3, "details": []}
    return RefusalError(400, body)


def spot_request(body: Json, products: dict[str, Product], *, preview: bool = False) -> SpotRequest:
    """Raises RefusalError (400, not an order) or FailureError (an order that breaks a rule)."""
    client_id = body.get("client_order_id", "preview" if preview else None)
    if not isinstance(client_id, str) or not 1 <= len(client_id) <= 128:
        raise gateway_error("client_order_id is required")
    kind, configuration = _configuration(body.get("order_configuration"), "order_configuration")
    if body.get("side") not in ("BUY", "SELL"):
        raise gateway_error("side must be BUY or SELL")
    product = products.get(str(body.get("product_id")))
    if product is None:
        raise FailureError("INVALID_PRODUCT_ID")
    base, quote = _size(configuration, product, kind, str(body["side"]))
    attached, take_profit, stop_loss = _attached(body, product, kind)
    stop_field = "stop_price" if kind == "stop_limit_stop_limit_gtc" else "stop_trigger_price"
    return SpotRequest(
        client_id,
        product,
        str(body["side"]),
        kind,
        configuration,
        base,
        quote,
        _price(configuration, "limit_price", product),
        _price(configuration, stop_field, product),
        configuration.get("stop_direction") == "STOP_DIRECTION_STOP_UP",
        bool(configuration.get("post_only", False)),
        attached,
        take_profit,
        stop_loss,
    )


def _configuration(value: Any, name: str) -> tuple[str, Json]:
    if not isinstance(value, dict) or len(value) != 1:
        raise gateway_error(f"{name} must name exactly one configuration")
    kind, configuration = next(iter(value.items()))
    if not isinstance(configuration, dict):
        raise gateway_error(f"{name}.{kind} must be an object")
    if kind not in SIZES:
        raise FailureError("UNSUPPORTED_ORDER_CONFIGURATION")
    if any(field not in configuration for field in SIZES[kind]):
        raise gateway_error(f"{name}.{kind} needs {', '.join(SIZES[kind])}")
    return kind, configuration


def _number(configuration: Json, field: str) -> Decimal | None:
    value = configuration.get(field)
    if value is None or value == "":
        return None
    try:
        number = decimal(value) if isinstance(value, str) else None
    except ValueError:
        number = None
    if number is None or number <= 0:
        raise gateway_error(f"{field} must be a positive decimal number in a string")
    return number


def _price(configuration: Json, field: str, product: Product) -> Decimal | None:
    price = _number(configuration, field)
    if price is not None and price % product.price_increment:
        raise FailureError("INVALID_PRICE_PRECISION")
    return price


def _size(configuration: Json, product: Product, kind: str, side: str) -> tuple[Decimal | None, Decimal | None]:
    base, quote = _number(configuration, "base_size"), _number(configuration, "quote_size")
    if (base is None) == (quote is None):
        raise gateway_error("exactly one of base_size and quote_size is required")
    if quote is not None and (kind != "market_market_ioc" or side == "SELL"):
        raise FailureError("UNSUPPORTED_ORDER_CONFIGURATION")
    if base is not None:
        _check(base, product.base_increment, product.base_min, product.base_max, "BASE")
    if quote is not None:
        _check(quote, product.quote_increment, product.quote_min, product.quote_max, "QUOTE")
    return base, quote


def _check(size: Decimal, increment: Decimal, least: Decimal, most: Decimal, name: str) -> None:
    if size % increment:
        preview = "PREVIEW_INVALID_SIZE_PRECISION" if name == "BASE" else "PREVIEW_INVALID_QUOTE_SIZE_PRECISION"
        raise FailureError("INVALID_SIZE_PRECISION", preview)
    if size < least:
        raise FailureError("UNKNOWN_FAILURE_REASON", f"PREVIEW_INVALID_{name}_SIZE_TOO_SMALL")
    if size > most:
        raise FailureError("UNKNOWN_FAILURE_REASON", f"PREVIEW_INVALID_{name}_SIZE_TOO_LARGE")


def _attached(body: Json, product: Product, kind: str) -> tuple[Json | None, Decimal | None, Decimal | None]:
    value = body.get("attached_order_configuration")
    if value is None:
        return None, None, None
    attached_kind, configuration = _configuration(value, "attached_order_configuration")
    if attached_kind != "trigger_bracket_gtc":
        raise FailureError("UNSUPPORTED_ORDER_CONFIGURATION")
    if kind not in ATTACHABLE:
        raise FailureError("ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT")
    if body.get("side") != "BUY":
        raise FailureError("INVALID_ORDER_SIDE_FOR_ATTACHED_TPSL")
    if "base_size" in configuration or "quote_size" in configuration:
        raise FailureError("ATTACHED_ORDER_SIZE_MUST_BE_NIL")
    take_profit = _price(configuration, "limit_price", product)
    stop_loss = _price(configuration, "stop_trigger_price", product)
    return value, take_profit, stop_loss
