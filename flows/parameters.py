"""Parameters that flows share: a wrong one is refused before anything starts, and the UI's run form offers the right ones.

The form's text for each comes from the flow's own docstring.
"""

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from ffe.errors import UnknownNameError
from ffe.market.models import Timeframe, parse_instrument, parse_timeframe


def _instrument(name: str) -> str:
    try:
        return parse_instrument(name).symbol
    except UnknownNameError as error:
        raise ValueError(str(error)) from error


def _timeframe(name: str) -> str:
    try:
        return parse_timeframe(name).value
    except UnknownNameError as error:
        raise ValueError(str(error)) from error


InstrumentName = Annotated[
    str,
    AfterValidator(_instrument),
    WithJsonSchema({"type": "string", "title": "instrument", "examples": ["BTCUSD", "EUR_USD"]}),
]
TimeframeName = Annotated[
    str, AfterValidator(_timeframe), WithJsonSchema({"type": "string", "enum": [each.value for each in Timeframe]})
]
