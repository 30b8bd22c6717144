"""Where the model runs: what is observed of a server and its cards, and what each policy makes of it."""

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.llm import device_memory
from ffe.llm.device_memory import Reading, rises
from ffe.llm.devices import Device, DeviceError
from ffe.llm.placement import Placement, Sign, SignReading, check_placement, enforce, unmet_floors
from ffe.settings import OllamaSettings, PlacementPolicy, PlacementSettings, Settings, load_settings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
GIB = 1024**3
SIZE = 2_400_000_000
MODEL = OllamaSettings().model
DIGEST = "a" * 64
CARD = Device(index=0, name="NVIDIA L4", capability=8.9, driver="580.65.06", memory_total=24 * GIB, memory_used=GIB)


def card(**changes: Any) -> Device:
    return CARD.model_copy(update=changes)


@pytest.mark.parametrize(
    ("capability", "driver", "unmet"),
    [
        (8.9, "550.54.15", 0),
        (8.9, "549.99", 1),
        (7.0, "550.54.15", 0),
        (6.1, "570.86.10", 0),
        (6.1, "565.57.01", 1),
        (5.0, "570", 0),
        (3.7, "470.256.02", 2),
        (8.9, "", 1),
        (8.9, "R580", 1),
    ],
)
def test_every_floor_that_a_card_misses_is_told(capability: float, driver: str, unmet: int) -> None:
    assert len(unmet_floors(card(capability=capability, driver=driver), PlacementSettings())) == unmet


def test_an_unmet_floor_names_the_card_and_both_numbers() -> None:
    capability, driver = unmet_floors(card(name="Tesla K80", capability=3.7, driver="470.256"), PlacementSettings())
    assert capability.startswith("Tesla K80: compute capability 3.7 is below 5.0")
    assert driver == "Tesla K80: driver 470.256 is below 570"


def test_floors_follow_the_settings() -> None:
    floors = PlacementSettings(min_capability=9.0, min_driver=590)
    assert len(unmet_floors(CARD, floors)) == 2


def placed(verdict: Sign, *problems: str) -> Placement:
    silent = SignReading(sign=Sign.UNKNOWN, detail="-")
    return Placement(
        verdict=verdict,
        signs=dict.fromkeys(("reported", "memory", "speed"), silent),
        model=MODEL,
        digest=DIGEST,
        device=CARD,
        problems=problems,
        reason="because",
        checked_at=NOW,
    )


@pytest.mark.parametrize("verdict", Sign)
@pytest.mark.parametrize("problems", [(), ("driver 470 is below 570",)])
def test_only_require_gpu_refuses_and_only_a_gpu_within_its_floors_passes(
    verdict: Sign, problems: tuple[str, ...]
) -> None:
    found = placed(verdict, *problems)
    assert enforce(found, PlacementPolicy.WARN) is None
    assert enforce(found, PlacementPolicy.ANY) is None
    refused = enforce(found, PlacementPolicy.REQUIRE_GPU)
    assert (refused is None) == (verdict is Sign.GPU and not problems)


def test_a_refusal_names_the_policy_the_verdict_and_the_floors() -> None:
    refused = enforce(placed(Sign.CPU, "driver 470 is below 570"), PlacementPolicy.REQUIRE_GPU)
    assert refused == (
        f"policy require-gpu refuses the model: the placement of {MODEL} is cpu: because; driver 470 is below 570"
    )


