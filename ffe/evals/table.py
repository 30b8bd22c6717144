"""The metrics of an evaluation for a person: one row each, with how many answers stand behind it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ffe.evals.metrics import SCORED


class Row(NamedTuple):
    """`value` None: it could not be measured, and `note` says what it would have needed or what it means."""

    name: str
    value: str | None
    n: int | None
    note: str


def rows(metrics: Mapping[str, float]) -> list[Row]:
    """Every metric in the order in which it is read: is it valid, is it steady, what does it say, is it fast, is it right."""
    return [*_valid(metrics), *_steady(metrics), *_said(metrics), *_speed(metrics), *_right(metrics)]


def _valid(metrics: Mapping[str, float]) -> Iterator[Row]:
    asked = int(metrics["cases"] * metrics["repeats"])
    yield Row("schema-valid at first try", _percent(metrics, "schema_valid_first"), asked, "")
    yield Row("schema-valid after repair", _percent(metrics, "schema_valid_repaired"), asked, "one repair try")


def _steady(metrics: Mapping[str, float]) -> Iterator[Row]:
    again = "needs --repeats 2" if metrics["repeats"] < 2 else "same question, same settings"
    yield _flips(metrics, "flip", "flip rate", again)
    yield _flips(metrics, "sampled_flip", "flip rate, sampled", "temperature 0.7, another seed")
    for probe, name in (("date", "date shifted"), ("ticker", "ticker anonymised"), ("price", "price rescaled")):
        reached = metrics[f"{probe}_prompt_changed"]
        note = "the prompt does not show it" if reached == 0 else f"reaches {reached:.0%} of the prompts"
        yield _flips(metrics, f"{probe}_flip", f"flips, {name}", note)


def _flips(metrics: Mapping[str, float], key: str, name: str, note: str) -> Row:
    return Row(name, _percent(metrics, f"{key}_rate"), _count(metrics, f"{key}_n"), note)


def _said(metrics: Mapping[str, float]) -> Iterator[Row]:
    cases = int(metrics["cases"])
    for name in ("buy", "sell", "hold"):
        yield Row(name.upper(), _percent(metrics, f"action_{name}"), cases, "")
    yield Row("no usable answer", _percent(metrics, "action_none"), cases, "")


def _speed(metrics: Mapping[str, float]) -> Iterator[Row]:
    calls = int(metrics["calls"])
    for key, name in (("latency_p50_ms", "latency p50"), ("latency_p95_ms", "latency p95")):
        yield Row(name, f"{metrics[key]:.0f} ms", calls, "a call, loading left out")
    for key, name in (("prompt", "prompt"), ("generation", "generation")):
        speed = metrics.get(f"{key}_tokens_per_second")
        yield Row(name, None if speed is None else f"{speed:.0f} tokens/s", None, "by the runtime's own timings")


def _right(metrics: Mapping[str, float]) -> Iterator[Row]:
    entries = int(metrics["entries"])
    yield Row("entries that paid", _percent(metrics, "paid_share"), entries, "BUY and SELL, after costs")
    for source, name in SCORED.items():
        for score in ("brier", "ece"):
            value = metrics.get(f"{score}_{source}")
            shown = None if value is None else f"{value:.3f}"
            label = "Brier score" if score == "brier" else "calibration error (ECE)"
            yield Row(f"{label}, {name}", shown, _count(metrics, f"{source}_n"), "0 is best")


def _percent(metrics: Mapping[str, float], key: str) -> str | None:
    return f"{metrics[key]:.1%}" if key in metrics else None


def _count(metrics: Mapping[str, float], key: str) -> int | None:
    return int(metrics[key]) if key in metrics else None
