"""A venue's read error as a bar source's error: what another read may heal is transient, the rest is permanent.

A venue that answers 4xx about the product or its granularity is well: it does not offer it. Other permanent errors count against it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ffe.errors import (
    AuthenticationError,
    NotOfferedError,
    PermanentSourceError,
    PermissionDeniedError,
    SourceError,
    TransientSourceError,
    VenueError,
    VenueReadError,
)
from ffe.market.models import Instrument, Timeframe

# OANDA: 400 "Invalid value specified for 'instrument'". Coinbase: 404 in JSON; a page of HTML would be a wrong address.
_UNKNOWN = re.compile(r"^404[^\n]*\n\s*\{|^400\b.*(instrument|product|granularity)", re.IGNORECASE | re.DOTALL)


@contextmanager
def source_errors(source: str, instrument: Instrument, timeframe: Timeframe) -> Iterator[None]:
    """Turns every VenueError inside into a SourceError that names source, instrument and timeframe, chained to it."""
    what = f"{source} {timeframe.value} bars of {instrument.symbol}"
    try:
        yield
    except (AuthenticationError, PermissionDeniedError) as error:
        raise PermanentSourceError(f"{what}: {error}") from error
    except VenueError as error:
        raise _kind(error)(f"{what}: {error}") from error


def _kind(error: VenueError) -> type[SourceError]:
    if not isinstance(error, VenueReadError) or error.transient:
        return TransientSourceError
    return NotOfferedError if _UNKNOWN.search(error.response or "") else PermanentSourceError
