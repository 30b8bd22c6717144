"""Speed on a GPU, where there is one: `FFE_EMBEDDED__MODEL_PATH=3b-q4.gguf python -m benchmarks.gpu`.

Measures the embedded runtime's GPU build with all layers on the card, and the Ollama server's model when the server says that it
lies in video memory: tokens/s and the latency of a decision at a prompt of about 700 tokens, of which none is cached. The target is a p95
below one second for a 3B-class 4-bit model. Where neither is at hand it says so and ends with status 3: nothing is measured
on a CPU in a GPU's name.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence

from benchmarks.model import contexts, percentile
from ffe.decision.answer import answer_schema, parse_answer
from ffe.decision.models import Context
from ffe.decision.prompt import build_messages
from ffe.errors import FfeError, InvalidAnswerError
from ffe.llm.devices import devices
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.embedded_child import gpu_names
from ffe.llm.models import Completion, Message, Sampling
from ffe.llm.ollama import OllamaModel
from ffe.llm.ollama_state import loaded
from ffe.llm.protocol import LanguageModel
from ffe.settings import Settings, load_settings

ALL_LAYERS = 999
NOT_MEASURED = 3
TARGET_MS = 1000.0
# Enough to see by how many tokens one more close lengthens the prompt.
TRIAL_CLOSES = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured, 3 no GPU that could be measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=50)
    parser.add_argument("--prompt-tokens", type=int, default=700)
    asked = parser.parse_args(arguments)
    settings = load_settings()
    _print_cards()
    measured = 0
    for name, model in (*_embedded(settings), *_ollama(settings)):
        try:
            print(f"{name}: {measure(model, contexts(asked.decisions), asked.prompt_tokens)}", flush=True)
        finally:
            model.close()
        measured += 1
    if measured == 0:
        print("no GPU here: not measured")
        return NOT_MEASURED
    return 0


def _print_cards() -> None:
    try:
        for device in devices():
            print(f"card: {device.name}, compute capability {device.capability}, driver {device.driver}")
    except FfeError as error:
        print(f"card: {error}")


def measure(model: LanguageModel, cases: Sequence[Context], prompt_tokens: int) -> str:
    """Asks each case once, in turn, and says tokens/s, latency and whether the target is met. The calls before, which load, don't count."""
    closes = _closes_for(model, cases[0], prompt_tokens)
    completions = [_ask(model, case, closes) for case in cases]
    valid = sum(map(_valid, completions))
    latencies = [completion.latency_ms for completion in completions]
    p95 = percentile(latencies, 95)
    lengths = [completion.prompt_tokens for completion in completions]
    return (
        f"{completions[0].identity}\n"
        f"  {len(cases)} decisions, {valid} valid, prompts of {min(lengths)} to {max(lengths)} tokens\n"
        f"  prompt {_speed([(one.prompt_tokens, one.prompt_ms) for one in completions])}, "
        f"generation {_speed([(one.completion_tokens, one.generation_ms) for one in completions])}\n"
        f"  latency p50 {percentile(latencies, 50):.0f} ms, p95 {p95:.0f} ms: "
        f"the target of p95 below {TARGET_MS:.0f} ms is {'met' if p95 < TARGET_MS else 'missed'}"
    )


def _embedded(settings: Settings) -> Iterator[tuple[str, LanguageModel]]:
    found = gpu_names()
    if not found:
        print("embedded: the installed runtime reports no GPU (the packaged one is built for the CPU)")
        return
    if settings.embedded.model_path is None:
        print(
            "embedded: FFE_EMBEDDED__MODEL_PATH names no model, so this is the packaged one of 135M and no answer to the target"
        )
    on_gpu = settings.embedded.model_copy(update={"gpu_layers": ALL_LAYERS})
    yield f"embedded on {', '.join(found)}", EmbeddedModel(on_gpu)


def _ollama(settings: Settings) -> Iterator[tuple[str, LanguageModel]]:
    model = OllamaModel(settings.ollama)
    try:
        # A first answer loads the model: only then does the server say where it lies.
        model.complete([Message(role="user", content="Reply with JSON.")], answer_schema(), Sampling())
        there = loaded(settings.ollama)
    except FfeError as error:
        print(f"ollama: no answer at {settings.ollama.host}: {error}")
        return
    if there is None or there.size_vram == 0:
        print(f"ollama: {settings.ollama.host} has the model on its CPU")
        return
    yield f"ollama, {there.size_vram / there.size:.0%} of {there.model} in video memory", model


def _ask(model: LanguageModel, case: Context, closes: int) -> Completion:
    *before, question = build_messages(case)
    # At the very front, other than the last case's: a server that keeps prefixes has none to reuse.
    known = next(frame.closes for frame in case.pulse if frame.closes)
    listed = ", ".join(f"{known[index % len(known)]:g}" for index in range(closes))
    first = Message(
        role="system",
        content=f"{case.instrument.symbol} {case.bar_close:%H:%M} closed at {listed}. {before[0].content}",
    )
    return model.complete([first, *before[1:], question], answer_schema(), Sampling())


def _closes_for(model: LanguageModel, case: Context, prompt_tokens: int) -> int:
    few, more = (_ask(model, case, closes).prompt_tokens for closes in (1, 1 + TRIAL_CLOSES))
    return max(1, 1 + (prompt_tokens - few) * TRIAL_CLOSES // max(1, more - few))


def _valid(completion: Completion) -> bool:
    try:
        parse_answer(completion)
    except InvalidAnswerError:
        return False
    return True


def _speed(pairs: Sequence[tuple[int, float | None]]) -> str:
    speeds = [tokens / spent * 1000 for tokens, spent in pairs if spent]
    return f"{statistics.median(speeds):.0f} tokens/s" if speeds else "not told by the runtime"


if __name__ == "__main__":
    sys.exit(main())
