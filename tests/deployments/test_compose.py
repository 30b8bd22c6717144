"""compose.yaml against the published schema of Compose files, and against what this project promises of its containers."""

import importlib.resources
import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from commands import parsed, settings_known
from processes import CHECKOUT, COMPOSE, MissingVariableError, Processes, image_environment, interpolated

DOCUMENT: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, Any] = DOCUMENT["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service and name not in {"ollama", "proxy"}]
ONCE = {"migrate", "deploy", "backup"}
EXAMPLE = COMPOSE.with_name(".env.example")
# What `$VARIABLE` may be used for: nobody else's environment reaches a container.
VALUES = {
    "POSTGRES_PASSWORD": "pg0",
    "LEDGER_DATABASE_PASSWORD": "ledger0",
    "SERVER_DATABASE_PASSWORD": "prefect0",
    "REDIS_PASSWORD": "redis0",
    "GRAFANA_PASSWORD": "grafana0",
    "API_PASSWORD": "trader:api0",
}


def _schema() -> Any:
    folder = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    return json.loads((folder / "compose-spec.json").read_text())


def test_the_file_validates_against_the_published_schema() -> None:
    schema = _schema()
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []


def test_the_schema_refuses_what_compose_would() -> None:
    schema = _schema()
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert not validator.is_valid({"services": {"a": {"image": "b", "no-such-key": 1}}})


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_tag_and_a_variable_for_a_digest(name: str) -> None:
    given = SERVICES[name]["image"]
    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[^}]+\}", given)
    tag = interpolated(given, {}).rsplit("/", 1)[-1].partition(":")[2]
    assert tag not in {"", "latest"}
    assert interpolated(given, {given[2:].split(":")[0]: "a/b:1@sha256:c"}) == "a/b:1@sha256:c"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_nothing_to_the_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices"} & set(service)
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    assert service["pids_limit"] == 512


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        folder = (COMPOSE.parent / service["build"]["context"]).resolve()
        users = re.findall(r"^USER (\S+)$", (folder / service["build"]["dockerfile"]).read_text(), re.MULTILINE)
        assert users == ["10001:10001"]
    else:
        assert int(str(service["user"]).split(":")[0]) > 0


def test_what_is_published_is_published_on_loopback_until_somebody_says_otherwise() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"proxy"}
    for port in published["proxy"]:
        address = interpolated(port, {}).rsplit(":", 2)[0]
        assert ipaddress.ip_address(address).is_loopback
        assert interpolated(port, {"PUBLISH_ON": "192.0.2.1"}).startswith("192.0.2.1:")


def test_databases_and_api_are_in_a_network_that_leads_nowhere() -> None:
    assert DOCUMENT["networks"]["inner"] == {"internal": True}
    for name in ("postgres", "redis", "server", "metrics", "worker-gpu", "prometheus", "grafana"):
        assert set(SERVICES[name]["networks"]) == {"inner"}, name


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ONCE])
def test_what_lasts_is_started_again_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    # The services have no port: their end is what shows that they are not well.
    assert name == "services" or "test" in service["healthcheck"]


@pytest.mark.parametrize("name", SERVICES)
def test_everything_that_is_waited_for_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        condition = how["condition"]
        assert condition == ("service_completed_successfully" if other in ONCE else "service_healthy")
        assert "profiles" not in SERVICES[other] or set(SERVICES[other]["profiles"]) == set(SERVICES[name]["profiles"])


def test_the_databases_are_upgraded_before_anything_uses_them_and_exactly_one_process_has_the_services() -> None:
    for name in ("server", "services", "metrics"):
        assert "migrate" in SERVICES[name]["depends_on"]
    assert SERVICES["services"]["deploy"]["replicas"] == 1
    assert [
        name
        for name, service in SERVICES.items()
        if service.get("command", [])[:3] == ["prefect", "server", "services"]
    ] == ["services"]
    assert "--web-only" in SERVICES["server"]["command"]
    assert "--web-only" in SERVICES["server-more"]["command"]


def _commands() -> Iterator[Any]:
    for name in OURS:
        yield pytest.param(SERVICES[name]["command"], id=name)
        test = SERVICES[name].get("healthcheck", {}).get("test")
        if test is not None:
            yield pytest.param(test[1:], id=f"{name}-health")
    yield pytest.param(SERVICES["redis"]["command"], id="redis")


@pytest.mark.parametrize("words", list(_commands()))
def test_every_command_exists_here_with_its_options(words: list[str]) -> None:
    assert parsed([interpolated(word, VALUES) for word in words])


