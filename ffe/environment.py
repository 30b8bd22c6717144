"""Settings as environment variables: what a child process needs to see exactly the settings that its parent has.

A worker runs in another folder than the command that started it, so it would read another `ffe.toml` and `.env`, and resolve relative
paths elsewhere. Variables win over files, so all of them are written out, defaults included.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from ffe.clock import rfc3339
from ffe.market.models import Instrument
from ffe.settings import PREFIX, Settings


def environment_of(settings: Settings) -> dict[str, str]:
    """Every setting that has a value, secrets included, by the name of its variable. Paths are absolute."""
    return dict(_variables(settings, PREFIX))


def _variables(section: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _variables(value, f"{prefix}{name.upper()}__")
        elif value is not None:
            yield prefix + name.upper(), _text(value)


def _text(value: Any) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(_text(item) for item in value)
        case Instrument():
            return value.symbol
        case datetime():
            # A naive one is New York time of the forex calendar.
            return value.isoformat() if value.tzinfo is None else rfc3339(value)
        case Path():
            return str(value.resolve())
    return str(value)