@dataclass
class Host:
    """An Ollama server and the cards of its host. `lands`: bytes of the model that a load puts on each card."""

    url: str = ""
    size: int = SIZE
    size_vram: int = SIZE
    cards: tuple[Device, ...] = (CARD,)
    lands: dict[int, int] = field(default_factory=lambda: {0: SIZE})
    present: tuple[str, ...] = (MODEL,)
    ps_digest: str = DIGEST
    unloads: bool = True
    keeps: bool = True
    loaded: bool = False
    freeing: int = 0
    chats: int = 0
    posted: list[dict[str, Any]] = field(default_factory=list)

    def devices(self) -> tuple[Device, ...]:
        """Memory comes back in two readings after an unload."""
        late, self.freeing = self.freeing, max(0, self.freeing - 1)
        return tuple(self._filled(each, late) for each in self.cards)

    def _filled(self, each: Device, late: int) -> Device:
        if each.memory_used is None:
            return each
        there = self.lands.get(each.index, 0) if self.loaded else self.lands.get(each.index, 0) * late // 2
        return each.model_copy(update={"memory_used": each.memory_used + there})

    def reply(self, path: str, body: dict[str, Any]) -> Any:
        if path == "/api/tags":
            return {"models": [{"name": name, "model": name, "digest": DIGEST, "size": 1} for name in self.present]}
        if path == "/api/version":
            return {"version": "0.33.0"}
        if path == "/api/ps":
            entry = {"name": MODEL, "model": MODEL, "digest": self.ps_digest}
            return {"models": [entry | {"size": self.size, "size_vram": self.size_vram}] if self.loaded else []}
        self.posted.append({"path": path, **body})
        if path == "/api/generate":
            self.loaded, self.freeing = not self.unloads, 2
            return {"model": MODEL, "response": "", "done": True, "done_reason": "unload"}
        self.chats += 1
        self.loaded = self.keeps
        return self._chat()

    def _chat(self) -> dict[str, Any]:
        """40 tokens: the first call in 8 s, the warm one in half a second."""
        return {
            "model": MODEL,
            "created_at": "2026-08-01T00:00:00Z",
            "message": {"role": "assistant", "content": '{"number_1": 1}'},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 20,
            "prompt_eval_duration": 1_000_000,
            "eval_count": 40,
            "eval_duration": 8_000_000_000 if self.chats == 1 else 500_000_000,
        }


