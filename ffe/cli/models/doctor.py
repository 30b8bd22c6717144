"""`ffe models doctor`: is the model there, is it really on the GPU, does it fit, and would the policy let it through.

0 fine. 3 something needs attention. 4 the policy `require-gpu` refuses the model. The embedded model with no layers for a GPU is asked to
run on the CPU: there, CPU is fine. `--reload` unloads the model of a local Ollama first, which slows whoever asks it next.
"""

import json
from typing import Annotated, Any

import typer
from rich.text import Text

from ffe.cli.options import JsonOption, ModelOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.clock import SystemClock
from ffe.errors import ModelError
from ffe.llm.device_memory import is_local
from ffe.llm.devices import DeviceError, devices
from ffe.llm.models import Sampling
from ffe.llm.ollama_server import address
from ffe.llm.ollama_state import available
from ffe.llm.placement import FLOOR_NAME, Placement, Sign, check_placement, enforce, unmet_floors
from ffe.llm.signs import gigabytes
from ffe.llm.vram import vram_need
from ffe.settings import PlacementPolicy, Settings

ReloadOption = Annotated[
    bool, typer.Option("--reload", help="Unload the model of a local Ollama first, so that its memory can be compared.")
]
ATTENTION, REFUSED = 3, 4
CARD_COLUMNS = ("index", "name", "capability", "driver", "used", "memory", "floors")
SIGN_COLUMNS = ("sign", "says", "why")
MEMORY_COLUMNS = ("model", "num_ctx", "weights", "cache", "overhead", "total", "free")


def doctor(model: ModelOption = None, reload: ReloadOption = False, as_json: JsonOption = False) -> None:
    """Cards, driver floors, runtime, models, the three signs of the placement, memory and policy."""
    settings = settings_from(model=model)
    report = examine(settings, reload=reload)
    if as_json:
        print(json.dumps(report))
    else:
        _print(report)
    if report["refused"] is not None:
        raise typer.Exit(REFUSED)
    if report["attention"]:
        raise typer.Exit(ATTENTION)


def examine(settings: Settings, *, reload: bool = False) -> dict[str, Any]:
    """The whole report, ready for JSON. Sizes are bytes. `chain` None: the server could not be asked."""
    chain, chain_error = _chain(settings)
    placement = check_placement(settings, SystemClock(), reload=reload)
    cards, card_error = _cards(settings)
    report = {
        "adapter": settings.model,
        "host": address(settings.ollama.host) if settings.model == "ollama" else None,
        "runtime": placement.runtime,
        "chain": chain,
        "devices": cards,
        "device_error": card_error,
        "floors": settings.placement.model_dump(mode="json", exclude={"policy"}),
        "placement": placement.model_dump(mode="json"),
        "vram": _vram(settings, placement),
        "policy": settings.placement.policy.value,
        "refused": enforce(placement, settings.placement.policy),
    }
    notes = [
        chain_error,
        card_error,
        *_missing(chain),
        *placement.problems,
        _misplaced(settings, placement),
        _no_floor(settings, placement),
        _tight(report),
    ]
    return report | {"attention": [note for note in dict.fromkeys(notes) if note is not None]}


def _chain(settings: Settings) -> tuple[list[dict[str, Any]] | None, str | None]:
    """Every model of the chain and whether the server has it. The embedded model has no chain; its file is checked when it opens."""
    if settings.model == "embedded":
        return [], None
    try:
        there = available(settings.ollama)
    except ModelError as error:
        return None, str(error)
    return [{"model": name, "present": name in there} for name in settings.ollama.chain], None


def _missing(chain: list[dict[str, Any]] | None) -> list[str]:
    return [f"{each['model']} is not there: ffe models pull" for each in chain or () if not each["present"]]


def _cards(settings: Settings) -> tuple[list[dict[str, Any]], str | None]:
    """The cards of this host, each with the floors that it does not meet; they are not those of a server elsewhere."""
    try:
        found = devices()
    except DeviceError as error:
        return [], str(error)
    return [card.model_dump() | {"unmet": list(unmet_floors(card, settings.placement))} for card in found], None


def _misplaced(settings: Settings, placement: Placement) -> str | None:
    """What is wrong with the verdict, if anybody cares: the policy `any` does not, and an outage is always told."""
    if placement.digest is None:
        return placement.reason
    meant_for_cpu = settings.model == "embedded" and settings.embedded.gpu_layers == 0
    wanted = (Sign.GPU, Sign.CPU) if meant_for_cpu else (Sign.GPU,)
    if settings.placement.policy is PlacementPolicy.ANY or placement.verdict in wanted:
        return None
    return f"{placement.model} is not known to be on the GPU: {placement.verdict}, {placement.reason}"


