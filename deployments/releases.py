"""What a Prefect server was told to run, written down so that it can be told so again: deployments, work pools and automations.

Prefect's own deployment versions are Cloud's: the self-hosted server drops `version_info` and gives no `version_id`
(prefect/server/models/deployments.py, 3.8.8), and `version` is a label without a past. So a release keeps the definitions themselves.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from httpx import URL
from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel, ConfigDict

from deployments.automations.definitions import TAG
from ffe.clock import rfc3339
from ffe.errors import RefusedError
from ffe.observe.alarms import PREFIX

Document = dict[str, Any]
PAGE = 200

# Fields of a deployment that say what runs, when, where and with what. The rest is the server's own bookkeeping.
DEPLOYMENT = (
    "name",
    "description",
    "version",
    "entrypoint",
    "path",
    "pull_steps",
    "parameters",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "tags",
    "labels",
    "paused",
    "work_pool_name",
    "work_queue_name",
    "job_variables",
    "concurrency_options",
    "storage_document_id",
    "infrastructure_document_id",
)
SCHEDULE = ("schedule", "active", "parameters", "slug")
POOL = ("name", "type", "description", "is_paused", "concurrency_limit", "base_job_template")
AUTOMATION = (
    "name",
    "description",
    "enabled",
    "trigger",
    "actions",
    "actions_on_trigger",
    "actions_on_resolve",
    "tags",
)


class Definitions(BaseModel):
    """By name (deployments as "flow/deployment"), each reduced to the fields that define it."""

    model_config = ConfigDict(frozen=True)

    deployments: dict[str, Document]
    pools: dict[str, Document]
    automations: dict[str, Document]


class Release(BaseModel):
    """One deployment to the production server at the API URL `server`: what was there `before` it, and how the ledger stood.

    `undone` is when it was rolled back. A record without a `server` is of an older version, and is gone back to from none.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    version: str
    server: str = ""
    schema_before: str | None
    schema_after: str
    backup: str | None
    before: Definitions
    undone: datetime | None = None


def server() -> str:
    """API URL of the server that is asked, without a password; empty where none is set."""
    url = PREFECT_API_URL.value()
    return "" if url is None else str(URL(url).copy_with(userinfo=b"")).rstrip("/")


def save(folder: Path, release: Release) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, release.at)
    part = path.with_suffix(".tmp")
    part.touch(mode=0o600)
    part.write_text(release.model_dump_json(indent=1))
    return part.replace(path)


