"""Settings of a flow's process, with the credentials that only Prefect's Secret blocks hold.

A credential that neither the environment nor a file gives is taken from the block of its name: `ffe-oanda-token` for FFE_OANDA__TOKEN,
`ffe-ledger-url` for FFE_LEDGER_URL. It stays in this process: not in its environment, where children would see it, nor in any parameter.
One request finds them all. An API that refuses it is an error: without it a missing credential and an unreadable one would look the same.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel, SecretStr

from ffe.errors import ConfigurationError
from ffe.observe.masking import masked, remember
from ffe.settings import Settings, load_settings

BLOCK_TYPE = "secret"
# Where notes are sent is read when the automations are applied, by no flow.
NOT_OF_FLOWS = "notify"
SECONDS = 10.0

log = logging.getLogger(__name__)


def load_flow_settings() -> Settings:
    """`load_settings`, with Secret blocks for the credentials that it has not found.

    Raises:
        ConfigurationError: the blocks can't be read, or one holds something else than a text.
    """
    settings = load_settings()
    missing = [path for path in secret_paths() if _value(settings, path) is None]
    if not missing or PREFECT_API_URL.value() is None:
        return settings
    held = _held_blocks()
    overrides: dict[str, Any] = {}
    for path in missing:
        if block_name(path) in held:
            _put(overrides, path, _text(block_name(path), held[block_name(path)]))
    for name in sorted(held.keys() - {block_name(path) for path in secret_paths()}):
        log.warning("the Secret block %s is of no setting", name)
    return load_settings(**overrides) if overrides else settings


def secret_paths() -> list[tuple[str, ...]]:
    """Every setting that may be given by a block, as the names on the way to it: ("oanda", "token")."""
    return [("ledger_url",), *(path for path in _secrets_of(Settings, ()) if path[0] != NOT_OF_FLOWS)]


def block_name(path: tuple[str, ...]) -> str:
    return "-".join(("ffe", *path)).replace("_", "-")


def _secrets_of(model: type[BaseModel], before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        if SecretStr in kinds:
            yield (*before, name)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _secrets_of(kind, (*before, name))


def _value(settings: Settings, path: tuple[str, ...]) -> Any:
    found: Any = settings
    for name in path:
        found = getattr(found, name)
    return found


def _put(overrides: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    place = overrides
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = value


def _held_blocks() -> Mapping[str, Any]:
    """What the Secret blocks of ours hold, by name."""
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client:
            blocks = client.read_block_documents_by_type(BLOCK_TYPE, include_secrets=True)
    except ObjectNotFound:
        return {}
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise ConfigurationError(
            f"Prefect's Secret blocks, which may hold credentials that no variable gives, could not be read: {masked(str(error))}"
        ) from error
    ours = {str(block.name): block.data.get("value") for block in blocks if str(block.name).startswith("ffe-")}
    for value in ours.values():
        remember(str(value))
    return ours


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"the Secret block {name} must hold a text, it holds {type(value).__name__}")
    return value.strip()