def _no_floor(settings: Settings, placement: Placement) -> str | None:
    """A server keeps its model loaded, and then its memory tells nothing any more: `require-gpu` would refuse from the second check on."""
    floors = settings.placement
    lasting = settings.model == "embedded" or floors.min_tokens_per_second is not None
    if lasting or floors.policy is not PlacementPolicy.REQUIRE_GPU or placement.tokens_per_second is None:
        return None
    half = placement.tokens_per_second / 2
    return f"require-gpu needs {FLOOR_NAME} once the model stays loaded; half of what was measured here is {half:.0f}"


def _vram(settings: Settings, placement: Placement) -> dict[str, Any] | None:
    """What the model needs at our `num_ctx` and what its card has free; `free` None where this host can't tell. None: not computed."""
    need = None if settings.model == "embedded" else vram_need(placement.model, Sampling().num_ctx)
    if need is None:
        return None
    return {
        "model": placement.model,
        "num_ctx": Sampling().num_ctx,
        **need.model_dump(),
        "total": need.total,
        "free": placement.device.memory_free if is_local(settings) and placement.device is not None else None,
    }


def _tight(report: dict[str, Any]) -> str | None:
    """Only of a model that is not wholly on the card: what is there already has its memory, and of an unknown one nobody can say."""
    need, verdict = report["vram"], report["placement"]["verdict"]
    if need is None or need["free"] is None or verdict not in (Sign.CPU, Sign.SPLIT) or need["free"] >= need["total"]:
        return None
    return (
        f"{need['model']} needs about {gigabytes(need['total'])} of device memory, {gigabytes(need['free'])} are free"
    )


def _print(report: dict[str, Any]) -> None:
    """Tables that fit 80 columns, then what needs attention, in full sentences."""
    signs = report["placement"]["signs"].items()
    print_rows("NVIDIA devices", [_card_row(card) for card in report["devices"]], CARD_COLUMNS)
    print_rows("model", [{"what": what, "value": value} for what, value in _facts(report)], ("what", "value"))
    print_rows(
        "signs", [{"sign": name, "says": said["sign"], "why": said["detail"]} for name, said in signs], SIGN_COLUMNS
    )
    if report["vram"] is not None:
        print_rows("device memory", [_memory_row(report["vram"])], MEMORY_COLUMNS)
    for line in _lines(report):
        console().print(Text(line), soft_wrap=True)


def _card_row(card: dict[str, Any]) -> dict[str, Any]:
    total, used = (_size(card[name]) for name in ("memory_total", "memory_used"))
    return card | {"used": used, "memory": total, "floors": "met" if not card["unmet"] else "; ".join(card["unmet"])}


def _facts(report: dict[str, Any]) -> list[tuple[str, str | None]]:
    placement, floors = report["placement"], report["floors"]
    device, speed = placement["device"], placement["tokens_per_second"]
    driver = f"driver {floors['min_driver']} ({floors['min_driver_before_7_0']} below 7.0)"
    return [
        ("adapter", report["adapter"] if report["host"] is None else f"{report['adapter']} at {report['host']}"),
        ("runtime", report["runtime"]),
        *((f"chain: {each['model']}", "present" if each["present"] else "missing") for each in report["chain"] or ()),
        ("answered", None if placement["digest"] is None else f"{placement['model']} {placement['digest'][:12]}"),
        ("device", None if device is None else f"{device['index']}: {device['name']}"),
        ("tokens/s", None if speed is None else f"{speed:.1f}"),
        ("floors", f"capability {floors['min_capability']}, {driver}"),
    ]


def _memory_row(vram: dict[str, Any]) -> dict[str, Any]:
    parts = {name: _size(vram[name]) for name in ("weights", "cache", "overhead", "total", "free")}
    return {"model": vram["model"], "num_ctx": vram["num_ctx"], **parts}


def _lines(report: dict[str, Any]) -> list[str]:
    placement, refused = report["placement"], report["refused"]
    told = [f"attention: {note}" for note in report["attention"]]
    last = f"policy {report['policy']} does not refuse the model" if refused is None else refused
    return [f"placement: {placement['verdict']}; {placement['reason']}", *told, last]


def _size(size: int | None) -> str | None:
    return None if size is None else gigabytes(size)