def releases(folder: Path) -> list[Release]:
    """Newest first. Raises RefusedError that names a file that can't be read."""
    found = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            found.append(Release.model_validate_json(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise RefusedError(f"{path} is no record of a release: {error}") from error
    return found


def _path(folder: Path, at: datetime) -> Path:
    return folder / f"{rfc3339(at).replace(':', '').replace('.', '-')}.json"


async def definitions(client: PrefectClient) -> Definitions:
    """What the server has now."""
    flows = {each["id"]: each["name"] for each in await _every(client, "/flows/filter")}
    deployments = {f"{flows[each['flow_id']]}/{each['name']}": _deployment(each) for each in await _deployments(client)}
    pools = {each["name"]: _only(each, POOL) for each in await _every(client, "/work_pools/filter")}
    automations = {each["name"]: _automation(each) for each in await _ours(client)}
    return Definitions(deployments=deployments, pools=pools, automations=automations)


async def reapply(client: PrefectClient, wanted: Definitions) -> list[str]:
    """Makes the server's definitions those of `wanted` again; sentences of what was done.

    Deployments that came since are paused, so that their runs can still be read; automations of ours that came since go.

    Raises:
        RefusedError: a definition came out otherwise, by name.
    """
    now = await definitions(client)
    done = [await _pool(client, name, wanted.pools[name]) for name in _changed(now.pools, wanted.pools)]
    done += [
        await _deploy(client, name, wanted.deployments[name]) for name in _changed(now.deployments, wanted.deployments)
    ]
    done += [await _pause(client, name) for name in sorted(now.deployments.keys() - wanted.deployments.keys())]
    done += await _automations(client, wanted.automations)
    found = await definitions(client)
    for kind in ("pools", "deployments", "automations"):
        there, asked = getattr(found, kind), getattr(wanted, kind)
        other = [f"{name} ({', '.join(_fields(there.get(name, {}), asked[name]))})" for name in _changed(there, asked)]
        if other:
            raise RefusedError(f"not as they were: {kind} {', '.join(other)}")
    return done


def _changed(now: Mapping[str, Document], wanted: Mapping[str, Document]) -> list[str]:
    return sorted(name for name, document in wanted.items() if now.get(name) != document)


def _fields(now: Document, wanted: Document) -> list[str]:
    return sorted(field for field in now.keys() | wanted.keys() if now.get(field) != wanted.get(field))


def _only(document: Mapping[str, Any], fields: Sequence[str]) -> Document:
    return {name: document[name] for name in fields if name in document}


def _deployment(each: Document) -> Document:
    limit = each.get("global_concurrency_limit") or {}
    return _only(each, DEPLOYMENT) | {
        "concurrency_limit": limit.get("limit"),
        "schedules": sorted((_only(one, SCHEDULE) for one in each["schedules"]), key=json.dumps),
    }


def _automation(each: Document) -> Document:
    """Triggers without their ids, which the server makes anew whenever it is told one."""
    found = _only(each, AUTOMATION)
    return found | {"trigger": _without_ids(found["trigger"])}


def _without_ids(trigger: Document) -> Document:
    inner = {"triggers": [_without_ids(one) for one in trigger["triggers"]]} if "triggers" in trigger else {}
    return {name: value for name, value in trigger.items() if name != "id"} | inner


async def _deploy(client: PrefectClient, name: str, wanted: Document) -> str:
    flow = (await _sent(client, "POST", "/flows/", {"name": name.partition("/")[0]})).json()
    await _sent(client, "POST", "/deployments/", wanted | {"flow_id": flow["id"]})
    return f"deployment {name} is what it was"


async def _pause(client: PrefectClient, name: str) -> str:
    deployment = await client.read_deployment_by_name(name)
    await client.pause_deployment(deployment.id)
    return f"deployment {name} is new and paused"


async def _pool(client: PrefectClient, name: str, wanted: Document) -> str:
    fields = {key: wanted[key] for key in POOL[2:]}
    reply = await _sent(client, "PATCH", f"/work_pools/{name}", fields, missing_ok=True)
    if reply.status_code == 404:
        await _sent(client, "POST", "/work_pools/", wanted)
    return f"work pool {name} is what it was"


async def _automations(client: PrefectClient, wanted: Mapping[str, Document]) -> list[str]:
    there = {each["name"]: each for each in await _ours(client)}
    done = []
    for name, document in wanted.items():
        if name not in there:
            await _sent(client, "POST", "/automations/", document)
        elif _automation(there[name]) != document:
            await _sent(client, "PUT", f"/automations/{there[name]['id']}", document)
        else:
            continue
        done.append(f"automation {name} is what it was")
    for name in sorted(there.keys() - wanted.keys()):
        await _sent(client, "DELETE", f"/automations/{there[name]['id']}")
        done.append(f"automation {name} is new and gone")
    return done


async def _ours(client: PrefectClient) -> list[Document]:
    """As `apply` knows them: somebody else's may have a name like ours."""
    found = await _every(client, "/automations/filter")
    return [each for each in found if each["name"].startswith(PREFIX) and TAG in each["tags"]]


async def _deployments(client: PrefectClient) -> list[Document]:
    return await _every(client, "/deployments/filter")


async def _every(client: PrefectClient, path: str) -> list[Document]:
    found: list[Document] = []
    while True:
        page = (await _sent(client, "POST", path, {"limit": PAGE, "offset": len(found)})).json()
        found += page
        if len(page) < PAGE:
            return found


async def _sent(client: PrefectClient, method: Any, path: Any, body: Any = None, *, missing_ok: bool = False) -> Any:
    """The client raises what is not a success; its own request knows login, CSRF and retries."""
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        return await client.request(method, path, json=body)
    except PrefectHTTPStatusError as error:
        if missing_ok and error.response.status_code == 404:
            return error.response
        raise RefusedError(f"the Prefect server refused {method} {path}: {error}") from error
