"""What both brokers do around the one call that sends an order."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from ffe.errors import (
    AuthenticationError,
    NotSentError,
    OrderRejectedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    VenueError,
)
from ffe.money import plain
from ffe.venues.models import InstrumentSpec, OrderRequest


@contextmanager
def before_the_wire() -> Iterator[None]:
    """Whatever goes wrong in here, a mistake of ours included, the order was not sent."""
    try:
        yield
    except VenueError as error:
        raise NotSentError(f"not sent: {error}", request=error.request, response=error.response) from error
    except Exception as error:
        raise NotSentError(f"not sent: {type(error).__name__}: {error}") from error


@contextmanager
def on_the_wire() -> Iterator[None]:
    """A refused key or permission is a refused order; any error that nobody foresaw leaves the outcome unknown."""
    try:
        yield
    except (NotSentError, OrderRejectedError, OutcomeUnknownError):
        raise
    except (AuthenticationError, PermissionDeniedError) as error:
        raise NotSentError(f"not accepted: {error}", request=error.request, response=error.response) from error
    except VenueError as error:
        raise OutcomeUnknownError(str(error), request=error.request, response=error.response) from error
    except Exception as error:
        raise OutcomeUnknownError(f"{type(error).__name__}: {error}") from error


def exact_price(price: Decimal, spec: InstrumentSpec) -> str:
    """A price as the venue prints it.

    Raises:
        NotSentError: finer than the venue's increment; rounding it here would send another order than was decided.
    """
    return _exact("price", price, spec.price_increment, spec)


def exact_units(request: OrderRequest, spec: InstrumentSpec) -> str:
    """The size as the venue prints it. Raises NotSentError like `exact_price`, and for a size that is not positive."""
    if request.units <= 0:
        raise NotSentError(f"size {plain(request.units)} {request.instrument} is not positive")
    return _exact("size", request.units, spec.size_increment, spec)


def _exact(what: str, value: Decimal, increment: Decimal, spec: InstrumentSpec) -> str:
    if value % increment != 0:
        raise NotSentError(f"{what} {plain(value)} {spec.instrument} is not a multiple of {plain(increment)}")
    return plain(value.quantize(increment))


def same_order(request: OrderRequest, product: str, side: str, units: Decimal, expected_product: str) -> None:
    """Raises OutcomeUnknownError when the venue keeps another order under our client id."""
    if (product, side, units) != (expected_product, request.side.value, request.units):
        raise OutcomeUnknownError(
            f"client order id {request.client_order_id} is {side} {plain(units)} {product} at the venue, "
            f"not {request.side.value} {plain(request.units)} {expected_product}"
        )
