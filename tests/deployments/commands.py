"""Does a command line exist here: programs, sub-commands, options and arguments, without running any of it."""

import importlib.util
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer.main

CHECKOUT = Path(__file__).resolve().parents[2]
# Of the shell and of every Debian: `redis-server` comes with its image.
TOOLS = frozenset({"find", "mkdir", "printf", "redis-server", "umask"})


def parsed(words: list[str]) -> list[str]:
    """The commands in it, as `program sub-command`; a shell script is taken apart at its `&&`.

    Raises:
        AssertionError: one of them does not exist, or would refuse its arguments.
    """
    if words[:2] == ["sh", "-ec"]:
        script = re.sub(r"\$\([^)]*\)", "WORD", words[2])
        return [name for part in re.split(r"\s&&\s", script) for name in parsed(shlex.split(part))]
    program, arguments = words[0].rsplit("/", 1)[-1], words[1:]
    match program:
        case "exec":
            return parsed(arguments)
        case "ffe":
            return [f"ffe {_ffe(arguments)}"]
        case "prefect":
            return [f"prefect {_prefect(arguments)}"]
        case "python":
            return [f"python {_python(arguments)}"]
    assert program in TOOLS, f"no such command: {words}"
    return [program]


def _ffe(arguments: list[str]) -> str:
    from ffe.cli.main import app

    command, path = typer.main.get_command(app), []
    while (commands := getattr(command, "commands", None)) is not None:
        assert arguments, f"ffe {' '.join(path)}: a sub-command is missing"
        assert arguments[0] in commands, f"ffe has no command {' '.join((*path, arguments[0]))}"
        command = commands[arguments[0]]
        path.append(arguments[0])
        arguments = arguments[1:]
    # Parses and checks the arguments; it does not call the command.
    command.make_context(path[-1], list(arguments))
    return " ".join(path)


def _prefect(arguments: list[str]) -> str:
    from prefect.cli._app import _app

    given = [word for word in arguments if word != "--no-prompt"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        called, bound, _ = _app.parse_args(given, exit_on_error=False, print_error=False)
    assert called is not None
    assert bound is not None
    return " ".join(word for word in given if not word.startswith("-"))


def _python(arguments: list[str]) -> str:
    flags = [word for word in arguments[:2] if word in {"-I", "-S"}]
    rest = arguments[len(flags) :]
    if rest[0] != "-m":
        path = re.sub(r"^(/app|/opt/ffe)/", f"{CHECKOUT}/", rest[0])
        assert Path(path).is_file(), f"no such file: {rest[0]}"
        return Path(path).name
    assert importlib.util.find_spec(rest[1]) is not None, f"no such module: {rest[1]}"
    _arguments_of(rest[1], rest[2:])
    return rest[1]


def _arguments_of(module: str, arguments: list[str]) -> None:
    if module == "tasks.local_api":
        from tasks.local_api import arguments as api_arguments

        api_arguments(arguments, password="user:password")
    if module == "deployments.automations":
        assert arguments[:1] == ["apply"]
    if module == "deployments.docker.heartbeat":
        assert arguments in (["cpu"], ["gpu"])
    if module == "deployments.bootstrap":
        assert arguments == []


def settings_known(environment: Mapping[str, str]) -> None:
    """Every FFE_ name with a value that the engine takes, and every PREFECT_ name one that Prefect or prefect-redis reads.

    Raises:
        AssertionError, FfeError: one is unknown, or its value is refused. The environment of this process has to be free of FFE_ names.
    """
    import os

    from ffe.settings import load_settings

    os.environ.update({name: value for name, value in environment.items() if name.startswith("FFE_")})
    load_settings()
    unknown = {name for name in environment if name.startswith("PREFECT_")} - set(_prefect_names())
    assert not unknown, f"Prefect has no {sorted(unknown)}"


def _prefect_names() -> Iterator[str]:
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings
    from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
    from prefect_redis.client import RedisMessagingSettings

    yield from _get_settings_fields(Settings)
    for model in (RedisMessagingSettings, RedisWorkerCleanupQueueSettings):
        prefix = model.model_config["env_prefix"]
        yield from (f"{prefix}{field}".upper() for field in model.model_fields)
