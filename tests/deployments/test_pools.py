"""Job templates against what the workers publish, and the bootstrap against a real Prefect API."""

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from deployments.bootstrap import OPERATIONS, POOLS, QUEUES, RESEARCH, TRADING, bootstrap, main
from deployments.pools import PoolType, job_template
from ffe.errors import ConfigurationError
from ffe.settings import Settings

WORKERS: dict[PoolType, Any] = {
    PoolType.PROCESS: ProcessWorker,
    PoolType.DOCKER: DockerWorker,
    PoolType.KUBERNETES: KubernetesWorker,
}
OWN = {PoolType.KUBERNETES: {"gpu_limit", "settings_name", "secret_name", "data_claim"}}
EVERY = [(pool_type, pool) for pool_type in PoolType for pool in POOLS]


def published(pool_type: PoolType) -> dict[str, Any]:
    template: dict[str, Any] = WORKERS[pool_type].get_default_base_job_template()
    return template


def placeholders(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*(placeholders(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(placeholders(each) for each in value))
    text = str(value)
    return {text.removeprefix("{{").partition("}}")[0].strip()} if text.startswith("{{") else set()


@pytest.mark.parametrize(("pool_type", "pool"), EVERY)
def test_every_variable_is_one_that_the_worker_knows_with_its_type(pool_type: PoolType, pool: str) -> None:
    ours, theirs = (
        job_template(pool_type, pool)["variables"]["properties"],
        published(pool_type)["variables"]["properties"],
    )
    assert ours.keys() - theirs.keys() == OWN.get(pool_type, set())
    for name in ours.keys() & theirs.keys():
        kind = {key: theirs[name].get(key) for key in ("type", "anyOf", "items", "additionalProperties", "enum")}
        assert {key: ours[name].get(key) for key in kind} == kind


@pytest.mark.parametrize(("pool_type", "pool"), EVERY)
def test_every_default_fits_the_type_of_its_variable(pool_type: PoolType, pool: str) -> None:
    template = job_template(pool_type, pool)
    jsonschema.Draft202012Validator.check_schema(template["variables"])
    for name, variable in template["variables"]["properties"].items():
        if "default" in variable:
            jsonschema.validate(variable["default"], variable)
        assert variable.get("description"), name


@pytest.mark.parametrize(("pool_type", "pool"), EVERY)
def test_a_job_uses_every_variable_and_no_other(pool_type: PoolType, pool: str) -> None:
    template = job_template(pool_type, pool)
    assert placeholders(template["job_configuration"]) == template["variables"]["properties"].keys()


def test_what_the_worker_needs_in_a_job_is_there() -> None:
    for pool_type in PoolType:
        ours, theirs = job_template(pool_type, "cpu")["job_configuration"], published(pool_type)["job_configuration"]
        left_out = theirs.keys() - ours.keys()
        assert left_out <= {"registry_credentials", "privileged", "network_mode", "cluster_config"}
        assert not ours.keys() - theirs.keys()


@pytest.mark.parametrize(("pool_type", "pool"), EVERY)
def test_no_template_names_a_credential(pool_type: PoolType, pool: str) -> None:
    text = json.dumps(job_template(pool_type, pool))
    for name, section in Settings.model_fields.items():
        fields = getattr(section.annotation, "model_fields", {})
        secret = [field for field, info in fields.items() if "SecretStr" in str(info.annotation)]
        for field in secret:
            assert f"FFE_{name}__{field}".upper() not in text
    assert "AUTH_STRING" not in text


async def test_a_process_job_asks_the_fork_server_and_keeps_what_a_deployment_adds() -> None:
    job = await ProcessJobConfiguration.from_template_and_values(
        job_template(PoolType.PROCESS, "cpu"), {"env": {"FFE_MODE": "sim"}}
    )
    assert job.command == "python -m ffe.warm prefect.engine"
    assert job.stream_output
    assert job.env == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "FFE_MODE": "sim"}


async def test_a_docker_job_is_not_root_and_is_removed() -> None:
    job = await DockerWorkerJobConfiguration.from_template_and_values(job_template(PoolType.DOCKER, "cpu"), {})
    assert job.auto_remove
    assert not job.privileged
    assert job.container_create_kwargs is not None
    assert job.container_create_kwargs["user"] == "10001:10001"
    assert job.container_create_kwargs["cap_drop"] == ["ALL"]
    assert "device_requests" not in job.container_create_kwargs
    gpu = await DockerWorkerJobConfiguration.from_template_and_values(job_template(PoolType.DOCKER, "gpu"), {})
    assert gpu.container_create_kwargs is not None
    assert gpu.container_create_kwargs["device_requests"] == [
        {"driver": "nvidia", "count": 1, "capabilities": [["gpu"]]}
    ]


async def test_a_kubernetes_job_is_not_root_is_removed_and_has_its_secrets_from_the_secret() -> None:
    job = await KubernetesWorkerJobConfiguration.from_template_and_values(
        job_template(PoolType.KUBERNETES, "cpu"), {"image": "example/engine@sha256:0"}
    )
    spec = job.job_manifest["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["ttlSecondsAfterFinished"] == 3600
    assert spec["backoffLimit"] == 0
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["image"] == "example/engine@sha256:0"
    assert {"secretRef": {"name": "ffe-secrets"}} in container["envFrom"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    gpu = await KubernetesWorkerJobConfiguration.from_template_and_values(job_template(PoolType.KUBERNETES, "gpu"), {})
    (container,) = gpu.job_manifest["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


async def queues(pool: str) -> dict[str, tuple[int | None, int | None]]:
    async with get_client() as client:
        found = await client.read_work_queues(work_pool_name=pool)
    return {queue.name: (queue.priority, queue.concurrency_limit) for queue in found}


async def test_bootstrap_twice_leaves_the_same_pools_queues_and_limits(prefect_api: str) -> None:
    assert prefect_api
    for _ in range(2):
        await bootstrap()
        assert await queues("cpu") == {
            TRADING: (1, None),
            "default": (2, None),
            OPERATIONS: (3, QUEUES["cpu"][OPERATIONS]),
            RESEARCH: (4, 1),
        }
        assert await queues("gpu") == {"default": (1, 1)}
    async with get_client() as client:
        for name, limit in POOLS.items():
            pool = await client.read_work_pool(name)
            assert (pool.type, pool.concurrency_limit) == ("process", limit)
            assert pool.base_job_template == job_template(PoolType.PROCESS, name)
        for venue in ("coinbase", "oanda"):
            account = await client.read_global_concurrency_limit_by_name(f"cycle-{venue}")
            assert (account.limit, account.active) == (1, True)


async def test_bootstrap_puts_back_what_has_changed(prefect_api: str) -> None:
    assert prefect_api
    await bootstrap()
    async with get_client() as client:
        await client.update_work_pool("cpu", WorkPoolUpdate(base_job_template={}, concurrency_limit=99))
        queue = await client.read_work_queue_by_name(OPERATIONS, work_pool_name="cpu")
        await client.update_work_queue(queue.id, concurrency_limit=9)
    await bootstrap()
    async with get_client() as client:
        pool = await client.read_work_pool("cpu")
    assert (pool.base_job_template, pool.concurrency_limit) == (job_template(PoolType.PROCESS, "cpu"), POOLS["cpu"])
    assert (await queues("cpu"))[OPERATIONS] == (3, QUEUES["cpu"][OPERATIONS])


async def test_a_pool_of_another_type_is_left_and_said(prefect_api: str) -> None:
    assert prefect_api
    await bootstrap()
    with pytest.raises(ConfigurationError, match="work pool cpu is of type process, not docker"):
        await bootstrap(PoolType.DOCKER)


@pytest.mark.parametrize("pool_type", [PoolType.DOCKER, PoolType.KUBERNETES])
async def test_the_server_takes_the_template_of_every_type(
    pool_type: PoolType, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prefect_api
    monkeypatch.setattr("deployments.bootstrap.POOLS", {f"{pool_type}-gpu": 1})
    monkeypatch.setattr("deployments.bootstrap.QUEUES", {f"{pool_type}-gpu": {"default": 1}})
    await bootstrap(pool_type)
    async with get_client() as client:
        pool = await client.read_work_pool(f"{pool_type}-gpu")
    assert pool.type == pool_type


def test_the_command_takes_a_type_and_refuses_others(prefect_api: str) -> None:
    assert prefect_api
    main([])
    refused = subprocess.run(
        [sys.executable, "-m", "deployments.bootstrap", "--type", "windows"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "windows" in refused.stderr


def test_four_trading_deployments_always_have_a_slot() -> None:
    operations, research = QUEUES["cpu"][OPERATIONS], QUEUES["cpu"][RESEARCH]
    assert operations is not None
    assert research is not None
    assert POOLS["cpu"] - operations - research >= len(("crypto", "forex", "reconcile", "watch-exits"))
