"""The embedded model on real bars: `python -m benchmarks.model [--decisions 200]`.

Windows of the recorded bars of tests/data/bars become contexts as in a cycle (base 1m, then 5m and 15m), each is asked once, with the one
repair that the engine allows. Prints the valid share, repairs, actions, how many texts come back the same from a second process, the
child's memory, latencies with the machine's load, tokens/s and what the log-probabilities cost. Asserts nothing.
"""

import argparse
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.recorded import Recording, batch_of, recordings
from ffe.clock import SystemClock
from ffe.decision.answer import answer_schema
from ffe.decision.ask import ask
from ffe.decision.context import build_context
from ffe.decision.models import Context, ModelCall
from ffe.decision.odds import action_odds
from ffe.decision.prompt import build_messages
from ffe.decision.verdict import Verdict
from ffe.llm.embedded import N_CTX, EmbeddedModel, chat_request
from ffe.llm.embedded_child import load
from ffe.llm.gguf import locate
from ffe.llm.models import Sampling
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe
from ffe.market.pulse import consensus, pulse
from ffe.market.quality import QualityReport
from ffe.market.resample import resample
from ffe.settings import EmbeddedSettings, load_settings
from ffe.sources.models import to_frame

BARS = Path(__file__).parents[1] / "tests" / "data" / "bars"
WINDOW = 320
SETTLED = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--again", type=int, default=40, help="of them, once more in a second process")
    parser.add_argument("--cost", type=int, default=10, help="of them, with and without log-probabilities")
    asked = parser.parse_args()
    settings = load_settings().embedded
    cases = contexts(asked.decisions)
    verdicts, memory, load_averages = _first_process(settings, cases)
    print_verdicts(verdicts)
    print(f"child RSS MB: {', '.join(f'{name} {value:.1f}' for name, value in memory.items())}")
    print(f"{settings.threads} model thread(s), {os.cpu_count()} cores, load average {', '.join(load_averages)}")
    _second_process(settings, cases, verdicts, asked.again)
    _cost(settings, cases[:: max(1, len(cases) // max(1, asked.cost))][: asked.cost])


def contexts(count: int, folder: Path = BARS) -> list[Context]:
    """That many windows of real one-minute bars, spread evenly over all recorded instruments and days."""
    files = [one for one in (*recordings(folder), *recordings(folder / "long")) if one.timeframe is Timeframe.M1]
    each = -(-count // len(files))
    made = [_context(one, first) for turn in range(each) for one in files for first in (_start(one, turn, each),)]
    return made[:count]


def _start(recording: Recording, turn: int, turns: int) -> int:
    return (recording.table.num_rows - WINDOW) * turn // max(1, turns - 1)


def _context(recording: Recording, first: int) -> Context:
    window = recording.table.slice(first, WINDOW)
    batch = batch_of(recording.instrument, recording.timeframe, window)
    report = QualityReport(
        id="none", batch_id=batch.id, suite="none", checks=0, findings=(), checked_at=batch.fetched_at, duration_ms=0
    )
    base = to_frame(window)
    frames = {Timeframe.M1: base}
    for longer in (Timeframe.M5, Timeframe.M15):
        frames[longer] = resample(base, Timeframe.M1, longer, calendar_for(recording.instrument))
    readings = pulse(frames, Timeframe.M1)
    return build_context(batch, window, report, readings, consensus(readings))


def child_memory(model: EmbeddedModel) -> float:
    """Resident memory of the model's child in MB, from Linux's /proc; NaN elsewhere."""
    try:
        status = Path(f"/proc/{model.pid}/status").read_text()
    except OSError:
        return float("nan")
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def _first_process(
    settings: EmbeddedSettings, cases: Sequence[Context]
) -> tuple[list[Verdict], dict[str, float], list[str]]:
    model = EmbeddedModel(settings)
    verdicts: list[Verdict] = []
    memory: dict[str, float] = {}
    loads = [f"{os.getloadavg()[0]:.1f} at the start"]
    try:
        for number, case in enumerate(cases, start=1):
            verdicts.append(ask(model, case, SystemClock()))
            if number in {1, SETTLED, len(cases) // 2, len(cases)}:
                memory[f"after {number}"] = child_memory(model)
            if number % 20 == 0:
                print(f"{number} of {len(cases)}, load average {os.getloadavg()[0]:.1f}", flush=True)
            if number in {len(cases) // 2, len(cases)}:
                loads.append(f"{os.getloadavg()[0]:.1f} after {number}")
    finally:
        model.close()
    return verdicts, memory, loads


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Validity, actions, latency of a decision and the runtime's speed; the first call, which waits for the load, is not among the latencies."""
    calls = [call for verdict in verdicts for call in verdict.calls]
    valid = [verdict.answer for verdict in verdicts if verdict.answer is not None]
    repairs = sum(len(verdict.calls) - 1 for verdict in verdicts)
    identity = calls[0].identity
    print(f"model {identity.model if identity is not None else 'unavailable'}, {identity}")
    print(f"{len({call.prompt_sha256 for call in calls})} different prompts in {len(calls)} calls")
    print(f"valid {len(valid)} of {len(verdicts)} ({len(valid) / len(verdicts):.1%}), {repairs} repair(s)")
    for verdict in verdicts:
        for call in verdict.calls:
            if call.error is not None:
                print(f"  refused: {call.error[:160]}")
    print(f"actions: {dict(Counter(answer.action.value for answer in valid).most_common())}")
    print(f"stated confidence: {dict(sorted(Counter(answer.confidence for answer in valid).items()))}")
    told = [odds for call in calls if (odds := action_odds(call.raw_text or "", call.tokens)) is not None]
    print(
        f"token odds in {len(told)} of {len(calls)} calls; {_spread([max(odds.values()) for odds in told])} at the top"
    )
    latencies = [sum(call.latency_ms for call in verdict.calls) for verdict in verdicts[1:]]
    print(f"latency of a decision: p50 {percentile(latencies, 50):.0f} ms, p95 {percentile(latencies, 95):.0f} ms")
    print(f"prompt {_speed(calls, 'prompt')} tokens/s, generation {_speed(calls, 'generation')} tokens/s")


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}, median {statistics.median(values):.2f}" if values else "none"


def _speed(calls: Sequence[ModelCall], phase: str) -> str:
    pairs = {
        "prompt": [(call.prompt_tokens, call.prompt_ms) for call in calls],
        "generation": [(call.completion_tokens, call.generation_ms) for call in calls],
    }[phase]
    speeds = [tokens / spent * 1000 for tokens, spent in pairs if tokens is not None and spent is not None]
    return f"{percentile(speeds, 5):.0f} to {percentile(speeds, 95):.0f}, median {statistics.median(speeds):.0f}"


def _second_process(
    settings: EmbeddedSettings, cases: Sequence[Context], verdicts: Sequence[Verdict], count: int
) -> None:
    every = max(1, len(cases) // max(1, count))
    pairs = list(zip(cases, verdicts, strict=True))[::every][:count]
    model = EmbeddedModel(settings)
    try:
        again = [ask(model, case, SystemClock()) for case, _ in pairs]
    finally:
        model.close()
    same = sum(_texts(one) == _texts(other) for one, (_, other) in zip(again, pairs, strict=True))
    odds = sum(_tokens(one) == _tokens(other) for one, (_, other) in zip(again, pairs, strict=True))
    print(f"identical text in a second process: {same} of {len(pairs)}; identical log-probabilities: {odds}")


def _texts(verdict: Verdict) -> list[str | None]:
    return [call.raw_text for call in verdict.calls]


def _tokens(verdict: Verdict) -> list[object]:
    return [call.tokens for call in verdict.calls]


def _cost(settings: EmbeddedSettings, cases: Sequence[Context]) -> None:
    """Each case with and without log-probabilities, in turn, in one process: the runtime's own timings."""
    engine = load(str(locate(settings.model_path).path), settings.threads, N_CTX, settings.gpu_layers)
    ratios, wholes, same = [], [], 0
    for number, case in enumerate(cases):
        request = chat_request(build_messages(case), answer_schema(), Sampling())
        plain = {name: value for name, value in request.items() if "logprobs" not in name}
        kinds = [(True, request), (False, plain)]
        results = {kind: engine.handle_chat_completions(asked) for kind, asked in kinds[:: 1 if number % 2 else -1]}
        texts = [result["choices"][0]["message"]["content"] for result in results.values()]
        same += texts[0] == texts[1]
        timings = {kind: result["timings"] for kind, result in results.items()}
        ratios.append(timings[True]["predicted_ms"] / timings[False]["predicted_ms"])
        wholes.append(
            sum(timings[True][name] for name in ("prompt_ms", "predicted_ms"))
            / sum(timings[False][name] for name in ("prompt_ms", "predicted_ms"))
        )
    if cases:
        print(
            f"log-probabilities over {len(cases)} prompts: generation x{statistics.median(ratios):.3f}, "
            f"whole call x{statistics.median(wholes):.3f} (medians), same text {same} of {len(cases)}"
        )


if __name__ == "__main__":
    main()
