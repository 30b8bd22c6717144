"""A venue's read error as a bar source's error: what another read may heal is transient, the rest is permanent."""

from collections.abc import Iterator
from contextlib import contextmanager

from ffe.errors import (
    AuthenticationError,
    PermanentSourceError,
    PermissionDeniedError,
    TransientSourceError,
    VenueError,
    VenueReadError,
)
from ffe.market.models import Instrument, Timeframe


@contextmanager
def source_errors(source: str, instrument: Instrument, timeframe: Timeframe) -> Iterator[None]:
    """Turns every VenueError inside into a SourceError that names source, instrument and timeframe, chained to it."""
    what = f"{source} {timeframe.value} bars of {instrument.symbol}"
    try:
        yield
    except (AuthenticationError, PermissionDeniedError) as error:
        raise PermanentSourceError(f"{what}: {error}") from error
    except VenueError as error:
        lasting = isinstance(error, VenueReadError) and not error.transient
        raise (PermanentSourceError if lasting else TransientSourceError)(f"{what}: {error}") from error
