"""`ffe models pull`: has the Ollama server pull the models of the chain. Exit 3 when one could not be had, 4 without a server."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ffe.cli.options import JsonOption, settings_from
from ffe.cli.tables import print_rows, without_controls
from ffe.errors import ConfigurationError, ModelUnavailableError, RefusedError
from ffe.llm.ollama_errors import UnreachableError
from ffe.llm.ollama_pull import Pulled, Step, installed, steps
from ffe.settings import OllamaSettings

DIGEST_SHOWN = 19
Models = Annotated[
    list[str] | None,
    typer.Argument(help="llama3.2:3b-instruct-q4_0 ...; the settings' model and fallbacks if left out."),
]
Told = Callable[[str, Step], None]


def pull(models: Models = None, as_json: JsonOption = False) -> None:
    """Pull models to the Ollama server: the wanted one and its fallbacks, or what is named. What is there already is only checked."""
    settings = settings_from().ollama
    wanted = tuple(dict.fromkeys(models)) if models else settings.chain
    if not all(name.strip() for name in wanted):
        raise ConfigurationError("a model without a name can't be pulled")
    with _progress() as tell:
        results = [_pulled(settings, model, tell) for model in wanted]
    if as_json:
        print(
            json.dumps([result.model_dump(exclude={"error"} if result.error is None else None) for result in results])
        )
    else:
        print_rows(
            "models", [result.model_dump() for result in results], ("model", "digest", "size", "status", "error")
        )
    if any(result.error is not None for result in results):
        raise typer.Exit(3)


def _pulled(settings: OllamaSettings, model: str, tell: Told) -> Pulled:
    """One model; a failure of one is no reason to leave the next, a server that is not there is."""
    try:
        for step in steps(settings, model):
            tell(model, step)
        return installed(settings, model)
    except UnreachableError as error:
        raise RefusedError(
            f"{error}; start it there with `ollama serve`, or set FFE_OLLAMA__HOST to where it runs"
        ) from error
    except ModelUnavailableError as error:
        return Pulled(model=model, status="failed", error=str(error))


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar for each layer on stderr; a line for each new step where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().tell
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        yield _Bars(shown).tell


class _Bars:
    """A bar for each layer; of the other steps only the latest is shown, as a bar without an end."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._bars: dict[tuple[str, str | None], TaskID] = {}

    def tell(self, model: str, step: Step) -> None:
        key = (model, step.digest)
        if key not in self._bars:
            self._bars[key] = self._shown.add_task("", total=None)
        self._shown.update(
            self._bars[key], description=_line(model, step), total=step.total, completed=step.completed or 0
        )


class _Lines:
    """A line for each step that differs from the one before: not for every report of its bytes."""

    def __init__(self) -> None:
        self._last = ""

    def tell(self, model: str, step: Step) -> None:
        line = _line(model, step)
        if line != self._last:
            self._last = line
            sys.stderr.write(f"{line}\n")


def _line(model: str, step: Step) -> str:
    what = step.status if step.digest is None else f"layer {step.digest[:DIGEST_SHOWN]}"
    return without_controls(f"{model}: {what}").replace("\n", " ")