@pytest.mark.parametrize(
    "words",
    [
        ["ffe", "wroker", "cpu"],
        ["ffe", "worker", "cpu", "--nope"],
        ["prefect", "server", "nope"],
        ["python", "-m", "tasks.nope"],
        ["rm", "-r"],
    ],
    ids=" ".join,
)
def test_a_command_that_does_not_exist_is_found(words: list[str]) -> None:
    with pytest.raises(BaseException, match=r"(?i)no such|no command|unknown|nope"):
        parsed(words)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_that_somebody_reads(name: str) -> None:
    given = image_environment() | SERVICES[name]["environment"]
    settings_known({key: interpolated(str(value), VALUES) for key, value in given.items() if value is not None})


def test_only_the_cpu_workers_get_the_keys_of_the_venues() -> None:
    keys = ("OANDA", "COINBASE", "ALPHA_VANTAGE")
    with_keys = {
        name
        for name, each in SERVICES.items()
        if any(key in variable for variable in each.get("environment", {}) for key in keys)
    }
    assert with_keys == {"worker-cpu"}


def test_no_secret_has_a_default_or_is_an_argument() -> None:
    for name, service in SERVICES.items():
        words = " ".join(service.get("command", []))
        assert not re.search(r"(?<!\$)\$\{", words), f"{name} has a value in its arguments"
        for variable, value in service.get("environment", {}).items():
            for secret in re.findall(r"\$\{(\w*PASSWORD)(.*?)\}", str(value)):
                assert secret[1].startswith(":?"), f"{name}: {variable}"


def test_a_password_that_is_missing_stops_the_start() -> None:
    with pytest.raises(MissingVariableError, match=r"API_PASSWORD: see \.env\.example"):
        interpolated(SERVICES["server"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"], {})


def test_the_example_names_every_variable_and_no_other() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE.read_text()))
    passed_on = {
        key for each in SERVICES.values() for key, value in (each.get("environment") or {}).items() if value is None
    }
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    optional = {"FFE_PLACEMENT__POLICY", "FFE_METRICS__OTLP_ENDPOINT", "FFE_METRICS__OTLP_HEADERS"}
    assert named - {"COMPOSE_PROFILES"} == (used | passed_on) - optional


def test_every_file_that_is_mounted_is_there_and_every_volume_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            assert target.startswith("/")
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), source
                assert volume.endswith(":ro")
            else:
                assert source in DOCUMENT["volumes"]
        assert set(service.get("networks", [])) <= set(DOCUMENT["networks"])


def test_prometheus_finds_rules_and_grafana_its_dashboards() -> None:
    scraped = yaml.safe_load((COMPOSE.parent / "prometheus.yaml").read_text())
    pattern = scraped["rule_files"][0].removeprefix("/etc/prometheus/rules/")
    assert list((CHECKOUT / "deployments" / "prometheus").glob(pattern))
    assert scraped["scrape_configs"][0]["job_name"] == "ffe"
    assert list((CHECKOUT / "deployments" / "grafana").rglob("*.json"))
    told = yaml.safe_load((COMPOSE.parent / "alertmanager.yaml").read_text())
    assert told["route"]["receiver"] in {receiver["name"] for receiver in told["receivers"]}


def test_the_gpu_belongs_to_ollama_alone() -> None:
    with_card = [name for name, each in SERVICES.items() if "devices" in json.dumps(each["deploy"])]
    assert with_card == ["ollama"]
    assert SERVICES["worker-gpu"]["profiles"] == SERVICES["ollama"]["profiles"] == ["gpu"]


def test_names_and_folders_of_the_containers_become_ones_of_this_machine(tmp_path: Path) -> None:
    here = Processes(tmp_path, VALUES)
    environment = here.environment("worker-cpu")
    assert environment["PREFECT_API_URL"] == here.api
    assert environment["FFE_DATA_DIR"] == str(tmp_path / "data")
    assert environment["FFE_LEDGER_URL"] == f"postgresql+psycopg://ffe:ledger0@127.0.0.1:{here.ports['5432']}/ffe"
    assert "FFE_OANDA__TOKEN" not in environment
    assert (
        Processes(_new(tmp_path), VALUES | {"FFE_OANDA__TOKEN": "t"}).environment("worker-cpu")["FFE_OANDA__TOKEN"]
        == "t"
    )


def _new(folder: Path) -> Path:
    (folder / "second").mkdir()
    return folder / "second"