def _handler(host: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            payload = json.dumps(host.reply(self.path, body)).encode() + b"\n"
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    return Handler


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    state = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(device_memory, "devices", state.devices)
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def settings_of(host: Host, *, floor: float | None = None, url: str | None = None, **ollama: Any) -> Settings:
    section = OllamaSettings(host=url or host.url, timeout_seconds=5.0, **ollama)
    return load_settings(model="ollama", ollama=section, placement=PlacementSettings(min_tokens_per_second=floor))


def checked(settings: Settings, *, reload: bool = False, pauses: list[float] | None = None) -> Placement:
    kept = [] if pauses is None else pauses
    return check_placement(settings, FixedClock(NOW), reload=reload, sleep=kept.append)


def signs(found: Placement) -> tuple[Sign, ...]:
    return tuple(found.signs[name].sign for name in ("reported", "memory", "speed"))


def test_a_model_that_loads_onto_the_card_is_on_the_gpu(host: Host) -> None:
    found = checked(settings_of(host))

    assert (found.verdict, signs(found)) == (Sign.GPU, (Sign.GPU, Sign.GPU, Sign.UNKNOWN))
    assert (found.model, found.digest, found.runtime) == (MODEL, DIGEST, "ollama 0.33.0")
    assert found.device is not None
    assert found.device.memory_used == GIB + SIZE
    assert (found.problems, found.checked_at) == ((), NOW)
    assert found.reason == "no known sign disagrees (reported gpu, memory gpu, speed unknown)"


def test_the_speed_is_that_of_the_warm_call_and_the_context_that_of_decisions(host: Host) -> None:
    found = checked(settings_of(host, floor=79))

    assert found.tokens_per_second == pytest.approx(80)
    assert signs(found) == (Sign.GPU, Sign.GPU, Sign.GPU)
    assert [body["options"]["num_ctx"] for body in host.posted] == [2048, 2048]


def test_a_server_that_says_gpu_while_the_card_stays_empty_is_not_believed(host: Host) -> None:
    host.lands = {}
    found = checked(settings_of(host))
    assert (found.verdict, signs(found)) == (Sign.UNKNOWN, (Sign.GPU, Sign.CPU, Sign.UNKNOWN))
    assert found.reason == "the signs disagree (reported gpu, memory cpu, speed unknown)"


def test_a_server_that_says_gpu_and_is_slow_is_not_believed(host: Host) -> None:
    found = checked(settings_of(host, floor=81))
    assert (found.verdict, found.signs["speed"].sign) == (Sign.UNKNOWN, Sign.CPU)


def test_a_split_model_is_split_and_one_on_the_cpu_is_there(host: Host) -> None:
    host.size_vram, host.lands = SIZE // 2, {0: SIZE // 2}
    assert checked(settings_of(host)).verdict is Sign.SPLIT
    host.loaded, host.size_vram, host.lands = False, 0, {}
    assert checked(settings_of(host)).verdict is Sign.CPU


def test_a_model_that_was_loaded_already_has_no_memory_sign_and_no_gpu_verdict(host: Host) -> None:
    host.loaded = True
    found = checked(settings_of(host))
    assert found.verdict is Sign.UNKNOWN
    assert "loaded already" in found.signs["memory"].detail
    assert found.reason.startswith("only the runtime itself says gpu")
    assert found.reason.endswith("set FFE_PLACEMENT__MIN_TOKENS_PER_SECOND")
    assert [body["path"] for body in host.posted] == ["/api/chat", "/api/chat"]


def test_a_loaded_model_that_is_larger_than_all_memory_in_use_is_not_on_the_card(host: Host) -> None:
    host.loaded, host.lands = True, {}
    found = checked(settings_of(host, floor=40))
    assert (found.verdict, signs(found)) == (Sign.UNKNOWN, (Sign.GPU, Sign.SPLIT, Sign.GPU))
    assert found.signs["memory"].detail == "the devices have 1.07 GB in use, the loaded model takes 2.40 GB"


def test_a_floor_of_speed_makes_up_for_the_memory_of_a_loaded_model(host: Host) -> None:
    host.loaded = True
    assert checked(settings_of(host, floor=40)).verdict is Sign.GPU


def test_reload_unloads_first_and_waits_until_the_memory_is_back(host: Host) -> None:
    host.loaded = True
    pauses: list[float] = []
    found = checked(settings_of(host), reload=True, pauses=pauses)

    assert (found.verdict, found.signs["memory"].sign) == (Sign.GPU, Sign.GPU)
    assert [body["path"] for body in host.posted] == ["/api/generate", "/api/chat", "/api/chat"]
    assert host.posted[0]["keep_alive"] == 0
    assert host.posted[0].get("prompt", "") == ""
    assert len(pauses) >= 3


def test_memory_that_never_settles_is_read_in_the_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    falling = itertools.count(20 * GIB, -1)
    monkeypatch.setattr(device_memory, "devices", lambda: (card(memory_used=next(falling)),))
    host.loaded = True
    assert checked(settings_of(host), reload=True).signs["memory"].sign is Sign.CPU


def test_a_model_that_will_not_unload_leaves_the_placement_unknown(host: Host) -> None:
    host.loaded, host.unloads = True, False
    found = checked(settings_of(host), reload=True)
    assert found.verdict is Sign.UNKNOWN
    assert "still lists a model as loaded 20 s after its unload" in found.reason


def test_reload_of_a_model_that_is_not_loaded_unloads_nothing(host: Host) -> None:
    assert checked(settings_of(host), reload=True).verdict is Sign.GPU
    assert [body["path"] for body in host.posted] == ["/api/chat", "/api/chat"]


def test_a_server_that_keeps_no_model_says_nothing_of_it(host: Host) -> None:
    host.keeps = False
    found = checked(settings_of(host, keep_alive="0"))
    assert signs(found) == (Sign.UNKNOWN, Sign.UNKNOWN, Sign.UNKNOWN)
    assert "keep_alive 0" in found.reason


def test_a_report_about_other_weights_is_no_report(host: Host) -> None:
    host.ps_digest = "b" * 64
    found = checked(settings_of(host))
    assert found.verdict is Sign.UNKNOWN
    assert "lists" in found.signs["reported"].detail
    assert "bbbbbbbbbbbb as loaded" in found.signs["reported"].detail


def test_the_card_is_the_one_whose_memory_rose_and_its_floors_count(host: Host) -> None:
    old = card(index=1, name="GTX 1080", capability=6.1, driver="550.54")
    host.cards, host.lands = (CARD, old), {1: SIZE}
    found = checked(settings_of(host))
    assert found.device is not None
    assert found.device.name == "GTX 1080"
    assert found.problems == ("GTX 1080: driver 550.54 is below 570",)
    assert [each.name for each in found.devices] == ["NVIDIA L4", "GTX 1080"]


def test_without_a_rise_the_card_is_the_one_that_a_runtime_would_take(host: Host) -> None:
    host.loaded, host.cards = True, (card(index=0, name="Tesla K80", capability=3.7), card(index=1))
    found = checked(settings_of(host))
    assert found.device is not None
    assert found.device.name == "NVIDIA L4"
    assert found.problems == ()


def test_memory_is_summed_over_the_cards_of_a_model_that_is_spread(host: Host) -> None:
    host.cards, host.lands = (CARD, card(index=1)), {0: SIZE // 2, 1: SIZE // 2}
    assert checked(settings_of(host)).signs["memory"].sign is Sign.GPU


def test_a_host_without_nvidia_has_no_memory_sign_and_no_device(host: Host) -> None:
    host.cards = ()
    found = checked(settings_of(host))
    assert (found.verdict, found.device, found.problems) == (Sign.UNKNOWN, None, ())
    assert found.signs["memory"].detail == "no NVIDIA device or driver on this host"


def test_a_card_without_memory_of_its_own_has_no_memory_sign(host: Host) -> None:
    host.cards = (card(memory_total=None, memory_used=None),)
    found = checked(settings_of(host, floor=40))
    assert (found.verdict, found.signs["memory"].sign) == (Sign.GPU, Sign.UNKNOWN)
    assert found.device == host.cards[0]


def test_rises_leave_out_cards_that_one_reading_does_not_know() -> None:
    silent = card(index=2, memory_used=None)
    before, after = Reading(devices=(CARD, silent)), Reading(devices=(card(memory_used=2 * GIB), card(index=1), silent))
    assert rises(before, after) == {0: GIB}
    assert rises(before.model_copy(update={"resident": True}), after) == {}
    assert (before.used, after.used) == (GIB, 3 * GIB)


def test_a_driver_that_fails_is_the_reason_of_an_unknown_memory_sign(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> tuple[Device, ...]:
        raise DeviceError("NVML failed: GPU is lost")

    monkeypatch.setattr(device_memory, "devices", broken)
    assert checked(settings_of(host)).signs["memory"].detail == "NVML failed: GPU is lost"


def test_the_cards_of_this_host_are_not_those_of_a_server_elsewhere() -> None:
    there = OllamaSettings(host="http://user:secret@192.0.2.1:11434")
    reading = device_memory.read(load_settings(model="ollama", ollama=there))
    assert reading.devices == ()
    assert reading.reason is not None
    assert "another host (http://192.0.2.1:11434)" in reading.reason


def test_a_server_that_is_away_is_an_unknown_placement_with_its_reason(host: Host) -> None:
    found = checked(settings_of(host, url="http://127.0.0.1:9"))
    assert (found.verdict, found.digest, found.model) == (Sign.UNKNOWN, None, MODEL)
    assert "127.0.0.1:9" in found.reason
    assert {reading.detail for reading in found.signs.values()} == {"the model was not reached"}
    assert found.device == CARD


def test_an_outage_still_tells_of_a_card_that_is_too_old(host: Host) -> None:
    host.cards = (card(name="Tesla K80", capability=3.7),)
    assert len(checked(settings_of(host, url="http://127.0.0.1:9")).problems) == 1


def test_a_missing_model_is_an_unknown_placement(host: Host) -> None:
    host.present = ()
    assert checked(settings_of(host)).verdict is Sign.UNKNOWN
